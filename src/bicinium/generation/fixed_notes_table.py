"""The fixed notes of a piece, looked up by tick, and the tokens that would depart from them.

Compiled when the package is built; the C types are in ``fixed_notes_table.pxd``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bicinium.generation.fixed_notes import FixedNotes
from bicinium.generation.processors import Processor
from bicinium.grammar.config import MusicalGrammarConfig
from bicinium.grammar.state import State
from bicinium.grammar.states import Bools
from bicinium.grammar.terms import (
    FAR,
    FIRST_OFF,
    FIRST_ON,
    FIRST_PART,
    FIRST_SHIFT,
    FIRST_VELOCITY,
    LOWEST,
    PITCHES,
    SILENT,
    VELOCITIES,
)
from bicinium.model.inputs.lookahead import Lookahead
from bicinium.model.inputs.voice_notes import voice_of
from bicinium.music.score import VOICES, note_array
from bicinium.tokenizer.codec import LOWEST_AUDIBLE_BIN
from bicinium.tokenizer.vocabulary import (
    END,
    MAX_SHIFT_TICKS,
    Kind,
    token_id,
    velocity_bin,
)

LONGEST = token_id(Kind.TIME_SHIFT, MAX_SHIFT_TICKS)
MOST_IN_A_ROW = MusicalGrammarConfig.max_identical_tokens


class FixedNotesTable(Processor):
    """Forbids every token that would depart from the fixed notes of a piece.

    The notes are in the key that the tokens are in. Pieces with the same fixed notes may share it.
    """

    def __init__(self, given: FixedNotes) -> None:
        score = given.score
        ticks = score.end_tick + MAX_SHIFT_TICKS + 2
        fixed, ends = np.zeros((2, VOICES, ticks), np.bool_)
        begins, holds, loudness = np.zeros((3, VOICES, ticks), np.int32)
        voices = []
        for voice, (line, spans) in enumerate(zip(score.voices, given.fixed, strict=True)):
            notes = note_array(line.notes)
            voices.append(voice_of(notes[:3].T.tolist()))
            for begin, until in spans:
                fixed[voice, begin : min(until, ticks)] = True
            for onset, pitch, duration, velocity in notes.T.tolist():
                begins[voice, onset] = pitch
                ends[voice, onset + duration] = True
                holds[voice, onset : onset + duration] = pitch
                loudness[voice, onset] = max(LOWEST_AUDIBLE_BIN, int(velocity_bin(velocity)))
        event = (begins > 0) | ends
        can_land = np.any(~fixed | event, axis=0, keepdims=True)
        self.begun_by = FAR  # without fixed notes: by then a piece must begin its first note
        if not score.note_count:
            self.begun_by = int(np.flatnonzero(can_land[0, : score.end_tick]).max(initial=0))
        can_land[0, score.end_tick] = True
        self.lookahead = Lookahead(voices, given.known)  # what the model sees beforehand
        self.last = ticks - 1
        # By voice and tick, (2, T):
        self.fixed, self.ends = fixed.astype(np.int32).data, ends.astype(np.int32).data
        self.begins = begins.data  # the pitch of the note that begins here, 0 if none
        self.holds = holds.data  # the pitch that is held after this tick's events
        self.loudness = loudness.data  # the velocity bin of the note that begins here
        self.reaches = _next_true(fixed & ~_earlier(fixed)).data  # when the next span begins
        # By tick, (T,): whether a TIME_SHIFT may end there, and the next such tick; the next event.
        self.can_land = can_land[0].astype(np.int32).data
        self.next_landing = _next_true(can_land)[0].data
        self.next_event = _next_true(np.any(event, axis=0, keepdims=True))[0].data

    def is_fixed(self, voice: int, tick: int) -> bool:
        """Is this voice fixed at this tick?"""
        return self.fixed[voice, min(tick, self.last)] != 0

    def coming_pitch(self, voice: int, tick: int) -> int:
        """The fixed pitch that begins at this tick; 0 for none."""
        return self.begins[voice, min(tick, self.last)]

    def held_pitch(self, voice: int, tick: int) -> int:
        """The fixed pitch that sounds after the events of this tick; 0 for none."""
        return self.holds[voice, min(tick, self.last)]

    def forbid(self, state: State, allowed: memoryview) -> None:
        """Forbid the tokens that would depart from the fixed notes."""
        upper_pending = self._must_end(state, 0) or self._must_begin(state, 0)
        lower_pending = self._must_end(state, 1) or self._must_begin(state, 1)
        self._forbid_notes(state, upper_pending, allowed)
        if upper_pending or (self.is_fixed(1, state.tick) and not lower_pending):
            allowed[FIRST_PART + 1] = 0  # the upper voice has its turn first
        if self.is_fixed(0, state.tick) and not upper_pending:
            allowed[FIRST_PART] = 0
        if upper_pending or lower_pending:
            allowed[END] = 0
            for shift in range(1, MAX_SHIFT_TICKS + 1):
                allowed[FIRST_SHIFT + shift - 1] = 0
        else:
            self._forbid_shifts(state, allowed)

    def _is_fresh(self, state: State, voice: int) -> bool:
        """Has the sounding note of this voice begun at this tick?"""
        slot = voice * state.slots
        return state.held_pitch[slot] != SILENT and state.held_onset[slot] == state.tick

    def _must_end(self, state: State, voice: int) -> bool:
        """Must a note of this voice end now, as fixed or where a fixed span begins?"""
        tick = state.tick
        if state.held_pitch[voice * state.slots] == SILENT or self._is_fresh(state, voice):
            return False
        if self.ends[voice, tick] != 0:
            return True
        return tick > 0 and self.fixed[voice, tick] != 0 and self.fixed[voice, tick - 1] == 0

    def _must_begin(self, state: State, voice: int) -> bool:
        """Must a fixed note of this voice begin now?"""
        return self.begins[voice, state.tick] > 0 and not self._is_fresh(state, voice)

    def _forbid_notes(self, state: State, upper_pending: bool, allowed: memoryview) -> None:
        """Forbid notes in the current voice that are not the fixed ones."""
        voice = min(state.part, VOICES - 1)
        skips_upper = upper_pending and voice == 1
        fixed = self.is_fixed(voice, state.tick)
        if skips_upper or (fixed and not self._must_end(state, voice)):
            for index in range(PITCHES):
                allowed[FIRST_OFF + index] = 0
        if skips_upper or (fixed and not self._must_begin(state, voice)):
            self._allow_onset(0, 0, state, allowed)
        elif fixed:
            pitch = self.begins[voice, state.tick]
            self._allow_onset(pitch, self.loudness[voice, state.tick], state, allowed)

    def _allow_onset(self, pitch: int, loudness: int, state: State, allowed: memoryview) -> None:
        """Forbid all notes but one of this pitch and velocity bin; pitch 0 forbids that as well."""
        for index in range(PITCHES):
            if LOWEST + index != pitch or state.velocity != loudness:
                allowed[FIRST_ON + index] = 0
        for velocity in range(VELOCITIES):
            if pitch == 0 or velocity != loudness:
                allowed[FIRST_VELOCITY + velocity] = 0

    def _forbid_shifts(self, state: State, allowed: memoryview) -> None:
        """Forbid the TIME_SHIFTs that skip an event or lead to a dead end."""
        limit = self._latest_landing(state)
        for shift in range(1, MAX_SHIFT_TICKS + 1):
            tick = state.tick + shift
            lands = tick == limit or self.can_land[min(tick, self.last)] != 0
            if shift == MAX_SHIFT_TICKS and not lands:
                lands = self._repeated_shifts_land(state, limit)
            if tick > limit or not lands:
                allowed[FIRST_SHIFT + shift - 1] = 0

    def _latest_landing(self, state: State) -> int:
        """The tick that no TIME_SHIFT may pass."""
        limit = self.next_event[state.tick]
        for voice in range(VOICES):
            if state.held_pitch[voice * state.slots] != SILENT and not self.is_fixed(
                voice, state.tick
            ):
                limit = min(limit, self.reaches[voice, state.tick])
        if state.notes == 0:
            limit = min(limit, self.begun_by)
        return limit

    def _repeated_shifts_land(self, state: State, limit: int) -> bool:
        """Do as many of the longest TIME_SHIFT as the grammar allows reach a landing?"""
        again = state.run + 1 if state.last_token == LONGEST else 1
        tick = state.tick + MAX_SHIFT_TICKS
        wait = min(self.next_landing[min(tick, self.last)], limit) - tick
        return wait < (MOST_IN_A_ROW - again + 1) * MAX_SHIFT_TICKS


def _next_true(where: Bools) -> NDArray[np.int32]:
    """Return (N, T) the first later tick at which ``where`` (N, T) is True; FAR if none is."""
    rows, ticks = where.shape
    at = np.where(where, np.arange(ticks, dtype=np.int32), np.int32(FAR))
    later = np.full((rows, ticks), FAR, np.int32)
    later[:, : ticks - 1] = np.minimum.accumulate(at[:, :0:-1], axis=1)[:, ::-1]
    return later


def _earlier(fixed: Bools) -> Bools:
    """Return (N, T) the array moved one tick later; False at tick 0."""
    earlier = np.zeros_like(fixed)
    earlier[:, 1:] = fixed[:, : fixed.shape[1] - 1]
    return earlier
