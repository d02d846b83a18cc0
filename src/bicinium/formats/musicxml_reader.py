"""Read MusicXML files into ``Content``.

The reader takes notes, metres, keys, tempi, dynamics and titles; ``musicxml_measures`` parses the
measures, ``assemble`` puts them together.

- Each staff of each part becomes a staff. The two staves of a keyboard part are named ``right``
  and ``left``.
- Grace notes, cue notes and unpitched notes are left out. Ornaments are not played.
- Transposing instruments are read at sounding pitch.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from bicinium.errors import NotationFileError
from bicinium.formats.assemble import SpelledNote, assemble, join_ties, lay_out
from bicinium.formats.musicxml_measures import element_text, parse_parts
from bicinium.formats.source_bytes import read_source, unpack_score
from bicinium.music.content import Content

__all__ = ["SpelledNote", "parse_content", "parse_musicxml", "read_musicxml", "read_spelled_notes"]

MUSICXML_SUFFIXES = (".musicxml", ".xml", ".mxl")


_MAX_MARKS = 3_000_000  # a sonata of 10 million bytes has a million


def read_musicxml(path: str | Path, unfold: bool = False) -> Content:
    """Read a MusicXML file, compressed or not. With ``unfold``, repeats are played.

    Raises NotationFileError if the file cannot be read or has no notes.
    """
    path = Path(path)
    return parse_content(parse_musicxml(path), path, unfold)


def parse_musicxml(path: Path) -> Element:
    """Return the root element of a MusicXML file. Raises NotationFileError if it is damaged."""
    data = read_source(path)
    if data.startswith(b"PK"):
        data = unpack_score(data, path)
    return parse_xml(data, path)


def parse_xml(data: bytes, path: Path) -> Element:
    """Return the root of an XML document, its names without namespaces.

    Raises NotationFileError if it is not well-formed, has too many elements, or declares entities:
    no score needs them, and a few can stand for a gigabyte of text.
    """
    marks = data.count(b"<") + data.count(b"=")  # each element and attribute takes 200 bytes
    if marks > _MAX_MARKS:
        raise NotationFileError(
            f"{path} has {marks:,} tags and attributes; the limit is {_MAX_MARKS:,}."
        )
    if b"<!ENTITY" in data or "<!ENTITY".encode("utf-16-le") in data:
        raise NotationFileError(f"{path} is not read, because it declares XML entities.")
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise NotationFileError(f"{path} is not well-formed XML: {error}.") from error
    for element in root.iter():
        if isinstance(element.tag, str) and element.tag.startswith("{"):
            element.tag = element.tag.rpartition("}")[2]
    return root


def read_spelled_notes(root: Element, path: Path) -> list[SpelledNote]:
    """Return the notes of a score with their spelling, ordered by staff, onset and pitch."""
    parts = parse_parts(root, path)
    return join_ties(parts, lay_out(parts, path))[0]


def parse_content(root: Element, path: Path, unfold: bool = False) -> Content:
    """Return the content of a parsed score. ``path`` is for messages."""
    content = assemble(parse_parts(root, path), path, unfold=unfold)
    return replace(
        content,
        rights=_rights(root),
        title=element_text(root, "work/work-title") or element_text(root, "movement-title"),
        composer=_composer(root),
    )


def _rights(root: Element) -> str:
    """Return all statements of rights in one line."""
    texts = [element.text or "" for element in root.iterfind("identification/rights")]
    return " ".join(" ".join(texts).split())


def _composer(root: Element) -> str:
    creators = root.iterfind("identification/creator")
    names = ((c.text or "").strip() for c in creators if c.get("type") == "composer")
    return next(names, "")
