"""Kern: spines, sub-spines, ties, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bicinium.errors import NotationFileError, ScoreError
from bicinium.formats.registry import read_music, read_score
from bicinium.music.content import Content
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
def test_what_cannot_be_read_is_one_error(tmp_path: Path, suffix: str, content: bytes) -> None:
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
        file.truncate(40_000_000)
    with refuses(NotationFileError, "has 40,000,000 bytes; music files have at most 32,000,000"):
        read_music(tmp_path / "large.krn")


_NESTED = """\
**kern
*M4/4
=1
*^
2cc	4e
.	4f
2dd	2g
*v	*v
=2
*^
*	*^
2ee	4g	4r
.	4r	4a
2ff	2b	2r
*	*v	*v
*v	*v
=3
1gg
==
*-
"""


def test_the_voices_of_nested_splits_are_two_lines(tmp_path: Path) -> None:
    path = tmp_path / "nested.krn"
    path.write_text(_NESTED)
    upper, lower = (
        [(n.onset_tick, n.pitch) for n in voice.notes] for voice in read_score(path).voices
    )
    assert upper == [(0, 72), (48, 74), (96, 76), (144, 77), (192, 79)]
    assert lower == [(0, 64), (24, 65), (48, 67), (96, 67), (120, 69), (144, 71)]


@pytest.mark.parametrize(
    ("old", "new", "pattern"),
    [
        ("4e\n", "2e\n", "line 7, is damaged: notes on one line begin at different times"),
        ("2cc\t4e", "2cc\t4e\t4g", "line 5, is damaged: 3 fields for 2 spines"),
        ("2cc", "cc", "line 5, is damaged: cc has no duration"),
    ],
)
def test_spines_that_disagree_are_refused(
    tmp_path: Path, refuses: Refuses, old: str, new: str, pattern: str
) -> None:
    path = tmp_path / "nested.krn"
    path.write_text(_NESTED.replace(old, new, 1))
    with refuses(NotationFileError, pattern):
        read_music(path)


def _read(tmp_path: Path, *rows: str, unfold: bool = False) -> Content:
    path = tmp_path / "piece.krn"
    path.write_text("\n".join("\t".join(row.split()) for row in rows) + "\n")
    return read_music(path, unfold=unfold)


def _heard(content: Content) -> list[tuple[int, int]]:
    return [(note.onset_tick, note.pitch) for note in content.staves[0].notes]


def test_the_last_bar_counts_without_a_last_barline(tmp_path: Path) -> None:
    content = _read(tmp_path, "**kern", "*M2/4", "=1", "2c", "=2", "2d", "*-")
    assert _heard(content) == [(0, 60), (48, 62)]


def test_music_without_barlines_keeps_its_metre(tmp_path: Path) -> None:
    content = _read(tmp_path, "**kern", "*M2/4", "4c", "4d", "4e", "4f", "4g", "4a", "*-")
    assert [str(meter) for _, meter in content.meters] == ["2/4"]
    assert [str(loss) for loss in content.losses] == [
        "1 bar longer than the metre divided into bars of it: bar 1."
    ]


def test_a_second_piece_and_an_order_of_sections_are_said(tmp_path: Path) -> None:
    piece = ("**kern", "*>[A,B,A]", "*M2/4", "*>A", "=1", "2c", "*>B", "=2", "2d", "==", "*-")
    content = _read(tmp_path, *piece, *piece)
    assert _heard(content) == [(0, 60), (48, 62)]
    assert [str(loss) for loss in content.losses] == [
        "The stated order of sections is not played: A, B, A.",
        "1 later piece of 2 in the file left out.",
    ]


def test_spines_change_places(tmp_path: Path) -> None:
    rows = ("**kern **kern", "*M2/4 *M2/4", "=1 =1", "2C 2c", "*x *x", "2e 2E", "== ==", "*- *-")
    content = _read(tmp_path, *rows)
    pitches = [[note.pitch for note in staff.notes] for staff in content.staves]
    assert pitches == [[60, 64], [48, 52]]
