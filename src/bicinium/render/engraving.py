"""Engraved scores: SVG, PNG and PDF.

Verovio sets the MusicXML that ``to_musicxml`` writes; Typst, which brings its own text font, makes
PNG and PDF of the SVG. Both come with the extra ``engraving``. SVG and PNG hold the whole piece on
one page as tall as it needs, up to six metres; PDF has pages of A4.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from bicinium.atomic_write import atomic_write
from bicinium.errors import RequestError
from bicinium.formats.musicxml_writer import to_musicxml
from bicinium.music.score import Score
from bicinium.optional_imports import import_optional

_A4_WIDTH, _A4_HEIGHT = 2100, 2970  # tenths of a millimetre, which Verovio counts in
_TALLEST = 60_000  # Verovio begins another page there
_SCALE = 40
_PIXELS_AN_INCH = 120
_SVG = "http://www.w3.org/2000/svg"
_FONT = "Leipzig"
_TITLE_SIZE = "640px"
_OPTIONS = {
    "pageWidth": _A4_WIDTH,
    "pageMarginLeft": 120,
    "pageMarginRight": 120,
    "pageMarginTop": 120,
    "pageMarginBottom": 120,
    "scale": _SCALE,
    "font": _FONT,
    "smuflTextFont": "none",
    "header": "auto",
    "footer": "none",
    "breaks": "auto",
    "spacingStaff": 10,
    "minLastJustification": 0.5,
    "xmlIdSeed": 1,
}


def write_svg(score: Score, path: str | Path) -> None:
    """Write the engraved score as one SVG image. Raises RequestError where it needs more pages."""
    page = _only_page(score, path)
    with atomic_write(Path(path)) as temporary:
        temporary.write_text(page, encoding="utf-8")


def write_png(score: Score, path: str | Path) -> None:
    """Write the engraved score as one PNG image. Raises RequestError where it needs more pages."""
    data = png_from_svg(_only_page(score, path))
    with atomic_write(Path(path)) as temporary:
        temporary.write_bytes(data)


def write_pdf(score: Score, path: str | Path) -> None:
    """Write the engraved score as PDF on A4."""
    pages = engrave(score, one_page=False)
    data = _compiled(pages, "pdf", score.title, score.composer)
    with atomic_write(Path(path)) as temporary:
        temporary.write_bytes(data)


def _only_page(score: Score, path: str | Path) -> str:
    pages = engrave(score, one_page=True)
    if len(pages) > 1:
        raise RequestError(
            f"{path} would need {len(pages)} pages for {score.bars} bars, and an image has one: "
            "write a PDF"
        )
    return pages[0]


def engrave(score: Score, one_page: bool) -> list[str]:
    """The pages of a score as SVG; more than ``one_page`` where it is too long for one."""
    verovio = _verovio()
    verovio.enableLog(verovio.LOG_OFF)
    toolkit = verovio.toolkit()
    toolkit.setOptions(
        _OPTIONS
        | {"pageHeight": _TALLEST if one_page else _A4_HEIGHT, "adjustPageHeight": one_page}
    )
    toolkit.loadData(to_musicxml(score))
    return [_finished(toolkit.renderToSVG(page + 1)) for page in range(toolkit.getPageCount())]


def _verovio() -> Any:
    return import_optional("verovio", "engraving", "an engraved score")


def png_from_svg(svg: str) -> bytes:
    """An SVG image as PNG, on white."""
    return _compiled([svg], "png")


def _compiled(pages: Sequence[str], form: str, title: str = "", author: str = "") -> bytes:
    """SVG pages as one PDF, or one page as PNG, each page as large as its image."""
    typst = import_optional("typst", "engraving", "an engraved score")
    with tempfile.TemporaryDirectory() as folder:
        about = f"title: {json.dumps(title)}, author: {json.dumps(author)}, date: none"
        source = [
            f"#set document({about})",
            "#set page(width: auto, height: auto, margin: 0pt, fill: white)",
        ]
        for number, page in enumerate(pages):
            Path(folder, f"{number}.svg").write_text(page, encoding="utf-8")
            width, height = _size(page)
            source.append(
                f'#page(image("{number}.svg", width: {width:.2f}pt, height: {height:.2f}pt))'
            )
        main = Path(folder, "pages.typ")
        main.write_text("\n".join(source), encoding="utf-8")
        options = {"ppi": float(_PIXELS_AN_INCH)} if form == "png" else {}
        compiled: bytes = typst.compile(str(main), format=form, **options)
        return compiled


def _size(svg: str) -> tuple[float, float]:
    """Width and height in points; Verovio's pixels are tenths of a millimetre, scaled."""
    found = re.search(r'<svg[^>]* width="([\d.]+)px" height="([\d.]+)px"', svg)
    assert found is not None
    pixel = 72 / 254 * 100 / _SCALE
    return float(found[1]) * pixel, float(found[2]) * pixel


