"""Rules on the rhythm of the five species and on the notes of the mode.

They compare the added voice with the cantus firmus, whose notes are all of one length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from bicinium.counterpoint.rule import Finding, Rule, Severity
from bicinium.counterpoint.sources import (
    FUX_FIFTH,
    FUX_FIRST,
    FUX_FOURTH,
    FUX_SECOND,
    FUX_THIRD,
    JEPPESEN_TWO_PARTS,
)
from bicinium.counterpoint.texture import LineNote, Texture
from bicinium.formats.spelling import signature_alterations
from bicinium.music.score import note_array

_NOTES_PER_BAR = {1: 1, 2: 2, 3: 4}
_SOURCES = (FUX_FIRST, FUX_SECOND, FUX_THIRD, FUX_FOURTH, FUX_FIFTH)


def is_cantus(texture: Texture, voice: int) -> bool:
    """Return whether a voice has one note in each bar, all of one length, like a cantus firmus."""
    notes = note_array(texture.score.voices[voice].notes)
    bar = texture.meter.bar_ticks
    regular = (notes[0] % bar == 0).all() and (notes[2, :-1] == bar).all()
    return bool(regular and notes.shape[1] > 1)


def find_cantus(texture: Texture) -> int | None:
    """Return the voice that alone has the rhythm of a cantus firmus; None if both or neither do."""
    voices = [voice for voice in range(len(texture.lines)) if is_cantus(texture, voice)]
    return voices[0] if len(voices) == 1 else None


def _notes_against(texture: Texture, given: LineNote) -> list[LineNote]:
    """Return the notes of the added voice that begin while a note of the cantus lasts."""
    (added,) = texture.judged_voices
    return [
        note
        for note in texture.lines[added]
        if given.onset_tick <= note.onset_tick < given.offset_tick
    ]


@dataclass(frozen=True)
class SpeciesRhythm(Rule):
    """A bar that does not have the rhythm of its species.

    species: 1 to 5.
    """

    name: ClassVar[str] = "species_rhythm"
    reason: ClassVar[str] = "Each species is an exercise in one rhythm."
    source: ClassVar[str] = "; ".join(_SOURCES)

    species: int = 1

    def find(self, texture: Texture) -> Iterator[Finding]:
        if texture.cantus is None:
            return
        found = list(self._wrong_bars(texture, texture.lines[texture.cantus]))
        bars = len(texture.lines[texture.cantus]) - 1
        if 2 * len(found) > bars:
            fact = f"{len(found)} of {bars} bars do not have the rhythm of species {self.species}"
            found = [Finding(found[0].tick, found[0].notes, fact)]
        yield from found

    def _wrong_bars(self, texture: Texture, cantus: tuple[LineNote, ...]) -> Iterator[Finding]:
        for given in cantus[:-1]:
            notes = _notes_against(texture, given)
            is_first, is_last_but_one = given is cantus[0], given is cantus[-2]
            if self.species in _NOTES_PER_BAR:
                wrong = self._wrong_count(notes, given, is_first, is_last_but_one)
            elif self.species == 4:
                wrong = self._wrong_syncopation(notes, given, is_first, is_last_but_one)
            else:
                wrong = self._wrong_florid(notes, given)
            if wrong:
                yield Finding(given.onset_tick, tuple(notes), wrong)

    def _wrong_count(
        self, notes: list[LineNote], given: LineNote, is_first: bool, is_last_but_one: bool
    ) -> str:
        count = _NOTES_PER_BAR[self.species]
        length = given.ticks // count
        even = all(note.ticks == length for note in notes)
        rests_first = is_first and self.species > 1 and len(notes) == count - 1
        whole = is_last_but_one and self.species == 2 and len(notes) == 1
        if (len(notes) == count and even) or (rests_first and even) or whole:
            return ""
        expected = {1: "one note", 2: "two equal notes", 4: "four equal notes"}[count]
        return f"species {self.species} has {expected} against each note of the cantus"

    def _wrong_syncopation(
        self, notes: list[LineNote], given: LineNote, is_first: bool, is_last_but_one: bool
    ) -> str:
        half = given.onset_tick + given.ticks // 2
        onsets = [note.onset_tick for note in notes]
        broken = [given.onset_tick, half]
        if onsets == [half] or (onsets == broken and not is_first) or is_last_but_one:
            return ""
        return "species 4 has a note tied over the barline, or two halves where the ties break"

    def _wrong_florid(self, notes: list[LineNote], given: LineNote) -> str:
        eighth = given.ticks // 8
        for note in notes:
            if note.ticks < eighth:
                return "the shortest note of species 5 is an eighth of the cantus note"
            if note.ticks == eighth and (note.onset_tick - given.onset_tick) % (4 * eighth) == 0:
                return "eighths of species 5 come in pairs on the weak half of a beat"
        return ""


@dataclass(frozen=True)
class Syncopation(Rule):
    """Too few ties in the fourth species.

    least_share: the share of the bars that must begin with a held note.
    """

    name: ClassVar[str] = "syncopation"
    reason: ClassVar[str] = "The fourth species is an exercise in ties over the barline."
    source: ClassVar[str] = FUX_FOURTH

    severity: Severity = Severity.WARNING
    least_share: float = 0.5

    def find(self, texture: Texture) -> Iterator[Finding]:
        if texture.cantus is None:
            return
        inner = texture.lines[texture.cantus][1:-1]
        (added,) = texture.judged_voices
        at_barlines = [texture.at(added, given.onset_tick) for given in inner]
        tied = sum(
            note is not None and note.onset_tick < given.onset_tick
            for note, given in zip(at_barlines, inner, strict=True)
        )
        if inner and tied < self.least_share * len(inner):
            first = texture.lines[added][0]
            fact = f"only {tied} of {len(inner)} bars begin with a tied note"
            yield Finding(first.onset_tick, (first,), fact)


@dataclass(frozen=True)
class OutsideMode(Rule):
    """An accidental that the mode does not have.

    Allowed are the raised sixth and seventh in the last bars, and B flat.
    """

    name: ClassVar[str] = "outside_mode"
    reason: ClassVar[str] = (
        "Strict counterpoint stays in its mode; accidentals are for the cadence and for B flat."
    )
    source: ClassVar[str] = JEPPESEN_TWO_PARTS

    severity: Severity = Severity.WARNING
    cadence_bars: int = 3

    def find(self, texture: Texture) -> Iterator[Finding]:
        signature = signature_alterations(texture.score.written_signature.fifths)
        cadence = texture.score.end_tick - self.cadence_bars * texture.meter.bar_ticks
        for line in texture.judged_lines:
            for note in line:
                natural = signature[note.spelling.step]
                raised = note.spelling.alter == natural + 1 and note.onset_tick >= cadence
                b_flat = note.spelling.step == "B" and note.spelling.alter == -1
                if note.spelling.alter != natural and not raised and not b_flat:
                    fact = f"{note.name} is not a note of the mode"
                    yield Finding(note.onset_tick, (note,), fact)
