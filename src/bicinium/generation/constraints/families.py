"""What each constraint thinks of what may come next in a piece. Knows no token ids.

An opinion is a class with one method for each thing that a constraint may disapprove of: the
pitches with which a voice may begin a note (most need no more), how much time may pass, whether the
upper voice must move before its turn is over, which notes may end. It looks at a
``ConstraintContext``. A constraint by itself always leaves a way; several together may not, and
then the composer begins the piece anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bicinium.generation.conditions import Conditions
from bicinium.generation.constraints.config import ROUNDING, Constraints
from bicinium.grammar.rules import FAR, Bools, Ints, Moment, column, is_any
from bicinium.music import counterpoint
from bicinium.music.counterpoint import (
    LOWER,
    SPAN_TICKS,
    UPPER,
    PitchRange,
    are_dissonant,
    are_parallel,
)
from bicinium.music.key import REFERENCE_KEYS, Key
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, VOICES, Meter
from bicinium.tokenizer.vocabulary import BLOCKS, MAX_SHIFT_TICKS, Kind

Rows: TypeAlias = NDArray[np.integer[Any]]

_OCTAVE = 12


class FixedVoices(Protocol):
    """Notes that are not the model's, in the key that the tokens are in. ``rows`` (N,) are pieces
    of the whole batch.
    """

    @property
    def anything(self) -> bool:
        """Whether anything is given at all."""

    def is_fixed(self, rows: Rows, tick: Ints) -> Bools:
        """(N, 2) which voices are not the model's at these ticks."""

    def coming_pitch(self, rows: Rows, tick: Ints, voice: int) -> Rows:
        """(N,) the pitch that the given notes of a voice begin at these ticks; 0 if none."""

    def held_pitch(self, rows: Rows, tick: Ints, voice: int) -> Rows:
        """(N,) the pitch that they hold after the events of these ticks; 0 if none."""


# ------------------------------------------------------------------ what opinions look at

NOTHING = 0  # the pitch of a voice that does not sound
PITCHES = BLOCKS[Kind.NOTE_ON].values.astype(np.int32)  # (88,)
_PITCHES_FROM_0 = np.arange(HIGHEST_PITCH + 1)  # (109,) as rows of tables; 0 for no note
SHIFTS = BLOCKS[Kind.TIME_SHIFT].values.astype(np.int32)


class CadencePlan(NamedTuple):
    """How a piece is to close."""

    on_downbeat: bool = False  # the last; else by the middle of the last bar
    from_dominant: bool = False  # in the lower voice, where it is the model's; else from anywhere
    tonic_above: bool = False  # if the upper begins a note then; else any of the triad
    dies_away: bool = False  # until the middle of the last bar more such notes may follow


