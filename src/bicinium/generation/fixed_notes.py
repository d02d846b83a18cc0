"""Notes that a piece must have: a voice to write against, an opening, the bars around a gap.

In each voice some spans of ticks are fixed: there it has exactly the given notes, to the tick.
Everywhere else it is the model's. ``FixedNotesBatch`` says for a batch which tokens that forbids,
and what the model knows of the notes to come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bicinium.errors import RequestError
from bicinium.grammar.config import MusicalGrammarConfig
from bicinium.grammar.states import Bools, Ints, States
from bicinium.grammar.terms import FAR, SILENT
from bicinium.model.inputs.lookahead import Lookahead
from bicinium.model.inputs.voice_notes import voice_of
from bicinium.music.score import VOICES, NoteArray, Score, Voice, note_array
from bicinium.tokenizer.codec import LOWEST_AUDIBLE_BIN
from bicinium.tokenizer.vocabulary import (
    BLOCKS,
    END,
    MAX_SHIFT_TICKS,
    VOCAB_SIZE,
    Kind,
    token_id,
    velocity_bin,
)

TickSpan: TypeAlias = tuple[int, int]  # ticks: from, until
ALL_TICKS: TickSpan = (0, FAR)
NO_TICKS: TickSpan = (0, 0)

_SHIFTS = BLOCKS[Kind.TIME_SHIFT].values.astype(np.int64)
_NOTE_OFF, _NOTE_ON, _TIME_SHIFT, _VELOCITY = (
    BLOCKS[kind].ids for kind in (Kind.NOTE_OFF, Kind.NOTE_ON, Kind.TIME_SHIFT, Kind.VELOCITY)
)
_LONGEST = token_id(Kind.TIME_SHIFT, MAX_SHIFT_TICKS)
_MOST_IN_A_ROW = MusicalGrammarConfig.max_identical_tokens
_PARTS = np.array([token_id(Kind.PART, part) for part in range(VOICES)])


@dataclass(frozen=True, slots=True)
class FixedNotes:
    """The notes and rests of a piece of ``score.bars`` bars that the model may not change.

    fixed: for each voice, spans in which it has exactly the notes of the score. Every note of
        ``score`` lies entirely inside one of these spans.
    known: for each voice, the span that the model sees beforehand.
    """

    score: Score
    fixed: tuple[tuple[TickSpan, ...], ...]
    known: tuple[TickSpan, ...]

    def composed_onsets(self, score: Score) -> NDArray[np.int64]:
        """Return the onsets of the notes that are not fixed, first of the upper voice."""
        onsets = []
        for line, fixed_notes in zip(score.voices, self.score.voices, strict=True):
            known = set(fixed_notes.notes)
            onsets.append(note_array([note for note in line.notes if note not in known])[0])
        return np.concatenate(onsets)


def fix_voice(voice: Voice, part: int, like: Score) -> FixedNotes:
    """Fix one voice as a whole. ``like`` has the metre, the key and the bars."""
    voices = tuple(voice if part == index else Voice(()) for index in range(VOICES))
    beginning = _before_anacrusis(like)
    return FixedNotes(
        replace(like, voices=voices),
        tuple((ALL_TICKS,) if part == index else beginning for index in range(VOICES)),
        tuple(ALL_TICKS if part == index else NO_TICKS for index in range(VOICES)),
    )


def fix_opening(score: Score, bars: int) -> FixedNotes:
    """Fix all of ``score`` as the beginning of a piece of ``bars`` bars.

    A note that is held to the last barline of the score keeps its length.
    """
    if bars <= score.bars:
        raise RequestError(
            f"A piece of {bars} bars cannot continue {score.bars} bars. Choose more bars."
        )
    fixed = ((0, score.end_tick),)
    return FixedNotes(replace(score, bars=bars), (fixed,) * VOICES, (NO_TICKS,) * VOICES)


def fix_around_gap(score: Score, first_bar: int, last_bar: int) -> FixedNotes:
    """Fix all of ``score`` except the notes that begin in bars ``first_bar`` to ``last_bar``.

    Bars count from 1. If a note is held into these bars or out of them, the gap of its voice begins
    or ends with the note's offset.
    """
    if not 1 <= first_bar <= last_bar <= score.bars:
        raise RequestError(
            f"Bars {first_bar} to {last_bar} cannot be rewritten. The piece has bars 1 to "
            f"{score.bars}."
        )
    bar = score.meter.bar_ticks
    begin = max((first_bar - 1) * bar, score.start_tick)
    voices, fixed, known = [], [], []
    for voice in score.voices:
        columns = note_array(voice.notes)
        onset, offset = columns[0], columns[0] + columns[2]
        stays = (onset < begin) | (onset >= last_bar * bar)
        limits = []
        for tick in (begin, last_bar * bar):
            held = (onset < tick) & (offset > tick)
            limits.append(int(offset[held].max(initial=tick)))
        voices.append(Voice(tuple(n for n, stay in zip(voice.notes, stays, strict=True) if stay)))
        fixed.append(((0, limits[0]), (limits[1], FAR)))
        known.append((limits[1], FAR) if last_bar < score.bars else NO_TICKS)
    return FixedNotes(replace(score, voices=tuple(voices)), tuple(fixed), tuple(known))


class FixedNotesBatch:
    """The fixed notes of each piece of a batch, looked up by tick.

    ``fixed_notes`` has one entry for each piece, None where nothing is given; all notes are in the
    key that the tokens are in.
    """

    def __init__(self, fixed_notes: Sequence[FixedNotes | None]) -> None:
        distinct = list({id(one): one for one in fixed_notes if one is not None}.values())
        place = {id(one): index + 1 for index, one in enumerate(distinct)}  # 0 is: nothing given
        self.table = np.array([place.get(id(one), 0) for one in fixed_notes])  # (B,)
        ticks = max((one.score.end_tick for one in distinct), default=0) + MAX_SHIFT_TICKS + 2
        shape = (len(distinct) + 1, VOICES, ticks)
        self.fixed = np.zeros(shape, np.bool_)
        self.ends = np.zeros(shape, np.bool_)  # a fixed note ends here
        self.begins = np.zeros(shape, np.int16)  # the pitch of the note that begins here, 0 if none
        self.holds = np.zeros(shape, np.int16)  # the pitch that is held after this tick's events
        self.loudness = np.zeros(shape, np.int8)  # the velocity bin of the note that begins here
        self._lookaheads: list[Lookahead | None] = [None]
        for index, one in enumerate(distinct, 1):
            notes = [note_array(line.notes) for line in one.score.voices]
            voices = [voice_of(columns[:3].T.tolist()) for columns in notes]
            self._lookaheads.append(Lookahead(voices, one.known))
            for voice, (line, stretches) in enumerate(
                zip(one.score.voices, one.fixed, strict=True)
            ):
                self._enter(index, voice, note_array(line.notes), stretches)
        self.reaches = self._next_true(self.fixed & ~_earlier(self.fixed))  # next stretch begins
        event = (self.begins > 0) | self.ends
        self.next_event = self._next_true(np.any(event, axis=1))  # (tables, ticks)
        self.can_land: Bools = np.any(~self.fixed | event, axis=1)  # (tables, ticks)
        # Without fixed notes: the last tick at which a piece may begin its first note.
        self.begun_by = np.full(len(distinct) + 1, FAR)
        for index, one in enumerate(distinct, 1):
            if not one.score.note_count:
                free = np.flatnonzero(self.can_land[index, : one.score.end_tick])
                self.begun_by[index] = free.max(initial=0)
            self.can_land[index, one.score.end_tick] = True
        self.next_landing = self._next_true(self.can_land)  # (tables, ticks)

    def _enter(
        self, index: int, voice: int, notes: NoteArray, stretches: Sequence[TickSpan]
    ) -> None:
        for begin, until in stretches:
            self.fixed[index, voice, begin : min(until, self.fixed.shape[2])] = True
        for onset, pitch, duration, velocity in notes.T.tolist():
            self.begins[index, voice, onset] = pitch
            self.ends[index, voice, onset + duration] = True
            self.holds[index, voice, onset : onset + duration] = pitch
            loudness = max(LOWEST_AUDIBLE_BIN, int(velocity_bin(velocity)))
            self.loudness[index, voice, onset] = loudness

    @staticmethod
    def _next_true(where: Bools) -> NDArray[np.int32]:
        """Return (…, ticks) the first later tick at which ``where`` is True; FAR if none is."""
        ticks = np.arange(where.shape[-1], dtype=np.int32)
        at = np.where(where, ticks, np.int32(FAR))
        first = np.minimum.accumulate(at[..., ::-1], axis=-1)[..., ::-1]
        return np.concatenate([first[..., 1:], np.full((*where.shape[:-1], 1), FAR, np.int32)], -1)

    @property
    def anything(self) -> bool:
        """Whether anything is fixed at all."""
        return bool(self.table.any())

    def lookaheads(self) -> list[Lookahead | None]:
        """Return what the model sees beforehand in each of the B pieces."""
        return [self._lookaheads[table] for table in self.table.tolist()]

    def is_fixed(self, rows: NDArray[np.integer], tick: Ints) -> Bools:
        """Return (N, 2) which voices are fixed at these ticks."""
        return np.asarray(self.fixed[self.table[rows], :, self._within(tick)])

    def coming_pitch(self, rows: NDArray[np.integer], tick: Ints, voice: int) -> NDArray[np.int16]:
        """Return (N,) the fixed pitch that begins at these ticks; 0 for none."""
        return np.asarray(self.begins[self.table[rows], voice, self._within(tick)])

    def held_pitch(self, rows: NDArray[np.integer], tick: Ints, voice: int) -> NDArray[np.int16]:
        """Return (N,) the fixed pitch that sounds after the events of these ticks; 0 for none."""
        return np.asarray(self.holds[self.table[rows], voice, self._within(tick)])

    def _within(self, tick: Ints) -> Ints:
        """Return the ticks, with those beyond the tables moved to the last one."""
        return np.minimum(tick, self.fixed.shape[2] - 1)

    def forbidden(self, state: States, rows: NDArray[np.integer]) -> Bools:
        """Return (N, 774) the tokens that would depart from the fixed notes.

        The N rows of ``state`` are the pieces ``rows`` of the batch.
        """
        forbidden = np.zeros((len(rows), VOCAB_SIZE), np.bool_)
        some = np.flatnonzero(self.table[rows] > 0)
        if len(some):
            forbidden[some] = self._forbidden(state.take(some), self.table[rows[some]])
        return forbidden

    def _forbidden(self, state: States, table: NDArray[np.integer]) -> Bools:
        tick, part = state.tick, state.part
        row = np.arange(len(tick))
        fixed = self.fixed[table, :, tick]  # (N, 2), as are all of these
        began_fixed = fixed & ~self.fixed[table, :, np.maximum(tick - 1, 0)]
        sounds = state.held_pitch[:, :VOICES, 0] != SILENT
        fresh = sounds & (state.held_onset[:, :VOICES, 0] == tick[:, None])
        to_end = sounds & ~fresh & (self.ends[table, :, tick] | began_fixed)
        begins = self.begins[table, :, tick]
        to_begin = (begins > 0) & ~fresh
        pending = to_end | to_begin
        part_in_use = np.minimum(part, VOICES - 1)

        forbidden = np.zeros((len(tick), VOCAB_SIZE), np.bool_)
        passes_over = pending[:, 0] & (part_in_use == 1)  # the upper voice has its turn first
        fixed_here, pitch_here = fixed[row, part_in_use], begins[row, part_in_use]
        no_end = passes_over | (fixed_here & ~to_end[row, part_in_use])
        forbidden[:, _NOTE_OFF] = no_end[:, None]
        no_begin = passes_over | (fixed_here & ~to_begin[row, part_in_use])
        pitches = BLOCKS[Kind.NOTE_ON].values
        loudness = self.loudness[table, part_in_use, tick]
        other_pitch = fixed_here[:, None] & (pitches != pitch_here[:, None])
        too_loud = fixed_here & (state.velocity != loudness)
        forbidden[:, _NOTE_ON] = (no_begin | too_loud)[:, None] | other_pitch
        other_bin = BLOCKS[Kind.VELOCITY].values != loudness[:, None]
        forbidden[:, _VELOCITY] = no_begin[:, None] | (fixed_here[:, None] & other_bin)
        nothing_there = fixed & ~pending  # (N, 2) to enter such a part would lead nowhere
        skips = np.array([False, True]) & pending[:, 0][:, None]
        forbidden[:, _PARTS] = nothing_there | skips
        waits = pending.any(axis=1)
        forbidden[:, END] = waits
        forbidden[:, _TIME_SHIFT] = waits[:, None] | self._may_not_land(state, table, sounds)
        return forbidden

    def _may_not_land(self, state: States, table: NDArray[np.integer], sounds: Bools) -> Bools:
        """Return (N, 512) the TIME_SHIFTs that skip an event or lead to a dead end."""
        tick = state.tick
        free = ~self.fixed[table, :, tick]
        limit = np.where(sounds & free, self.reaches[table, :, tick], FAR).min(axis=1)
        limit = np.minimum(limit, self.next_event[table, tick])  # (N,) a tick
        limit = np.where(state.notes == 0, np.minimum(limit, self.begun_by[table]), limit)
        target = tick[:, None] + _SHIFTS  # (N, 512)
        inside = np.minimum(target, self.can_land.shape[1] - 1)
        lands = self.can_land[table[:, None], inside] | (target == limit[:, None])
        # The longest shift may be repeated, if as many as the grammar allows reach a landing.
        again = np.where(state.last_token == _LONGEST, state.run, 0) + 1
        wait = np.minimum(self.next_landing[table, inside[:, -1]], limit) - target[:, -1]
        lands[:, -1] |= wait < (_MOST_IN_A_ROW - again + 1) * MAX_SHIFT_TICKS
        return np.asarray(~lands | (target > limit[:, None]))


def _before_anacrusis(score: Score) -> tuple[TickSpan, ...]:
    return ((0, score.start_tick),) if score.start_tick else ()


def _earlier(fixed: Bools) -> Bools:
    """Return the array moved one tick later along the last axis; False at tick 0."""
    earlier = np.zeros_like(fixed)
    earlier[..., 1:] = fixed[..., :-1]
    return earlier
