"""Parse the elements of a MusicXML score into parts, measures and notes.

Times are exact fractions of a quarter note, counted from the start of the measure. Pitches are
sounding pitches. Ties are not yet joined: each note stands as it is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from pathlib import Path
from xml.etree.ElementTree import Element

from bicinium.errors import NotationFileError, ScoreError
from bicinium.formats.musicxml_values import BEAT_UNIT_QUARTERS, VELOCITY_AT_100_PERCENT
from bicinium.formats.spelling import Spelling
from bicinium.music.score import Meter

_DYNAMIC_VELOCITIES = {
    "ppp": 33, "pp": 49, "p": 62, "mp": 70, "mf": 78, "f": 94, "ff": 110, "fff": 126,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class MeasureNote:
    """A note as it is written in its measure, before ties are joined."""

    onset: Fraction  # quarters from the start of the measure
    duration: Fraction  # quarters
    staff: int  # of its part, from 1
    voice: str
    spelling: Spelling
    pitch: int
    velocity: int | None  # None if the note has none of its own
    tied_to_next: bool
    tied_from_last: bool


@dataclass(slots=True)
class Measure:
    """The contents of one measure of one part. Positions are in quarters from its start."""

    notes: list[MeasureNote] = field(default_factory=list)
    length: Fraction = Fraction(0)
    meter: Meter | None = None  # None if it does not change here
    fifths: int | None = None
    mode: str = ""
    tempi: list[tuple[Fraction, float]] = field(default_factory=list)  # (position, quarters/min)
    velocities: list[tuple[Fraction, int]] = field(default_factory=list)  # (position, velocity)
    omitted_notes: int = 0  # grace notes, cue notes, notes without a duration
    unpitched_notes: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """One instrument: its name, its number of staves, and its measures in order."""

    name: str
    staves: int
    measures: list[Measure]


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
        except (ValueError, ZeroDivisionError, KeyError, ScoreError) as error:
            number = measure.get("number", len(parser.measures) + 1)
            raise NotationFileError(f"{path}, measure {number}, is damaged: {error}") from error
    return Part(name, max(1, parser.staves), parser.measures)


class _PartParser:
    """Parses the measures of one part in order. Its attributes hold until the file changes them."""

    def __init__(self) -> None:
        self.measures: list[Measure] = []
        self.staves = 1
        self._divisions = Fraction(1)  # duration units in a quarter note
        self._transposition = 0  # semitones from written to sounding pitch
        self._position = Fraction(0)
        self._chord_onset = Fraction(0)

    def parse_measure(self, element: Element) -> None:
        """Append a measure. Raises ValueError, KeyError or ScoreError if it is damaged."""
        measure = Measure()
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
            measure.length = max(measure.length, self._position)
        self.measures.append(measure)

    def _quarters(self, element: Element) -> Fraction:
        """Return the duration of an element in quarter notes."""
        duration = _fraction(element, "duration")
        if duration < 0:
            raise ValueError(f"a duration of {duration}")
        return duration / self._divisions

    def _parse_note(self, measure: Measure, element: Element) -> None:
        duration = self._quarters(element)
        starts_chord = element.find("chord") is None
        if starts_chord:
            self._chord_onset = self._position
        if element.find("unpitched") is not None and element.find("rest") is None:
            measure.unpitched_notes += 1
        elif element.find("rest") is None:
            is_grace = element.find("grace") is not None or element.find("cue") is not None
            if is_grace or not duration:
                measure.omitted_notes += 1
            else:
                measure.notes.append(
                    _pitched_note(element, self._chord_onset, duration, self._transposition)
                )
        if starts_chord and element.find("grace") is None:
            self._position += duration

    def _parse_attributes(self, measure: Measure, element: Element) -> None:
        self._divisions = _fraction(element, "divisions") or self._divisions
        self.staves = int(element_text(element, "staves", str(self.staves)))
        if (transpose := element.find("transpose")) is not None:
            chromatic = Fraction(element_text(transpose, "chromatic", "0"))
            octaves = int(element_text(transpose, "octave-change", "0"))
            self._transposition = int(chromatic) + 12 * octaves
        if (time := element.find("time")) is not None and time.find("beats") is not None:
            beats = sum(int(number) for number in element_text(time, "beats").split("+"))
            measure.meter = Meter(beats, int(element_text(time, "beat-type")))
        if (key := element.find("key")) is not None and key.find("fifths") is not None:
            fifths = int(element_text(key, "fifths"))
            if abs(fifths) <= 7:
                measure.fifths, measure.mode = fifths, element_text(key, "mode").lower()


def _fraction(element: Element, path: str) -> Fraction:
    return Fraction(element_text(element, path, "0"))


def _pitched_note(
    element: Element, onset: Fraction, duration: Fraction, transposition: int
) -> MeasureNote:
    # A quarter tone is rounded down to the semitone below.
    spelling = Spelling(
        element_text(element, "pitch/step").upper(),
        floor(Fraction(element_text(element, "pitch/alter", "0"))),
        int(element_text(element, "pitch/octave")),
    )
    dynamics = element.get("dynamics")
    ties = {tie.get("type") for tie in element.iterfind("tie")}
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
    if "dynamics" in played:
        measure.velocities.append((position, _velocity(played["dynamics"])))
    elif (marks := element.find("direction-type/dynamics")) is not None:
        for mark in marks:
            if mark.tag in _DYNAMIC_VELOCITIES:
                measure.velocities.append((position, _DYNAMIC_VELOCITIES[mark.tag]))


def _metronome_qpm(direction: Element) -> float | None:
    """Return the tempo of a metronome mark in quarters a minute, or None if it has no number."""
    mark = direction.find("direction-type/metronome")
    if mark is None or not element_text(mark, "per-minute").replace(".", "", 1).isdecimal():
        return None
    dots = len(mark.findall("beat-unit-dot"))
    quarters = BEAT_UNIT_QUARTERS.get(element_text(mark, "beat-unit"))
    return quarters and float(element_text(mark, "per-minute")) * quarters * (2 - 0.5**dots)
