"""Read and write music files: MIDI, MusicXML, kern, ABC, MEI."""
