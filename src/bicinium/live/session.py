"""The loop of a session: takes in what the player does, and plays the partner's notes in time.

The loop knows no hardware: ``Source`` is the player and the clock, and each ``Sink`` takes what is
played. One thread runs it, so that notes are sent in order, and every note that has begun is ended
whatever happens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from bicinium.generation.streaming import NoteEvent
from bicinium.grammar.terms import FAR
from bicinium.live.history import History
from bicinium.live.partner import Partner, Plan, PlannedNote
from bicinium.live.timeline import Timeline
from bicinium.music.score import Meter

_REST_BARS = 2  # the partner stops so long after the player's last note
_HOLD_BARS = 8  # and so long after the player's last key, if it is still down
_PLAN_SECONDS = 0.01  # what is due so soon is played, whatever the player does just before
_WINDOW_BARS, _KEPT_BARS = 24, 4  # a full window begins anew with its last bars


@dataclass(frozen=True, slots=True)
class Key:
    """The player presses a key, or with velocity 0 lets it go."""

    second: float
    pitch: int
    velocity: int


@dataclass(frozen=True, slots=True)
class TempoChange:
    """Another tempo from a second on."""

    second: float
    tempo_qpm: float


@dataclass(frozen=True, slots=True)
class Stop:
    """The session ends."""


Message: TypeAlias = Key | TempoChange | Stop


class Source(Protocol):
    """The player and the clock."""

    def now(self) -> float:
        """Return the time in seconds."""

    def receive(self, until: float) -> Message | None:
        """Wait for the next message; None if none has come at the second ``until``."""


class Sink(Protocol):
    """Takes what is played."""

    def note(self, event: NoteEvent, is_partner: bool) -> None:
        """Take a note of the partner now, or one that the player has just played."""

    def beat(self, bar: int, beat: int) -> None:
        """Take a beat of the metronome; both count from 1."""

    def silence(self) -> None:
        """End everything that may sound. Called at the end, also after an error."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What stays as it is during a session.

    meter: of the metronome. player: the player's voice, 0 upper or 1 lower. grid_ticks: the
        shortest time between the partner's notes, to which the player's are moved.
    """

    meter: Meter
    player: int
    grid_ticks: int


@dataclass(frozen=True, slots=True)
class _Agenda:
    """What the partner plays at ``tick``, unless it plans again at ``review_tick`` before."""

    tick: int
    notes: tuple[PlannedNote, ...]
    review_tick: int | None = None

    @property
    def due_tick(self) -> int:
        return self.tick if self.review_tick is None else min(self.tick, self.review_tick)


class LiveSession:
    """One session. ``run`` returns at ``Stop``, and raises what source and sinks raise."""

    def __init__(
        self,
        setting: Setting,
        partner: Partner,
        history: History,
        source: Source,
        sinks: Sequence[Sink],
    ) -> None:
        self._setting, self._partner, self._history = setting, partner, history
        self._source, self._sinks = source, sinks
        self._bar = setting.meter.bar_ticks
        self._agenda: _Agenda | None = None  # None while the partner waits for the player
        self._is_stale = False  # whether a plan must be made
        self._next_beat = 0
        self._acted_tick = -1  # the last one at which the agenda was due
        self._last_key = 0  # tick of the player's last one
        self._timeline = Timeline(0.0, history.tempo_qpm)
        self._held: int | None = None  # the partner's pitch

    def run(self) -> None:
        """Play until the source says stop."""
        self._timeline = Timeline(self._source.now(), self._history.tempo_qpm)
        try:
            while True:
                tick = self._next_beat
                if self._agenda is not None:
                    tick = min(tick, self._agenda.due_tick)
                second = self._timeline.second_at(tick)
                message = None
                if self._source.now() < second:
                    message = self._source.receive(second)
                if isinstance(message, Stop):
                    return
                if message is not None:
                    self._take(message)
                elif self._source.now() >= second:
                    self._act(tick)
                if self._is_stale and not self._is_due_soon():
                    self._make_plan()
        finally:
            self._silence()

    # ------------------------------------------------------------------ player

    def _take(self, message: Key | TempoChange) -> None:
        if isinstance(message, TempoChange):
            self._timeline.change_tempo(message.second, message.tempo_qpm)
            return
        now = self._timeline.tick_at(message.second)
        grid = self._setting.grid_ticks
        tick = round(now / grid) * grid
        player = self._setting.player
        voice = self._history.voices[player]
        if message.velocity:
            if self._agenda is None:
                self._history.tempo_qpm = self._timeline.tempo_qpm
                self._history.begin_window(tick)
            voice.begin(tick, message.pitch, message.velocity)
        elif voice.held_pitch == message.pitch:
            voice.end(tick, message.pitch)
        else:
            return  # a key that another has replaced
        self._last_key = tick
        event = NoteEvent(tick, message.second, player, message.pitch, message.velocity)
        for sink in self._sinks:
            sink.note(event, False)
        self._is_stale |= self._agenda is not None or message.velocity > 0

    # ------------------------------------------------------------------ partner

    def _act(self, tick: int) -> None:
        """Do what is due: the beat, the partner's notes, or a plan that is stale."""
        if tick == self._next_beat:
            self._beat(tick)
            self._next_beat += self._setting.meter.beat_ticks
        if self._agenda is None or tick < self._agenda.due_tick:
            return
        if tick == self._agenda.tick:
            for note in self._agenda.notes:
                self._play(tick, note)
        self._agenda = _Agenda(FAR, ())  # until there is a plan
        self._acted_tick, self._is_stale = tick, True
        if self._is_alone(tick):
            self._is_stale = False
            self._agenda = None if self._held is None else self._ending(tick + 1)
        elif self._history.bars_at(tick) >= _WINDOW_BARS:
            self._shorten(tick, _KEPT_BARS)

    def _is_due_soon(self) -> bool:
        """Is there a beat or a note so soon that a plan would come after it?"""
        tick = self._next_beat
        if self._agenda is not None and self._agenda.notes:
            tick = min(tick, self._agenda.tick)
        return self._timeline.second_at(tick) - self._source.now() < _PLAN_SECONDS

    def _is_alone(self, tick: int) -> bool:
        """Has the player stopped?"""
        holds = self._history.voices[self._setting.player].held_pitch is not None
        bars = _HOLD_BARS if holds else _REST_BARS
        return tick - self._last_key >= bars * self._bar

    def _make_plan(self) -> None:
        """Plan on from what is known by now. If no note fits, end the one that is held."""
        self._is_stale = False
        now = self._timeline.tick_at(self._source.now())
        known_tick = max(math.floor(now), self._acted_tick)
        if self._setting.player == 0:
            # A tick is written from the upper voice to the lower. So only a lower voice can be
            # planned with a note in mind that the player plays a little before its time.
            known_tick = max(known_tick, self._last_key)
        earliest = max(math.ceil(now), self._acted_tick + 1)
        for kept_bars in (_WINDOW_BARS, _KEPT_BARS, 0):
            if kept_bars < _WINDOW_BARS:
                self._shorten(known_tick, kept_bars)
            start = self._history.start
            tokens = self._history.tokens(max(known_tick, start))
            if len(tokens) <= self._partner.max_tokens:
                first = earliest - start
                plan = self._partner.plan(tokens, first, first + self._bar)
                if plan is not None:
                    self._agenda = self._agenda_of(plan, start, known_tick)
                    return
        self._agenda = self._ending(earliest)

    def _ending(self, earliest: int) -> _Agenda:
        """Return the agenda that ends the held note, if any, at the next place on the grid."""
        grid = self._setting.grid_ticks
        ends = () if self._held is None else (PlannedNote(self._held, 0),)
        return _Agenda(-(-earliest // grid) * grid, ends)

    def _agenda_of(self, plan: Plan, start: int, known_tick: int) -> _Agenda:
        """Return the agenda of a plan, whose ticks count from ``start``.

        It is reviewed when a note that it expects of the player is missing, and at the tick of a
        note that came a little early.
        """
        reviews = []
        if plan.doubt_tick is not None:
            reviews.append(start + plan.doubt_tick + self._setting.grid_ticks // 2)
        if self._last_key > known_tick:
            reviews.append(self._last_key)
        return _Agenda(start + plan.tick, plan.notes, min(reviews, default=None))

    def _shorten(self, tick: int, bars: int) -> None:
        """Let the window begin some bars before a tick, at the present tempo."""
        self._history.tempo_qpm = self._timeline.tempo_qpm
        self._history.begin_window(max(self._history.start, tick - bars * self._bar))

    def _play(self, tick: int, note: PlannedNote) -> None:
        """Begin or end a note of the partner. It counts as held until its end was sent."""
        voice = self._history.voices[1 - self._setting.player]
        if note.velocity:
            self._held = note.pitch
            voice.begin(tick, note.pitch, note.velocity)
        else:
            voice.end(tick, note.pitch)
        for sink in self._sinks:
            sink.note(self._event(tick, note), True)
        if not note.velocity:
            self._held = None

    def _event(self, tick: int, note: PlannedNote) -> NoteEvent:
        second = self._timeline.second_at(tick)
        return NoteEvent(tick, second, 1 - self._setting.player, note.pitch, note.velocity)

    # ------------------------------------------------------------------ metronome and end

    def _beat(self, tick: int) -> None:
        bar, rest = divmod(tick, self._bar)
        for sink in self._sinks:
            sink.beat(bar + 1, rest // self._setting.meter.beat_ticks + 1)

    def _silence(self) -> None:
        """End all notes. A sink that fails keeps no other from it."""
        if self._held is not None:
            tick = math.ceil(self._timeline.tick_at(self._source.now()))
            event = self._event(tick, PlannedNote(self._held, 0))
            for sink in self._sinks:
                with suppress(Exception):
                    sink.note(event, True)
        for sink in self._sinks:
            with suppress(Exception):
                sink.silence()
