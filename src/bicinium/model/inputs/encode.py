"""Model inputs: token, grammar state, conditions and look-ahead as small integers.

Each input has its own range of rows in one embedding table; the transformer and the decoder add
the rows up. The last columns are not embedded: reference pitches, from which the head measures
those that may come next, and the tick, by which some attention heads measure distance. The same
function serves training, validation and generation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bicinium.grammar.states import Ints, States
from bicinium.grammar.terms import FAR
from bicinium.model.config import ModelConfig
from bicinium.model.inputs import bar_lag
from bicinium.model.inputs.bar_lag import BarLag
from bicinium.model.inputs.lookahead import (
    IS_TICKS,
    NEXT_BEATS,
    NEXT_ONSETS,
    Lookahead,
)
from bicinium.model.inputs.note_index import FIRST_PITCH
from bicinium.music.score import LOWEST_PITCH, TICKS_PER_QUARTER, VOICES
from bicinium.tokenizer.vocabulary import PITCHES, VELOCITY_BINS, VOCAB_SIZE

UNKNOWN = 0  # Every condition may be unknown.
MODES = ("major", "minor")
AT_REST = "at rest"
ENDINGS = ("open", AT_REST)  # See ``music.counterpoint.comes_to_rest``.
_MAX_POSITION = 288  # Ticks: a bar of 12/4.
_EXACT_BARS, _BAR_CLASSES = 64, 88
_EXACT_TICKS, _TICK_CLASSES = 96, 128
_MAX_INTERVAL = 36  # Semitones between the voices.
_MAX_STEP = 24  # Semitones between two notes of a voice.
_PITCH_CLASSES = 12
_STEPS = 2  # The last melodic intervals of each voice.
REFERENCES = 3 + bar_lag.REFERENCES
MAX_DISTANCE = 36  # Semitones from a reference pitch; larger distances count as this.
PITCH_DISTANCES = 2 * MAX_DISTANCE + 1
_MIDDLE_C = 60


class ModelInputs(NamedTuple):
    """The three parts of encoded inputs (…, F + REFERENCES + 1), numpy array or tensor alike."""

    rows: Any  # (…, F) rows of the embedding table
    reference_pitches: Any  # (…, REFERENCES) counted from the lowest pitch of the piano
    tick: Any  # (…,)


def split_inputs(encoded: Any) -> ModelInputs:
    """Split what ``encode_inputs`` returns into its parts (views, no copies)."""
    return ModelInputs(
        encoded[..., : -REFERENCES - 1], encoded[..., -REFERENCES - 1 : -1], encoded[..., -1]
    )


@dataclass(frozen=True, slots=True)
class PieceConditions:
    """Conditions of B pieces as ids, each (B,) int32, 0 where unknown."""

    meter: Ints
    mode: Ints
    style: Ints
    bars: Ints  # Length in bars: a count, not an id.
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
        """Return the ids of metres, modes, styles and endings. Names not trained on are unknown."""

        def ids(names: Sequence[str | None], vocabulary: Sequence[str]) -> Ints:
            table = {name: index + 1 for index, name in enumerate(vocabulary)}
            return np.array([table.get(name or "", UNKNOWN) for name in names], np.int32)

        return cls(
            ids(meters, config.meters),
            ids(modes, MODES),
            ids(styles, config.styles),
            np.array([count or 0 for count in bars], np.int32),
            ids(endings or [None] * len(bars), ENDINGS),
        )

    def take(self, rows: NDArray[np.integer]) -> PieceConditions:
        """Select pieces by index, in that order."""
        return PieceConditions(
            self.meter[rows], self.mode[rows], self.style[rows], self.bars[rows], self.ending[rows]
        )


def input_sizes(config: ModelConfig) -> dict[str, int]:
    """Return the number of values of each embedded input, in the order of the columns."""
    sizes = {"token": VOCAB_SIZE}
    if config.state_embedding:
        sizes |= {"position": _MAX_POSITION, "pulse": TICKS_PER_QUARTER, "part": VOICES}
        sizes |= {"velocity": VELOCITY_BINS + 1}
        for voice in range(VOICES):
            sizes |= {f"pitch_{voice}": PITCHES + 1, f"age_{voice}": _TICK_CLASSES}
        sizes |= {"interval": 2 * _MAX_INTERVAL + 2, "bars_left": _BAR_CLASSES}
        sizes |= {"ticks_left": _TICK_CLASSES}
    if config.relative_pitch:
        for voice in range(VOICES):
            sizes |= {f"class_{voice}": _PITCH_CLASSES + 1, f"gap_{voice}": bar_lag.TICK_CLASSES}
            sizes |= {f"step_{voice}_{back}": 2 * _MAX_STEP + 2 for back in range(_STEPS)}
    if config.bar_lag:
        sizes |= bar_lag.SIZES
    sizes |= {"meter": len(config.meters) + 1, "mode": len(MODES) + 1}
    sizes |= {"style": len(config.styles) + 1, "bars": _BAR_CLASSES, "ending": len(ENDINGS) + 1}
    if config.lookahead:
        for voice in range(VOICES):
            sizes |= {f"known_{voice}": PITCHES + FIRST_PITCH}
            for index in range(NEXT_ONSETS):
                sizes |= {f"next_{voice}_{index}": PITCHES + FIRST_PITCH}
                sizes |= {f"until_{voice}_{index}": _TICK_CLASSES}
            for beats in NEXT_BEATS:
                sizes |= {f"beat_{voice}_{beats}": PITCHES + FIRST_PITCH}
    return sizes


def encode_inputs(
    config: ModelConfig,
    state: States,
    tokens: Ints,
    conditions: PieceConditions,
    past: BarLag,
    lookahead: Lookahead | None = None,
) -> NDArray[np.int32]:
    """Encode N tokens with the grammar states after them: (N, F + REFERENCES + 1) int32.

    The columns are rows of the embedding table, then reference pitches, then ticks; see
    ``split_inputs``. Where ``conditions.bars`` is unknown, the bars left are unknown too.
    ``lookahead`` None: no later note is known.
    """
    pitch, onset, sounding = _last_notes(state)
    columns: list[NDArray[np.integer]] = [tokens]
    if config.state_embedding:
        columns += _state_columns(state, conditions, pitch, onset, sounding)
    if config.relative_pitch:
        for voice in range(VOICES):
            columns += _melodic_columns(state, voice)
    lagged: Sequence[NDArray[np.integer]] = [np.zeros_like(state.tick)] * bar_lag.REFERENCES
    if config.bar_lag:
        lag_columns, lagged = past.encode(state)
        columns += lag_columns
    columns += [conditions.meter, conditions.mode, conditions.style, _bar_class(conditions.bars)]
    columns += [conditions.ending]
    first = _first_rows(config)
    encoded = np.empty((len(tokens), len(first) + REFERENCES + 1), np.int32)
    rows, references, tick = split_inputs(encoded)
    rows[:, : len(columns)] = np.stack(columns, axis=1)
    if config.lookahead:
        known = 0 if lookahead is None else _lookahead_columns(lookahead, state.tick)
        rows[:, len(columns) :] = known
    rows += first
    references[:] = _reference_pitches(state, pitch, lagged)
    tick[:] = state.tick
    return encoded


def mask_style(config: ModelConfig, encoded: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return a copy of encoded inputs in which the style is unknown."""
    column = _style_column(config)
    masked = encoded.copy()
    masked[:, column] = _first_rows(config)[column] + UNKNOWN
    return masked


