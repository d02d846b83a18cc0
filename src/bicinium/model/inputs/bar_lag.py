"""Bar-lag inputs: what each voice did one and two bars ago, and what its motifs predict.

Attention could find all of this. Given as inputs, a small model learns from far less music to take
up its figures again. Of the present tick only notes that have begun are looked at.

Compiled when the package is built; the C types are in ``bar_lag.pxd``.
"""

from __future__ import annotations

from array import array

from bicinium.grammar.state import State
from bicinium.grammar.terms import ENDED, KIND_OF, NOTE_OFF, NOTE_ON, VALUE_OF
from bicinium.model.inputs.classes import token_class, wait_class
from bicinium.model.inputs.layout import BARS_BACK, MAX_DEGREES
from bicinium.model.inputs.motif_predictor import NO_PREDICTION, MotifPrediction, MotifPredictor
from bicinium.model.inputs.row import Row
from bicinium.model.inputs.voice_notes import VoiceNotes
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, VOICES

VOICE_COUNT, LOWEST, HIGHEST = VOICES, LOWEST_PITCH, HIGHEST_PITCH
DEFAULT_BAR_TICKS = 96  # where the metre is unknown
_kind_of = memoryview(array("i", KIND_OF))
_value_of = memoryview(array("i", VALUE_OF))


class BarLag:
    """The notes of one sequence so far, and the prediction for each voice."""

    def __init__(self) -> None:
        self.voices = [VoiceNotes() for _ in range(VOICES)]
        self.predictor = MotifPredictor()
        self.predictions = [NO_PREDICTION] * VOICES  # made when the last note of the voice began

    def observe(self, state: State, token: int) -> None:
        """Take in a token. ``state`` is the one after it."""
        if state.stage == ENDED or state.part >= VOICE_COUNT:
            return
        voice = self.voices[state.part]
        kind = _kind_of[token_class(token)]
        if kind == NOTE_ON:
            # After an illegal token several notes may begin at one tick. The first predicts.
            is_first = voice.count == 0 or voice.onset[voice.count - 1] < state.tick
            voice.begin(state.tick, _value_of[token])
            prediction = self.predictor.observe(state.part, state.tick, _value_of[token])
            if is_first:
                self.predictions[state.part] = prediction
        elif kind == NOTE_OFF:
            voice.end(state.tick)

    def predicted_now(self, state: State) -> MotifPrediction:
        """The prediction for the current voice, if the predicted note is due at this tick."""
        if state.part < VOICE_COUNT:
            prediction = self.predictions[state.part]
            if state.last_onset(state.part) + prediction.ticks == state.tick:
                return prediction
        return NO_PREDICTION

    # ------------------------------------------------------------------ inputs

    def put_columns(self, state: State, row: Row) -> None:
        """Write the columns of ``BAR_LAG_SIZES``."""
        for bars in range(1, BARS_BACK + 1):
            for part in range(VOICE_COUNT):
                self._put_lagged(self.voices[part], state.tick - bars * _bar(state), state, row)
        for part in range(VOICE_COUNT):
            self._put_predicted(part, state, row)

    def _put_lagged(self, voice: VoiceNotes, then: int, state: State, row: Row) -> None:
        """Write what a voice did at a tick: the class of the held pitch, the ticks until the next
        onset, and the ticks until the held note ended. The ticks are known only if that has
        happened before now.
        """
        held = 0
        wait = 0
        end = 0
        if then >= 0:
            following = voice.first_after(then)
            note = following - 1
            held = voice.held_class(then)
            if following < voice.count and voice.onset[following] < state.tick:
                wait = wait_class(voice.onset[following] - then)
            if note >= 0 and then < voice.offset[note] < state.tick:
                end = wait_class(voice.offset[note] - then)
        row.put(held)
        row.put(wait)
        row.put(end)

    def _put_predicted(self, part: int, state: State, row: Row) -> None:
        """Write a voice's prediction: step, confidence, and ticks until its onset."""
        prediction = self.predictions[part]
        step = 0
        wait = 0
        if prediction.confidence > 0:
            step = min(max(prediction.step, -MAX_DEGREES), MAX_DEGREES) + MAX_DEGREES + 1
            ticks = state.last_onset(part) + prediction.ticks - state.tick
            if ticks > 0:
                wait = wait_class(ticks)
        row.put(step)
        row.put(prediction.confidence)
        row.put(wait)

    def reference(self, which: int, state: State) -> int:
        """One of the pitches from which the next note may be measured; 0 for none.

        They are: this voice one bar ago and two bars ago, the other voice one bar ago, this voice's
        last pitch moved by the step it took one bar ago, and the predicted pitch.
        """
        part = min(state.part, VOICE_COUNT - 1)
        bar_ago = state.tick - _bar(state)
        voice = self.voices[part]
        if which == 0:
            return voice.pitch_begun(bar_ago, 0)
        if which == 1:
            return voice.pitch_begun(bar_ago - _bar(state), 0)
        if which == 2:
            other = self.voices[1 - part]
            return other.pitch_begun(bar_ago, 0)
        last = state.last_pitch(part)
        if which == 3:
            return _moved(last, voice.pitch_begun(bar_ago, 1), voice.pitch_begun(bar_ago, 0))
        prediction = self.predictions[part]
        return prediction.pitch if prediction.confidence > 0 else last


def _bar(state: State) -> int:
    """The ticks of a bar."""
    return state.bar_ticks if state.bar_ticks > 0 else DEFAULT_BAR_TICKS


def _moved(pitch: int, from_pitch: int, to_pitch: int) -> int:
    """A pitch moved by the interval between two others; 0 off the piano or without all three."""
    if pitch == 0 or from_pitch == 0 or to_pitch == 0:
        return 0
    moved = pitch + to_pitch - from_pitch
    return moved if LOWEST <= moved <= HIGHEST else 0
