"""Pieces as one array of tokens with the automaton's states, and batches cut out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bicinium.data.piece_record import PieceRecord, score_of
from bicinium.errors import BiciniumError
from bicinium.grammar import MusicalGrammar, States
from bicinium.model.config import ModelConfig
from bicinium.model.inputs.bar_lag import BarLag
from bicinium.model.inputs.encode import ENDINGS, PieceConditions, encode_inputs
from bicinium.model.inputs.lookahead import Lookahead
from bicinium.model.inputs.note_index import NoteIndex, index_notes
from bicinium.music.counterpoint import comes_to_rest
from bicinium.music.score import Meter
from bicinium.tokenizer.vocabulary import PAD
from bicinium.training.losses import IGNORE_INDEX
from bicinium.training.windows import KnownSpans, Window


class TokenizedPiece(Protocol):
    """A piece as tokens, with the conditions under which they are read."""

    @property
    def tokens(self) -> NDArray[np.int16]: ...
    @property
    def meter(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def style(self) -> str | None: ...
    @property
    def bars(self) -> int: ...
    @property
    def transposition(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Batch:
    """B windows of T positions, shorter ones padded.

    The grammar loss is measured on N of the B · T positions; ``states`` has a row for each.
    """

    inputs: Tensor  # (B, T, F) int32, what ``Transformer.forward`` takes
    targets: Tensor  # (B, T) int64, IGNORE_INDEX where the loss does not count
    styles: tuple[str, ...]  # (B,)
    states: States  # (N,)
    grammar_rows: Tensor  # (N,) indices into the flattened batch


class _Layout(NamedTuple):
    """Where each position of a batch lies in the dataset: B windows of T positions."""

    rows: NDArray[np.int64]  # (B, T) of ``PieceDataset.tokens``; 0 in the padding
    is_real: NDArray[np.bool_]  # (B, T) False in the padding
    targets: NDArray[np.int64]  # (B, T)


class PieceDataset:
    """Many pieces as one array of tokens, with the automaton's state after each token.

    ``spare_slots``: see ``MusicalGrammar.initial_state``; legal pieces need none. ``endings``: one
    name for each piece (see ``piece_endings``), or None if the model is not to see them.
    """

    def __init__(
        self,
        pieces: Sequence[TokenizedPiece],
        config: ModelConfig,
        spare_slots: int = 0,
        endings: Sequence[str | None] | None = None,
    ) -> None:
        self.config = config
        self.styles = [piece.style or "unknown" for piece in pieces]
        self.lengths = np.array([len(piece.tokens) for piece in pieces])
        self.first_row = np.concatenate([[0], np.cumsum(self.lengths)])
        self.tokens = np.concatenate([piece.tokens for piece in pieces]).astype(np.int64)
        self.states = MusicalGrammar().states_along(
            [piece.tokens for piece in pieces],
            bar_ticks=[Meter.parse(piece.meter).bar_ticks for piece in pieces],
            bars=[piece.bars for piece in pieces],
            transposition=[piece.transposition for piece in pieces],
            spare_slots=spare_slots,
        )
        self.conditions = PieceConditions.of(
            config,
            [piece.meter for piece in pieces],
            [piece.mode for piece in pieces],
            [piece.style for piece in pieces],
            [piece.bars for piece in pieces],
            endings,
        )

    @cached_property
    def note_index(self) -> NoteIndex:
        """All notes. A note ends with the next NOTE_OFF of its voice, or with its piece."""
        return index_notes(self.tokens, self.lengths, self.states)

    def batch(
        self,
        windows: Sequence[Window],
        rng: np.random.Generator,
        condition_dropout: float = 0.0,
        grammar_positions: int = 0,
        known: Sequence[KnownSpans] | None = None,
    ) -> Batch:
        """Put windows side by side, padded to the longest.

        condition_dropout: probability of hiding each condition of each window.
        grammar_positions: of the scored positions, how many the grammar loss looks at.
        known: for each window, the notes that the model sees ahead of time; None for none.
        """
        layout = self._layout(windows)
        length = layout.rows.shape[1]
        rows = layout.rows.ravel()
        piece = np.repeat([window.piece for window in windows], length)
        conditions = self._conditions(piece, length, condition_dropout, rng)
        states = self.states.take(rows + piece + 1)  # A piece of T tokens has T + 1 states.
        tokens = np.where(layout.is_real.ravel(), self.tokens[rows], PAD)
        lookahead = self._lookahead(piece, known) if known and self.config.lookahead else None
        bar_lag = BarLag(self.note_index, piece)
        inputs = encode_inputs(
            self.config, states, tokens.astype(np.int32), conditions, bar_lag, lookahead
        )
        scored = np.flatnonzero(layout.targets.ravel() != IGNORE_INDEX)
        chosen = np.sort(rng.choice(scored, min(grammar_positions, len(scored)), replace=False))
        return Batch(
            inputs=torch.from_numpy(inputs.reshape(len(windows), length, -1)),
            targets=torch.from_numpy(layout.targets),
            styles=tuple(self.styles[window.piece] for window in windows),
            states=states.take(chosen),
            grammar_rows=torch.from_numpy(chosen),
        )

    def _layout(self, windows: Sequence[Window]) -> _Layout:
        shape = len(windows), max(window.stop - window.start for window in windows)
        rows = np.zeros(shape, np.int64)
        is_real = np.zeros(shape, np.bool_)
        targets = np.full(shape, IGNORE_INDEX, np.int64)
        for index, window in enumerate(windows):
            size = window.stop - window.start
            first = self.first_row[window.piece] + window.start
            rows[index, :size] = np.arange(first, first + size)
            is_real[index, :size] = True
            scored = slice(window.first_scored - window.start, size)
            targets[index, scored] = self.tokens[first + 1 : first + size + 1][scored]
        return _Layout(rows, is_real, targets)

    def _conditions(
        self, piece: NDArray[np.integer], length: int, dropout: float, rng: np.random.Generator
    ) -> PieceConditions:
        """Return the conditions of each position; some windows do not see some of them."""
        names = [field.name for field in fields(PieceConditions)]
        seen = rng.random((len(names), len(piece) // length)) >= dropout
        seen = np.repeat(seen, length, axis=1)
        columns = [getattr(self.conditions, name)[piece] for name in names]
        return PieceConditions(
            *(np.where(seen[i], column, 0).astype(np.int32) for i, column in enumerate(columns))
        )

    def _lookahead(self, piece: NDArray[np.int64], known: Sequence[KnownSpans]) -> Lookahead:
        """Return the known notes of each position."""
        spans = np.array(known, np.int64)  # (B, voices, 2)
        at = np.repeat(spans, len(piece) // len(known), axis=0)
        return Lookahead(self.note_index, piece, at[..., 0], at[..., 1])


def piece_endings(pieces: Sequence[PieceRecord]) -> list[str | None]:
    """Return for each piece whether it comes to rest on its tonic, as a name of ``ENDINGS``.

    None if its tokens cannot be decoded. Such pieces occur if ungrammatical pieces are kept.
    """
    return [_ending(piece) for piece in pieces]


def _ending(piece: PieceRecord) -> str | None:
    try:
        score = score_of(piece)
    except BiciniumError:
        return None
    return ENDINGS[comes_to_rest(score, score.key)] if score.key else None
