"""The tempo mark of an engraved page keeps clear of high notes."""

from __future__ import annotations

import re

import pytest

from bicinium.music.key import Key
from bicinium.music.score import Note, Score, Voice

pytest.importorskip("verovio", reason="these tests engrave")

from bicinium.render.engraving import engrave

_SPACE = 180  # of a staff, in units of the drawing
_MARK_WIDTH = 1100  # with a space beside it
_CLEARANCE = 115  # in these units; letters do not reach so far down
_UPBEAT = 6


def _engraved(*pitches: int, title: str = "") -> str:
    """Engrave an upbeat, over which the mark begins, and a bar of sixteenths."""
    bar = [Note(96 + 6 * i, pitches[i % len(pitches)], 6) for i in range(16)]
    notes = [Note(96 - _UPBEAT, 79, _UPBEAT), *bar]
    voices = (Voice(tuple(notes)), Voice((Note(96, 48, 96),)))
    score = Score(
        voices,
        2,
        key=Key.parse("Ab major"),
        tempo_qpm=200,
        anacrusis_ticks=_UPBEAT,
        title=title,
        composer="Clara Wieck",
    )
    return engrave(score, one_page=True)[0]


def _tempo_mark(svg: str) -> tuple[float, float]:
    """Return the left end and the foot of the mark."""
    found = re.search(r'class="tempo"(?: transform="translate\(0, (-?[\d.]+)\)")?>', svg)
    assert found
    text = re.compile(r'<text x="([\d.]+)" y="([\d.]+)"').search(svg, found.end())
    assert text
    return float(text[1]), float(text[2]) + float(found[1] or 0)


@pytest.mark.parametrize("pitches", [(67,), (96,), (84, 96, 84, 84), (101, 103, 100)])
def test_the_mark_keeps_clear_of_the_notes_under_it(pitches: tuple[int, ...]) -> None:
    svg = _engraved(*pitches)
    left, foot = _tempo_mark(svg)
    heads = re.findall(r'class="notehead">\s*<use [^>]*translate\((\d+), (\d+)\)', svg)
    under = [int(y) for x, y in heads if left < int(x) < left + _MARK_WIDTH]
    assert len(under) > 1
    assert min(under) - _SPACE / 2 - foot >= _CLEARANCE


def test_the_composer_of_a_piece_without_a_title_is_not_set_as_one() -> None:
    sizes = [
        re.search(r'font-size="(\d+)px"[^>]*>Clara Wieck', _engraved(67, title=title))
        for title in ("", "Romance")
    ]
    assert sizes[0]
    assert sizes[1]
    assert sizes[0][1] == sizes[1][1]
