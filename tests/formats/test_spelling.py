"""Pitches are spelled as musicians spell them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.spelling import bicinium_speller, find_pieces
from bicinium.formats.spelling import signature_alterations, spell
from bicinium.music.key import ALL_KEYS, Key
from bicinium.music.score import Note, Score, Voice


def names(*pitches: int, key: str = "C major", bass: tuple[int, ...] = ()) -> str:
    """The upper voice in quarters, spelled: ``C C# D``."""
    lines = [Voice(tuple(Note(24 * i, p, 24) for i, p in enumerate(v))) for v in (pitches, bass)]
    bars = -(-max(len(pitches), len(bass)) // 4)
    score = Score(tuple(lines), bars, key=Key.parse(key))
    signs = {-2: "bb", -1: "b", 0: "", 1: "#", 2: "##"}
    return " ".join(s.step + signs[s.alter] for s in spell(score)[0])


@given(
    st.lists(st.integers(21, 108), min_size=1, max_size=40),
    st.sampled_from(ALL_KEYS),
)
def test_a_spelling_sounds_as_the_note_does(pitches, key):
    voice = Voice(tuple(Note(12 * i, pitch, 12) for i, pitch in enumerate(pitches)))
    lines = spell(Score((voice, Voice()), -(-len(pitches) // 8), key=key))
    assert [spelling.pitch for spelling in lines[0]] == pitches
    assert all(-2 <= spelling.alter <= 2 for spelling in lines[0])
    assert lines[1] == ()


@pytest.mark.parametrize("key", ALL_KEYS, ids=str)
def test_a_scale_has_its_signature_and_every_letter(key):
    steps = (0, 2, 4, 5, 7, 9, 11, 12) if key.mode == "major" else (0, 2, 3, 5, 7, 8, 10, 12)
    first = 60 + key.tonic
    voice = Voice(tuple(Note(12 * i, first + step, 12) for i, step in enumerate(steps)))
    (line, _) = spell(Score((voice, Voice()), 1, key=key))
    assert len({spelling.step for spelling in line}) == 7
    assert {s.step: s.alter for s in line} == signature_alterations(key.fifths)


@pytest.mark.parametrize(
    ("pitches", "key", "expected"),
    [
        ((69, 68, 69, 71, 72, 68, 69), "A minor", "A G# A B C G# A"),
        ((62, 61, 62, 65, 69, 61, 62), "D minor", "D C# D F A C# D"),
        ((67, 66, 67, 70, 74, 66, 67), "G minor", "G F# G Bb D F# G"),
        ((60, 61, 62, 63, 64, 65, 67, 60), "C major", "C C# D D# E F G C"),
        ((72, 71, 70, 69, 67, 65, 64, 60), "C major", "C B Bb A G F E C"),
        ((67, 66, 67, 64, 60), "C major", "G F# G E C"),
    ],
)
def test_leading_notes_rise_and_passing_notes_pass(pitches, key, expected):
    assert names(*pitches, key=key) == expected


def test_a_modulation_by_flats_stays_in_flats():
    scale = (0, 2, 4, 5, 7, 9, 11)
    pitches = [72 + s for s in scale[:5]]
    for tonic in (65, 70, 63, 68, 61):
        pitches += [tonic + s for s in scale] * 3
    assert names(*pitches, key="C major").split()[-1] == "C"
    assert "Gb" in names(*pitches, key="C major").split()[-7:]


def test_accidentals_of_bach_are_spelled_as_he_did():
    pytest.importorskip("music21")
    right = printed = 0
    for piece in find_pieces(Path("bach"), every=4):
        for line, source in zip(bicinium_speller(piece), piece.source, strict=True):
            signs = (source < piece.fifths - 1) | (source > piece.fifths + 5)
            printed += int(signs.sum())
            right += int(np.sum((line == source) & signs))
    assert printed > 500
    assert right / printed >= 0.98