@dataclass(frozen=True, slots=True)
class BatchConditions:
    """The P pieces of the batch, as they were asked for. All arrays are (P,), ticks int32."""

    minor: Ints  # 1 in minor, 0 in major
    to_home: Ints  # semitones from the sound to the tokens
    strong_period: Ints  # ticks from one strong beat to the next
    last_bar: Ints  # the tick at which it begins
    approach: Ints  # the tick from which on the lower voice stays on the dominant; FAR for none
    deadline: Ints  # the tick in the last bar from which on both voices are closing
    quiet: Ints  # that after which nothing begins, the deadline or later
    tonic_above: Bools  # the upper voice begins no other tone to close with
    end: Ints  # the tick of the last barline
    beat: Ints  # ticks
    playable: Ints  # (P, 2, 2) the lowest and the highest pitch of each voice, in the tokens

    @classmethod
    def of(
        cls,
        conditions: Sequence[Conditions],
        ranges: Sequence[PitchRange],
        closings: Sequence[CadencePlan] | None = None,
    ) -> BatchConditions:
        """``closings``: how each is to close; None: as ``CadencePlan`` has it."""

        def each(values: Sequence[int]) -> Ints:
            return np.array(values, np.int32)

        bars = [asked.meter.bar_ticks for asked in conditions]
        ends = [asked.bars * bar for asked, bar in zip(conditions, bars, strict=True)]
        late = [
            counterpoint.latest_final_onset_tick(asked.meter, asked.bars) for asked in conditions
        ]
        closings = closings or [CadencePlan()] * len(conditions)
        last_bar = [end - bar for end, bar in zip(ends, bars, strict=True)]
        early = [closing.on_downbeat for closing in closings]
        deadline = np.where(early, each(last_bar), each(late))
        dies_away = [closing.dies_away for closing in closings]
        beat = each([asked.meter.beat_ticks for asked in conditions])
        from_dominant = np.array([closing.from_dominant for closing in closings])
        return cls(
            each([asked.key.mode == "minor" for asked in conditions]),
            to_home := each([asked.key.semitones_to_reference for asked in conditions]),
            each([_strong_period(asked.meter) for asked in conditions]),
            each(last_bar),
            np.where(from_dominant & (deadline > beat), deadline - beat, FAR),
            deadline,
            np.where(dies_away, each(late), deadline),
            np.array([closing.tonic_above for closing in closings]),
            each(ends),
            beat,
            np.clip(np.array(ranges) + to_home[:, None, None], LOWEST_PITCH, HIGHEST_PITCH),
        )


def _strong_period(meter: Meter) -> int:
    return meter.bar_ticks // len(counterpoint.strong_beat_ticks(meter))


@dataclass(slots=True)
class ConstraintContext:
    """N states, and what came before, as opinions look at them. Second axis 2: the voices."""

    rows: Rows  # (N,) the pieces of the batch
    tick: Ints  # (N,)
    part: Ints  # (N,)
    moment: Ints  # (N,)
    pitch: Ints  # (N, 2) what sounds, 0 where nothing
    onset: Ints  # (N, 2) since when
    until: Ints  # (N, 2) the tick by which it must end, FAR where nothing sounds
    last_pitch: Ints  # (N, 2) of the last note begun, 0 before the first
    ended_tick: Ints  # (N, 2) where the last note to end ended, -1 before the first
    ended_pitch: Ints  # (N, 2) its pitch
    lower_after: Ints  # (N,) what the lower voice holds after this tick if the model leaves it
    fixed: Bools | None = None  # (N, 2) voices that are given here; None where nothing is
    coming: Ints | None = None  # (N,) what a given lower voice begins here, 0 for nothing
    stuck: Bools | None = None  # (N, 2) sounding notes that may not end here; None where none is

    def __len__(self) -> int:
        return len(self.tick)

    def take(self, chosen: Rows) -> ConstraintContext:
        """A copy of the rows asked for."""
        columns: dict[str, Any] = {name: getattr(self, name) for name in _SCENE_FIELDS}
        for name, values in columns.items():
            columns[name] = None if values is None else values.take(chosen, axis=0)
        return ConstraintContext(**columns)

    @property
    def arrived(self) -> Bools:
        """(N,) nothing has happened in this tick yet, so that either voice may move."""
        return np.asarray(self.moment <= Moment.LONG)

    @property
    def lower_stays(self) -> Bools | None:
        """(N,) the model cannot make the lower voice leave what it holds; None where it can."""
        if self.fixed is None:
            return None if self.stuck is None else self.stuck[:, LOWER]
        return self.fixed[:, LOWER] if self.stuck is None else (self.fixed | self.stuck)[:, LOWER]

    def free(self, voice: Rows | int) -> Bools | bool:
        """(N,) whether a voice is the model's; True where nothing is given."""
        return True if self.fixed is None else ~of_voice(self.fixed, voice)


_SCENE_FIELDS = tuple(f.name for f in fields(ConstraintContext))


