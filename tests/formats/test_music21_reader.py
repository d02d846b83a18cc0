"""Notation files become the same notes as MIDI files of the same music."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bicinium.errors import NotationFileError, ScoreError
from bicinium.formats.registry import read_music
from bicinium.music.voice_reduction import reduce_to_two_voices

Refuses = Callable[..., AbstractContextManager[None]]

_KERN = """\
!!!COM: Anonymous
!!!OTL: An exercise
!!!YEC: Free for all
**kern	**kern
*M3/4	*M3/4
*k[f#]	*k[f#]
*MM96	*MM96
4D	4d
=1	=1
2.GG	8g
.	8a
.	[2b
=2	=2
4D	4b]
2C	6cc
.	6b
.	6a
=3	=3
2.GG	2.g 2.b
==	==
*-	*-
"""

_ABC = """X:1
T:A tune
C:Trad.
M:6/8
L:1/8
K:D
DFA d2A|BAG F3|
"""


def _notes(path: Path) -> list[list[tuple[int, int, int]]]:
    return [
        [(note.onset_tick, note.pitch, note.duration_ticks) for note in staff.notes]
        for staff in read_music(path).staves
    ]


def test_kern_with_pickup_tie_triplets_and_chord(tmp_path: Path) -> None:
    """The upbeat is at the end of bar 1. Tied notes are one note, and a chord is two."""
    path = tmp_path / "exercise.krn"
    path.write_text(_KERN)
    content = read_music(path)
    assert (content.composer, content.title, content.rights) == (
        "Anonymous",
        "An exercise",
        "Free for all",
    )
    assert (content.anacrusis_ticks, content.fifths, content.tempo_qpm) == (24, 1, 96)
    assert [(tick, str(meter)) for tick, meter in content.meters] == [(0, "3/4")]
    lower, upper = sorted(_notes(path), key=lambda notes: notes[0][1])
    assert lower == [(48, 50, 24), (72, 43, 72), (144, 50, 24), (168, 48, 48), (216, 43, 72)]
    assert upper == [
        (48, 62, 24),
        (72, 67, 12),
        (84, 69, 12),
        (96, 71, 72),
        (168, 72, 16),
        (184, 71, 16),
        (200, 69, 16),
        (216, 67, 72),
        (216, 71, 72),
    ]
    (piece,) = reduce_to_two_voices(content)
    assert piece.score.bars == 4
    assert content.notes_off_grid == 0


def test_abc(tmp_path: Path) -> None:
    path = tmp_path / "tune.abc"
    path.write_text(_ABC)
    content = read_music(path)
    assert (content.composer, content.title) == ("Trad.", "A tune")
    assert [str(meter) for _, meter in content.meters] == ["6/8"]
    assert [note.pitch for note in content.staves[0].notes] == [
        62, 66, 69, 74, 69, 71, 69, 67, 66,
    ]  # fmt: skip


def test_a_transposing_instrument_is_read_as_it_sounds(tmp_path: Path) -> None:
    music21 = pytest.importorskip("music21")
    part = music21.stream.Part([music21.instrument.Clarinet(), music21.note.Note("D4")])
    path = tmp_path / "clarinet.musicxml"
    music21.stream.Score([part]).write("musicxml", path)
    written = read_music(path).staves[0].notes[0].pitch
    stream = music21.converter.parse(path)
    assert written == stream.toSoundingPitch().flatten().notes[0].pitch.midi


@pytest.mark.parametrize("suffix", [".mxl", ".musicxml", ".krn", ".abc"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff" * 300, b"<?xml version='1.0'?><a>"], ids=len)
def test_what_music21_cannot_read_is_one_error(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(ScoreError) as caught:
        read_music(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def test_no_file_and_too_large_a_file_are_one_sentence(tmp_path: Path, refuses: Refuses) -> None:
    with refuses(NotationFileError, "cannot be opened"):
        read_music(tmp_path / "absent.krn")
    with (tmp_path / "large.krn").open("wb") as file:
        file.truncate(30_000_000)
    with refuses(NotationFileError, "is larger than 20,000,000 bytes"):
        read_music(tmp_path / "large.krn")
