"""Name each dissonance: passing note, neighbour, suspension, cambiata, … or none of these.

A dissonance is heard when a voice begins a note against a note of the other. One of the two is the
dissonant note: the one that moves on. What it is called depends on how its voice came to it and how
it leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from bicinium.counterpoint.rule import Finding, Rule
from bicinium.counterpoint.sources import (
    FUX_FOURTH,
    FUX_SECOND,
    FUX_THIRD,
    JEPPESEN_TWO_PARTS,
    KENNAN_TWO_VOICES,
)
from bicinium.counterpoint.texture import BEAT, DOWNBEAT, LineNote, Moment, Texture

_SECOND, _THIRD, _SEVENTH = 1, 2, 6  # letters
_CHORDS = (
    (0, 4, 7),
    (0, 3, 7),
    (0, 3, 6),
    (0, 4, 7, 10),
    (0, 3, 6, 9),
    (0, 3, 6, 10),
    (0, 3, 7, 10),
)


class Figure(StrEnum):
    """What a dissonant note is."""

    PASSING = "passing note"
    NEIGHBOUR = "neighbour note"
    DOUBLE_NEIGHBOUR = "double neighbour"
    SUSPENSION = "suspension"
    RETARDATION = "retardation"
    CAMBIATA = "cambiata"
    ECHAPPEE = "échappée"
    ANTICIPATION = "anticipation"
    APPOGGIATURA = "appoggiatura"
    PEDAL = "pedal point"
    CHORD_TONE = "note of a broken chord"


@dataclass(frozen=True, slots=True)
class Dissonance:
    """A dissonant moment, the note that is out of the harmony, and its figure, if any fits."""

    moment: Moment
    note: LineNote
    figure: Figure | None

    def is_accented(self, texture: Texture) -> bool:
        """Return whether it is a note that begins on a downbeat."""
        begins = self.note.onset_tick == self.moment.tick
        return begins and texture.weight(self.moment.tick) == DOWNBEAT


def dissonances(texture: Texture) -> Iterator[Dissonance]:
    """Yield every dissonance of a texture, with its figure."""
    for moment in texture.moments:
        if moment.interval.is_consonant:
            continue
        named = ((note, _figure(texture, moment, note)) for note in _candidates(texture, moment))
        found = next(((note, figure) for note, figure in named if figure), None)
        if found is None and any(_is_pedal(texture, moment, note) for note in moment.notes):
            found = _moving_note(texture, moment), Figure.PEDAL
        if found is None and _is_broken_chord(texture, moment):
            found = _moving_note(texture, moment), Figure.CHORD_TONE
        note, figure = found or (_moving_note(texture, moment), None)
        yield Dissonance(moment, note, figure)


def _candidates(texture: Texture, moment: Moment) -> Iterator[LineNote]:
    """Yield the notes that may be the dissonant one: held ones first, for suspensions."""
    yield from sorted(
        moment.notes, key=lambda note: (note.onset_tick, note.voice == texture.cantus)
    )


def _moving_note(texture: Texture, moment: Moment) -> LineNote:
    """Return the note that begins here; of two, the one of the voice that is judged."""
    begun = [note for note in moment.notes if note.onset_tick == moment.tick]
    judged = [note for note in begun if note.voice in texture.judged_voices]
    return (judged or begun)[0]


def _figure(texture: Texture, moment: Moment, note: LineNote) -> Figure | None:
    held = note.onset_tick < moment.tick
    if held:
        return _held_figure(texture, moment, note)
    before, after = texture.before(note), texture.after(note)
    if before is None or after is None:
        return None
    if before.pitch == note.pitch and _resolves(texture, moment, note, -1):
        return Figure.SUSPENSION  # struck again
    return _stepwise_figure(texture, note, before, after) or _leaping_figure(
        texture, note, before, after
    )


def _held_figure(texture: Texture, moment: Moment, note: LineNote) -> Figure | None:
    """Name a note that is held while the other voice moves into the dissonance."""
    at_onset = texture.at(1 - note.voice, note.onset_tick)
    prepared = at_onset is None or at_onset.to(note).size.is_consonant
    on_accent = texture.weight(moment.tick) > texture.weight(note.offset_tick) or (
        texture.weight(moment.tick) > texture.weight(note.onset_tick)
    )
    if prepared and on_accent and note.voice != texture.cantus:
        if _resolves(texture, moment, note, -1):
            return Figure.SUSPENSION
        if _resolves(texture, moment, note, +1):
            return Figure.RETARDATION
    return None


def _is_pedal(texture: Texture, moment: Moment, note: LineNote) -> bool:
    """Return whether a note that is not given lasts for a bar or more over moving notes."""
    other = moment.notes[1 - note.voice]
    bar = texture.meter.bar_ticks
    long = note.ticks >= 2 * bar or (note.ticks >= bar and other.ticks * 4 <= note.ticks)
    return long and note.onset_tick < moment.tick and texture.cantus is None


def _resolves(texture: Texture, moment: Moment, note: LineNote, direction: int) -> bool:
    """Return whether a held note resolves by step, at once or after one or two ornaments."""
    following = texture.after(note)
    latest = moment.tick + texture.meter.bar_ticks
    for _ in range(3):
        if following is None or following.onset_tick >= latest:
            return False
        if note.to(following).steps == direction and note.to(following).is_step:
            return True
        following = texture.after(following)
    return False


def _stepwise_figure(
    texture: Texture, note: LineNote, before: LineNote, after: LineNote
) -> Figure | None:
    """Name a note that is reached and left by step, or that is one of two neighbours."""
    into, out = before.to(note), note.to(after)
    if into.is_step and out.is_step:
        same_way = into.semitones * out.semitones > 0
        return Figure.PASSING if same_way else Figure.NEIGHBOUR
    later = texture.after(after)
    turns = into.semitones * out.semitones < 0 and abs(out.steps) == _THIRD
    if into.is_step and turns and later is not None and later.pitch == before.pitch:
        return Figure.DOUBLE_NEIGHBOUR
    earlier = texture.before(before)
    turned = into.semitones * out.semitones < 0 and abs(into.steps) == _THIRD and out.is_step
    if turned and earlier is not None and earlier.pitch == after.pitch:
        return Figure.DOUBLE_NEIGHBOUR
    return None


def _leaping_figure(
    texture: Texture, note: LineNote, before: LineNote, after: LineNote
) -> Figure | None:
    """Name a note that is reached or left by leap."""
    into, out = before.to(note), note.to(after)
    weaker = texture.weight(note.onset_tick) < max(
        texture.weight(before.onset_tick), texture.weight(after.onset_tick)
    )
    if after.pitch == note.pitch and weaker:
        return Figure.ANTICIPATION
    if into.is_step and out.is_leap:
        same_way = into.semitones * out.semitones > 0
        if same_way and abs(out.steps) == _THIRD and _turns_back(texture, after, out.semitones):
            return Figure.CAMBIATA
        return Figure.ECHAPPEE if not same_way and weaker else None
    if into.is_leap and out.is_step and into.semitones * out.semitones < 0:
        return Figure.APPOGGIATURA
    return None


def _turns_back(texture: Texture, note: LineNote, leap: int) -> bool:
    """Return whether the line moves by step against the leap that led to a note."""
    following = texture.after(note)
    return (
        following is not None
        and note.to(following).is_step
        and (note.to(following).semitones * leap < 0)
    )


def _is_broken_chord(texture: Texture, moment: Moment) -> bool:
    """Return whether the notes of this beat are a triad or a seventh chord.

    Counted are the two notes, and what their voices leap to or from at once.
    """
    classes = {note.pitch % 12 for note in moment.notes}
    for note in moment.notes:
        for near in (texture.before(note), texture.after(note)):
            if near is not None and near.to(note).is_leap:
                classes.add(near.pitch % 12)
    return len(classes) > 1 and any(
        classes <= {(root + step) % 12 for step in chord} for chord in _CHORDS for root in range(12)
    )


@dataclass(frozen=True)
class UnexplainedDissonance(Rule):
    """A dissonance that is none of the figures that the style allows.

    figures: the names of those that it allows.
    accented: whether a passing or neighbour note may begin on the downbeat.
    only_struck: report only seconds and sevenths that both voices strike together on a beat. In
        keyboard music other notes often belong to a chord that is broken over a whole bar.
    """

    name: ClassVar[str] = "dissonance"
    reason: ClassVar[str] = (
        "A dissonance is prepared or reached by step, and resolves by step, as the style allows."
    )
    source: ClassVar[str] = (
        f"{FUX_SECOND}; {FUX_THIRD}; {FUX_FOURTH}; {JEPPESEN_TWO_PARTS}; {KENNAN_TWO_VOICES}"
    )

    figures: tuple[str, ...] = ()
    accented: bool = False
    only_struck: bool = False

    def find(self, texture: Texture) -> Iterator[Finding]:
        for found in dissonances(texture):
            if self.only_struck and not _is_struck(texture, found.moment):
                continue
            allowed = found.figure is not None and found.figure.name.lower() in self.figures
            moves = found.figure in (Figure.PASSING, Figure.NEIGHBOUR, Figure.CAMBIATA)
            if allowed and moves and not self.accented and found.is_accented(texture):
                allowed = False
            if not allowed:
                yield Finding(found.moment.tick, found.moment.notes, _fact(texture, found))


def _is_struck(texture: Texture, moment: Moment) -> bool:
    """Return whether both voices strike a second or a seventh together on a beat."""
    is_sharp = moment.interval.simple_steps in (_SECOND, _SEVENTH)
    return is_sharp and moment.both_begin and texture.weight(moment.tick) >= BEAT


def _fact(texture: Texture, found: Dissonance) -> str:
    """Say what the dissonance is, and how its note is reached and left."""
    note, moment = found.note, found.moment
    interval = f"{moment.lower.name}-{moment.upper.name} is a dissonance ({moment.interval.name})"
    if found.figure is not None:
        accent = "accented " if found.is_accented(texture) else ""
        return f"{interval}: {accent}{found.figure}"
    before, after = texture.before(note), texture.after(note)
    into = "begins on it" if before is None else _way(before, note, "reached")
    out = "" if after is None else f" and {_way(note, after, 'left')}"
    return (
        f"{interval}: {note.name} is {into}{out}"
        if before
        else f"{interval}: the voice {into}{out}"
    )


def _way(one: LineNote, other: LineNote, verb: str) -> str:
    interval = one.to(other)
    if interval.semitones == 0:
        return f"{verb} by repetition"
    return f"{verb} by {'step' if interval.is_step else 'leap'}"