def of_voice(by_voice: NDArray[Any], voice: Rows | int) -> NDArray[Any]:
    """(N, 2) → (N,) the entry of a voice, the same for all or one for each row."""
    return np.where(voice == UPPER, by_voice[:, UPPER], by_voice[:, LOWER])


# ------------------------------------------------------------------ the opinions


class Constraint:
    """An opinion against nothing. Answers None where it has nothing to say."""

    def __init__(self, asked: Constraints, pieces: BatchConditions) -> None:
        self.asked, self.pieces = asked, pieces

    def hear_beginning(self, piece: Rows, voice: Rows, tick: Ints, pitch: Ints, own: Bools) -> None:
        """A note has begun; ``own`` where it is the model's. All are (n,)."""

    def hear_end(self, piece: Rows, voice: Rows, tick: Ints) -> None:
        """A note has ended."""

    def pitches(self, scene: ConstraintContext, voice: Rows) -> Bools | None:
        """(N, 88) the pitches with which ``voice`` (N,) should not begin a note here."""
        return None

    def time_limit(self, scene: ConstraintContext) -> Ints | None:
        """(N,) ticks of which no more should pass before something happens; FAR for no limit."""
        return None

    def upper_must_move(self, scene: ConstraintContext) -> Bools | None:
        """(N,) where the upper voice should not stay as it is when its turn in this tick is over.

        Time should not pass there either, which ``time_limit`` says.
        """
        return None


