"""The state of the event grammar, and how events change it.

A state is a value: ``EventGrammar.advance`` returns a new one. States that are kept along a
sequence share what does not change.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from bicinium.grammar.events.vocabulary import Event, EventKind

NOTHING_YET = -1  # type before the first token, bar before the first BAR


class OpenNote(NamedTuple):
    """A note that a NOTE_ON began and no NOTE_OFF has ended. The index is that of the NOTE_ON."""

    voice: int
    pitch: int
    onset: int
    token_index: int


class HeldNote(NamedTuple):
    """A note that sounds until a tick that is known."""

    voice: int
    pitch: int
    until: int


class EventState(NamedTuple):
    """What the events so far mean for the next one. Times are in ticks since the beginning."""

    bar_ticks: int
    voice: int = 0
    tokens: int = 0  # number of them so far
    last_type: int = NOTHING_YET  # index in ``EventTables.types``
    started: bool = False  # START was read
    ended: bool = False  # END was read
    tick: int = 0
    bar: int = NOTHING_YET  # from 0
    bar_start: int = 0
    unit: int = 1  # ticks of this state in one of the vocabulary
    placed: bool = False  # the time was set by a POSITION, so the next one is later
    begun: frozenset[tuple[int, int]] = frozenset()  # voice and pitch of notes begun in this tick
    open: tuple[OpenNote, ...] = ()
    held: tuple[HeldNote, ...] = ()  # the last is the one that waits for its DURATION, if one does
    waits_for_duration: bool = False
    last_end: int = 0  # of all notes with a known end
    notes: int = 0
    paired_notes: int = 0  # that have ended, or have a duration

    @property
    def next_bar(self) -> int:
        """Tick at which a BAR would begin a bar."""
        return self.bar_start + self.bar_ticks if self.bar >= 0 else self.bar_start

    def sounding(self, voice: int, tick: int) -> list[int]:
        """Return the pitches of a voice that sound at a tick, this one or a later one."""
        pitches = [note.pitch for note in self.open if note.voice == voice]
        return pitches + [n.pitch for n in self.held if n.voice == voice and n.until > tick]

    def first_open(self, voice: int) -> dict[int, OpenNote]:
        """Return for each pitch of a voice the note that its next NOTE_OFF ends."""
        first: dict[int, OpenNote] = {}
        for note in self.open:
            if note.voice == voice:
                first.setdefault(note.pitch, note)
        return first

    def target(self, event: Event) -> int:
        """Return the tick after an event that moves time."""
        match event.kind:
            case EventKind.TIME_SHIFT:
                return self.tick + event.value * self.unit
            case EventKind.REST:
                return max(self.last_end, self.tick) + event.value * self.unit
            case EventKind.POSITION:
                return self.bar_start + event.value * self.unit
            case EventKind.BAR:
                return self.next_bar
        return self.tick


class EventStates:
    """The states of a batch, or along sequences."""

    def __init__(self, rows: Iterable[EventState]) -> None:
        self.rows = list(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> EventState:
        return self.rows[row]

    def take(self, rows: Iterable[int]) -> EventStates:
        """Return the states of some rows."""
        return EventStates(self.rows[row] for row in rows)


def apply(state: EventState, event: Event, has_bars: bool) -> EventState:
    """Return the state after an event, legal or not. ``tokens`` and ``last_type`` stay."""
    match event.kind:
        case EventKind.START:
            return state._replace(started=True)
        case EventKind.END:
            return state._replace(ended=True)
        case EventKind.VOICE:
            return state._replace(voice=event.value)
        case EventKind.NOTE_ON | EventKind.NOTE:
            return _begin(state, event)
        case EventKind.NOTE_OFF:
            return _end(state, event.value)
        case EventKind.DURATION:
            return _hold(state, event.value)
        case EventKind.METER:
            return _change_meter(state, event, has_bars)
        case EventKind.TIME_SHIFT | EventKind.REST | EventKind.POSITION:
            return _move(state, event)
        case EventKind.BAR:
            moved = _move(state, event)
            return moved._replace(bar=state.bar + 1, bar_start=moved.tick)
    return state


def _begin(state: EventState, event: Event) -> EventState:
    voice, pitch = state.voice, event.value
    begun, notes = state.begun | {(voice, pitch)}, state.notes + 1
    if event.kind is EventKind.NOTE_ON:
        note = OpenNote(voice, pitch, state.tick, state.tokens)
        return state._replace(begun=begun, notes=notes, open=(*state.open, note))
    held = (*state.held, HeldNote(voice, pitch, state.tick + 1))
    return state._replace(begun=begun, notes=notes, held=held, waits_for_duration=True)


def _end(state: EventState, pitch: int) -> EventState:
    note = state.first_open(state.voice).get(pitch)
    if note is None:
        return state
    rest = tuple(other for other in state.open if other is not note)
    last_end = max(state.last_end, state.tick)
    return state._replace(open=rest, last_end=last_end, paired_notes=state.paired_notes + 1)


def _hold(state: EventState, ticks: int) -> EventState:
    if not state.waits_for_duration:
        return state  # of something else, such as a pedal
    until = state.tick + ticks * state.unit
    return state._replace(
        held=(*state.held[:-1], state.held[-1]._replace(until=until)),
        last_end=max(state.last_end, until),
        waits_for_duration=False,
        paired_notes=state.paired_notes + 1,
    )


def _move(state: EventState, event: Event) -> EventState:
    tick = state.target(event)
    state = state._replace(
        placed=event.kind is EventKind.POSITION, waits_for_duration=False, tick=tick,
        begun=state.begun if tick == state.tick else frozenset(),
        held=tuple(note for note in state.held if note.until > tick),
    )  # fmt: skip
    if event.kind is EventKind.REST and state.bar_ticks:  # It may pass barlines.
        bars = (tick - state.bar_start) // state.bar_ticks
        start = state.bar_start + bars * state.bar_ticks
        state = state._replace(bar=max(state.bar, 0) + bars, bar_start=start)
    return state


def _change_meter(state: EventState, event: Event, has_bars: bool) -> EventState:
    """Take the new length of a bar. Without BARs, one begins here."""
    changed = state._replace(bar_ticks=event.value * event.unit, unit=event.unit)
    if has_bars or not state.bar_ticks:
        return changed
    passed = -(-(state.tick - state.bar_start) // state.bar_ticks)
    return changed._replace(bar=max(state.bar, 0) + passed, bar_start=state.tick)
