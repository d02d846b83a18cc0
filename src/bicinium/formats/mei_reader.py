"""Read MEI files, versions 3 to 5: each layer of each staff is a voice.

If a file gives no sounding accidental (``accid.ges``), the key signature and the accidentals of the
bar apply, as in print. Of several movements the first is read. A file whose ``note`` elements are
not all read is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from xml.etree.ElementTree import Element

from bicinium.errors import NotationFileError, ScoreError
from bicinium.formats.assemble import assemble
from bicinium.formats.measures import Measure, MeasureNote, Part
from bicinium.formats.musicxml_reader import parse_xml
from bicinium.formats.source_bytes import parse_number, read_source
from bicinium.formats.spelling import Spelling, signature_alterations
from bicinium.music.content import Content
from bicinium.music.losses import Loss, LossKind
from bicinium.music.score import COMMON_TIME, Meter

_ID = "{http://www.w3.org/XML/1998/namespace}id"
_LONG = {"breve": Fraction(8), "long": Fraction(16), "maxima": Fraction(32)}  # quarters
_ALTERATIONS = {"s": 1, "f": -1, "n": 0, "ss": 2, "x": 2, "ff": -2, "xs": 3, "ts": 3, "tf": -3,
                "nf": -1, "ns": 1, "su": 1, "sd": 0, "fu": -1, "fd": -2}  # fmt: skip
_METER_SYMBOLS = {"common": (4, 4), "cut": (2, 2)}
_ORNAMENTS = ("trill", "mordent", "turn")
_SKIPPED = ("del", "rdg", "orig", "sic", "abbr")  # of two readings, the other is taken
_MAX_STAVES = 64


@dataclass(slots=True)
class _Staff:
    fifths: int = 0
    transposition: int = 0
    alterations: dict[tuple[str, int], int] = field(default_factory=dict)  # in this bar


@dataclass(slots=True)
class _Layer:
    """Where reading stands in a layer of a measure."""

    staff: int
    voice: str
    position: Fraction = Fraction(0)
    is_full_rest: bool = False


class _Reader:
    """Collects the measures of one movement. All staves are one part."""

    def __init__(self, root: Element) -> None:
        self.measures: list[Measure] = []
        self.staves: dict[int, _Staff] = {}
        self.notes = 0
        self._pending = Measure()  # what a definition states for the next measure
        self._meter = COMMON_TIME
        self._starts_repeat = False
        self._has_sounding_accidentals = any("accid.ges" in e.attrib for e in root.iter())
        ties = list(root.iter("tie"))
        self._tie_starts = {e.get("startid", "").lstrip("#") for e in ties}
        self._tie_ends = {e.get("endid", "").lstrip("#") for e in ties}

    def section(self, element: Element, endings: frozenset[int] = frozenset()) -> None:
        """Read the measures and definitions below an element."""
        for child in element:
            if child.tag == "measure":
                self._measure(child, endings)
            elif child.tag in ("scoreDef", "staffDef", "staffGrp"):
                self._definition(child)
            elif child.tag == "ending":
                digits = "".join(c if c.isdigit() else " " for c in child.get("n", "1"))
                self.section(child, frozenset(map(int, digits.split())))
            elif child.tag not in _SKIPPED:
                self.section(child, endings)

    def _definition(self, element: Element) -> None:
        """Apply a score or staff definition and those below it."""
        number = int(element.get("n", "0")) if element.tag == "staffDef" else 0
        if number:
            self._staff(number)
        values = dict(element.attrib)
        for child in element:
            if child.tag in ("meterSig", "keySig"):
                prefix = "meter." if child.tag == "meterSig" else "key."
                values |= {prefix + name: value for name, value in child.attrib.items()}
            elif child.tag in ("staffDef", "staffGrp"):
                self._definition(child)
        self._values(values, [number] if number else list(self.staves))
        if not number and element.tag == "scoreDef":
            self._values(values, list(self.staves))

    def _staff(self, number: int) -> _Staff:
        if not 1 <= number <= _MAX_STAVES:
            raise ValueError(f"staff {number}")
        return self.staves.setdefault(number, _Staff())

    def _values(self, values: Mapping[str, str], numbers: list[int]) -> None:
        """Apply metre, key, tempo and transposition to the next measure and some staves."""
        if "meter.count" in values and "meter.unit" in values:
            count = sum(int(n) for n in values["meter.count"].split("+"))
            self._meter = self._pending.meter = Meter(count, int(values["meter.unit"]))
        elif values.get("meter.sym") in _METER_SYMBOLS:
            self._meter = self._pending.meter = Meter(*_METER_SYMBOLS[values["meter.sym"]])
        signature = values.get("key.sig") or values.get("keysig")
        if signature and signature[:-1].isdecimal() and signature[-1] in "sf":
            fifths = int(signature[:-1]) * (1 if signature[-1] == "s" else -1)
            self._set_key(fifths, numbers)
        elif signature == "0":
            self._set_key(0, numbers)
        if mode := values.get("key.mode", "").lower():
            self._pending.mode = mode
        if tempo := values.get("midi.bpm"):
            self._pending.tempi.append((Fraction(0), float(tempo)))
        if "trans.semi" in values:
            for number in numbers:
                self._staff(number).transposition = int(values["trans.semi"])

    def _set_key(self, fifths: int, numbers: list[int]) -> None:
        self._pending.fifths = fifths if abs(fifths) <= 7 else None
        for number in numbers:
            self._staff(number).fifths = fifths

    def _measure(self, element: Element, endings: frozenset[int]) -> None:
        measure, self._pending = self._pending, Measure()
        measure.number, measure.endings = element.get("n", ""), endings
        measure.is_implicit = element.get("metcon") == "false"
        left, right = element.get("left", ""), element.get("right", "")
        measure.starts_repeat = self._starts_repeat or left in ("rptstart", "rptboth")
        self._starts_repeat = right == "rptboth"
        measure.plays = 2 if right in ("rptend", "rptboth") else 0
        for staff in self.staves.values():
            staff.alterations = {}
        layers, rests = [], 1
        for child in element:
            if child.tag == "staff":
                number = int(child.get("n", "1"))
                self._staff(number)
                for index, layer_element in enumerate(child.iterfind("layer"), start=1):
                    layer = _Layer(number, f"{number}.{layer_element.get('n', index)}")
                    self._events(layer_element, measure, layer, Fraction(1))
                    layers.append(layer)
                    rests = max(rests, _multiple_rest(layer_element))
            else:
                _control_event(child, measure, self._meter)
        measure.is_full_rest = bool(layers) and all(layer.is_full_rest for layer in layers)
        timed = [layer.position for layer in layers if not layer.is_full_rest]
        bar = Fraction(4 * self._meter.numerator, self._meter.denominator)
        measure.length = max(timed, default=bar)
        self.measures.append(measure)
        self.measures += [Measure(length=bar, is_full_rest=True) for _ in range(rests - 1)]

    def _events(self, element: Element, measure: Measure, layer: _Layer, scale: Fraction) -> None:
        """Read the notes and rests below an element, ``scale`` times as long as written."""
        for child in element:
            match child.tag:
                case "note" | "chord":
                    self._sound(child, measure, layer, scale)
                case "rest" | "space":
                    if "grace" not in child.attrib:
                        layer.position += scale * _written_length(child)
                case "mRest" | "mSpace" | "multiRest":
                    layer.is_full_rest = True
                case "mRpt":
                    _repeat_measure(self.measures, measure, layer)
                case "beatRpt" | "halfmRpt" | "mRpt2" | "multiRpt":
                    raise ValueError(f"its repeat signs <{child.tag}> are not read")
                case "tuplet":
                    ratio = Fraction(int(child.get("numbase", "2")), int(child.get("num", "3")))
                    self._events(child, measure, layer, scale * ratio)
                case "bTrem":
                    measure.losses[LossKind.ORNAMENT] += 1
                    self._events(child, measure, layer, scale)
                case "fTrem":
                    measure.losses[LossKind.ORNAMENT] += 1
                    self._events(child, measure, layer, scale / 2)
                case "graceGrp":
                    graces = sum(1 for _ in child.iter("note"))
                    measure.losses[LossKind.GRACE] += graces
                    self.notes += graces
                case "keySig" | "meterSig" | "clef" | "accid":
                    pass
                case tag if tag not in _SKIPPED:
                    self._events(child, measure, layer, scale)

    def _sound(self, element: Element, measure: Measure, layer: _Layer, scale: Fraction) -> None:
        """Read a note or a chord."""
        notes = [element] if element.tag == "note" else list(element.iter("note"))
        self.notes += len(notes)
        if "grace" in element.attrib or all("grace" in note.attrib for note in notes):
            measure.losses[LossKind.GRACE] += len(notes)
            return
        timed = element if element.get("dur") else notes[0]
        duration = scale * _written_length(timed)
        for note in notes:
            if note.get("cue") == "true" or element.get("cue") == "true":
                measure.losses[LossKind.CUE] += 1
            else:
                measure.notes.append(self._note(note, element, layer, duration))
        layer.position += duration

    def _note(
        self, element: Element, chord: Element, layer: _Layer, duration: Fraction
    ) -> MeasureNote:
        staff = self.staves[layer.staff]
        step = element.get("pname", element.get("pname.ges", "")).upper()
        octave = int(element.get("oct.ges", element.get("oct", "")))
        alter = self._alteration(element, staff, step, octave)
        spelling = Spelling(step, alter, octave)
        ties = element.get("tie", "") or chord.get("tie", "")
        names = {element.get(_ID), chord.get(_ID)} - {None}
        shown_on = element.get("staff", chord.get("staff", str(layer.staff))).split()[0]
        velocity = element.get("vel", "")
        return MeasureNote(
            onset=layer.position,
            duration=duration,
            staff=int(shown_on),
            voice=layer.voice,
            spelling=spelling,
            pitch=spelling.pitch + staff.transposition,
            velocity=min(127, int(velocity)) or None if velocity.isdecimal() else None,
            tied_to_next="i" in ties or "m" in ties or bool(names & self._tie_starts),
            tied_from_last="t" in ties or "m" in ties or bool(names & self._tie_ends),
        )

    def _alteration(self, element: Element, staff: _Staff, step: str, octave: int) -> int:
        """Return the sharps of a note, as it sounds."""
        signs = [element, *element.iterfind("accid")]
        stated = [sign.get("accid.ges") or sign.get("accid") for sign in signs]
        sign = next((value for value in stated if value), None)
        if sign is not None:
            if sign not in _ALTERATIONS:
                raise ValueError(f"the accidental {sign} is not known")
            staff.alterations[step, octave] = _ALTERATIONS[sign]
            return _ALTERATIONS[sign]
        if self._has_sounding_accidentals:
            return 0
        by_signature = signature_alterations(staff.fifths)[step]
        return staff.alterations.get((step, octave), by_signature)


def _control_event(element: Element, measure: Measure, meter: Meter) -> None:
    """Add a tempo to a measure, or count an ornament or the pedal."""
    if element.tag in _ORNAMENTS:
        measure.losses[LossKind.ORNAMENT] += 1
    elif element.tag == "pedal" and element.get("dir") == "down":
        measure.losses[LossKind.PEDAL] += 1
    elif element.tag == "tempo":
        beats = parse_number(element.get("tstamp", "1")) - 1
        position = max(Fraction(0), beats * 4 / meter.denominator)
        if tempo_qpm := element.get("midi.bpm"):
            measure.tempi.append((position, float(tempo_qpm)))
        elif element.get("mm") and element.get("mm.unit"):
            unit = _written_length(element, "mm.unit", "mm.dots")
            measure.tempi.append((position, float(element.get("mm", 0)) * float(unit)))


def _repeat_measure(measures: list[Measure], measure: Measure, layer: _Layer) -> None:
    """Add the notes of the same voice in the measure before."""
    if not measures:
        raise ValueError("its first measure repeats the one before")
    measure.notes += [copy(note) for note in measures[-1].notes if note.voice == layer.voice]
    layer.position += measures[-1].length


def _multiple_rest(layer: Element) -> int:
    """Return the number of measures that a layer rests for."""
    rest = layer.find("multiRest")
    return min(1000, int(rest.get("num", "1"))) if rest is not None else 1


def _written_length(element: Element, name: str = "dur", dots_name: str = "dots") -> Fraction:
    """Return the written length of an element in quarters."""
    value = element.get(name, element.get(name + ".ges", ""))
    if value in _LONG:
        length = _LONG[value]
    elif value.isdecimal() and int(value):
        length = Fraction(4, int(value))
    else:
        raise ValueError(f"<{element.tag}> has no duration")
    dots = int(element.get(dots_name, "0")) or len(element.findall("dot"))
    return length * (2 - Fraction(1, 2 ** min(dots, 8)))


def read_mei(path: Path, unfold: bool = False) -> Content:
    """Read an MEI file. Raises NotationFileError if it cannot be read or has no notes."""
    root = parse_xml(read_source(path), path)
    movements = list(root.iter("mdiv")) or list(root.iter("score"))
    if root.tag not in ("mei", "music") or not movements:
        raise NotationFileError(f"{path} is not an MEI score: its root element is <{root.tag}>.")
    movement = movements[0]
    reader = _Reader(movement)
    try:
        reader.section(movement)
    except (ValueError, KeyError, ZeroDivisionError, ScoreError, AttributeError) as error:
        number = len(reader.measures) + 1
        raise NotationFileError(f"{path}, measure {number}, is damaged: {error}.") from error
    counted = sum(1 for _ in _read_notes(movement))
    if counted != reader.notes:
        raise NotationFileError(f"{path} has {counted} notes, of which {reader.notes} were read.")
    numbers = sorted(reader.staves)
    for measure in reader.measures:
        measure.notes = [_renumbered(note, numbers) for note in measure.notes]
    part = Part("", max(1, len(numbers)), reader.measures)
    content = assemble([part], path, unfold=unfold)
    others = (
        (Loss(LossKind.OTHER_PIECES, len(movements) - 1, str(len(movements))),)
        if len(movements) > 1
        else ()
    )
    return replace(
        content,
        title=_first_text(root, "titleStmt", "title"),
        composer=_composer(root),
        rights=_first_text(root, "availability", None),
        losses=(*content.losses, *others),
    )


def _read_notes(element: Element) -> Iterator[Element]:
    """Yield the notes of a movement, without readings that are not taken."""
    for child in element:
        if child.tag == "note":
            yield child
        elif child.tag not in _SKIPPED:
            yield from _read_notes(child)


def _renumbered(note: MeasureNote, numbers: list[int]) -> MeasureNote:
    """Return the note with its staff counted from 1 without gaps."""
    place = numbers.index(note.staff) + 1 if note.staff in numbers else 1
    return note if place == note.staff else replace(note, staff=place)


def _first_text(root: Element, parent: str, child: str | None) -> str:
    holder = next(root.iter(parent), None)
    found = holder if child is None or holder is None else holder.find(child)
    return " ".join("".join(found.itertext()).split()) if found is not None else ""


def _composer(root: Element) -> str:
    holder = next(root.iter("titleStmt"), None)
    if holder is None:
        return ""
    for element in holder.iter():
        if element.tag == "composer" or element.get("role") == "composer":
            return " ".join("".join(element.itertext()).split())
    return ""
