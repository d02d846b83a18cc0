"""Engrave scores as SVG, PNG and PDF.

Verovio engraves the MusicXML of ``musicxml_writer``. Typst, which has its own text font, converts
the SVG to PNG and PDF. The extra ``engraving`` installs both. SVG and PNG hold the whole piece on
one page of up to six metres. PDF has pages of A4.
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
from bicinium.formats.musicxml_writer import NoteMarks, to_musicxml
from bicinium.music.score import Score
from bicinium.optional_imports import import_optional
from bicinium.render.tempo_mark import raise_tempo_mark

_A4_WIDTH, _A4_HEIGHT = 2100, 2970  # Verovio's unit: tenths of a millimetre
_MAX_PAGE_HEIGHT = 60_000  # Verovio starts another page beyond this height.
_SCALE = 40
_PIXELS_PER_INCH = 120
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


def write_svg(score: Score, path: str | Path, marks: NoteMarks | None = None) -> None:
    """Write the engraved score as one SVG image. Raises RequestError if it needs more pages."""
    page = _only_page(score, path, marks)
    with atomic_write(Path(path)) as temporary:
        temporary.write_text(page, encoding="utf-8")


def write_png(score: Score, path: str | Path, marks: NoteMarks | None = None) -> None:
    """Write the engraved score as one PNG image. Raises RequestError if it needs more pages."""
    data = png_from_svg(_only_page(score, path, marks))
    with atomic_write(Path(path)) as temporary:
        temporary.write_bytes(data)


def write_pdf(score: Score, path: str | Path, marks: NoteMarks | None = None) -> None:
    """Write the engraved score as PDF on A4."""
    pages = engrave(score, one_page=False, marks=marks)
    data = _compile_with_typst(pages, "pdf", score.title, score.composer)
    with atomic_write(Path(path)) as temporary:
        temporary.write_bytes(data)


def _only_page(score: Score, path: str | Path, marks: NoteMarks | None) -> str:
    pages = engrave(score, one_page=True, marks=marks)
    if len(pages) > 1:
        raise RequestError(
            f"{path} would need {len(pages)} pages for {score.bars} bars, and an image has one. "
            "Instead, write a PDF."
        )
    return pages[0]


def engrave(score: Score, one_page: bool, marks: NoteMarks | None = None) -> list[str]:
    """Return the pages of a score as SVG.

    With ``one_page``, a score that is too long for the tallest page still has more than one.
    """
    verovio = _verovio()
    verovio.enableLog(verovio.LOG_OFF)
    toolkit = verovio.toolkit()
    toolkit.setOptions(
        _OPTIONS
        | {"pageHeight": _MAX_PAGE_HEIGHT if one_page else _A4_HEIGHT, "adjustPageHeight": one_page}
    )
    toolkit.loadData(to_musicxml(score, marks=marks))
    return [
        _finish(toolkit.renderToSVG(page + 1), bool(score.title))
        for page in range(toolkit.getPageCount())
    ]


def _verovio() -> Any:
    return import_optional("verovio", "engraving", "an engraved score")


def png_from_svg(svg: str) -> bytes:
    """Return an SVG image as PNG, on white."""
    return _compile_with_typst([svg], "png")


def _compile_with_typst(
    pages: Sequence[str], file_format: str, title: str = "", author: str = ""
) -> bytes:
    """Return SVG pages as one PDF, or one page as PNG. Each page is as large as its image."""
    typst = import_optional("typst", "engraving", "an engraved score")
    with tempfile.TemporaryDirectory() as folder:
        metadata = f"title: {json.dumps(title)}, author: {json.dumps(author)}, date: none"
        source = [
            f"#set document({metadata})",
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
        options = {"ppi": float(_PIXELS_PER_INCH)} if file_format == "png" else {}
        compiled: bytes = typst.compile(str(main), format=file_format, **options)
        return compiled


def _size(svg: str) -> tuple[float, float]:
    """Return the width and height in points. Verovio's pixels are scaled tenths of a millimetre."""
    found = re.search(r'<svg[^>]* width="([\d.]+)px" height="([\d.]+)px"', svg)
    assert found is not None
    pixel = 72 / 254 * 100 / _SCALE
    return float(found[1]) * pixel, float(found[2]) * pixel


# Verovio writes the note of a metronome mark as text in its music font, which browsers lack. Its
# outline, from the data that come with Verovio, makes the image independent of fonts.


def _finish(svg: str, has_title: bool) -> str:
    """Return the image with music signs in text as outlines, a larger title, and a clear tempo."""
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for text in [child for child in parent if child.tag == f"{{{_SVG}}}text"]:
            signs = [e for e in text.iter() if e.get("font-family") == _FONT and e.text]
            if signs:
                parent.insert(list(parent).index(text), _outline_signs(text, signs))
            _prune_empty(text)
    raise_tempo_mark(root)
    if has_title:
        _enlarge_title(root)
    return ElementTree.tostring(root, encoding="unicode")


def _enlarge_title(root: Element) -> None:
    """Set the first words of the page's head, which are the title, in a larger size."""
    head = next((e for e in root.iter() if e.get("class", "").startswith("pgHead")), None)
    for words in list(head.iter() if head is not None else ())[:8]:
        if words.text and words.get("font-size"):
            words.set("font-size", _TITLE_SIZE)
            break


def _outline_signs(text: Element, signs: Sequence[Element]) -> Element:
    """Return the music signs at the start of a text as outlines, and remove them from the text."""
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
    if words:  # A leading space would be dropped.
        words[0].text = (words[0].text or "").lstrip()
        x += 0.25 * _font_size(words[0])
    text.set("x", f"{x:g}")
    return group


def _font_size(element: Element) -> float:
    return float(element.get("font-size", "0").removesuffix("px"))


def _prune_empty(element: Element) -> bool:
    """Remove layout white space and empty children. Return whether the element is empty."""
    element.tail = element.tail if element.tail and element.tail.strip() else None
    element.text = element.text if element.text and element.text.strip() else None
    for child in list(element):
        if _prune_empty(child):
            element.remove(child)
    return not (element.text or element.tail or len(element))


@cache
def _glyph(code: str) -> tuple[dict[str, str], float]:
    """Return the outline of a sign of the music font, and its advance width."""
    data = Path(_verovio().__file__).parent / "data"
    path = ElementTree.parse(data / _FONT / f"{code}.xml").find("path")
    listed = ElementTree.parse(data / f"{_FONT}.xml").iter("g")
    advance = next(float(g.get("h-a-x", "0")) for g in listed if g.get("c") == code)
    return dict(path.attrib) if path is not None else {}, advance