# Verovio writes the note of a metronome mark as text in its music font, which no machine has. It
# becomes an outline here, from the data that come with Verovio, so that the image needs no font.


def _finished(svg: str) -> str:
    """The image with its music signs in text as outlines, and a title larger than the rest."""
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for text in [child for child in parent if child.tag == f"{{{_SVG}}}text"]:
            signs = [e for e in text.iter() if e.get("font-family") == _FONT and e.text]
            if signs:
                parent.insert(list(parent).index(text), _outlined(text, signs))
            _drop_empty(text)
    head = next((e for e in root.iter() if e.get("class", "").startswith("pgHead")), None)
    for words in list(head.iter() if head is not None else ())[:8]:
        if words.text and words.get("font-size"):
            words.set("font-size", _TITLE_SIZE)
            break
    return ElementTree.tostring(root, encoding="unicode")


def _outlined(text: Element, signs: Sequence[Element]) -> Element:
    """The music signs that begin a text, as outlines; the text then begins after them."""
    group = Element(f"{{{_SVG}}}g")
    x, y = float(text.get("x", "0")), float(text.get("y", "0"))
    for span in signs:
        scale = _font_size(span) / 1000
        for sign in (span.text or "").strip():
            drawing, advance = _glyph(f"{ord(sign):04X}")
            place = {"transform": f"translate({x:g}, {y:g}) scale({scale:g})"}
            held = ElementTree.SubElement(group, f"{{{_SVG}}}g", place)
            ElementTree.SubElement(held, f"{{{_SVG}}}path", drawing)
            x += advance * scale
        span.text = None
    words = [e for e in text.iter() if e.text and e.text.strip()]
    if words:  # a space at the beginning would be dropped
        words[0].text = (words[0].text or "").lstrip()
        x += 0.25 * _font_size(words[0])
    text.set("x", f"{x:g}")
    return group


def _font_size(element: Element) -> float:
    return float(element.get("font-size", "0").removesuffix("px"))


def _drop_empty(element: Element) -> bool:
    """Drop the white space of the layout of the file and what then is empty; is all of it empty?"""
    element.tail = element.tail if element.tail and element.tail.strip() else None
    element.text = element.text if element.text and element.text.strip() else None
    for child in list(element):
        if _drop_empty(child):
            element.remove(child)
    return not (element.text or element.tail or len(element))


@cache
def _glyph(code: str) -> tuple[dict[str, str], float]:
    """The outline of a sign of the music font, and how far it moves the pen."""
    data = Path(_verovio().__file__).parent / "data"
    path = ElementTree.parse(data / _FONT / f"{code}.xml").find("path")
    listed = ElementTree.parse(data / f"{_FONT}.xml").iter("g")
    advance = next(float(g.get("h-a-x", "0")) for g in listed if g.get("c") == code)
    return dict(path.attrib) if path is not None else {}, advance