class Close(Constraint):
    """From the deadline on the lower voice begins only the tonic, the upper only tones of its
    triad, and time does not pass the deadline before the last note of each is such (and, of the
    lower, sounds in the last bar). After the deadline, or where the piece dies away after the
    middle of the bar, nothing begins, and what sounds ends on a beat or with the piece, unless an
    end is given.

    Where it is to close from the dominant, the lower voice begins nothing else in the beat before
    the deadline, and time does not pass its beginning before the lower's last note is that; what
    the upper begins there belongs to the chord. Where it is to close on the tonic, the upper begins
    no other tone to close with, unless from an octave that would lead to another.

    The way out: time stops at the deadline; a voice that has not closed ends what it holds and
    begins such a note, the upper first. Where that would leave the lower none,
    ``ConstraintProcessor`` looks ahead. A voice that is given at the deadline or at the end is
    exempt.
    """

    rhythm: Rhythm | None = None  # where it forbids that some notes end at the deadline
    exempt: Bools | None = None  # (P, 2)

    def __init__(self, asked: Constraints, pieces: BatchConditions) -> None:
        super().__init__(asked, pieces)
        low, high = pieces.playable[:, :, :1], pieces.playable[:, :, 1:]
        closes = _CLOSES[pieces.minor]  # (P, 2, 109)
        closes &= (low <= _PITCHES_FROM_0) & (high >= _PITCHES_FROM_0)
        lowest_tonic = closes[:, LOWER].argmax(axis=1)
        closes[:, UPPER] &= column(lowest_tonic) <= _PITCHES_FROM_0  # else the lower had to cross
        self.closes = closes.reshape(-1, len(_PITCHES_FROM_0))  # (2 P, 109)

    def pitches(self, scene: ConstraintContext, voice: Rows) -> Bools | None:
        closing, leading = self._closing_pitches(scene, voice), self._leading_pitches(scene, voice)
        return leading if closing is None else closing if leading is None else closing | leading

    def _leading_pitches(self, scene: ConstraintContext, voice: Rows) -> Bools | None:
        """(N, 88) what does not lead to the close, in the beat before it."""
        approach = self.pieces.approach[scene.rows]
        leading = (scene.tick >= approach) & (scene.tick < self.pieces.deadline[scene.rows])
        leading &= (voice == LOWER) | (scene.tick == approach)
        if not is_any(leading):
            return None
        minor = self.pieces.minor[scene.rows]
        return column(leading) & ~_LEADS[minor, voice][:, LOWEST_PITCH:]

    def _closing_pitches(self, scene: ConstraintContext, voice: Rows) -> Bools | None:
        """(N, 88) what does not close, from the deadline on."""
        deadline = self.pieces.deadline[scene.rows]
        closing = scene.tick >= deadline
        if self.rhythm:
            cannot_last = of_voice(self.rhythm.too_often(scene.rows), voice)
            closing = closing | (scene.tick + cannot_last == deadline)
        if not is_any(closing):
            return None
        if self.exempt is not None:
            closing = closing & ~of_voice(self.exempt[scene.rows], voice)
        some = closing.nonzero()[0]
        found = np.zeros((len(scene), len(PITCHES)), np.bool_)
        closes = self.closes.take(VOICES * scene.rows[some] + voice[some], axis=0)
        closes &= (
            column(~self._on_tonic(scene, voice)[some])
            | _IS_TONIC[self.pieces.minor[scene.rows[some]]]
        )
        over = scene.tick[some] > self.quiet_after(scene.rows[some])
        found[some] = ~closes[:, LOWEST_PITCH:] | column(over)
        return found

    def _on_tonic(self, scene: ConstraintContext, voice: Rows) -> Bools:
        """(N,) where a voice is the upper and begins no other tone than the tonic to close with."""
        apart = (scene.last_pitch[:, UPPER] - scene.last_pitch[:, LOWER]) % _OCTAVE != 0
        return apart & self.pieces.tonic_above[scene.rows] & (voice == UPPER)

    def quiet_after(self, rows: Rows) -> Ints:
        """(N,) the ticks after which nothing begins; FAR where something may."""
        quiet = self.pieces.quiet[rows]
        if self.exempt is None:
            return quiet
        return np.where(self.exempt[rows].any(axis=1), FAR, quiet)

    def dead_time(self, scene: ConstraintContext) -> Bools | None:
        """(N, shifts) where time may not pass so far: after the last tick at which something may
        begin nothing could happen, but on beats the end of what sounds.

        But where a note could not last so long, or ``rhythm`` might not let it: there time may stop
        anywhere while something sounds.
        """
        quiet, end = self.quiet_after(scene.rows), self.pieces.end[scene.rows]
        silent = (scene.pitch == NOTHING).all(axis=1)
        lasts = silent if self.rhythm else (scene.until >= column(end)).all(axis=1)
        dead = lasts & (quiet - scene.tick < MAX_SHIFT_TICKS)
        if not is_any(dead):
            return None
        then = column(scene.tick) + SHIFTS
        releases = then % column(self.pieces.beat[scene.rows]) == 0
        idle = column(silent) | ~releases
        return column(dead) & idle & (then > column(quiet)) & (then < column(end))

    def still_open(self, scene: ConstraintContext) -> Bools:
        """(N, 2) the voices that have not closed, and would have to."""
        line = column(VOICES * scene.rows) + np.arange(VOICES)  # (N, 2)
        closed = self.closes[line, scene.last_pitch]
        in_last_bar = scene.ended_tick[:, LOWER] > self.pieces.last_bar[scene.rows]
        closed[:, LOWER] &= in_last_bar | (scene.pitch[:, LOWER] != NOTHING)
        return ~closed if self.exempt is None else ~(closed | self.exempt[scene.rows])

    def still_to_lead(self, scene: ConstraintContext) -> Bools:
        """(N,) where the lower voice has not come to the dominant, and would have to."""
        led = _LEADS[self.pieces.minor[scene.rows], LOWER, scene.last_pitch[:, LOWER]]
        return ~led & (self.pieces.approach[scene.rows] != FAR)

    def lower_must_begin(self, scene: ConstraintContext) -> Bools:
        """(N,) where the lower voice leaves what it holds in this tick, to lead or to close."""
        must = np.zeros(len(scene), np.bool_)
        leads = scene.tick == self.pieces.approach[scene.rows]
        closes = scene.tick == self.pieces.deadline[scene.rows]
        now = (leads | closes).nonzero()[0]
        if len(now):  # at few ticks of a piece; this is asked at every token
            there = scene.take(now)
            open_below = self.still_open(there)[:, LOWER]
            must[now] = np.where(closes[now], open_below, self.still_to_lead(there))
        return must

    def time_limit(self, scene: ConstraintContext) -> Ints | None:
        limit: Ints | None = None
        for tick, lacking in (
            (self.pieces.approach, self.still_to_lead),
            (self.pieces.deadline, lambda scene: self.still_open(scene).any(axis=1)),
        ):
            left = tick[scene.rows] - scene.tick
            near = (left >= 0) & (left < MAX_SHIFT_TICKS)
            if is_any(near):
                found = np.where(near & lacking(scene), left, FAR)
                limit = found if limit is None else np.minimum(limit, found)
        return limit

    def upper_must_move(self, scene: ConstraintContext) -> Bools | None:
        now = scene.tick == self.pieces.deadline[scene.rows]
        return now & self.still_open(scene)[:, UPPER] if is_any(now) else None


