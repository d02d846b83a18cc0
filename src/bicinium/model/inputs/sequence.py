"""The model's inputs of one sequence: token, grammar state, conditions, past and look-ahead.

A token is observed (``observe``) and then, if the model reads it, encoded (``write``). The state
is the grammar's after the token, with two parts or more. This definition serves composing,
validation and training.

Compiled when the package is built; the C types are in ``sequence.pxd``.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicinium.grammar.state import State
from bicinium.grammar.terms import FAR, SILENT
from bicinium.model.config import ModelConfig
from bicinium.model.inputs.bar_lag import BarLag
from bicinium.model.inputs.classes import bar_class, tick_class, token_class
from bicinium.model.inputs.form_columns import FormColumns
from bicinium.model.inputs.layout import (
    FORM_SIZES,
    LAGGED_REFERENCES,
    LOOKAHEAD_SIZES,
    MAX_INTERVAL,
    MAX_POSITION,
    MAX_STEP,
    PITCH_CLASSES,
    STEPS,
    WAIT_CLASSES,
)
from bicinium.model.inputs.lookahead import Lookahead
from bicinium.model.inputs.motif_predictor import MotifPrediction
from bicinium.model.inputs.row import Row
from bicinium.music.score import LOWEST_PITCH, TICKS_PER_QUARTER, VOICES

MIDDLE_C = 60
TWO_BARS_AGO = 1  # of the references of the bar lag
LOOKAHEAD_COLUMNS, FORM_COLUMNS = len(LOOKAHEAD_SIZES), len(FORM_SIZES)
LOWEST, QUARTER, VOICE_COUNT = LOWEST_PITCH, TICKS_PER_QUARTER, VOICES


class SequenceInputs:
    """What is remembered of one sequence, and what else the model is told about it.

    conditions: ids of metre, mode and style, number of bars, id of the ending; 0 where unknown.
    lookahead: None if no later note is known.
    form: the form that the piece is to have; None if it is not known.
    """

    def __init__(
        self,
        config: ModelConfig,
        conditions: Sequence[int],
        lookahead: Lookahead | None = None,
        form: FormColumns | None = None,
    ) -> None:
        self.shows_state = config.state_embedding
        self.shows_steps = config.relative_pitch
        self.shows_past = config.bar_lag
        self.shows_lookahead = config.lookahead
        self.meter, self.mode, self.style, self.bars, self.ending = conditions
        self.shows_form = config.form_inputs
        self.lookahead = lookahead
        self.form = form if config.form_inputs else None
        self.past = BarLag()

    def observe(self, state: State, token: int) -> None:
        """Take in a token. An id that is not in the vocabulary counts as UNK, here and below."""
        self.past.observe(state, token)

    def predicted_now(self, state: State) -> MotifPrediction:
        """The motif prediction for the current voice, if the predicted note is due now."""
        return self.past.predicted_now(state)

    def write(self, state: State, token: int, row: Row) -> None:
        """Write the inputs of the token that was observed last, from the beginning of a row on."""
        row.put(token_class(token))
        if self.shows_state:
            self._put_state(state, row)
        if self.shows_steps:
            for part in range(VOICE_COUNT):
                self._put_steps(part, state, row)
        if self.shows_past:
            self.past.put_columns(state, row)
        row.put(self.meter)
        row.put(self.mode)
        row.put(self.style)
        row.put(bar_class(self.bars))
        row.put(self.ending)
        if self.shows_lookahead:
            self._put_lookahead(state, row)
        if self.shows_form:
            self._put_form(state, row)
        self._put_references(state, row)
        row.put(state.tick)

    def _put_state(self, state: State, row: Row) -> None:
        """Write position, part, velocity, sounding notes, their interval, and the time left."""
        row.put(min(state.position_in_bar(), MAX_POSITION - 1))
        row.put(state.tick % QUARTER)
        row.put(min(state.part, VOICE_COUNT - 1))
        row.put(state.velocity + 1)
        for part in range(VOICE_COUNT):
            pitch = _last_pitch(state, part)
            slot = _last_sounding(state, part)
            row.put(pitch - LOWEST + 1 if pitch > 0 else 0)
            row.put(tick_class(state.tick - state.held_onset[slot]) if slot >= 0 else 0)
        if _last_sounding(state, 0) >= 0 and _last_sounding(state, 1) >= 0:
            interval = _last_pitch(state, 0) - _last_pitch(state, 1)
            row.put(min(max(interval, -MAX_INTERVAL), MAX_INTERVAL) + MAX_INTERVAL + 1)
        else:
            row.put(0)
        if self.bars > 0 and state.end_tick < FAR and state.bar_ticks > 0:
            ticks_left = state.end_tick - state.tick
            row.put(bar_class((ticks_left + state.bar_ticks - 1) // state.bar_ticks))
            row.put(tick_class(ticks_left))
        else:
            row.put(0)
            row.put(0)

    def _put_steps(self, part: int, state: State, row: Row) -> None:
        """Write a voice's last pitch class, last inter-onset time and last melodic intervals.

        0 stands for none.
        """
        pitch = state.recent_pitch[3 * part : 3 * part + 3]
        onset = state.recent_onset[2 * part : 2 * part + 2]
        row.put(pitch[0] % PITCH_CLASSES + 1 if pitch[0] > 0 else 0)
        row.put(min(tick_class(onset[0] - onset[1]), WAIT_CLASSES - 1) if pitch[1] > 0 else 0)
        for back in range(STEPS):
            step = min(max(pitch[back] - pitch[back + 1], -MAX_STEP), MAX_STEP)
            row.put(step + MAX_STEP + 1 if pitch[back + 1] > 0 else 0)

    def _put_lookahead(self, state: State, row: Row) -> None:
        """Write what is known of the notes to come; 0 where nothing is."""
        if self.lookahead is not None:
            self.lookahead.put_columns(state.tick, row)
        else:
            for _ in range(LOOKAHEAD_COLUMNS):
                row.put(0)

    def _put_form(self, state: State, row: Row) -> None:
        """Write what is known of the form; 0 where nothing is."""
        if self.form is not None:
            self.form.put_columns(self.past.voices, state, row)
        else:
            for _ in range(FORM_COLUMNS):
                row.put(0)

    def _put_references(self, state: State, row: Row) -> None:
        """Write the pitches from which the next note is measured, counted from the lowest.

        They are the last two of the current voice, the last of the other voice, and those of the
        bar lag. Where the bar returns, the note that it returns to takes the place of this voice's
        note two bars ago. Middle C stands for none.
        """
        part = min(state.part, VOICE_COUNT - 1)
        _put_reference(_last_pitch(state, part), row)
        _put_reference(state.recent_pitch[3 * part + 1], row)
        _put_reference(_last_pitch(state, 1 - part), row)
        returning = 0
        if self.form is not None:
            returning = self.form.reference(part, self.past.voices, state)
        for which in range(LAGGED_REFERENCES):
            if which == TWO_BARS_AGO and returning > 0:
                _put_reference(returning, row)
            else:
                _put_reference(self.past.reference(which, state) if self.shows_past else 0, row)


def _put_reference(pitch: int, row: Row) -> None:
    row.put((pitch if pitch > 0 else MIDDLE_C) - LOWEST)


def _last_sounding(state: State, part: int) -> int:
    """The slot of the note of this part that began last and still sounds; -1 if none does."""
    last = -1
    for slot in range(part * state.slots, (part + 1) * state.slots):
        if state.held_pitch[slot] != SILENT and (
            last < 0 or state.held_onset[slot] > state.held_onset[last]
        ):
            last = slot
    return last


def _last_pitch(state: State, part: int) -> int:
    """The pitch of the part's last note; 0 before the first.

    After an illegal token a part may hold several notes, or only an older one. Then the last note
    that still sounds counts, because the model could not end a note that it does not see.
    """
    slot = _last_sounding(state, part)
    return state.held_pitch[slot] if slot >= 0 else state.recent_pitch[3 * part]
