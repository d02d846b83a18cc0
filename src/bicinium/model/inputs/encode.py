"""Model inputs of many sequences as arrays: token, grammar state, conditions, past and look-ahead.

``encode_along`` encodes whole pieces. A piece that grows by a token at a time uses the same
compiled definition (``sequence.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bicinium.grammar.states import Ints, States
from bicinium.model.config import ModelConfig
from bicinium.model.inputs import scan
from bicinium.model.inputs.form_columns import FormColumns
from bicinium.model.inputs.layout import ENDINGS, MODES, column_of, first_rows
from bicinium.model.inputs.lookahead import Lookahead
from bicinium.model.inputs.row import Row
from bicinium.model.inputs.sequence import SequenceInputs
from bicinium.model.inputs.voice_notes import VoiceNotes
from bicinium.music.score import VOICES

UNKNOWN = 0  # Every condition may be unknown.


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

    def rows(self) -> list[tuple[int, ...]]:
        """Return the five conditions of each piece."""
        columns = (self.meter, self.mode, self.style, self.bars, self.ending)
        return list(zip(*(column.tolist() for column in columns), strict=True))


def encode_along(
    config: ModelConfig,
    states: States,
    tokens: ArrayLike,
    conditions: Sequence[int],
    lookahead: Lookahead | None = None,
    start: int = 0,
    form: FormColumns | None = None,
) -> NDArray[np.int32]:
    """Encode the tokens of one piece from ``start`` on: (T - start, F + REFERENCES + 1).

    tokens: the T tokens of the piece from its beginning. states: those after each token.
    conditions: of the piece, a row of ``PieceConditions``.
    """
    ids = _checked(states, tokens, len(states))
    encoded, row = _rows(config, max(0, len(ids) - start))
    sequence = SequenceInputs(config, conditions, lookahead, form)
    scan.write_along(sequence, states.room, states.rows, ids, start, row)
    return encoded


def notes_along(states: States, tokens: ArrayLike) -> list[VoiceNotes]:
    """Return the notes of each voice of a piece of T tokens; ``states`` are those after each.

    A note ends at the next NOTE_OFF of its voice, or with its piece.
    """
    ids = _checked(states, tokens, len(states))
    return scan.notes_along(states.room, states.rows, ids)


def mask_style(config: ModelConfig, encoded: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return a copy of encoded inputs in which the style is unknown."""
    column = column_of(config, "style")
    masked = encoded.copy()
    masked[:, column] = first_rows(config)[column] + UNKNOWN
    return masked


def _rows(config: ModelConfig, count: int) -> tuple[NDArray[np.int32], Row]:
    """Make room for ``count`` encoded tokens."""
    first = first_rows(config)
    encoded = np.empty((count, len(first)), np.int32)
    return encoded, Row(encoded.data, first)


def _checked(states: States, tokens: ArrayLike, count: int) -> memoryview:
    """Return tokens as integers, ``count`` of them as of the states."""
    ids = np.ascontiguousarray(tokens, dtype=np.int32)
    _check(states, count)
    if len(ids) != count:
        raise ValueError(f"{len(ids)} tokens were given where {count} are needed")
    return ids.data


def _check(states: States, count: int) -> None:
    """The compiled loops do not check where an array ends."""
    if len(states) != count:
        raise ValueError(f"{len(states)} states were given where {count} are needed")
    if states.limits.voices < VOICES:
        raise ValueError(f"the grammar must have {VOICES} voices (got {states.limits.voices})")