def _state_columns(
    state: States,
    conditions: PieceConditions,
    pitch: Ints,
    onset: Ints,
    sounding: NDArray[np.bool_],
) -> list[NDArray[np.integer]]:
    """Encode position, part, velocity, sounding notes, their interval, and the time left."""
    age = state.tick[:, None] - onset
    columns: list[NDArray[np.integer]] = [
        np.minimum(state.position, _MAX_POSITION - 1),
        state.tick % TICKS_PER_QUARTER,
        np.minimum(state.part, VOICES - 1),
        state.velocity + 1,
    ]
    for voice in range(VOICES):
        has_pitch = pitch[:, voice] > 0
        columns.append(np.where(has_pitch, pitch[:, voice] - LOWEST_PITCH + 1, 0))
        columns.append(np.where(sounding[:, voice], _tick_class(age[:, voice]), 0))
    interval = np.clip(pitch[:, 0] - pitch[:, 1], -_MAX_INTERVAL, _MAX_INTERVAL)
    columns.append(np.where(sounding.all(axis=1), interval + _MAX_INTERVAL + 1, 0))
    known = (conditions.bars > 0) & (state.end_tick < FAR) & (state.bar_ticks > 0)
    ticks_left = np.where(known, state.end_tick - state.tick, 0)
    columns.append(_bar_class(-(-ticks_left // np.maximum(state.bar_ticks, 1))))
    columns.append(np.where(known, _tick_class(ticks_left), 0))
    return columns


def _last_notes(state: States) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Return pitch, onset and whether it sounds, (N, VOICES) each, of each voice's last note.

    After an illegal token a voice may hold several notes, or only an older one. Then the last note
    that still sounds counts, because the model could not end a note that it does not see.
    """
    held, onset = state.held_pitch[:, :VOICES], state.held_onset[:, :VOICES]
    last, sounding = state.last_pitch[:, :VOICES], state.sounding[:, :VOICES]
    if held.shape[2] == 1:
        return last, onset[:, :, 0], sounding[:, :, 0]
    slot = np.where(sounding, onset, -1).argmax(axis=2)[:, :, None]
    pitch, onset = (np.take_along_axis(values, slot, 2)[:, :, 0] for values in (held, onset))
    sounds = np.logical_or.reduce(sounding, axis=2)
    return np.where(sounds, pitch, last), onset, sounds


def _melodic_columns(state: States, voice: int) -> list[NDArray[np.integer]]:
    """Encode a voice's last pitch class, last inter-onset time and last melodic intervals.

    0 stands for none.
    """
    pitch, onset = state.recent_pitch[:, voice], state.recent_onset[:, voice]
    gap = np.minimum(_tick_class(onset[:, 0] - onset[:, 1]), bar_lag.TICK_CLASSES - 1)
    columns = [
        np.where(pitch[:, 0] > 0, pitch[:, 0] % _PITCH_CLASSES + 1, 0),
        np.where(pitch[:, 1] > 0, gap, 0),
    ]
    for back in range(_STEPS):
        step = np.clip(pitch[:, back] - pitch[:, back + 1], -_MAX_STEP, _MAX_STEP)
        columns.append(np.where(pitch[:, back + 1] > 0, step + _MAX_STEP + 1, 0))
    return columns


def _reference_pitches(
    state: States, last: Ints, lagged: Sequence[NDArray[np.integer]]
) -> NDArray[np.integer]:
    """Return (N, REFERENCES) pitches to measure the next note from, counted from the lowest.

    They are the last two of the current voice, the last of the other voice, and ``lagged``.
    Middle C stands for none.
    """
    part = np.minimum(state.part, VOICES - 1)
    rows = np.arange(len(part))
    before = state.recent_pitch[rows, part, 1]
    pitch = np.stack([last[rows, part], before, last[rows, 1 - part], *lagged], axis=1)
    return np.where(pitch > 0, pitch, _MIDDLE_C) - LOWEST_PITCH


def _lookahead_columns(lookahead: Lookahead, tick: Ints) -> NDArray[np.integer]:
    """Return the (N, C) columns of the look-ahead, ticks as classes."""
    columns = lookahead.columns(tick)
    ticks = columns[:, IS_TICKS]
    columns[:, IS_TICKS] = np.where(ticks > 0, _tick_class(ticks), 0)
    return columns


@cache
def _first_rows(config: ModelConfig) -> NDArray[np.int32]:
    """Return (F,) the row of the embedding table at which each input begins."""
    sizes = list(input_sizes(config).values())
    return np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)


@cache
def _style_column(config: ModelConfig) -> int:
    return list(input_sizes(config)).index("style")


def _tick_class(ticks: NDArray[np.integer]) -> NDArray[np.integer]:
    """Classify a duration: 1 for zero ticks, exact to four quarters, then by the quarter."""
    return _TICK_CLASS[np.clip(ticks, 0, len(_TICK_CLASS) - 1)]


def _bar_class(bars: NDArray[np.integer]) -> NDArray[np.integer]:
    """Classify a number of bars: 0 is unknown, exact to 64, then eight classes to the doubling."""
    return _BAR_CLASS[np.clip(bars, 0, len(_BAR_CLASS) - 1)]


def _tick_table() -> NDArray[np.integer]:
    ticks = np.arange(_TICK_CLASSES * TICKS_PER_QUARTER)
    coarse = _EXACT_TICKS + (ticks - _EXACT_TICKS) // TICKS_PER_QUARTER
    return np.minimum(np.where(ticks < _EXACT_TICKS, ticks, coarse) + 1, _TICK_CLASSES - 1)


def _bar_table() -> NDArray[np.integer]:
    bars = np.arange(_EXACT_BARS * 16)
    coarse = _EXACT_BARS + np.ceil(8 * np.log2(np.maximum(bars, 1) / _EXACT_BARS)).astype(np.int64)
    return np.minimum(np.where(bars <= _EXACT_BARS, bars, coarse), _BAR_CLASSES - 1)


_TICK_CLASS, _BAR_CLASS = _tick_table(), _bar_table()  # Tables, since each token asks for several.
