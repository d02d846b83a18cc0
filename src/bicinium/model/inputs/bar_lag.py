"""Bar-lag inputs: what each voice did one and two bars ago, and what its motifs predict.

Attention could find all of this. Given as inputs, a small model learns from far less music to take
up its figures again. Of the present tick only notes that have begun are looked at. Knows notes
and ticks; knows no model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bicinium.grammar.states import States
from bicinium.model.inputs.motif_predictor import CONFIDENCES, NO_PREDICTION, MotifPrediction
from bicinium.model.inputs.note_index import FIRST_PITCH, SPAN, Ints, NoteIndex
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, VOICES
from bicinium.tokenizer.vocabulary import PITCHES

BARS_BACK = (1, 2)
TICK_CLASSES = 64
_DEFAULT_BAR_TICKS = 96  # Where the metre is unknown.
_BEFORE_THE_PIECE = 0
_MAX_STEP = 15

SIZES = {
    f"{name}_{back}_{voice}": size
    for back in BARS_BACK
    for voice in range(VOICES)
    for name, size in (
        ("held", PITCHES + FIRST_PITCH),
        ("wait", TICK_CLASSES),
        ("end", TICK_CLASSES),
    )
} | {
    f"predicted_{name}_{voice}": size
    for voice in range(VOICES)
    for name, size in (
        ("step", 2 * _MAX_STEP + 2),
        ("confidence", CONFIDENCES),
        ("wait", TICK_CLASSES),
    )
}
REFERENCES = len(BARS_BACK) + 3


class BarLag:
    """N positions, each in piece ``piece`` (N,) of a note index."""

    def __init__(self, notes: NoteIndex, piece: NDArray[np.integer]) -> None:
        self.notes, self.piece = notes, piece

    def encode(self, state: States) -> tuple[list[Ints], list[Ints]]:
        """Return columns (N,) of the ``SIZES``, and REFERENCES columns (N,) of pitches.

        The next note may be measured from these pitches; 0 stands for none. They are this voice
        one bar ago and two bars ago, the other voice one bar ago, this voice's last pitch moved by
        the step it took one bar ago, and the predicted pitch.
        """
        base = self.piece.astype(np.int64) * SPAN
        tick, part = state.tick.astype(np.int64), np.minimum(state.part, VOICES - 1)
        bar = np.where(state.bar_ticks > 0, state.bar_ticks, _DEFAULT_BAR_TICKS).astype(np.int64)
        columns: list[Ints] = []
        pitches = np.zeros((len(BARS_BACK), VOICES, 2, len(tick)), np.int64)  # then, and before
        for back, bars in enumerate(BARS_BACK):
            for voice in range(VOICES):
                lagged, pitches[back, voice] = self._lagged(voice, base, tick - bars * bar, tick)
                columns += lagged
        rows = np.arange(len(tick))
        predicted = np.zeros((VOICES, len(tick)), np.int64)
        for voice in range(VOICES):
            prediction_columns, predicted[voice] = self._predicted(voice, base, tick, state)
            columns += prediction_columns
        last = state.recent_pitch[rows, part, 0]
        own, before = pitches[:, part, 0, rows], pitches[0, part, 1, rows]
        moved = np.where((own[0] > 0) & (before > 0) & (last > 0), last + own[0] - before, 0)
        moved = np.where((moved >= LOWEST_PITCH) & (moved <= HIGHEST_PITCH), moved, 0)
        other = pitches[0, 1 - part, 0, rows]
        return columns, [*own, other, moved, predicted[part, rows]]

    def predicted_now(self, state: States) -> Ints:
        """Return (4, N) the ``MotifPrediction`` of the current voice, if it is due at this tick.

        All four are 0 where no note is predicted here.
        """
        base = self.piece.astype(np.int64) * SPAN
        due = np.zeros((len(NO_PREDICTION), len(base)), np.int64)
        for voice in range(VOICES):
            prediction = self._prediction(voice, base, state)
            onset = state.recent_onset[:, voice, 0] + MotifPrediction(*prediction).ticks
            now = (state.part == voice) & (onset == state.tick)
            due[:, now] = prediction[:, now]
        return due

    def _lagged(
        self, voice: int, base: Ints, then: Ints, now: Ints
    ) -> tuple[list[Ints], NDArray[np.int64]]:
        """Describe a voice at ticks ``then``.

        Returns columns (N,): the class of the held pitch, the ticks until the next onset, the
        ticks until the held note ends (both only if before ``now``); and (2, N) the pitches of the
        last note and of the one before it.
        """
        notes, at = self.notes, base + then
        note, exists = notes.last_onset(voice, np.maximum(at, base))
        exists &= then >= 0
        offset, pitch = notes.offset[voice][note] - base, notes.pitch[voice][note]
        sounds = exists & (offset > then)
        earlier = np.maximum(note - 1, 0)
        has_earlier = exists & (note > 0) & (notes.onset[voice][earlier] >= base)
        following = note + (notes.onset[voice][note] <= at)  # The first note may still be to come.
        following = np.minimum(following, len(notes.onset[voice]) - 1)
        onset = notes.onset[voice][following] - base
        follows = (then >= 0) & (onset > then) & (onset < now)
        columns = [
            np.where(then >= 0, notes.held_class(voice, note, exists, at), _BEFORE_THE_PIECE),
            np.where(follows, _tick_class(onset - then), 0),
            np.where(sounds & (offset < now), _tick_class(offset - then), 0),
        ]
        before = np.where(has_earlier, notes.pitch[voice][earlier], 0)
        return columns, np.stack([np.where(exists, pitch, 0), before])

    def _predicted(
        self, voice: int, base: Ints, tick: Ints, state: States
    ) -> tuple[list[Ints], NDArray[np.int64]]:
        """Encode a voice's prediction: step, confidence, ticks until its onset; and its pitch.

        The pitch is that of the voice's last note where nothing is predicted.
        """
        confidence, step, ticks, pitch = self._prediction(voice, base, state)
        exists = confidence > 0
        wait = np.where(exists, state.recent_onset[:, voice, 0] + ticks - tick, 0)
        columns = [
            np.where(exists, np.clip(step, -_MAX_STEP, _MAX_STEP) + _MAX_STEP + 1, 0),
            confidence,
            np.where(wait > 0, _tick_class(wait), 0),
        ]
        return columns, np.where(exists, pitch, state.recent_pitch[:, voice, 0])

    def _prediction(self, voice: int, base: Ints, state: States) -> Ints:
        """Return (4, N) the ``MotifPrediction`` after the last note of a voice; 0 without one."""
        onsets = self.notes.onset[voice]  # A second one, illegal, is not indexed.
        onset = state.recent_onset[:, voice, 0]
        note = np.minimum(np.searchsorted(onsets, base + onset, "left"), len(onsets) - 1)
        exists = state.recent_pitch[:, voice, 0] > 0
        return np.where(exists, self.notes.predictions[voice][note].T, 0)


def _tick_class(ticks: Ints) -> Ints:
    """Classify a wait: exact to TICK_CLASSES - 2 ticks; the last class is any longer wait."""
    return np.clip(ticks, 1, TICK_CLASSES - 1)
