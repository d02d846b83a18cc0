"""The elements of MEI: their lengths, signatures, editorial markup, and titles."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from xml.etree.ElementTree import Element

from bicinium.formats.measures import MAX_DOTS, Measure
from bicinium.formats.source_bytes import parse_number
from bicinium.music.losses import LossKind
from bicinium.music.score import Meter

_LONG = {"breve": Fraction(8), "long": Fraction(16), "maxima": Fraction(32)}  # quarters
ALTERATIONS = {"s": 1, "f": -1, "n": 0, "ss": 2, "x": 2, "ff": -2, "xs": 3, "ts": 3, "tf": -3,
                "nf": -1, "ns": 1, "su": 1, "sd": 0, "fu": -1, "fd": -2}  # fmt: skip
_ORNAMENTS = ("trill", "mordent", "turn")
SKIPPED = ("del", "rdg", "orig", "sic", "abbr", "oStaff", "oLayer")  # The other reading is taken.
_JUMPS = {"daCapo": "dacapo", "dalSegno": "dalsegno", "segno": "segno", "coda": "coda",
          "fine": "fine"}  # fmt: skip
_EDITORIAL = ("app", "lem", "choice", "corr", "reg", "expan", "subst", "add", "supplied",
              "unclear", "ossia", "restore", "damage")  # fmt: skip


def control_event(element: Element, measure: Measure, meter: Meter) -> None:
    """Add a tempo to a measure, or count an ornament or the pedal."""
    if element.tag in _ORNAMENTS:
        measure.losses[LossKind.ORNAMENT] += 1
    elif element.tag == "tie" and not (element.get("startid") and element.get("endid")):
        measure.losses[LossKind.OPEN_TIES] += 1
    elif element.get("func") in _JUMPS and element.tag == "repeatMark":
        measure.jumps |= {_JUMPS[element.get("func", "")]}
    elif element.tag == "tupletSpan" and not (element.get("startid") and element.get("endid")):
        raise ValueError("a <tupletSpan> does not name its notes")
    elif element.tag == "pedal" and element.get("dir") == "down":
        measure.losses[LossKind.PEDAL] += 1
    elif element.tag == "tempo":
        _tempo(element, measure, meter)


def _tempo(element: Element, measure: Measure, meter: Meter) -> None:
    beats = parse_number(element.get("tstamp", "1")) - 1
    position = max(Fraction(0), beats * 4 / meter.denominator)
    if tempo_qpm := element.get("midi.bpm"):
        measure.tempi.append((position, float(tempo_qpm)))
    elif element.get("mm") and element.get("mm.unit"):
        unit = written_length(element, "mm.unit", "mm.dots")
        measure.tempi.append((position, float(element.get("mm", 0)) * float(unit)))


def flattened(element: Element) -> Iterator[Element]:
    """Yield the children of an element, and those of editorial markup instead of the markup."""
    for child in element:
        if child.tag in _EDITORIAL:
            yield from flattened(child)
        elif child.tag not in SKIPPED:
            yield child


def signature_values(element: Element) -> dict[str, str]:
    """Return the attributes of a ``meterSig`` or ``keySig``, named as those of a definition."""
    prefix = "meter." if element.tag == "meterSig" else "key."
    values = {prefix + name: value for name, value in element.attrib.items()}
    accidentals = [f"{e.get('pname')}:{e.get('accid')}" for e in element.iterfind("keyAccid")]
    return values | ({"key.accidentals": " ".join(accidentals)} if accidentals else {})


def tuplet_ratio(element: Element) -> Fraction:
    return Fraction(int(element.get("numbase", "2")), int(element.get("num", "3")))


def read_notes(element: Element) -> Iterator[Element]:
    """Yield the notes of a movement, without readings that are not taken."""
    for child in element:
        if child.tag == "note":
            yield child
        elif child.tag not in SKIPPED:
            yield from read_notes(child)


def written_length(element: Element, name: str = "dur", dots_name: str = "dots") -> Fraction:
    """Return the written length of an element in quarters."""
    value = element.get(name, element.get(name + ".ges", ""))
    if value in _LONG:
        length = _LONG[value]
    elif value.isdecimal() and int(value):
        length = Fraction(4, int(value))
    else:
        raise ValueError(f"<{element.tag}> has no duration")
    dots = int(element.get(dots_name, "0")) or len(element.findall("dot"))
    return length * (2 - Fraction(1, 2 ** max(0, min(dots, MAX_DOTS))))


def first_text(root: Element, parent: str, child: str | None) -> str:
    holder = next(root.iter(parent), None)
    found = holder if child is None or holder is None else holder.find(child)
    return " ".join("".join(found.itertext()).split()) if found is not None else ""


def composer_of(root: Element) -> str:
    holder = next(root.iter("titleStmt"), None)
    if holder is None:
        return ""
    for element in holder.iter():
        if element.tag == "composer" or element.get("role") == "composer":
            return " ".join("".join(element.itertext()).split())
    return ""
