"""What a piece remembers of itself: what was a bar and two bars ago, and what its lines expect.

Attention could find all of this out; told in so many words, a small model learns from far less
music to take up its figures again. Nothing of the present tick but what has begun is looked at.
Knows notes and ticks; knows no model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bicinium.grammar.rules import State
from bicinium.model.inputs.motif_predictor import CONFIDENCES, NOTHING_EXPECTED, Expected
from bicinium.model.inputs.note_index import FIRST_PITCH, SPAN, Ints, Lines
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, VOICES
from bicinium.tokenizer.vocabulary import PITCHES

BARS_BACK = (1, 2)
WAIT_CLASSES = 64
_BAR_UNLESS_KNOWN = 96  # ticks
_BEFORE_THE_PIECE = 0
_WIDEST_STEP = 15

SIZES = {
    f"{name}_{back}_{voice}": size
    for back in BARS_BACK
    for voice in range(VOICES)
    for name, size in (
        ("held", PITCHES + FIRST_PITCH),
        ("wait", WAIT_CLASSES),
        ("end", WAIT_CLASSES),
    )
} | {
    f"expected_{name}_{voice}": size
    for voice in range(VOICES)
    for name, size in (
        ("step", 2 * _WIDEST_STEP + 2),
        ("confidence", CONFIDENCES),
        ("wait", WAIT_CLASSES),
    )
}
PITCHES_REMEMBERED = len(BARS_BACK) + 3


class Memory:
    """Of N places in pieces (N,), which of the pieces of ``lines`` each is in."""

    def __init__(self, lines: Lines, piece: NDArray[np.integer]) -> None:
        self.lines, self.piece = lines, piece

    def recall(self, state: State) -> tuple[list[Ints], list[Ints]]:
        """Columns (N,) with the ``SIZES``, and PITCHES_REMEMBERED columns of pitches from which the
        next note may be measured, 0 where there is none.

        The pitches: of this voice a bar ago and two, of the other a bar ago; the last of this voice
        moved by the step that it made a bar ago; what is expected.
        """
        base = self.piece.astype(np.int64) * SPAN
        tick, part = state.tick.astype(np.int64), np.minimum(state.part, VOICES - 1)
        bar = np.where(state.bar_ticks > 0, state.bar_ticks, _BAR_UNLESS_KNOWN).astype(np.int64)
        columns: list[Ints] = []
        pitches = np.zeros((len(BARS_BACK), VOICES, 2, len(tick)), np.int64)  # then and before it
        for back, bars in enumerate(BARS_BACK):
            for voice in range(VOICES):
                of_then, pitches[back, voice] = self._then(voice, base, tick - bars * bar, tick)
                columns += of_then
        rows = np.arange(len(tick))
        expected = np.zeros((VOICES, len(tick)), np.int64)
        for voice in range(VOICES):
            of_line, expected[voice] = self._expected(voice, base, tick, state)
            columns += of_line
        last = state.recent_pitch[rows, part, 0]
        own, before = pitches[:, part, 0, rows], pitches[0, part, 1, rows]
        moved = np.where((own[0] > 0) & (before > 0) & (last > 0), last + own[0] - before, 0)
        moved = np.where((moved >= LOWEST_PITCH) & (moved <= HIGHEST_PITCH), moved, 0)
        other = pitches[0, 1 - part, 0, rows]
        return columns, [*own, other, moved, expected[part, rows]]

    def due(self, state: State) -> Ints:
        """(4, N) what the voice whose turn it is would begin at this tick, if its line went on as
        it did before (``Expected``); all 0 where that is nothing.
        """
        base = self.piece.astype(np.int64) * SPAN
        due = np.zeros((len(NOTHING_EXPECTED), len(base)), np.int64)
        for voice in range(VOICES):
            expected = self._expectation(voice, base, state)
            onset = state.recent_onset[:, voice, 0] + Expected(*expected).ticks
            now = (state.part == voice) & (onset == state.tick)
            due[:, now] = expected[:, now]
        return due

    def _then(
        self, voice: int, base: Ints, then: Ints, now: Ints
    ) -> tuple[list[Ints], NDArray[np.int64]]:
        """At ticks ``then``: what the voice holds, how long until its next note and until the end
        of this one; and (2, N) the pitches of its last note and of that before it.
        """
        lines, at = self.lines, base + then
        note, begun = lines.last_begun(voice, np.maximum(at, base))
        begun &= then >= 0
        offset, pitch = lines.offset[voice][note] - base, lines.pitch[voice][note]
        sounds = begun & (offset > then)
        earlier = np.maximum(note - 1, 0)
        has_earlier = begun & (note > 0) & (lines.onset[voice][earlier] >= base)
        following = note + (lines.onset[voice][note] <= at)  # the first piece may not have begun
        following = np.minimum(following, len(lines.onset[voice]) - 1)
        onset = lines.onset[voice][following] - base
        comes = (then >= 0) & (onset > then) & (onset < now)
        columns = [
            np.where(then >= 0, lines.held(voice, note, begun, at), _BEFORE_THE_PIECE),
            np.where(comes, _wait_class(onset - then), 0),
            np.where(sounds & (offset < now), _wait_class(offset - then), 0),
        ]
        before = np.where(has_earlier, lines.pitch[voice][earlier], 0)
        return columns, np.stack([np.where(begun, pitch, 0), before])

    def _expected(
        self, voice: int, base: Ints, tick: Ints, state: State
    ) -> tuple[list[Ints], NDArray[np.int64]]:
        """What is expected of the voice: the step, how surely, the ticks until then; its pitch, or
        that of the last note where nothing is.
        """
        sure, step, ticks, pitch = self._expectation(voice, base, state)
        wait = np.where(sure > 0, state.recent_onset[:, voice, 0] + ticks - tick, 0)
        columns = [
            np.where(sure > 0, np.clip(step, -_WIDEST_STEP, _WIDEST_STEP) + _WIDEST_STEP + 1, 0),
            sure,
            np.where(wait > 0, _wait_class(wait), 0),
        ]
        return columns, np.where(sure > 0, pitch, state.recent_pitch[:, voice, 0])

    def _expectation(self, voice: int, base: Ints, state: State) -> Ints:
        """(4, N) what the last note of a voice leads one to expect; all 0 where it has none."""
        onsets = self.lines.onset[voice]  # a slip may begin a second note there: not known yet
        onset = state.recent_onset[:, voice, 0]
        note = np.minimum(np.searchsorted(onsets, base + onset, "left"), len(onsets) - 1)
        heard = state.recent_pitch[:, voice, 0] > 0
        return np.where(heard, self.lines.expected[voice][note].T, 0)


def _wait_class(ticks: Ints) -> Ints:
    """Exact to WAIT_CLASSES - 2 ticks; the last class is any longer wait."""
    return np.clip(ticks, 1, WAIT_CLASSES - 1)
