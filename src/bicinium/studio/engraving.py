"""Engrave a score for the page: SVG without a title, and the ticks at which each note sounds."""

from __future__ import annotations

import re
import zlib
from typing import Any

from bicinium.formats.musicxml_writer import to_musicxml
from bicinium.music.score import TICKS_PER_QUARTER, Score
from bicinium.optional_imports import import_optional
from bicinium.studio.system_breaks import balance_systems

MIN_WIDTH, MAX_WIDTH = 280, 2400  # pixels
_SCALE, _PHONE_SCALE = 42, 36  # per cent
_MAX_PHONE_WIDTH = 520  # pixels
_MAX_PAGE_HEIGHT, _MAX_PAGE_WIDTH = 60_000, 100_000
_MAX_BALANCED_BARS = 64  # Verovio breaks longer scores into systems
_CLEF_WIDTH, _ACCIDENTAL_WIDTH = 800, 190  # at the start of a system, in Verovio's units
_OPTIONS = {
    "pageHeight": _MAX_PAGE_HEIGHT,
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


def engrave_for_page(score: Score, width: int) -> dict[str, Any]:
    """Return ``pages`` (SVG, ``width`` pixels wide), ``notes``, ``clefs`` and ``fifths``.

    A note is [id, part, onset_tick, offset_tick]; tied notes are listed separately. ``clefs`` are
    the signs on the upper and the lower staff in each bar, ``fifths`` the sharps of the signature,
    negative for flats. The tempo mark is left out, because the page has a tempo control.
    """
    verovio = import_optional("verovio", "engraving", "an engraved score")
    verovio.enableLog(verovio.LOG_OFF)
    width = min(MAX_WIDTH, max(MIN_WIDTH, width))
    scale = _PHONE_SCALE if width < _MAX_PHONE_WIDTH else _SCALE
    text = re.sub(r"<direction .*?</direction>", "", to_musicxml(score), flags=re.DOTALL)
    page_width = round(width * 100 / scale)
    fifths = abs(score.written_signature.fifths)
    breaks = []
    if score.bars <= _MAX_BALANCED_BARS:
        (line,) = _render_pages(
            verovio.toolkit(), text, pageWidth=_MAX_PAGE_WIDTH, breaks="none", scale=scale
        )
        breaks = balance_systems(
            _bar_widths(line), 10 * page_width - 350, _CLEF_WIDTH + _ACCIDENTAL_WIDTH * fifths
        )
        text = _with_breaks(text, breaks)
    toolkit = verovio.toolkit()
    pages = _render_pages(
        toolkit,
        text,
        pageWidth=page_width,
        breaks="encoded" if score.bars <= _MAX_BALANCED_BARS else "auto",
        scale=scale,
        # Different seeds keep the ids of two scores on a page apart.
        xmlIdSeed=zlib.crc32(text.encode()) % 2**31 or 1,
    )
    # The style sheet of the studio replaces these styles.
    pages = [re.sub(r"<style.*?</style>", "", page, flags=re.DOTALL) for page in pages]
    onset_ticks: dict[str, int] = {}
    offset_ticks: dict[str, int] = {}
    for moment in toolkit.renderToTimemap({}):
        tick = score.start_tick + round(moment["qstamp"] * TICKS_PER_QUARTER)
        onset_ticks |= dict.fromkeys(moment.get("on", ()), tick)
        offset_ticks |= dict.fromkeys(moment.get("off", ()), tick)
    lower = _lower_staff_notes("".join(pages))
    notes = [
        [note, int(note in lower), onset_ticks[note], offset_ticks[note]] for note in onset_ticks
    ]
    return {
        "pages": pages,
        "notes": notes,
        "clefs": _clefs(text),
        "fifths": score.written_signature.fifths,
    }


def _clefs(text: str) -> list[list[str]]:
    """Return the signs of the clefs, G or F, on both staves of each bar of a MusicXML score."""
    now, clefs = ["G", "F"], []
    for measure in re.split(r"(?=<measure )", text)[1:]:
        for staff, sign in re.findall(r'<clef number="(\d)"><sign>(\w)</sign>', measure):
            now[int(staff) - 1] = sign
        clefs.append(list(now))
    return clefs


def _lower_staff_notes(svg: str) -> set[str]:
    """Return the ids of the notes in the second staff of their bar."""
    found: set[str] = set()
    staff = 0
    for element_id, name in re.findall(r'<g id="(\w+)" class="(measure|staff|note)\b', svg):
        if name == "measure":
            staff = 0
        elif name == "staff":
            staff += 1
        elif staff > 1:
            found.add(element_id)
    return found


def _render_pages(toolkit: Any, text: str, **options: Any) -> list[str]:
    toolkit.setOptions(_OPTIONS | options)
    toolkit.loadData(text)
    return [toolkit.renderToSVG(page + 1) for page in range(toolkit.getPageCount())]


def _bar_widths(svg: str) -> list[int]:
    """Return the widths of the bars of a score that is engraved as one long system."""
    lines = re.compile(r'class="measure">\s*<g [^>]*class="staff">\s*<path d="M(\d+) \d+ L(\d+) ')
    return [int(end) - int(start) for start, end in lines.findall(svg)]


def _with_breaks(text: str, breaks: list[int]) -> str:
    """Return the MusicXML with a new system at each of these bars."""
    head, *measures = re.split(r"(?=<measure )", text)
    for index in breaks:
        measures[index] = measures[index].replace(">", '><print new-system="yes"/>', 1)
    return head + "".join(measures)
