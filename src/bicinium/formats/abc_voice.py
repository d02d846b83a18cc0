"""One voice of an ABC tune: its notes become measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from bicinium.formats.abc_fields import SIGNS, AbcKey
from bicinium.formats.measures import MAX_DENOMINATOR, MAX_MEASURES, Measure, MeasureNote
from bicinium.formats.spelling import Spelling
from bicinium.music.losses import LossKind
from bicinium.music.score import Meter

_TUPLETS = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}  # notes in the time of; 5, 7, 9 depend on the metre


class _Head(NamedTuple):
    """One note of a chord. ``share`` is its length divided by that of the chord."""

    spelling: Spelling
    share: Fraction
    is_tied: bool  # to the next note


class Sign(NamedTuple):
    """A note as it is written. ``length`` counts units."""

    accidental: str
    letter: str
    octave: int
    length: Fraction
    is_tied: bool = False


@dataclass(slots=True)
class _Written:
    """A note, rest or chord whose length a broken rhythm may still change."""

    heads: list[_Head]
    onset: Fraction
    length: Fraction
    overlay: int


@dataclass(slots=True)
class AbcVoice:
    """Where reading stands in one voice, and the measures so far."""

    key: AbcKey
    meter: Meter | None
    unit: Fraction  # length of a note without a number, in quarters
    transposition: int = 0
    propagation: str = "octave"  # where an accidental counts: "not" later, in its octave, "pitch"
    measures: list[Measure] = field(default_factory=lambda: [Measure()])
    position: Fraction = Fraction(0)
    _events: list[_Written] = field(default_factory=list)  # of this measure
    _tuplet: list[tuple[int, Fraction]] = field(default_factory=list)  # (notes left, ratio)
    _broken: Fraction | None = None  # factor of the next length
    _altered: dict[tuple[str, int], int] = field(default_factory=dict)
    _tied: dict[tuple[int, str, int], int] = field(default_factory=dict)  # of the last notes
    _tie_in: set[tuple[str, int]] = field(default_factory=set)
    _overlay: int = 0
    _overlay_end: Fraction = Fraction(0)
    _ending: frozenset[int] = frozenset()
    _ending_may_stop: bool = False

    @property
    def measure(self) -> Measure:
        """The present measure."""
        return self.measures[-1]

    @property
    def bar(self) -> Fraction:
        """The length of a full bar in quarters."""
        meter = self.meter or Meter(4, 4)
        return Fraction(4 * meter.numerator, meter.denominator)

    def sound(self, signs: Sequence[Sign], length: Fraction) -> None:
        """Add a note or a chord, or a rest if there are no ``signs``. ``length`` counts units."""
        if not length:
            self.lose(LossKind.NO_LENGTH, len(signs))
            return
        quarters = length * self.unit
        if self._tuplet:
            left, ratio = self._tuplet[-1]
            quarters *= ratio
            self._tuplet[-1] = (left - 1, ratio)
            if left <= 1:
                self._tuplet.pop()
        if self._broken is not None:
            quarters *= self._broken
            self._broken = None
        heads = [_Head(self._spelling(sign), sign.length / length, sign.is_tied) for sign in signs]
        self._events.append(_Written(heads, self.position, quarters, self._overlay))
        self.position += quarters
        self._keep_ties()

    def _spelling(self, written: Sign) -> Spelling:
        _, letter, octave, *_ = written
        place = (letter, 0 if self.propagation == "pitch" else octave)
        sign = SIGNS[written.accidental]
        tied = self._tied.get((self._overlay, letter, octave))
        if sign is not None:
            if self.propagation == "not":
                return Spelling(letter, sign, octave)
            self._altered[place] = sign
        elif tied is not None:
            return Spelling(letter, tied, octave)
        alter = self._altered.get(place, self.key.alterations[letter])
        elsewhere = [n for (step, _), n in self._altered.items() if step == letter]
        self.lose(LossKind.OTHER_OCTAVE, int(sign is None and {*elsewhere} - {alter} != set()))
        return Spelling(letter, alter, octave)

    def tie(self) -> None:
        """Tie the last note or chord to the next."""
        if self._events:
            last = self._events[-1]
            last.heads = [head._replace(is_tied=True) for head in last.heads]
            self._keep_ties()

    def _keep_ties(self) -> None:
        """Remember the accidentals of the last notes for the notes that they are tied to."""
        others = {place: n for place, n in self._tied.items() if place[0] != self._overlay}
        spellings = [head.spelling for head in self._events[-1].heads if head.is_tied]
        self._tied = others | {(self._overlay, s.step, s.octave): s.alter for s in spellings}

    def break_rhythm(self, signs: str) -> None:
        """Apply ``>`` or ``<``, once to three times, to the last note and the next."""
        if not self._events:
            raise ValueError(f"{signs} follows no note")
        short = Fraction(1, 2 ** len(signs))
        first, second = (2 - short, short) if signs[0] == ">" else (short, 2 - short)
        last = self._events[-1]
        if last.length.denominator > MAX_DENOMINATOR:
            raise ValueError("a note is broken too often")
        self.position += last.length * (first - 1)
        last.length *= first
        self._broken = second

    def begin_tuplet(self, p: int, q: int | None, r: int | None) -> None:
        """Begin a tuplet: ``p`` notes in the time of ``q``, for the next ``r`` notes."""
        if q is None:
            compound = self.meter is not None and self.meter.numerator % 3 == 0
            q = _TUPLETS.get(p, 3 if compound and self.meter != Meter(3, 4) else 2)
        if not (p and q):
            raise ValueError(f"a tuplet of {p} in the time of {q}")
        self._tuplet.append((r or p, Fraction(q, p)))

    def begin_overlay(self) -> None:
        """Go back to the start of the measure for another line (``&``)."""
        self._overlay_end = max(self._overlay_end, self.position)
        self._overlay += 1
        self.position = Fraction(0)

    def rest_bars(self, count: int) -> None:
        """Rest for some bars."""
        for index in range(count):
            self.position = self.bar
            self.measure.is_full_rest = not self._events
            if index < count - 1:
                self.end_measure()

    def barline(self, plays: int = 0, starts_repeat: bool = False) -> None:
        """End the measure, unless it is empty; apply repeats."""
        if plays and not (self._events or self.position) and len(self.measures) > 1:
            self.measures[-2].plays = plays
        elif self.position or self._events:
            self.measure.plays = plays
            self.end_measure()
        if plays or starts_repeat:
            self._ending = frozenset()
        if starts_repeat:
            self.measure.starts_repeat = True

    def begin_ending(self, numbers: frozenset[int]) -> None:
        """Begin an ending, which lasts to the next repeat or ending."""
        self._ending = numbers

    def end_measure(self) -> None:
        """Close the present measure and open the next."""
        if len(self.measures) > MAX_MEASURES:
            raise ValueError(f"more than {MAX_MEASURES} measures")
        measure = self.measure
        length = max(self.position, self._overlay_end)
        measure.length = length
        measure.endings = self._ending
        for event in self._events:
            for spelling, share, is_tied in event.heads:
                place = (spelling.step, spelling.octave)
                measure.notes.append(
                    MeasureNote(
                        onset=event.onset,
                        duration=event.length * share,
                        staff=1,
                        voice=str(event.overlay + 1),
                        spelling=spelling,
                        pitch=spelling.pitch + self.transposition,
                        velocity=None,
                        tied_to_next=is_tied,
                        tied_from_last=place in self._tie_in,
                    )
                )
                self._tie_in.discard(place)
                if is_tied:
                    self._tie_in.add(place)
        self._events = []
        self._altered = {}
        self.position = self._overlay_end = Fraction(0)
        self._overlay = 0
        self.measures.append(Measure())

    def lose(self, kind: LossKind, count: int = 1) -> None:
        """Count a loss in the present measure."""
        self.measure.losses[kind] += count
