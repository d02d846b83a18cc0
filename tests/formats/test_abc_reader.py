"""ABC: voices, rests, signatures, tuplets, and what is said or refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bicinium.errors import NotationFileError
from bicinium.formats.registry import read_music
from bicinium.music.score import Meter

Refuses = Callable[..., AbstractContextManager[None]]


def heard(tmp_path: Path, body: str, head: str = "M:4/4\nL:1/4\nK:C", **options: bool) -> str:
    """Return the notes of each voice as onset:pitch:duration, in ticks."""
    path = tmp_path / "tune.abc"
    path.write_text(f"X:1\n{head}\n{body}\n")
    staves = read_music(path, **options).staves
    lines = (
        " ".join(f"{n.onset_tick}:{n.pitch}:{n.duration_ticks}" for n in staff.notes)
        for staff in staves
    )
    return " / ".join(lines)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("c2 d2|", "0:72:48 48:74:48"),
        ("[V:1]c4|\n[V:2]C4|\n[V:1]d4|\n[V:2]D4|", "0:72:96 96:74:96 / 0:60:96 96:62:96"),
        ("V:RH\nc4|\nV:LH clef=bass\nC,4|", "0:72:96 / 0:48:96"),
        ("Z|c4|", "96:72:96"),
        ("x2c2|", "48:72:48"),
        ("c2[K:D]f2|", "0:72:48 48:78:48"),
        ("^c2c2|c4|", "0:73:48 48:73:48 96:72:96"),
        ("^c4-|c4|", "0:73:192"),
        ("c>d e<f|", "0:72:36 36:74:12 48:76:12 60:77:36"),
        ("(3c/d/e/ c3|", "0:72:8 8:74:8 16:76:8 24:72:72"),
        ("[ce]2 {ag}g2|", "0:72:48 0:76:48 48:79:48"),
        ("c2d2 & E4|", "0:72:48 48:74:48 / 0:64:96"),
        ('"Am"!trill!c2 "^text"d2|', "0:72:48 48:74:48"),
        ("^c4-|c2c2|", "0:73:144 144:72:48"),
        ("[c-e]2[ce]2|", "0:72:96 0:76:48 48:76:48"),
        ("[c2e]f2|", "0:72:48 0:76:24 48:77:48"),
        ("^/c2_/d2|", "0:72:48 48:73:48"),
        ("c!de!f|", "0:72:24 24:74:24 48:76:24 72:77:24"),
        ("(3cze c2|", "0:72:16 32:76:16 48:72:48"),
        ("((3cde f2)|", "0:72:16 16:74:16 32:76:16 48:77:48"),
        ("(3:2:4cd/e/f g2|", "0:72:16 16:74:8 24:76:8 32:77:16 48:79:48"),
        ("c2d2|\n\nThis is a text about the tune.", "0:72:48 48:74:48"),
        ("c2d2|\n\ne4|", "0:72:48 48:74:48 96:76:96"),
        ("c2\n%%begintext\nabc | def\n%%endtext\nd2|", "0:72:48 48:74:48"),
    ],
)
def test_music_is_read_as_it_is_written(tmp_path: Path, body: str, expected: str) -> None:
    assert heard(tmp_path, body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("|:c4:|d4|", [72, 72, 74]),
        ("c4::d4:|", [72, 72, 74, 74]),
        ("|:c4|1 d4:|2 e4|", [72, 74, 72, 76]),
        ("|:c4|[1,2 d4:|[3 e4|", [72, 74, 72, 74, 72, 76]),
        ("|:c4|1,3 d4:|2 e4:|]", [72, 74, 72, 76, 72, 74]),
    ],
)
def test_repeats_are_played_on_request(tmp_path: Path, body: str, expected: list[int]) -> None:
    path = tmp_path / "tune.abc"
    path.write_text(f"X:1\nM:4/4\nL:1/4\nK:C\n{body}\n")
    unfolded = read_music(path, unfold=True)
    assert [note.pitch for note in unfolded.staves[0].notes] == expected
    assert any("--unfold" in str(loss) for loss in read_music(path).losses)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("M:2/4\nK:C", "0:72:6"),
        ("M:3/4\nK:C", "0:72:12"),
        ("M:4/4\nL:1/4\nK:C clef=treble-8", "0:60:24"),
        ("M:4/4\nL:1/4\nK:Bdor", "0:73:24"),
        ("M:4/4\nL:1/4\nK:D exp _b", "0:72:24"),
        ("M:2/4+3/8\nL:1/4\nK:C", "0:72:24"),
    ],
)
def test_header_fields_count(tmp_path: Path, head: str, expected: str) -> None:
    assert heard(tmp_path, "c|", head) == expected


def test_metre_changes_tempo_and_other_tunes(tmp_path: Path) -> None:
    path = tmp_path / "tune.abc"
    tune = "X:1\nT:One\nM:6/8\nL:1/8\nQ:3/8=60\nK:G\nf6|[M:3/4]g6|\n\n"
    path.write_text(tune + tune.replace("X:1", "X:2"))
    content = read_music(path)
    assert content.meters == ((0, Meter(6, 8)), (72, Meter(3, 4)))
    assert (content.tempo_qpm, content.title) == (90, "One")
    assert content.staves[0].notes[0].pitch == 78
    assert [str(loss) for loss in content.losses] == ["1 later piece of 2 in the file left out."]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("not", [73, 72, 84]), ("octave", [73, 73, 84]), ("pitch", [73, 73, 85])],
)
def test_accidentals_count_as_far_as_the_file_says(
    tmp_path: Path, mode: str, expected: list[int]
) -> None:
    path = tmp_path / "tune.abc"
    path.write_text(f"X:1\nM:3/4\nL:1/4\nI:propagate-accidentals {mode}\nK:C\n^ccc'|\n")
    assert [note.pitch for note in read_music(path).staves[0].notes] == expected


@pytest.mark.parametrize(
    ("head", "body", "said"),
    [
        ("", "^ccc'c|", "1 note read without the accidental of another octave in the bar."),
        ("P:ABA\n", "P:A\nc4|\nP:B\nd4|", "The stated order of sections is not played: ABA."),
        ("m: ~n = n{m}n\n", "~c4|", "1 macro not expanded."),
        ("", "c0d4|", "1 note without length left out."),
    ],
)
def test_what_is_doubtful_is_said(tmp_path: Path, head: str, body: str, said: str) -> None:
    path = tmp_path / "tune.abc"
    path.write_text(f"X:1\n{head}M:4/4\nL:1/4\nK:C\n{body}\n")
    assert said in map(str, read_music(path).losses)


@pytest.mark.parametrize("body", ["+ce+d2|", "c4 5 d|", "c4 & \x01|", "c/0|", "[M:x]c4|"])
def test_what_is_not_known_is_refused_with_its_line(
    tmp_path: Path, refuses: Refuses, body: str
) -> None:
    with refuses(NotationFileError, "line 5, cannot be read"):
        heard(tmp_path, body)