class InKey(Constraint):
    """A note outside the scale begins only where that leaves no greater share of them than
    ``accidentals`` among the model's notes so far.
    """

    def __init__(self, asked: Constraints, pieces: BatchConditions) -> None:
        super().__init__(asked, pieces)
        self.notes, self.outside = np.zeros((2, len(pieces.minor)), np.int64)

    def hear_beginning(self, piece: Rows, voice: Rows, tick: Ints, pitch: Ints, own: Bools) -> None:
        is_outside = _OUTSIDE_KEY[1 + self.pieces.minor[piece], pitch - LOWEST_PITCH]
        self.notes[piece] += own
        self.outside[piece] += own & is_outside

    def pitches(self, scene: ConstraintContext, voice: Rows) -> Bools | None:
        allowed = self.asked.accidentals * (self.notes[scene.rows] + 1) + ROUNDING
        full = self.outside[scene.rows] + 1 > allowed
        return _OUTSIDE_KEY.take(np.where(full, 1 + self.pieces.minor[scene.rows], 0), axis=0)


class InRange(Constraint):
    """Each voice in its range, in the key in which the piece will sound."""

    def __init__(self, asked: Constraints, pieces: BatchConditions) -> None:
        super().__init__(asked, pieces)
        bounds = np.array(asked.ranges) + pieces.to_home[:, None, None]  # (P, 2, 2)
        low, high = bounds[:, :, :1], bounds[:, :, 1:]
        self.outside = ((low > PITCHES) | (high < PITCHES)).reshape(-1, len(PITCHES))

    def pitches(self, scene: ConstraintContext, voice: Rows) -> Bools | None:
        return self.outside.take(VOICES * scene.rows + voice, axis=0)


class HandSpan(Constraint):
    """No note farther than ``span`` from one of its voice that began less than a quarter ago."""

    def __init__(self, asked: Constraints, pieces: BatchConditions) -> None:
        super().__init__(asked, pieces)
        shape = (len(pieces.minor), VOICES, SPAN_TICKS)  # notes last a tick or more: enough places
        self.onset, self.pitch = np.full(shape, -FAR, np.int32), np.zeros(shape, np.int32)
        self.heard = np.zeros(shape[:2], np.int64)

    def hear_beginning(self, piece: Rows, voice: Rows, tick: Ints, pitch: Ints, own: Bools) -> None:
        place = self.heard[piece, voice] % SPAN_TICKS
        self.onset[piece, voice, place], self.pitch[piece, voice, place] = tick, pitch
        self.heard[piece, voice] += 1

    def pitches(self, scene: ConstraintContext, voice: Rows) -> Bools | None:
        near = self.onset[scene.rows, voice] > column(scene.tick - SPAN_TICKS)
        if not near.any():
            return None
        pitch = self.pitch[scene.rows, voice]
        low = np.where(near, pitch, 0).max(axis=1) - self.asked.span
        high = np.where(near, pitch, FAR).min(axis=1) + self.asked.span
        return (column(low) > PITCHES) | (column(high) < PITCHES)


