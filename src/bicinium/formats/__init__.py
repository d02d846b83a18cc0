"""Music files in and out: MIDI, MusicXML, kern, ABC, MEI."""
