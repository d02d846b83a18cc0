"""The rules of the event grammar. Each marks the tokens that it forbids in a state.

A rule takes the vocabulary, its tables, the state and a (V,) array, and sets the array True where a
token is forbidden. It leaves the rest as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from bicinium.grammar.events.state import NOTHING_YET, EventState
from bicinium.grammar.events.tables import Bools, EventTables
from bicinium.grammar.events.vocabulary import EventKind, EventVocabulary

Mark: TypeAlias = Callable[[EventVocabulary, EventTables, EventState, Bools], None]


def order(
    vocabulary: EventVocabulary, tables: EventTables, state: EventState, forbidden: Bools
) -> None:
    """Each token is of a type that may follow the one before it. PAD comes only after END."""
    pads = tables.ids[EventKind.PAD]
    if state.ended:
        kept = forbidden[pads].copy()
        forbidden[:] = True
        forbidden[pads] = kept
        return
    first = state.last_type == NOTHING_YET
    forbidden |= ~(tables.first if first else tables.follows[state.last_type])
    forbidden[pads] = True
    if not first:
        forbidden[tables.ids[EventKind.START]] = True
    _mark_unmet_needs(vocabulary, tables, state, forbidden)


def time(
    vocabulary: EventVocabulary, tables: EventTables, state: EventState, forbidden: Bools
) -> None:
    """Time moves forward, and each position lies within its bar."""
    ids = tables.ids[EventKind.POSITION]
    if not len(ids):
        return
    if state.bar == NOTHING_YET and tables.has(EventKind.BAR):
        forbidden[ids] = True
        return
    offsets = tables.values[ids] * state.unit
    since_bar = state.tick - state.bar_start
    early = offsets <= since_bar if state.placed else offsets < since_bar
    forbidden[ids[early]] = True
    if state.bar_ticks:
        forbidden[ids[offsets >= state.bar_ticks]] = True


def voices(
    vocabulary: EventVocabulary, tables: EventTables, state: EventState, forbidden: Bools
) -> None:
    """A voice has as many notes at a time as the vocabulary allows."""
    most = vocabulary.max_polyphony
    if most is not None and len(state.sounding(state.voice, state.tick)) >= most:
        forbidden[tables.begins] = True


def duration(
    vocabulary: EventVocabulary, tables: EventTables, state: EventState, forbidden: Bools
) -> None:
    """A note has a length, and is not longer than the vocabulary allows."""
    most = vocabulary.max_note_ticks
    first_open = state.first_open(state.voice)
    for pitch, note in first_open.items():
        too_long = most is not None and state.tick - note.onset > most * state.unit
        if note.onset == state.tick or too_long:
            forbidden[tables.ends_pitch.get(pitch, [])] = True
    if most is None:
        return
    lengths = tables.ids[EventKind.DURATION]
    if state.waits_for_duration:
        forbidden[lengths[tables.values[lengths] > most]] = True
    if not state.open:
        return
    earliest = min(note.onset for note in state.open)
    due = earliest + most * state.unit
    targets = np.array([state.target(tables.events[i]) for i in tables.moves])
    forbidden[tables.moves[targets > due]] = True
    meters = tables.ids[EventKind.METER]
    forbidden[meters[state.tick - earliest > most * tables.units[meters]]] = True
    if not (targets <= due).any():  # A note must end before time can move.
        note_offs = tables.ids[EventKind.NOTE_OFF]
        leads_on = tables.reaches_note_off.copy()
        leads_on[note_offs] = True
        forbidden |= ~leads_on


def pairing(
    vocabulary: EventVocabulary, tables: EventTables, state: EventState, forbidden: Bools
) -> None:
    """Each note that begins also ends. None ends that does not sound, or begins twice."""
    sounding = state.first_open(state.voice)
    note_offs = tables.ids[EventKind.NOTE_OFF]
    if len(note_offs):
        ends_nothing = [i for p, ids in tables.ends_pitch.items() if p not in sounding for i in ids]
        forbidden[ends_nothing] = True
    for pitch in _closed_pitches(vocabulary, state, state.voice, state.tick):
        forbidden[tables.begins_pitch.get(pitch, [])] = True
    if state.open or not state.notes:
        forbidden[tables.ids[EventKind.END]] = True


def _closed_pitches(
    vocabulary: EventVocabulary, state: EventState, voice: int, tick: int
) -> set[int]:
    """Return the pitches that may not begin in a voice at a tick, now or later."""
    closed: set[int] = set()
    if not vocabulary.allow_overlaps:
        closed.update(state.sounding(voice, tick))
    if not vocabulary.allow_duplicates and tick == state.tick:
        closed.update(pitch for other, pitch in state.begun if other == voice)
    return closed


def _mark_unmet_needs(
    vocabulary: EventVocabulary, tables: EventTables, state: EventState, forbidden: Bools
) -> None:
    """Forbid the tokens that demand a note where none can begin or end: they lead nowhere."""
    notes_here = len(state.begun) + len(state.open) + len(state.held)
    if vocabulary.max_polyphony is None and notes_here < len(tables.begins_pitch):
        return  # Every voice has a pitch left.
    busy = {voice for voice, _ in state.begun}
    busy |= {note.voice for note in state.open} | {note.voice for note in state.held}
    begins = {voice: _begins_from(vocabulary, tables, state, voice) for voice in busy}
    ends = {voice: _ends_from(state, voice) for voice in busy}
    now = float(state.tick)
    others = [now] if {state.voice, *tables.voices} - busy else []
    first_begin = min([*begins.values(), *others])
    first_end = min(ends.values(), default=math.inf)
    needing = tables.needing
    ticks = np.where(needing.at_position, state.bar_start + needing.values * state.unit, now)
    begin_at = np.where(needing.of_voice, now, begins.get(state.voice, now))
    end_at = np.where(needing.of_voice, math.inf, ends.get(state.voice, math.inf))
    for voice in busy:
        named = needing.of_voice & (needing.values == voice)
        begin_at[named], end_at[named] = begins[voice], ends[voice]
    met = (
        (needing.begin & (ticks >= begin_at))
        | (needing.end & (ticks >= end_at))
        | (needing.begin_elsewhere & (ticks >= first_begin))
        | (needing.end_elsewhere & (ticks >= first_end))
    )
    forbidden[needing.ids[~met]] = True


def _begins_from(
    vocabulary: EventVocabulary, tables: EventTables, state: EventState, voice: int
) -> float:
    """Return the first tick at which a note can begin in a voice; infinite if an end must come."""
    most = vocabulary.max_polyphony
    later = {note.until for note in state.held if note.voice == voice}
    for tick in sorted({state.tick, state.tick + 1, *later}):
        if most is not None and len(state.sounding(voice, tick)) >= most:
            continue
        closed = _closed_pitches(vocabulary, state, voice, tick)
        if not tables.begins_pitch.keys() <= closed:
            return tick
    return math.inf


def _ends_from(state: EventState, voice: int) -> float:
    """Return the first tick at which a note of a voice can end; infinite if none sounds."""
    return min((n.onset + 1 for n in state.first_open(voice).values()), default=math.inf)


RULES: tuple[tuple[str, float, Mark], ...] = (
    ("order", 1.0, order),
    ("pairing", 2.0, pairing),
    ("duration", 1.0, duration),
    ("time", 1.0, time),
    ("voices", 1.0, voices),
)
