"""Parse the elements of a MusicXML score into parts, measures and notes.

Times are exact fractions of a quarter note, counted from the start of the measure. Pitches are
sounding pitches. Ties are not yet joined: each note stands as it is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

from bicinium.errors import NotationFileError, ScoreError
from bicinium.formats.measures import MAX_DOTS, Measure, MeasureNote, Part
from bicinium.formats.musicxml_values import BEAT_UNIT_QUARTERS, VELOCITY_AT_100_PERCENT
from bicinium.formats.source_bytes import parse_number
from bicinium.formats.spelling import Spelling, written_fifths
from bicinium.music.losses import LossKind
from bicinium.music.score import Meter

_DYNAMIC_VELOCITIES = {
    "ppp": 33, "pp": 49, "p": 62, "mp": 70, "mf": 78, "f": 94, "ff": 110, "fff": 126,
}  # fmt: skip
_TYPE_QUARTERS: dict[str, int | Fraction] = {
    "breve": 8, "whole": 4, "half": 2, "quarter": 1, "eighth": Fraction(1, 2),
    "16th": Fraction(1, 4), "32nd": Fraction(1, 8), "64th": Fraction(1, 16),
    "128th": Fraction(1, 32),
}  # fmt: skip
_ORNAMENTS = (
    "trill-mark", "turn", "delayed-turn", "inverted-turn", "vertical-turn", "shake", "wavy-line",
    "mordent", "inverted-mordent", "schleifer", "tremolo", "haydn",
)  # fmt: skip
_MAX_VALUE = 10_000_000  # of a duration, in divisions, or of its denominator
_MAX_STAVES = 16  # of a part; an organ has 3
_JUMP_WORDS = {
    "dacapo": r"(?i)D\. ?C\.|da capo", "dalsegno": r"(?i)D\. ?S\.|dal segno", "fine": r"(?i)fine\b",
    "tocoda": r"(?i)to coda",
}  # fmt: skip
_JUMPS = ("dacapo", "dalsegno", "segno", "coda", "tocoda", "fine")


def parse_parts(root: Element, path: Path) -> list[Part]:
    """Return the parts of a MusicXML score. ``path`` is for messages.

    Raises NotationFileError if the score is not partwise, has no parts, or is damaged.
    """
    tag = root.tag.rpartition("}")[2]
    if tag == "score-timewise":
        raise NotationFileError(
            f"{path} is ordered by measures (score-timewise). Save it as score-partwise."
        )
    if tag != "score-partwise":
        raise NotationFileError(f"{path} is not a MusicXML score: its root element is <{tag}>.")
    names = {
        part.get("id", ""): element_text(part, "part-name")
        for part in root.iterfind("part-list/score-part")
    }
    parts = [
        _parse_part(part, names.get(part.get("id", ""), ""), path) for part in root.findall("part")
    ]
    if not parts:
        raise NotationFileError(f"{path} holds no parts.")
    return parts


def element_text(element: Element, path: str, default: str = "") -> str:
    """Return the stripped text of a descendant, or ``default`` if it is missing or empty."""
    return (element.findtext(path) or default).strip()


def _parse_part(part: Element, name: str, path: Path) -> Part:
    parser = _PartParser()
    for measure in part.iterfind("measure"):
        try:
            parser.parse_measure(measure)
        except (ValueError, OverflowError, ZeroDivisionError, KeyError, ScoreError) as error:
            number = measure.get("number", len(parser.measures) + 1)
            raise NotationFileError(f"{path}, measure {number}, is damaged: {error}") from error
    return Part(name, max(1, parser.staves), parser.measures)


class _PartParser:
    """Parses the measures of one part in order. Its attributes hold until the file changes them."""

    def __init__(self) -> None:
        self.measures: list[Measure] = []
        self.staves = 1
        self._divisions = Fraction(1)  # duration units in a quarter note
        self._transpositions: dict[str, int] = {}  # of a staff, "" any: semitones to sounding pitch
        self._position = Fraction(0)
        self._chord_onset = Fraction(0)
        self._ending: frozenset[int] = frozenset()
        self._ending_stops = False

    def parse_measure(self, element: Element) -> None:
        """Append a measure. Raises ValueError, KeyError or ScoreError if it is damaged."""
        measure = Measure(number=element.get("number", ""))
        measure.is_implicit = element.get("implicit") == "yes"
        self._position = self._chord_onset = Fraction(0)
        for child in element:
            match child.tag:
                case "note":
                    self._parse_note(measure, child)
                case "backup":
                    self._position = max(Fraction(0), self._position - self._quarters(child))
                case "forward":
                    self._position += self._quarters(child)
                case "attributes":
                    self._parse_attributes(measure, child)
                case "direction" | "sound":
                    _parse_direction(measure, child, self._position)
                case "barline":
                    self._parse_barline(measure, child)
            measure.length = max(measure.length, self._position)
        rests = [rest.get("measure") == "yes" for rest in element.iterfind("note/rest")]
        is_empty = not (measure.length or rests)
        measure.is_full_rest = not measure.notes and (is_empty or (bool(rests) and all(rests)))
        measure.endings = self._ending
        if self._ending_stops:
            self._ending, self._ending_stops = frozenset(), False
        self.measures.append(measure)

    def _parse_barline(self, measure: Measure, element: Element) -> None:
        """Add repeats and endings to a measure."""
        if (ending := element.find("ending")) is not None:
            if ending.get("type") == "start":
                numbers = ending.get("number", "1").replace(",", " ").split()
                self._ending = frozenset(int(n) for n in numbers if n.isdecimal())
            else:
                self._ending_stops = True
        if (repeat := element.find("repeat")) is not None:
            if repeat.get("direction") == "forward":
                measure.starts_repeat = True
            else:
                times = repeat.get("times", "2")
                measure.plays = max(2, min(9, int(times) if times.isdecimal() else 2))

    def _quarters(self, element: Element) -> Fraction:
        """Return the duration of an element in quarter notes."""
        duration = _fraction(element, "duration")
        if duration < 0:
            raise ValueError(f"a duration of {duration}")
        return duration / self._divisions

    def _parse_note(self, measure: Measure, element: Element) -> None:
        duration = self._written_quarters(element)
        starts_chord = element.find("chord") is None
        if starts_chord:
            self._chord_onset = self._position
        if element.find("unpitched") is not None and element.find("rest") is None:
            measure.losses[LossKind.PERCUSSION] += 1
        elif element.find("rest") is None:
            omitted = _reason_to_omit(element, duration)
            if omitted:
                measure.losses[omitted] += 1
            else:
                measure.losses.update(_losses_of_note(element))
                shift = self._transposition(element_text(element, "staff", "1"))
                measure.notes.append(_pitched_note(element, self._chord_onset, duration, shift))
        if starts_chord and element.find("grace") is None:
            self._position += duration

    def _written_quarters(self, element: Element) -> Fraction:
        """Return the duration of a note in quarters, exact in tuplets.

        A file whose divisions do not divide a tuplet rounds its durations; type, dots and ratio
        give the exact one. They also do where a duration is missing.
        """
        duration = self._quarters(element)
        ratio = element.find("time-modification")
        base = _TYPE_QUARTERS.get(element_text(element, "type"))
        is_stated = element.find("duration") is not None
        if element.find("grace") is not None or not base:
            return duration
        if is_stated and (ratio is None or not duration):
            return duration
        exact = base * (2 - Fraction(1, 2 ** min(MAX_DOTS, len(element.findall("dot")))))
        if ratio is not None:
            exact *= Fraction(
                int(element_text(ratio, "normal-notes", "1")),
                int(element_text(ratio, "actual-notes", "1")),
            )
        if not is_stated:
            return exact
        return exact if abs(exact - duration) * self._divisions < 1 else duration

    def _transposition(self, staff: str) -> int:
        """Return the semitones from written to sounding pitch in a staff."""
        return self._transpositions.get(staff, self._transpositions.get("", 0))

    def _parse_attributes(self, measure: Measure, element: Element) -> None:
        self._divisions = _fraction(element, "divisions") or self._divisions
        self.staves = int(element_text(element, "staves", str(self.staves)))
        if not 1 <= self.staves <= _MAX_STAVES:
            raise ValueError(f"{self.staves} staves in one part")
        for transpose in element.iterfind("transpose"):
            chromatic = parse_number(element_text(transpose, "chromatic", "0"))
            octaves = int(element_text(transpose, "octave-change", "0"))
            self._transpositions[transpose.get("number", "")] = int(chromatic) + 12 * octaves
        if (time := element.find("time")) is not None and time.find("beats") is not None:
            measure.meter = _meter(time)
        if (key := element.find("key")) is not None and key.find("fifths") is not None:
            fifths = int(element_text(key, "fifths"))
            if abs(fifths) <= 7:
                fifths += written_fifths(self._transposition(key.get("number", "1")))
                measure.fifths = fifths - 12 * round(fifths / 12) if abs(fifths) > 7 else fifths
                measure.mode = element_text(key, "mode").lower()


class _Ratio(NamedTuple):
    beats: int
    beat_type: int


def _meter(time: Element) -> Meter:
    """Return the metre of a ``time`` element, whose parts are added: 3/4+3/8 is 9/8."""
    parts = [
        _Ratio(sum(int(n) for n in (beats.text or "").split("+")), int(beat_type.text or ""))
        for beats, beat_type in zip(time.findall("beats"), time.findall("beat-type"), strict=True)
    ]
    finest = max(part.beat_type for part in parts)
    if any(part.beat_type < 1 or finest % part.beat_type for part in parts):
        raise ValueError("its metres have no common beat")
    return Meter(sum(part.beats * finest // part.beat_type for part in parts), finest)


def _reason_to_omit(element: Element, duration: Fraction) -> LossKind | None:
    """Return why a pitched note is left out, or None."""
    if element.find("grace") is not None:
        return LossKind.GRACE
    if element.find("cue") is not None:
        return LossKind.CUE
    return None if duration else LossKind.NO_LENGTH


def _losses_of_note(element: Element) -> dict[LossKind, int]:
    """Return what is not played of a note: ornaments, a quarter tone."""
    ornaments = element.find("notations/ornaments")
    losses = {}
    if ornaments is not None and any(o.tag in _ORNAMENTS for o in ornaments):
        losses[LossKind.ORNAMENT] = 1
    if parse_number(element_text(element, "pitch/alter", "0")).denominator != 1:
        losses[LossKind.QUARTER_TONE] = 1
    return losses


def _fraction(element: Element, path: str) -> Fraction:
    value = parse_number(element_text(element, path, "0"))
    if abs(value) > _MAX_VALUE or value.denominator > _MAX_VALUE:
        raise ValueError(f"{path} of {element_text(element, path)}")
    return value


def _pitched_note(
    element: Element, onset: Fraction, duration: Fraction, transposition: int
) -> MeasureNote:
    # A quarter tone is rounded down to the semitone below.
    spelling = Spelling(
        element_text(element, "pitch/step").upper(),
        floor(parse_number(element_text(element, "pitch/alter", "0"))),
        int(element_text(element, "pitch/octave")),
    )
    dynamics = element.get("dynamics")
    ties = {tie.get("type") for tie in element.iterfind("tie")} or {
        tied.get("type") for tied in element.iterfind("notations/tied")
    }  # A file that only prints ties means them, too.
    return MeasureNote(
        onset=onset,
        duration=duration,
        staff=int(element_text(element, "staff", "1")),
        voice=element_text(element, "voice", "1"),
        spelling=spelling,
        pitch=spelling.pitch + transposition,
        velocity=_velocity(dynamics) if dynamics else None,
        tied_to_next="start" in ties,
        tied_from_last="stop" in ties,
    )


def _velocity(percent: str) -> int:
    return min(127, max(1, round(float(percent) * VELOCITY_AT_100_PERCENT / 100)))


def _parse_direction(measure: Measure, element: Element, position: Fraction) -> None:
    """Add tempo and dynamics to a measure. A ``sound`` element overrides the printed mark."""
    sound = element if element.tag == "sound" else element.find("sound")
    played = sound.attrib if sound is not None else {}
    tempo_qpm = float(played["tempo"]) if "tempo" in played else _metronome_qpm(element)
    if tempo_qpm and 1 <= tempo_qpm <= 1000:
        measure.tempi.append((position, tempo_qpm))
    measure.losses[LossKind.PEDAL] += _uses_pedal(element, played)
    measure.jumps |= frozenset(name for name in _JUMPS if name in played) or _printed_jumps(element)
    if "dynamics" in played:
        measure.velocities.append((position, _velocity(played["dynamics"])))
    elif (marks := element.find("direction-type/dynamics")) is not None:
        for mark in marks:
            if mark.tag in _DYNAMIC_VELOCITIES:
                measure.velocities.append((position, _DYNAMIC_VELOCITIES[mark.tag]))


def _uses_pedal(direction: Element, played: Mapping[str, str]) -> bool:
    pedals = (pedal.get("type") for pedal in direction.iterfind("direction-type/pedal"))
    return played.get("damper-pedal", "no") != "no" or "start" in pedals


def _printed_jumps(direction: Element) -> frozenset[str]:
    """Return the jumps and their targets that are words or signs only."""
    signs = {kind.tag for kind in direction.iterfind("direction-type/*")} & {"segno", "coda"}
    words = " ".join(text.text or "" for text in direction.iterfind("direction-type/words"))
    found = (name for name, pattern in _JUMP_WORDS.items() if re.match(pattern, words.strip()))
    return frozenset({*signs, *found})


def _metronome_qpm(direction: Element) -> float | None:
    """Return the tempo of a metronome mark in quarters a minute, or None if it has no number."""
    mark = direction.find("direction-type/metronome")
    if mark is None or not element_text(mark, "per-minute").replace(".", "", 1).isdecimal():
        return None
    dots = len(mark.findall("beat-unit-dot"))
    quarters = BEAT_UNIT_QUARTERS.get(element_text(mark, "beat-unit"))
    return quarters and float(element_text(mark, "per-minute")) * quarters * (2 - 0.5**dots)
