"""What the model sees: the token, the automaton's state, the conditions and what is known of the
notes to come, as small integers.

Each feature has its own range in one embedding table; the transformer and the decoder add the rows.
The last columns are not embedded: the pitches from which the head measures those that may come, and
the tick, where in the score attention is to look from. The same function serves training,
validation and composing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bicinium.grammar.rules import FAR, Ints, State
from bicinium.model.config import ModelConfig
from bicinium.model.inputs import bar_lag
from bicinium.model.inputs.bar_lag import Memory
from bicinium.model.inputs.lookahead import (
    IS_WAIT,
    NEXT_BEATS,
    NEXT_ONSETS,
    Foresight,
)
from bicinium.model.inputs.note_index import FIRST_PITCH
from bicinium.music.score import LOWEST_PITCH, TICKS_PER_QUARTER, VOICES
from bicinium.tokenizer.vocabulary import PITCHES, VELOCITY_BINS, VOCAB_SIZE

UNKNOWN = 0  # every condition may be unknown
MODES = ("major", "minor")
AT_REST = "at rest"
ENDINGS = ("open", AT_REST)  # see ``music.counterpoint.comes_to_rest``
_MAX_POSITION = 288  # a bar of 12/4
_EXACT_BARS, _BAR_CLASSES = 64, 88
_EXACT_AGE, _AGE_CLASSES = 96, 128
_WIDEST_INTERVAL = 36
_WIDEST_STEP = 24
_PITCH_CLASSES = 12
_STEPS = 2  # of each voice, the melodic intervals that led to its last note
REFERENCES = 3 + bar_lag.PITCHES_REMEMBERED
FARTHEST = 36  # semitones; what is farther from a reference counts as this
PITCH_DISTANCES = 2 * FARTHEST + 1
_MIDDLE_C = 60


@dataclass(frozen=True, slots=True)
class PieceConditions:
    """What is told about a piece, as ids: each (B,) int, 0 where unknown."""

    meter: Ints
    mode: Ints
    style: Ints
    bars: Ints  # bars in total, a count
    ending: Ints

    @classmethod
    def of(
        cls,
        config: ModelConfig,
        meters: Sequence[str | None],
        modes: Sequence[str | None],
        styles: Sequence[str | None],
        bars: Sequence[int | None],
        endings: Sequence[str | None] | None = None,
    ) -> PieceConditions:
        """Names to ids; a name the model was not trained on counts as unknown."""

        def ids(names: Sequence[str | None], known: Sequence[str]) -> Ints:
            table = {name: index + 1 for index, name in enumerate(known)}
            return np.array([table.get(name or "", UNKNOWN) for name in names], np.int32)

        return cls(
            ids(meters, config.meters),
            ids(modes, MODES),
            ids(styles, config.styles),
            np.array([count or 0 for count in bars], np.int32),
            ids(endings or [None] * len(bars), ENDINGS),
        )

    def take(self, rows: NDArray[np.integer]) -> PieceConditions:
        """The pieces asked for, in that order."""
        return PieceConditions(
            self.meter[rows], self.mode[rows], self.style[rows], self.bars[rows], self.ending[rows]
        )


def feature_sizes(config: ModelConfig) -> dict[str, int]:
    """The number of values of each feature, in the order of their columns."""
    sizes = {"token": VOCAB_SIZE}
    if config.state_embedding:
        sizes |= {"position": _MAX_POSITION, "pulse": TICKS_PER_QUARTER, "part": VOICES}
        sizes |= {"velocity": VELOCITY_BINS + 1}
        for voice in range(VOICES):
            sizes |= {f"pitch_{voice}": PITCHES + 1, f"age_{voice}": _AGE_CLASSES}
        sizes |= {"interval": 2 * _WIDEST_INTERVAL + 2, "bars_left": _BAR_CLASSES}
        sizes |= {"ticks_left": _AGE_CLASSES}
    if config.relative_pitch:
        for voice in range(VOICES):
            sizes |= {f"class_{voice}": _PITCH_CLASSES + 1, f"gap_{voice}": bar_lag.WAIT_CLASSES}
            sizes |= {f"step_{voice}_{back}": 2 * _WIDEST_STEP + 2 for back in range(_STEPS)}
    if config.memory:
        sizes |= bar_lag.SIZES
    sizes |= {"meter": len(config.meters) + 1, "mode": len(MODES) + 1}
    sizes |= {"style": len(config.styles) + 1, "bars": _BAR_CLASSES, "ending": len(ENDINGS) + 1}
    if config.foresight:
        for voice in range(VOICES):
            sizes |= {f"known_{voice}": PITCHES + FIRST_PITCH}
            for index in range(NEXT_ONSETS):
                sizes |= {f"next_{voice}_{index}": PITCHES + FIRST_PITCH}
                sizes |= {f"until_{voice}_{index}": _AGE_CLASSES}
            for beats in NEXT_BEATS:
                sizes |= {f"beat_{voice}_{beats}": PITCHES + FIRST_PITCH}
    return sizes


def features(
    config: ModelConfig,
    state: State,
    tokens: Ints,
    conditions: PieceConditions,
    past: Memory,
    foresight: Foresight | None = None,
) -> NDArray[np.int32]:
    """(N, F + REFERENCES + 1) rows of the embedding table for N tokens, the states after them and
    their pieces; then the pitches to measure from, counted from the lowest; then the ticks.

    Where ``conditions.bars`` is unknown, so is what is left of them. ``foresight`` None: no note is
    known before it comes.
    """
    columns: list[NDArray[np.integer]] = [tokens]
    pitch, onset, sounding = _last_notes(state)
    if config.state_embedding:
        age = state.tick[:, None] - onset
        columns += [
            np.minimum(state.position, _MAX_POSITION - 1),
            state.tick % TICKS_PER_QUARTER,
            np.minimum(state.part, VOICES - 1),
            state.velocity + 1,
        ]
        for voice in range(VOICES):
            heard = pitch[:, voice] > 0
            columns.append(np.where(heard, pitch[:, voice] - LOWEST_PITCH + 1, 0))
            columns.append(np.where(sounding[:, voice], _age_class(age[:, voice]), 0))
        interval = np.clip(pitch[:, 0] - pitch[:, 1], -_WIDEST_INTERVAL, _WIDEST_INTERVAL)
        columns.append(np.where(sounding.all(axis=1), interval + _WIDEST_INTERVAL + 1, 0))
        known = (conditions.bars > 0) & (state.end_tick < FAR) & (state.bar_ticks > 0)
        left = np.where(known, state.end_tick - state.tick, 0)
        columns.append(_bar_class(-(-left // np.maximum(state.bar_ticks, 1))))
        columns.append(np.where(known, _age_class(left), 0))
    if config.relative_pitch:
        for voice in range(VOICES):
            columns += _line_so_far(state, voice)
    nothing = np.zeros_like(state.tick)
    remembered: Sequence[NDArray[np.integer]] = [nothing] * bar_lag.PITCHES_REMEMBERED
    if config.memory:
        recalled, remembered = past.recall(state)
        columns += recalled
    columns += [conditions.meter, conditions.mode, conditions.style, _bar_class(conditions.bars)]
    columns += [conditions.ending]
    first = _first_rows(config)
    seen = np.empty((len(tokens), len(first) + REFERENCES + 1), np.int32)
    embedded = seen[:, : len(first)]
    embedded[:, : len(columns)] = np.stack(columns, axis=1)
    if config.foresight:
        embedded[:, len(columns) :] = 0 if foresight is None else _known(foresight, state.tick)
    embedded += first
    seen[:, len(first) : -1] = _references(state, pitch, remembered)
    seen[:, -1] = state.tick
    return seen


def without_style(config: ModelConfig, seen: NDArray[np.int32]) -> NDArray[np.int32]:
    """The same ``features``, but that the style is not known."""
    column = _style_column(config)
    blind = seen.copy()
    blind[:, column] = _first_rows(config)[column] + UNKNOWN
    return blind


def _last_notes(state: State) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """(N, VOICES) of the last note of each voice: its pitch, its onset, whether it sounds.

    Where a slip has left a voice more than one note, or an older one, it is the last that sounds:
    what the model cannot see it could not end.
    """
    held, onset = state.held_pitch[:, :VOICES], state.held_onset[:, :VOICES]
    last, sounding = state.last_pitch[:, :VOICES], state.sounding[:, :VOICES]
    if held.shape[2] == 1:
        return last, onset[:, :, 0], sounding[:, :, 0]
    slot = np.where(sounding, onset, -1).argmax(axis=2)[:, :, None]
    pitch, onset = (np.take_along_axis(of_slot, slot, 2)[:, :, 0] for of_slot in (held, onset))
    sounds = np.logical_or.reduce(sounding, axis=2)
    return np.where(sounds, pitch, last), onset, sounds


def _line_so_far(state: State, voice: int) -> list[NDArray[np.integer]]:
    """Of a voice: the class of its last pitch, the ticks between its last two onsets, and its last
    melodic intervals; 0 where there are none.
    """
    pitch, onset = state.recent_pitch[:, voice], state.recent_onset[:, voice]
    gap = np.minimum(_age_class(onset[:, 0] - onset[:, 1]), bar_lag.WAIT_CLASSES - 1)
    columns = [
        np.where(pitch[:, 0] > 0, pitch[:, 0] % _PITCH_CLASSES + 1, 0),
        np.where(pitch[:, 1] > 0, gap, 0),
    ]
    for back in range(_STEPS):
        step = np.clip(pitch[:, back] - pitch[:, back + 1], -_WIDEST_STEP, _WIDEST_STEP)
        columns.append(np.where(pitch[:, back + 1] > 0, step + _WIDEST_STEP + 1, 0))
    return columns


def _references(
    state: State, last: Ints, remembered: Sequence[NDArray[np.integer]]
) -> NDArray[np.integer]:
    """(N, REFERENCES) the pitches from which the next note is measured, counted from the lowest:
    this voice's last (of ``last``) and that before it, the other's last, and what is remembered.
    Middle C where there is none.
    """
    part = np.minimum(state.part, VOICES - 1)
    rows = np.arange(len(part))
    before = state.recent_pitch[rows, part, 1]
    pitch = np.stack([last[rows, part], before, last[rows, 1 - part], *remembered], axis=1)
    return np.where(pitch > 0, pitch, _MIDDLE_C) - LOWEST_PITCH


def _known(foresight: Foresight, tick: Ints) -> NDArray[np.integer]:
    """(N, C) the columns of what is known of the notes to come."""
    columns = foresight.columns(tick)
    waits = columns[:, IS_WAIT]
    columns[:, IS_WAIT] = np.where(waits > 0, _age_class(waits), 0)
    return columns


@cache
def _first_rows(config: ModelConfig) -> NDArray[np.int32]:
    """(F,) the row of the embedding table at which each feature begins."""
    sizes = list(feature_sizes(config).values())
    return np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)


@cache
def _style_column(config: ModelConfig) -> int:
    return list(feature_sizes(config)).index("style")


def _age_class(ticks: NDArray[np.integer]) -> NDArray[np.integer]:
    """1 for a note that has just begun; exact to four quarters, then in quarters."""
    return _AGE_CLASS[np.clip(ticks, 0, len(_AGE_CLASS) - 1)]


def _bar_class(bars: NDArray[np.integer]) -> NDArray[np.integer]:
    """0 is none or unknown; exact to 64 bars, then eight classes to the doubling."""
    return _BAR_CLASS[np.clip(bars, 0, len(_BAR_CLASS) - 1)]


def _age_table() -> NDArray[np.integer]:
    ticks = np.arange(_AGE_CLASSES * TICKS_PER_QUARTER)
    late = _EXACT_AGE + (ticks - _EXACT_AGE) // TICKS_PER_QUARTER
    return np.minimum(np.where(ticks < _EXACT_AGE, ticks, late) + 1, _AGE_CLASSES - 1)


def _bar_table() -> NDArray[np.integer]:
    bars = np.arange(_EXACT_BARS * 16)
    late = _EXACT_BARS + np.ceil(8 * np.log2(np.maximum(bars, 1) / _EXACT_BARS)).astype(np.int64)
    return np.minimum(np.where(bars <= _EXACT_BARS, bars, late), _BAR_CLASSES - 1)


_AGE_CLASS, _BAR_CLASS = _age_table(), _bar_table()  # looked up: this is done at every token
