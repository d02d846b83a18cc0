"""Read MEI files, versions 3 to 5: each layer of each staff is a voice.

If a file gives no sounding accidental (``accid.ges``), the key signature and the accidentals of the
bar apply, as in print. Of several movements the first is read. A file whose ``note`` elements are
not all read is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import prod
from pathlib import Path
from xml.etree.ElementTree import Element

from bicinium.errors import NotationFileError, ScoreError
from bicinium.formats.assemble import assemble
from bicinium.formats.measures import Measure, MeasureNote, Part, require_all_read
from bicinium.formats.mei_elements import (
    ALTERATIONS,
    SKIPPED,
    composer_of,
    control_event,
    first_text,
    flattened,
    read_notes,
    signature_values,
    tuplet_ratio,
    written_length,
)
from bicinium.formats.musicxml_reader import parse_xml
from bicinium.formats.repeats import section_order
from bicinium.formats.source_bytes import read_source
from bicinium.formats.spelling import Spelling, signature_alterations
from bicinium.music.content import Content
from bicinium.music.losses import LossKind, losses_of_file
from bicinium.music.score import COMMON_TIME, Meter

_ID = "{http://www.w3.org/XML/1998/namespace}id"
_METER_SYMBOLS = {"common": (4, 4), "cut": (2, 2)}
_MAX_STAVES = 64


@dataclass(slots=True)
class _Staff:
    signature: dict[str, int] = field(default_factory=lambda: signature_alterations(0))
    transposition: int = 0
    alterations: dict[tuple[str, int], int] = field(default_factory=dict)  # in this bar


@dataclass(slots=True)
class _Layer:
    """Where reading stands in a layer of a measure."""

    staff: int
    voice: str
    position: Fraction = Fraction(0)
    is_full_rest: bool = False
    spans: list[tuple[Fraction, str]] = field(default_factory=list)  # tuplets: ratio, last identity

    @property
    def span_ratio(self) -> Fraction:
        """The ratio of the tuplets that are stated beside the notes."""
        return prod((ratio for ratio, _ in self.spans), start=Fraction(1))


class _Reader:
    """Collects the measures of one movement. All staves are one part."""

    def __init__(self, root: Element) -> None:
        self.measures: list[Measure] = []
        self.staves: dict[int, _Staff] = {}
        self.repeated_notes = 0
        self._pending = Measure()  # what a definition states for the next measure
        self._meter = COMMON_TIME
        self._starts_repeat = False
        self._has_sounding_accidentals = any("accid.ges" in e.attrib for e in root.iter())
        ties = list(root.iter("tie"))
        self._tie_starts = {e.get("startid", "").lstrip("#") for e in ties}
        self._spans: dict[str, list[tuple[Fraction, str]]] = {}  # by their first notes
        for span in root.iter("tupletSpan"):
            first, last = (span.get(end, "").lstrip("#") for end in ("startid", "endid"))
            self._spans.setdefault(first, []).append((tuplet_ratio(span), last))
        expansion = next((e.get("plist", "") for e in root.iter("expansion")), "")
        self.section_order = section_order(expansion.replace("#", "").split())
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
            elif child.tag not in SKIPPED:
                self.section(child, endings)

    def _definition(self, element: Element) -> None:
        """Apply a score or staff definition and those below it."""
        number = int(element.get("n", "0")) if element.tag == "staffDef" else 0
        if number:
            self._staff(number)
        values = dict(element.attrib)
        for child in element:
            if child.tag in ("meterSig", "keySig"):
                values |= signature_values(child)
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
        self._set_key(values, numbers)
        if mode := values.get("key.mode", "").lower():
            self._pending.mode = mode
        if tempo := values.get("midi.bpm"):
            self._pending.tempi.append((Fraction(0), float(tempo)))
        if "trans.semi" in values:
            for number in numbers:
                self._staff(number).transposition = int(values["trans.semi"])

    def _set_key(self, values: Mapping[str, str], numbers: list[int]) -> None:
        """Apply a key signature: "2s", "3f", "0", or single accidentals."""
        signature = values.get("key.sig") or values.get("keysig") or ""
        if found := re.fullmatch(r"(\d+)([sf])|0", signature):
            fifths = int(found[1] or 0) * (-1 if found[2] == "f" else 1)
            self._pending.fifths = fifths if abs(fifths) <= 7 else None
            alterations = signature_alterations(fifths)
        elif accidentals := values.get("key.accidentals"):
            pairs = (item.split(":") for item in accidentals.split())
            alterations = signature_alterations(0)
            alterations |= {step.upper(): ALTERATIONS[sign] for step, sign in pairs}
        else:
            return
        for number in numbers:
            self._staff(number).signature = alterations

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
        for child in flattened(element):
            if child.tag == "staff":
                number = int(child.get("n", "1"))
                self._staff(number)
                found = [e for e in flattened(child) if e.tag == "layer"]
                for index, layer_element in enumerate(found, start=1):
                    layer = _Layer(number, f"{number}.{layer_element.get('n', index)}")
                    self._events(layer_element, measure, layer, Fraction(1))
                    layers.append(layer)
                    rests = max(rests, _multiple_rest(layer_element))
            else:
                control_event(child, measure, self._meter)
        measure.is_full_rest = bool(layers) and all(layer.is_full_rest for layer in layers)
        timed = [layer.position for layer in layers if not layer.is_full_rest]
        bar = Fraction(4 * self._meter.numerator, self._meter.denominator)
        measure.length = max(timed, default=bar)
        self.measures.append(measure)
        self.measures += [Measure(length=bar, is_full_rest=True) for _ in range(rests - 1)]

    def _events(self, element: Element, measure: Measure, layer: _Layer, scale: Fraction) -> None:
        """Read the notes and rests below an element, ``scale`` times as long as written."""
        for child in element:
            name = child.get(_ID, "")
            layer.spans += self._spans.get(name, [])
            match child.tag:
                case "note" | "chord":
                    self._sound(child, measure, layer, scale)
                case "rest" | "space" if "grace" not in child.attrib:
                    layer.position += scale * layer.span_ratio * written_length(child)
                case "mRest" | "mSpace" | "multiRest":
                    layer.is_full_rest = True
                case "mRpt":
                    self.repeated_notes += _repeat_measure(self.measures, measure, layer)
                case "beatRpt" | "halfmRpt" | "mRpt2" | "multiRpt":
                    raise ValueError(f"its repeat signs <{child.tag}> are not read")
                case "tuplet":
                    self._events(child, measure, layer, scale * tuplet_ratio(child))
                case "bTrem" | "fTrem":
                    measure.losses[LossKind.ORNAMENT] += 1
                    self._events(child, measure, layer, scale / (1 if child.tag == "bTrem" else 2))
                case "graceGrp":
                    measure.losses[LossKind.GRACE] += sum(1 for _ in child.iter("note"))
                case "keySig":
                    self._set_key(signature_values(child), [layer.staff])
                case tag if tag not in (*SKIPPED, "meterSig", "clef", "accid"):
                    self._events(child, measure, layer, scale)
            layer.spans = [span for span in layer.spans if span[1] != name]

    def _sound(self, element: Element, measure: Measure, layer: _Layer, scale: Fraction) -> None:
        """Read a note or a chord."""
        notes = [element] if element.tag == "note" else list(element.iter("note"))
        if "grace" in element.attrib or all("grace" in note.attrib for note in notes):
            measure.losses[LossKind.GRACE] += len(notes)
            return
        timed = element if element.get("dur") else notes[0]
        duration = scale * layer.span_ratio * written_length(timed)
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
            if sign not in ALTERATIONS:
                raise ValueError(f"the accidental {sign} is not known")
            staff.alterations[step, octave] = ALTERATIONS[sign]
            return ALTERATIONS[sign]
        if self._has_sounding_accidentals:
            return 0
        return staff.alterations.get((step, octave), staff.signature[step])


def _repeat_measure(measures: list[Measure], measure: Measure, layer: _Layer) -> int:
    """Add the notes of the same voice in the measure before, and return their number."""
    if not measures:
        raise ValueError("its first measure repeats the one before")
    notes = [copy(note) for note in measures[-1].notes if note.voice == layer.voice]
    measure.notes += notes
    layer.position += measures[-1].length
    return len(notes)


def _multiple_rest(layer: Element) -> int:
    """Return the number of measures that a layer rests for."""
    rest = layer.find("multiRest")
    return min(1000, int(rest.get("num", "1"))) if rest is not None else 1


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
    numbers = sorted(reader.staves)
    for measure in reader.measures:
        measure.notes = [_renumbered(note, numbers) for note in measure.notes]
    part = Part("", max(1, len(numbers)), reader.measures)
    counted = sum(1 for _ in read_notes(movement))
    require_all_read(counted + reader.repeated_notes, [part], path)
    content = assemble([part], path, unfold=unfold)
    losses = losses_of_file(len(movements), reader.section_order)
    return replace(
        content,
        title=first_text(root, "titleStmt", "title"),
        composer=composer_of(root),
        rights=first_text(root, "availability", None),
        losses=(*content.losses, *losses),
    )


def _renumbered(note: MeasureNote, numbers: list[int]) -> MeasureNote:
    """Return the note with its staff counted from 1 without gaps."""
    place = numbers.index(note.staff) + 1 if note.staff in numbers else 1
    return note if place == note.staff else replace(note, staff=place)
