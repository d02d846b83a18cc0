"""MEI: signatures as attributes and elements, layers, ties, tremolos, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bicinium.errors import NotationFileError
from bicinium.formats.registry import read_music, read_score
from bicinium.music.content import Content
from bicinium.music.score import Meter

Refuses = Callable[..., AbstractContextManager[None]]

_NS = 'xmlns="http://www.music-encoding.org/ns/mei"'


def read(tmp_path: Path, *measures: str, definition: str = "", attributes: str = "") -> Content:
    staff = f'<staffDef n="1" {attributes}>{definition}</staffDef>'
    body = "".join(f'<measure n="{i + 1}">{m}</measure>' for i, m in enumerate(measures))
    path = tmp_path / "piece.mei"
    path.write_text(
        f"<mei {_NS}><music><body><mdiv><score><scoreDef><staffGrp>{staff}</staffGrp></scoreDef>"
        f"<section>{body}</section></score></mdiv></body></music></mei>"
    )
    return read_music(path)


def layer(*events: str, n: int = 1) -> str:
    return f'<layer n="{n}">{"".join(events)}</layer>'


def staff(*layers: str) -> str:
    return f'<staff n="1">{"".join(layers)}</staff>'


def note(name: str, octave: int, dur: int, extra: str = "") -> str:
    return f'<note pname="{name}" oct="{octave}" dur="{dur}" {extra}/>'


def heard(content: Content) -> list[tuple[int, int, int]]:
    return [(n.onset_tick, n.pitch, n.duration_ticks) for n in content.staves[0].notes]


@pytest.mark.parametrize(
    ("attributes", "definition"),
    [
        ('meter.count="3" meter.unit="4" key.sig="1s"', ""),
        ('meter.count="3" meter.unit="4" keysig="1s"', ""),
        ("", '<keySig sig="1s"/><meterSig count="3" unit="4"/>'),
    ],
)
def test_signatures_are_attributes_or_elements(
    tmp_path: Path, attributes: str, definition: str
) -> None:
    """Without sounding accidentals the signature sharpens F."""
    bar = staff(layer(note("f", 5, 2), note("g", 5, 4)))
    content = read(tmp_path, bar, bar, attributes=attributes, definition=definition)
    assert content.meters == ((0, Meter(3, 4)),)
    assert content.fifths == 1
    assert [pitch for _, pitch, _ in heard(content)] == [78, 79, 78, 79]


def test_tremolos_tuplets_graces_and_ties_keep_time(tmp_path: Path) -> None:
    bar = staff(
        layer(
            f"<bTrem>{note('c', 5, 4)}</bTrem>",
            f"<fTrem>{note('d', 5, 4)}{note('e', 5, 4)}</fTrem>",
            f'<tuplet num="3" numbase="2">{note("c", 5, 8) * 3}</tuplet>',
            note("a", 5, 8, 'grace="acc"'),
            note("g", 5, 4, 'tie="i"'),
        )
    )
    content = read(tmp_path, bar, staff(layer(note("g", 5, 1, 'tie="t"'))))
    assert heard(content) == [
        (0, 72, 24), (24, 74, 12), (36, 76, 12), (48, 72, 8), (56, 72, 8), (64, 72, 8),
        (72, 79, 120),
    ]  # fmt: skip
    assert [str(loss) for loss in content.losses] == [
        "1 grace note left out.",
        "2 ornaments (trill, turn, tremolo) not played.",
    ]


def test_two_layers_of_a_staff_are_the_two_voices(tmp_path: Path) -> None:
    bar = staff(layer(note("e", 5, 1)), layer(note("e", 5, 2), note("c", 4, 2), n=2))
    read(tmp_path, bar)
    upper, lower = read_score(tmp_path / "piece.mei").voices
    assert [n.pitch for n in upper.notes] == [76]
    assert [n.pitch for n in lower.notes] == [76, 60]


@pytest.mark.parametrize(
    ("bar", "pattern"),
    [
        (
            staff(layer('<note pname="c" oct="5"/>')),
            "measure 1, is damaged: <note> has no duration",
        ),
        (staff(layer("<beatRpt/>")), "measure 1, is damaged: its repeat signs <beatRpt>"),
        (staff(layer("<mRest/>")), "holds no notes"),
        (note("c", 5, 4), "has 1 notes, of which 0 were read"),
    ],
)
def test_what_cannot_be_read_right_is_refused(
    tmp_path: Path, refuses: Refuses, bar: str, pattern: str
) -> None:
    with refuses(NotationFileError, pattern):
        read(tmp_path, bar)


@pytest.mark.parametrize(
    ("events", "beside", "expected"),
    [
        ((note("c", 5, 8, 'xml:id="a"'), note("d", 5, 8), note("e", 5, 8, 'xml:id="b"')),
         '<tupletSpan startid="#a" endid="#b" num="3" numbase="2"/>',
         [(0, 72, 8), (8, 74, 8), (16, 76, 8)]),
        ((note("f", 4, 2), '<keySig sig="1s"/>', note("f", 4, 2)), "", [(0, 65, 48), (48, 66, 48)]),
        (("<app><lem>", note("c", 5, 1), "</lem><rdg>", note("d", 5, 1), "</rdg></app>"), "",
         [(0, 72, 96)]),
        ((note("c", 5, 1),), f"<ossia><oStaff><oLayer>{note('d', 5, 1)}</oLayer></oStaff></ossia>",
         [(0, 72, 96)]),
    ],
)  # fmt: skip
def test_elements_beside_and_between_the_notes_count(
    tmp_path: Path, events: tuple[str, ...], beside: str, expected: list[tuple[int, int, int]]
) -> None:
    assert heard(read(tmp_path, staff(layer(*events)) + beside)) == expected


def test_a_staff_in_editorial_markup_is_read(tmp_path: Path) -> None:
    readings = (staff(layer(note(name, 5, 1))) for name in "cd")
    markup = "<app><lem>{}</lem><rdg>{}</rdg></app>".format(*readings)
    assert heard(read(tmp_path, markup)) == [(0, 72, 96)]


def test_a_signature_of_single_accidentals_counts(tmp_path: Path) -> None:
    signature = '<keySig><keyAccid pname="f" accid="s"/></keySig>'
    content = read(tmp_path, staff(layer(note("f", 4, 1))), definition=signature)
    assert heard(content) == [(0, 66, 96)]


def test_ties_without_notes_are_said_and_tuplets_without_notes_refused(
    tmp_path: Path, refuses: Refuses
) -> None:
    bar = staff(layer(note("c", 5, 1)))
    content = read(tmp_path, bar + '<tie staff="1" tstamp="1" tstamp2="1m+1"/>', bar)
    assert [str(loss) for loss in content.losses] == ["1 tie without a second note ignored."]
    with refuses(NotationFileError, "measure 1, is damaged: a <tupletSpan> does not name"):
        read(tmp_path, bar + '<tupletSpan tstamp="1" num="3"/>')


def test_a_stated_order_of_sections_is_said(tmp_path: Path) -> None:
    path = tmp_path / "piece.mei"
    bars = "".join(
        f'<section xml:id="{name}"><measure>{staff(layer(note("c", 5, 1)))}</measure></section>'
        for name in "AB"
    )
    path.write_text(
        f"<mei {_NS}><music><body><mdiv><score><scoreDef/><section>"
        f'<expansion plist="#A #B #A"/>{bars}</section></score></mdiv></body></music></mei>'
    )
    said = [str(loss) for loss in read_music(path).losses]
    assert said == ["The stated order of sections is not played: A, B, A."]