class Parallels(Constraint):
    """No note that makes parallel fifths or octaves.

    The lower voice comes second, and so it is the one that is told. Where it is given, the upper is
    told where it is about to go.
    """

    def pitches(self, scene: ConstraintContext, voice: Rows) -> Bools | None:
        follows = scene.ended_tick == column(scene.tick)  # (N, 2)
        moved = (scene.onset[:, UPPER] == scene.tick) & (scene.pitch[:, UPPER] != NOTHING)
        second = (voice == LOWER) & moved & follows[:, UPPER] & follows[:, LOWER]
        found: Bools | None = None
        if is_any(second):
            upper_before, lower_before = scene.ended_pitch[second].T
            found = np.zeros((len(scene), len(PITCHES)), np.bool_)
            found[second] = are_parallel(
                column(upper_before),
                column(scene.pitch[second, UPPER]),
                column(lower_before),
                PITCHES,
            )
        if scene.coming is None:
            return found
        sounds = scene.pitch[:, LOWER] != NOTHING
        first = (voice == UPPER) & follows[:, UPPER] & sounds & (scene.coming > 0)
        if is_any(first):
            found = np.zeros((len(scene), len(PITCHES)), np.bool_) if found is None else found
            found[first] = are_parallel(
                column(scene.ended_pitch[first, UPPER]),
                PITCHES,
                column(scene.pitch[first, LOWER]),
                column(scene.coming[first]),
            )
        return found


class Crossing(Constraint):
    """The upper voice does not begin below what the lower holds, nor the lower above the upper.

    This forbids a little more than crossings: the lower might still move down in the same tick. In
    keyboard music it does so in one of four such places. Where a given upper voice crosses what the
    model's lower holds, that note ends.
    """

    def pitches(self, scene: ConstraintContext, voice: Rows) -> Bools | None:
        other = np.where(voice == UPPER, scene.lower_after, scene.pitch[:, UPPER])
        return _CROSSES.take(voice * len(_PITCHES_FROM_0) + other, axis=0)

    def time_limit(self, scene: ConstraintContext) -> Ints | None:
        if scene.fixed is None:
            return None
        upper, lower = scene.pitch.T
        crossed = (upper != NOTHING) & (lower > upper) & ~scene.fixed[:, LOWER]
        now, before = scene.onset[:, UPPER] == scene.tick, scene.onset[:, LOWER] < scene.tick
        return np.where(crossed & now & before, 0, FAR)

    def upper_must_move(self, scene: ConstraintContext) -> Bools | None:
        if scene.coming is None:
            return None
        upper = scene.pitch[:, UPPER]
        return np.asarray((upper != NOTHING) & (scene.coming > upper))


