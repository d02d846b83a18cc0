"""The engraved score on the page: SVG without a title, and when each of its notes sounds."""

from __future__ import annotations

import re
import zlib
from typing import Any

from bicinium.formats.musicxml_writer import to_musicxml
from bicinium.music.score import TICKS_PER_QUARTER, Score
from bicinium.optional_imports import import_optional

NARROWEST, WIDEST = 280, 2400  # pixels
_SCALE, _SCALE_OF_PHONES = 42, 36  # per cent
_PHONE = 520  # pixels
_TALLEST, _LONGEST = 60_000, 100_000
_MOST_BALANCED = 64  # bars; the systems of longer scores are as Verovio breaks them
_CLEF, _ACCIDENTAL = 800, 190  # what they need at the beginning of a system, in Verovio's units
_OPTIONS = {
    "pageHeight": _TALLEST,
    "adjustPageHeight": True,
    "pageMarginLeft": 25,
    "pageMarginRight": 10,
    "pageMarginTop": 20,
    "pageMarginBottom": 20,
    "font": "Leipzig",
    "header": "none",
    "footer": "none",
    "spacingStaff": 10,
    "spacingSystem": 8,
    "minLastJustification": 0.3,
    "svgViewBox": True,
    "svgRemoveXlink": True,
}


def sheet(score: Score, width: int) -> dict[str, Any]:
    """``pages``, SVG as wide as ``width`` pixels, of which a long score has several, and ``notes``:
    [id, part, onset_tick, offset_tick] of every written note, those that continue a tie included.

    The tempo mark is left out: the page has its own, which can be moved.
    """
    verovio = import_optional("verovio", "engraving", "an engraved score")
    verovio.enableLog(verovio.LOG_OFF)
    width = min(WIDEST, max(NARROWEST, width))
    scale = _SCALE_OF_PHONES if width < _PHONE else _SCALE
    text = re.sub(r"<direction .*?</direction>", "", to_musicxml(score), flags=re.DOTALL)
    page_width = round(width * 100 / scale)
    fifths = abs(score.key.fifths) if score.key else 0
    breaks = []
    if score.bars <= _MOST_BALANCED:
        (line,) = _rendered(verovio.toolkit(), text, pageWidth=_LONGEST, breaks="none", scale=scale)
        breaks = _balanced(_bar_widths(line), 10 * page_width - 350, _CLEF + _ACCIDENTAL * fifths)
        text = _with_breaks(text, breaks)
    toolkit = verovio.toolkit()
    pages = _rendered(
        toolkit,
        text,
        pageWidth=page_width,
        breaks="encoded" if score.bars <= _MOST_BALANCED else "auto",
        scale=scale,
        xmlIdSeed=zlib.crc32(text.encode()) % 2**31 or 1,  # two scores on a page stay apart
    )
    # the studio's own style sheet has these
    pages = [re.sub(r"<style.*?</style>", "", page, flags=re.DOTALL) for page in pages]
    begun: dict[str, int] = {}
    ended: dict[str, int] = {}
    for moment in toolkit.renderToTimemap({}):
        tick = score.start_tick + round(moment["qstamp"] * TICKS_PER_QUARTER)
        begun |= dict.fromkeys(moment.get("on", ()), tick)
        ended |= dict.fromkeys(moment.get("off", ()), tick)
    lower = _notes_of_lower_staff("".join(pages))
    notes = [[note, int(note in lower), begun[note], ended[note]] for note in begun]
    return {"pages": pages, "notes": notes, "start": score.start_tick}


def _notes_of_lower_staff(svg: str) -> set[str]:
    """The ids of notes that stand in the second staff of their bar."""
    found: set[str] = set()
    staff = 0
    for kind, name in re.findall(r'<g id="(\w+)" class="(measure|staff|note)\b', svg):
        if name == "measure":
            staff = 0
        elif name == "staff":
            staff += 1
        elif staff > 1:
            found.add(kind)
    return found


def _rendered(toolkit: Any, text: str, **options: Any) -> list[str]:
    toolkit.setOptions(_OPTIONS | options)
    toolkit.loadData(text)
    return [toolkit.renderToSVG(page + 1) for page in range(toolkit.getPageCount())]


def _bar_widths(svg: str) -> list[int]:
    """The widths of the bars of a score that is set as one long system."""
    lines = re.compile(r'class="measure">\s*<g [^>]*class="staff">\s*<path d="M(\d+) \d+ L(\d+) ')
    return [int(end) - int(start) for start, end in lines.findall(svg)]


def _balanced(bars: list[int], room: int, clef: int) -> list[int]:
    """The bars, from 0, at which further systems begin: as few as there is ``room`` for, and about
    equally full. ``clef`` is what a system needs before its first bar.
    """
    if not bars:
        return []
    fewest = len(_filled(bars, room, clef))
    low, high = max(bars), room
    while low < high:  # the least width into which all fit in so many systems
        width = (low + high) // 2
        if len(_filled(bars, width, clef)) <= fewest:
            high = width
        else:
            low = width + 1
    return _filled(bars, low, clef)


def _filled(bars: list[int], width: int, clef: int) -> list[int]:
    """The bars at which further systems begin where each takes what its width holds."""
    breaks, used = [], 0
    for index, bar in enumerate(bars):
        if index and used + bar > width:
            breaks.append(index)
            used = clef
        used += bar
    return breaks


def _with_breaks(text: str, breaks: list[int]) -> str:
    """MusicXML with systems that begin at these bars."""
    head, *measures = re.split(r"(?=<measure )", text)
    for index in breaks:
        measures[index] = measures[index].replace(">", '><print new-system="yes"/>', 1)
    return head + "".join(measures)
