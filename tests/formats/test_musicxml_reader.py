"""MusicXML as programs and people write it: what is printed only, missing, or said elsewhere."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from bicinium.errors import NotationFileError
from bicinium.formats.registry import read_music
from bicinium.music.content import Content

_FOUR_QUARTERS = "<time><beats>4</beats><beat-type>4</beat-type></time>"


def note(step: str, octave: int, duration: int | None, inside: str = "") -> str:
    """Return a note; ``inside`` follows its duration."""
    length = "" if duration is None else f"<duration>{duration}</duration>"
    pitch = f"<pitch><step>{step}</step><octave>{octave}</octave></pitch>"
    return f"<note>{pitch}{length}{inside}</note>"


def page(*measures: str, attributes: str = _FOUR_QUARTERS) -> str:
    """Return a score in divisions of a quarter note."""
    head = f"<attributes><divisions>1</divisions>{attributes}</attributes>"
    first, *others = measures
    bars = "".join(
        f'<measure number="{number}">{bar}</measure>'
        for number, bar in enumerate([head + first, *others], start=1)
    )
    return f'<score-partwise><part id="P1">{bars}</part></score-partwise>'


def read(tmp_path: Path, text: str, unfold: bool = False) -> Content:
    path = tmp_path / "piece.musicxml"
    path.write_text(text)
    return read_music(path, unfold=unfold)


def heard(content: Content) -> list[tuple[int, int, int]]:
    """Return onset, pitch and duration of all notes, the staves one after the other."""
    return [
        (n.onset_tick, n.pitch, n.duration_ticks) for staff in content.staves for n in staff.notes
    ]


def test_ties_that_are_printed_only_are_ties(tmp_path: Path) -> None:
    ties = (f'<notations><tied type="{kind}"/></notations>' for kind in ("start", "stop"))
    text = page(*(note("C", 5, 4, tie) for tie in ties))
    assert heard(read(tmp_path, text)) == [(0, 72, 192)]


def test_a_missing_duration_is_that_of_the_note_value(tmp_path: Path) -> None:
    tuplet = "<time-modification><actual-notes>3</actual-notes><normal-notes>2</normal-notes>"
    third = f"<type>half</type>{tuplet}</time-modification>"
    text = page(*(note(step, 5, None, third) for step in "C"))
    assert heard(read(tmp_path, text)) == [(0, 72, 32)]
    assert heard(read(tmp_path, page(note("C", 5, None, "<type>half</type><dot/>")))) == [
        (0, 72, 72)
    ]


def test_a_staff_is_transposed_alone(tmp_path: Path) -> None:
    lower = '<transpose number="2"><chromatic>0</chromatic><octave-change>-1</octave-change>'
    text = page(
        note("C", 5, 4, "<voice>1</voice><staff>1</staff>")
        + "<backup><duration>4</duration></backup>"
        + note("C", 4, 4, "<voice>2</voice><staff>2</staff>"),
        attributes=f"{_FOUR_QUARTERS}<staves>2</staves>{lower}</transpose>",
    )
    assert heard(read(tmp_path, text)) == [(0, 72, 96), (0, 48, 96)]


@pytest.mark.parametrize(
    ("sign", "expected"),
    [
        ("<words>D.C.</words>", [72, 74, 72, 74]),
        ("<words>Da Capo al Fine</words>", [72, 74, 72]),
    ],
)
def test_jumps_that_are_printed_only_are_jumps(
    tmp_path: Path, sign: str, expected: list[int]
) -> None:
    words = "<direction><direction-type>{}</direction-type></direction>"
    end = words.format("<words>Fine</words>") if "Fine" in sign else ""
    text = page(note("C", 5, 4) + end, note("D", 5, 4) + words.format(sign))
    assert [pitch for _, pitch, _ in heard(read(tmp_path, text, unfold=True))] == expected
    assert [str(loss) for loss in read(tmp_path, text).losses] == [
        "1 repeat or jump not unfolded (--unfold plays them)."
    ]


@pytest.mark.parametrize(
    "bar", ["", '<note><rest measure="yes"/><duration>7</duration></note>'], ids=["empty", "rest"]
)
def test_a_bar_without_notes_lasts_as_long_as_its_metre(tmp_path: Path, bar: str) -> None:
    text = page(note("C", 5, 4), bar, note("D", 5, 4))
    assert heard(read(tmp_path, text)) == [(0, 72, 96), (192, 74, 96)]


def test_a_rest_that_is_too_long_in_one_part_does_not_make_the_bar_longer(tmp_path: Path) -> None:
    rests = "<note><rest/><duration>4</duration></note>" * 2
    parts = [(rests, note("C", 5, 4)), (note("D", 4, 4), note("E", 4, 4))]
    head = f"<attributes><divisions>1</divisions>{_FOUR_QUARTERS}</attributes>"
    text = "".join(
        f'<part id="P{i}"><measure>{head}{first}</measure><measure>{second}</measure></part>'
        for i, (first, second) in enumerate(parts)
    )
    content = read(tmp_path, f"<score-partwise>{text}</score-partwise>")
    assert heard(content) == [(96, 72, 96), (0, 62, 96), (96, 64, 96)]
    assert content.losses == ()


def _archive(path: Path, **files: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


@pytest.mark.parametrize(
    "files",
    [
        {"a.xml": page(note("C", 5, 4)), "__MACOSX/._a.xml": "resource"},
        {"a.xml": page(note("C", 5, 4)), "b.xml": "<x/>",
         "META-INF/container.xml": "<container><rootfile full-path = 'a.xml'/></container>"},
        {"a.xml": page(note("C", 5, 4)),
         "META-INF/container.xml": '<container><rootfile full-path="gone.xml"/></container>'},
    ],
    ids=["resource forks", "spaces", "wrong name"],
)  # fmt: skip
def test_the_score_in_an_archive_is_found(tmp_path: Path, files: dict[str, str]) -> None:
    assert heard(read_music(_archive(tmp_path / "a.mxl", **files))) == [(0, 72, 96)]


def test_two_scores_without_a_container_are_refused(tmp_path: Path) -> None:
    text = page(note("C", 5, 4))
    path = _archive(tmp_path / "a.mxl", **{"a.xml": text, "b.xml": text})
    with pytest.raises(NotationFileError, match="holds no score"):
        read_music(path)