class Consonance(Constraint):
    """On a strong beat nothing begins that is dissonant, and time does not pass it while a
    dissonance is held.

    The upper voice may begin what it likes against a note that the lower can still leave. The way
    out: time stops at the strong beat, and a voice ends its note.
    """

    fixed_notes: FixedVoices | None = None

    def _strong(self, scene: ConstraintContext) -> Bools:
        return np.asarray(scene.tick % self.pieces.strong_period[scene.rows] == 0)

    def pitches(self, scene: ConstraintContext, voice: Rows) -> Bools | None:
        strong = self._strong(scene)
        if not is_any(strong):
            return None
        stays = scene.lower_stays
        lower = NOTHING if stays is None else np.where(stays, scene.lower_after, NOTHING)
        other = np.where(voice == UPPER, lower, scene.pitch[:, UPPER])
        return _DISSONANT.take(np.where(strong, other, NOTHING), axis=0)

    def time_limit(self, scene: ConstraintContext) -> Ints | None:
        upper, lower = scene.pitch.T
        dissonant = (upper != NOTHING) & (lower != NOTHING) & are_dissonant(upper, lower)
        period = self.pieces.strong_period[scene.rows]
        left = -scene.tick % period  # to the next strong beat, or this one
        dissonant &= scene.tick + left < self.pieces.end[scene.rows]
        if not is_any(dissonant):
            return None
        if self.fixed_notes is not None:  # nobody can be told to move
            some = dissonant.nonzero()[0]
            at = (scene.tick + left)[some]
            dissonant[some] = ~self.fixed_notes.is_fixed(scene.rows[some], at).all(axis=1)
        return np.where(dissonant, left, FAR)

    def upper_must_move(self, scene: ConstraintContext) -> Bools | None:
        stays = scene.lower_stays
        if stays is None:
            return None
        upper, lower = scene.pitch[:, UPPER], scene.lower_after
        both = (upper != NOTHING) & (lower != NOTHING) & stays
        return both & self._strong(scene) & are_dissonant(upper, lower)


class Leap(Constraint):
    """No note farther than ``max_leap`` from the last of its voice."""

    def __init__(self, asked: Constraints, pieces: BatchConditions) -> None:
        super().__init__(asked, pieces)
        self.too_far = np.abs(column(_PITCHES_FROM_0) - PITCHES) > asked.max_leap
        self.too_far[NOTHING] = False

    def pitches(self, scene: ConstraintContext, voice: Rows) -> Bools | None:
        return self.too_far.take(of_voice(scene.last_pitch, voice), axis=0)


class Rhythm(Constraint):
    """A note does not end where it would be one too many of its duration in a row.

    The way out is to end it sooner or later: time does not pass the last tick at which it could end
    sooner, and no note begins that could have no other duration.
    """

    def __init__(self, asked: Constraints, pieces: BatchConditions) -> None:
        super().__init__(asked, pieces)
        shape = (len(pieces.minor), VOICES)
        self.begun, self.duration, self.run = np.zeros((3, *shape), np.int32)
        self.own = np.zeros(shape, np.bool_)

    def hear_beginning(self, piece: Rows, voice: Rows, tick: Ints, pitch: Ints, own: Bools) -> None:
        self.begun[piece, voice], self.own[piece, voice] = tick, own

    def hear_end(self, piece: Rows, voice: Rows, tick: Ints) -> None:
        duration = tick - self.begun[piece, voice]
        again = duration == self.duration[piece, voice]
        self.run[piece, voice] = np.where(again, self.run[piece, voice] + 1, 1)
        self.duration[piece, voice] = duration

    def too_often(self, rows: Rows) -> Ints:
        """(N, 2) the duration that the next note of each voice may not have; 0 if any will do."""
        return np.where(self.run[rows] >= self.asked.max_equal, self.duration[rows], 0)

    def _may_not_end(self, scene: ConstraintContext) -> Ints:
        """(N, 2) the tick at which what sounds may not end; -1 if it may at any."""
        too_often = self.too_often(scene.rows)
        tick = scene.onset + too_often
        bound = (too_often > 0) & (scene.pitch != NOTHING) & self.own[scene.rows]
        return np.where(bound & (tick <= scene.until), tick, -1)

    def stuck(self, scene: ConstraintContext) -> Bools | None:
        """(N, 2) the sounding notes that should not end in this tick."""
        stuck = self._may_not_end(scene) == column(scene.tick)
        if scene.fixed is not None:
            stuck &= ~scene.fixed
        return stuck if stuck.any() else None

    def pitches(self, scene: ConstraintContext, voice: Rows) -> Bools | None:
        left = self.pieces.end[scene.rows] - scene.tick
        no_choice = (left == 1) & (of_voice(self.too_often(scene.rows), voice) == 1)
        if not is_any(no_choice):
            return None
        return np.broadcast_to(column(no_choice), (len(scene), len(PITCHES)))

    def time_limit(self, scene: ConstraintContext) -> Ints | None:
        due = self._may_not_end(scene) == scene.until
        left = np.where(due, scene.until - 1 - column(scene.tick), FAR).min(axis=1)
        return np.where(left >= 0, left, FAR)

    def upper_must_move(self, scene: ConstraintContext) -> Bools | None:
        last_chance = scene.until[:, UPPER] - 1 == scene.tick
        return last_chance & (self._may_not_end(scene) == scene.until)[:, UPPER]

    def leads_nowhere(
        self, scene: ConstraintContext, fixed_notes: FixedVoices | None, quiet: Ints | None
    ) -> Ints | None:
        """(N,) the ticks after which neither voice could move, since neither note may end, and
        none may begin after the ticks ``quiet`` (N,); 0 if there are none such.
        """
        upper, lower = self._may_not_end(scene).T
        tick = np.maximum(upper, lower)
        nowhere = tick > scene.tick
        for voice, end in ((UPPER, upper), (LOWER, lower)):
            moves = end != tick
            if quiet is not None:
                moves &= (scene.pitch[:, voice] != NOTHING) | (tick <= quiet)
            if fixed_notes is not None:
                begins = fixed_notes.coming_pitch(scene.rows, tick, voice) > 0
                ends = fixed_notes.held_pitch(scene.rows, tick, voice) != scene.pitch[:, voice]
                fixed = fixed_notes.is_fixed(scene.rows, tick)[:, voice]
                moves = np.where(fixed, begins | ends, moves)
            nowhere &= ~moves
        return np.where(nowhere, tick - scene.tick, 0) if is_any(nowhere) else None


