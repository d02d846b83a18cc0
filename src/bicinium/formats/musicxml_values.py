"""Values that the MusicXML reader and writer share."""

from __future__ import annotations

SOFTWARE = "bicinium"

VELOCITY_AT_100_PERCENT = 90  # MusicXML gives dynamics in per cent of this MIDI velocity.

# Length in quarter notes of the note in a metronome mark, longest first.
BEAT_UNIT_QUARTERS = {
    "whole": 4.0, "half": 2.0, "quarter": 1.0, "eighth": 0.5, "16th": 0.25, "32nd": 0.125,
}  # fmt: skip
