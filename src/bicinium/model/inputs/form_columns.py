"""Form inputs: what the present bar of each voice is like, and the notes of the bar it is like.

``music.form`` defines the form of a piece. A model that sees that a bar is to return, and the notes
that are to return, needs to learn no more than to follow them.

Compiled when the package is built; the C types are in ``form_columns.pxd``.
"""

from __future__ import annotations

from array import array

from bicinium.grammar.state import State
from bicinium.model.inputs.classes import held_class, tick_class, wait_class
from bicinium.model.inputs.layout import BAR_KINDS, MAX_BACK, MAX_BARS_TO_CLOSE, WAIT_CLASSES
from bicinium.model.inputs.motif_predictor import degree_of
from bicinium.model.inputs.row import Row
from bicinium.model.inputs.voice_notes import VoiceNotes
from bicinium.music.form import MAX_STEP, BarKind, Close, Form
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, VOICES

VOICE_COUNT, LOWEST, HIGHEST = VOICES, LOWEST_PITCH, HIGHEST_PITCH
KINDS, BACK_CLASSES, WAITS, STEPS = BAR_KINDS, MAX_BACK, WAIT_CLASSES, MAX_STEP
FIRST_RETURN, NO_CLOSE, FAR_CLOSE = int(BarKind.LITERAL), int(Close.NONE), MAX_BARS_TO_CLOSE
_white_key = memoryview(array("i", [0, 2, 4, 5, 7, 9, 11]))  # the pitch class of each degree


class FormColumns:
    """The form that a piece is to have, as numbers.

    form: bars that are UNKNOWN are those of which nothing is known.
    """

    def __init__(self, form: Form) -> None:
        labels = [label for voice in form.labels for label in voice]
        self.bars = form.bars
        self.kind = memoryview(array("i", [int(label.kind) for label in labels] or [0]))
        self.back = memoryview(array("i", [label.back for label in labels] or [0]))
        self.other = memoryview(array("i", [int(label.other) for label in labels] or [0]))
        self.step = memoryview(array("i", [label.step for label in labels] or [0]))
        self.close = memoryview(array("i", [0] * max(1, self.bars)))
        self.to_close = memoryview(array("i", [0] * max(1, self.bars)))
        self._count_down([int(close) for close in form.closes])

    def _count_down(self, closes: list[int]) -> None:
        """Find the next close of each bar, and the bars until it; 0 where it is not known."""
        close = NO_CLOSE
        ahead = FAR_CLOSE
        for bar in range(len(closes) - 1, -1, -1):
            if closes[bar] != NO_CLOSE:
                close = closes[bar]
                ahead = 1
            self.close[bar] = close
            self.to_close[bar] = 0 if close == 0 else ahead
            ahead = min(ahead + 1, FAR_CLOSE)

    def source(self, part: int, state: State) -> int:
        """The tick at which a voice's present bar looks up its notes; -1 if it does not return."""
        bar = state.tick // state.bar_ticks if state.bar_ticks > 0 else self.bars
        if bar >= self.bars or part >= VOICE_COUNT:
            return -1
        place = part * self.bars + bar
        if self.kind[place] < FIRST_RETURN or self.back[place] > bar:
            return -1
        return state.tick - self.back[place] * state.bar_ticks

    def source_voice(self, part: int, state: State) -> int:
        """The voice whose notes they are. Only where there is a source."""
        place = part * self.bars + state.tick // state.bar_ticks
        return 1 - part if self.other[place] else part

    def moved(self, pitch: int, part: int, state: State) -> int:
        """A pitch of the source, moved by the step of the label; 0 off the piano or for none."""
        if pitch == 0:
            return 0
        step = self.step[part * self.bars + state.tick // state.bar_ticks]
        moved = moved_pitch(pitch, step)
        return moved if LOWEST <= moved <= HIGHEST else 0

    def put_columns(self, voices: list[VoiceNotes], state: State, row: Row) -> None:
        """Write the columns of ``FORM_SIZES``."""
        bar = state.tick // state.bar_ticks if state.bar_ticks > 0 else self.bars
        known = bar < self.bars
        row.put(self.close[bar] if known else 0)
        row.put(self.to_close[bar] if known else 0)
        for part in range(VOICE_COUNT):
            place = part * self.bars + bar
            row.put(self._kind_class(place) if known else 0)
            row.put(self._kind_class(place + 1) if bar + 1 < self.bars else 0)
            returns = known and self.kind[place] >= FIRST_RETURN
            row.put(min(self.back[place], BACK_CLASSES) if returns else 0)
            row.put(self.step[place] + STEPS + 1 if returns else 0)
            self._put_source(part, voices, state, row)

    def _kind_class(self, place: int) -> int:
        """The kind of a bar; those that return to the other voice come after all others."""
        kind = self.kind[place]
        return kind + KINDS - FIRST_RETURN if self.other[place] else kind

    def _put_source(self, part: int, voices: list[VoiceNotes], state: State, row: Row) -> None:
        """Write the pitch that the source holds, since when, until when, and its next onset."""
        held = 0
        age = 0
        end = 0
        wait = 0
        then = self.source(part, state)
        if then >= 0:
            voice: VoiceNotes = voices[self.source_voice(part, state)]
            barline = then - then % state.bar_ticks + state.bar_ticks
            following = voice.first_after(then)
            note = following - 1
            if note >= 0 and then < voice.offset[note]:
                pitch = self.moved(voice.pitch[note], part, state)
                held = held_class(pitch) if pitch > 0 else 0
                age = min(tick_class(then - voice.onset[note]), WAITS - 1)
                end = wait_class(min(voice.offset[note], barline) - then)
            if following < voice.count and voice.onset[following] < barline:
                wait = wait_class(voice.onset[following] - then)
        row.put(held)
        row.put(age)
        row.put(end)
        row.put(wait)

    def reference(self, part: int, voices: list[VoiceNotes], state: State) -> int:
        """The pitch that the source began last, moved; 0 if there is none."""
        then = self.source(part, state)
        if then < 0:
            return 0
        voice: VoiceNotes = voices[self.source_voice(part, state)]
        return self.moved(voice.pitch_begun(then, 0), part, state)


def moved_pitch(pitch: int, step: int) -> int:
    """A pitch moved on the white keys. By whole octaves it keeps its accidental."""
    degree = degree_of(pitch) + step
    octave = degree // 7
    white = octave * 12 + _white_key[degree - octave * 7]
    if step % 7 == 0:
        return pitch + step // 7 * 12
    return white