CONSTRAINTS: dict[str, type[Constraint]] = {
    "close": Close,
    "in_key": InKey,
    "range": InRange,
    "hand_span": HandSpan,
    "parallels": Parallels,
    "crossing": Crossing,
    "consonance": Consonance,
    "leap": Leap,
    "rhythm": Rhythm,
}


def _are_in(pitches: Rows, pitch_classes: Iterable[int]) -> Bools:
    return np.isin(pitches % _OCTAVE, list(pitch_classes))


def _by_mode_and_voice(classes: Callable[[Key], tuple[Iterable[int], Iterable[int]]]) -> Bools:
    """(2, 2, 109) the pitches in the classes that a key gives the upper and the lower voice."""
    return np.array(
        [[_are_in(_PITCHES_FROM_0, c) for c in classes(key)] for key in REFERENCE_KEYS.values()]
    )


# the pitches on which a voice may close, those by which it leads to a close, the tonic (2, 109)
_CLOSES = _by_mode_and_voice(lambda key: (counterpoint.tonic_triad(key), [key.tonic]))
_LEADS = _by_mode_and_voice(
    lambda key: (counterpoint.dominant_seventh(key), [counterpoint.dominant(key)])
)
_IS_TONIC = _CLOSES[:, LOWER]
_LEADS[:, :, NOTHING] = False
# (3, 88): nothing, then by mode what is outside the scale
_OUTSIDE_KEY = np.zeros((1 + len(REFERENCE_KEYS), len(PITCHES)), np.bool_)
_OUTSIDE_KEY[1:] = [
    ~_are_in(PITCHES, counterpoint.scale_pitch_classes(key)) for key in REFERENCE_KEYS.values()
]
# (109, 88) by what sounds, what is dissonant with it
_DISSONANT = are_dissonant(column(_PITCHES_FROM_0), PITCHES)
_DISSONANT[NOTHING] = False
# (2 · 109, 88) by the voice that begins and what the other holds, what would cross it
_CROSSES = np.concatenate([column(_PITCHES_FROM_0) > PITCHES, column(_PITCHES_FROM_0) < PITCHES])
_CROSSES[len(_PITCHES_FROM_0) + NOTHING] = False
