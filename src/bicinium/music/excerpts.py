"""Extract some bars of a score."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bicinium.music.score import NoteArray, NoteSequence, Score, Voice, note_array
from bicinium.music.signature import shift_spellings

EXCERPT_BARS = 16  # the common length to which pieces are cut before they are compared


def extract_bars(score: Score, first_bar: int, bars: int) -> Score:
    """Return some bars of a score, counted from bar 0. Notes held over either end are cut."""
    start = first_bar * score.meter.bar_ticks
    end = start + bars * score.meter.bar_ticks
    return replace(
        score,
        voices=tuple(
            Voice(NoteSequence(_between(note_array(v.notes), start, end))) for v in score.voices
        ),
        bars=bars,
        anacrusis_ticks=0 if first_bar else score.anacrusis_ticks,
        spellings=shift_spellings(score.spellings, start, end),
    )


def _between(notes: NoteArray, start: int, end: int) -> NoteArray:
    """Return the notes that sound in [start, end), cut to it and counted from ``start``."""
    onset, offset = np.maximum(notes[0], start), np.minimum(notes[0] + notes[2], end)
    sounds = onset < offset
    return np.stack([onset - start, notes[1], offset - onset, notes[3]])[:, sounds]
