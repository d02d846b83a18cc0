"""The input of every constraint: the conditions of the batch and the context of the next token.

A constraint is a subclass of ``Constraint`` in the file of its family. It says which pitches,
time shifts and changes of voice it rejects. It knows pitches and ticks but no token ids:
``ConstraintProcessor`` turns its answers into a mask of tokens. Any single constraint always leaves
a legal continuation. Several together may not; then the piece is drawn again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bicinium.generation.conditions import Conditions
from bicinium.generation.constraints.config import Constraints
from bicinium.grammar.states import Bools, Ints
from bicinium.grammar.terms import FAR, Moment
from bicinium.music import counterpoint
from bicinium.music.counterpoint import LOWER, UPPER, NoteLocation, PitchRange
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, VOICES, Meter, Score
from bicinium.tokenizer.vocabulary import BLOCKS, Kind

Rows: TypeAlias = NDArray[np.integer[Any]]

NO_PITCH = 0  # the pitch of a voice that is silent
PITCHES = BLOCKS[Kind.NOTE_ON].values.astype(np.int32)  # (88,)
ALL_PITCHES = np.arange(HIGHEST_PITCH + 1)  # (109,) index of lookup tables; 0 stands for no note
SHIFTS = BLOCKS[Kind.TIME_SHIFT].values.astype(np.int32)  # (512,) ticks


class FixedVoices(Protocol):
    """Fixed notes of the batch, in the key of the tokens. ``rows`` (N,) are pieces of the batch."""

    @property
    def anything(self) -> bool:
        """Whether any note or rest is fixed at all."""

    def is_fixed(self, rows: Rows, tick: Ints) -> Bools:
        """Return (N, 2) which voices are fixed at these ticks."""

    def coming_pitch(self, rows: Rows, tick: Ints, voice: int) -> Rows:
        """Return (N,) the fixed pitch that begins at these ticks; 0 for none."""

    def held_pitch(self, rows: Rows, tick: Ints, voice: int) -> Rows:
        """Return (N,) the fixed pitch that sounds after these ticks, 0 for none."""


class CadencePlan(NamedTuple):
    """How a piece is to close."""

    on_downbeat: bool = False  # on the last downbeat; otherwise by the middle of the last bar
    from_dominant: bool = False  # the lower voice reaches the tonic from the dominant
    tonic_above: bool = False  # the upper voice ends on the tonic, not on another triad note
    dies_away: bool = False  # chord notes may follow until the middle of the last bar


@dataclass(frozen=True, slots=True)
class BatchConditions:
    """The conditions of the P pieces of a batch as arrays. All are (P,), ticks int32."""

    minor: Ints  # 1 in minor, 0 in major
    to_home: Ints  # semitones from the sounding key to the key of the tokens
    strong_period: Ints  # ticks between strong beats
    last_bar: Ints  # tick at which it begins
    approach: Ints  # tick from which the lower voice stays on the dominant; FAR for none
    deadline: Ints  # tick in the last bar from which both voices close
    quiet: Ints  # tick after which no note begins; the deadline or later
    tonic_above: Bools  # the upper voice closes on the tonic
    end: Ints  # tick of the last barline
    beat: Ints  # ticks of a beat
    playable: Ints  # (P, 2, 2) lowest and highest pitch of each voice, in the key of the tokens

    @classmethod
    def of(
        cls,
        conditions: Sequence[Conditions],
        ranges: Sequence[PitchRange],
        cadences: Sequence[CadencePlan] | None = None,
    ) -> BatchConditions:
        """Collect the conditions of each piece. ``ranges`` are those of the grammar."""

        def each(values: Sequence[int]) -> Ints:
            return np.array(values, np.int32)

        cadences = cadences or [CadencePlan()] * len(conditions)
        bars = [piece.meter.bar_ticks for piece in conditions]
        ends = [piece.bars * bar for piece, bar in zip(conditions, bars, strict=True)]
        last_bar = each([end - bar for end, bar in zip(ends, bars, strict=True)])
        middle = each(
            [counterpoint.latest_final_onset_tick(piece.meter, piece.bars) for piece in conditions]
        )
        on_downbeat, from_dominant, tonic_above, dies_away = np.array(cadences, np.bool_).T
        deadline = np.where(on_downbeat, last_bar, middle)
        beat = each([piece.meter.beat_ticks for piece in conditions])
        to_home = each([piece.key.semitones_to_reference for piece in conditions])
        sounding = np.array(ranges) + to_home[:, None, None]
        return cls(
            minor=each([piece.key.mode == "minor" for piece in conditions]),
            to_home=to_home,
            strong_period=each([_strong_period(piece.meter) for piece in conditions]),
            last_bar=last_bar,
            approach=np.where(from_dominant & (deadline > beat), deadline - beat, FAR),
            deadline=deadline,
            quiet=np.where(dies_away, middle, deadline),
            tonic_above=tonic_above,
            end=each(ends),
            beat=beat,
            playable=np.clip(sounding, LOWEST_PITCH, HIGHEST_PITCH),
        )


def _strong_period(meter: Meter) -> int:
    return meter.bar_ticks // len(counterpoint.strong_beat_ticks(meter))


@dataclass(slots=True)
class ConstraintContext:
    """N states before their next token, as constraints see them. Second axis 2: the voices."""

    rows: Rows  # (N,) pieces of the batch
    tick: Ints  # (N,)
    part: Ints  # (N,) the voice whose turn it is
    moment: Ints  # (N,)
    pitch: Ints  # (N, 2) the sounding pitch, 0 for silence
    onset: Ints  # (N, 2) its onset tick
    until: Ints  # (N, 2) the tick by which it must end, FAR for silence
    last_pitch: Ints  # (N, 2) pitch of the last note begun, 0 before the first
    ended_tick: Ints  # (N, 2) where the last note to end ended, -1 before the first
    ended_pitch: Ints  # (N, 2) its pitch
    lower_after: Ints  # (N,) what the lower voice holds after this tick unless the model moves it
    fixed: Bools | None = None  # (N, 2) fixed voices; None if nothing is fixed
    coming: Ints | None = None  # (N,) pitch that a fixed lower voice begins here, 0 for none

    def __len__(self) -> int:
        return len(self.tick)

    def take(self, chosen: Rows) -> ConstraintContext:
        """Return a copy of some rows."""
        columns: dict[str, Any] = {name: getattr(self, name) for name in _CONTEXT_FIELDS}
        for name, values in columns.items():
            columns[name] = None if values is None else values.take(chosen, axis=0)
        return ConstraintContext(**columns)

    @property
    def arrived(self) -> Bools:
        """(N,) True while nothing has happened at this tick, so that either voice may move."""
        return np.asarray(self.moment <= Moment.LONG)

    def free(self, voice: Rows | int) -> Bools | bool:
        """Return (N,) True where the model writes this voice. Plain True if nothing is fixed."""
        return True if self.fixed is None else ~of_voice(self.fixed, voice)


_CONTEXT_FIELDS = tuple(f.name for f in fields(ConstraintContext))


def of_voice(by_voice: NDArray[Any], voice: Rows | int) -> NDArray[Any]:
    """(N, 2) → (N,) the entry of one voice, the same for all rows or one for each."""
    return np.where(voice == UPPER, by_voice[:, UPPER], by_voice[:, LOWER])


class WrittenByModel:
    """Counts places in a finished piece, leaving out those that were fixed beforehand."""

    def __init__(self, conditions: Conditions) -> None:
        fixed_notes = conditions.fixed_notes
        self._fixed = fixed_notes.fixed if fixed_notes else ((),) * VOICES

    def __contains__(self, place: tuple[int, int]) -> bool:
        """Return whether the model wrote what a voice has at a tick."""
        voice, tick = place
        return not any(begin <= tick < until for begin, until in self._fixed[voice])

    def count_notes(self, places: Sequence[NoteLocation]) -> int:
        """Count the places (voice, tick) that the model wrote."""
        return sum(place in self for place in places)

    def count_ticks(self, ticks: Sequence[int]) -> int:
        """Count the ticks at which the model wrote at least one of the voices."""
        return sum(any((voice, tick) in self for voice in (UPPER, LOWER)) for tick in ticks)


class Constraint:
    """Base class of the constraints; by itself it disapproves of nothing.

    The methods answer for N states at once. None means no objection anywhere.
    """

    def __init__(
        self, settings: Constraints, batch: BatchConditions, fixed_notes: FixedVoices | None = None
    ) -> None:
        self.settings, self.batch, self.fixed_notes = settings, batch, fixed_notes

    def observe_onset(self, piece: Rows, voice: Rows, tick: Ints, pitch: Ints, own: Bools) -> None:
        """Record notes that have begun; ``own`` is True for those of the model. Arrays are (n,)."""

    def forbidden_pitches(self, context: ConstraintContext, voice: Rows) -> Bools | None:
        """Return (N, 88) the pitches with which ``voice`` (N,) should not begin a note here."""
        return None

    def time_limit(self, context: ConstraintContext) -> Ints | None:
        """Return (N,) the most ticks that may pass before the next event; FAR for no limit."""
        return None

    def upper_must_move(self, context: ConstraintContext) -> Bools | None:
        """Return (N,) where the upper voice must move before its turn in this tick is over.

        Time must not pass there either: ``time_limit`` says so.
        """
        return None

    @staticmethod
    def count_violations(
        score: Score, conditions: Conditions, settings: Constraints, written: WrittenByModel
    ) -> int:
        """Return how often a finished piece breaks the constraint."""
        raise NotImplementedError
