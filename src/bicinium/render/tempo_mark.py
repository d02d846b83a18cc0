"""Place the tempo mark of an engraved page above the notes under it.

Verovio sets the mark beside a high note that follows a short upbeat, so that they nearly touch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

_SVG = "{http://www.w3.org/2000/svg}"
_CHARACTER_WIDTH = 0.5  # of the font size
_HALF_NOTEHEAD = 90  # in units of the drawing, of which a staff space has 180
_CLEARANCE = 120  # above the notes, and beside the mark
_NOTEHEAD_WIDTH = 330
_PAIR = re.compile(r"(-?[\d.]+)[ ,]+(-?[\d.]+)")


def raise_tempo_mark(root: Element) -> None:
    """Move the mark up if a notehead, an accidental, a stem or a beam is in its way."""
    for system in root.iter(f"{_SVG}g"):
        if "system" not in system.get("class", "").split():
            continue
        for mark in system.iter(f"{_SVG}g"):
            if mark.get("class") == "tempo":
                _raise(mark, system)


def _raise(mark: Element, system: Element) -> None:
    text = mark.find(f"{_SVG}text")
    if text is None:
        return
    left, foot = float(text.get("x", "0")), float(text.get("y", "0"))
    words = [(span.text or "", span.get("font-size", "0px")) for span in text.iter()]
    width = sum(len(word) * float(size.removesuffix("px")) for word, size in words)
    right = left + _CHARACTER_WIDTH * width + _CLEARANCE
    signs = [_pairs(sign.get("transform", ""))[0][0] for sign in mark.iter(f"{_SVG}g")
             if sign.get("transform")]  # fmt: skip
    left = min([left, *signs])
    tops = [y for x, y in _tops(system) if left - _NOTEHEAD_WIDTH < x < right]
    excess = foot + _CLEARANCE - min(tops, default=foot + _CLEARANCE)
    if excess > 0:
        mark.set("transform", f"translate(0, {-excess:g})")


def _tops(system: Element) -> Iterator[tuple[float, float]]:
    """Yield (left, top) of the noteheads, accidentals, stems and beams of a system."""
    for group in system.iter(f"{_SVG}g"):
        kind = group.get("class", "")
        for sign in group:
            if kind in ("notehead", "accid") and sign.get("transform"):
                x, y = _pairs(sign.get("transform", ""))[0]
                yield x, y - _HALF_NOTEHEAD
            elif kind in ("stem", "beam"):
                for x, y in _pairs(sign.get("d", "") or sign.get("points", "")):
                    yield x, y


def _pairs(text: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in _PAIR.findall(text)]
