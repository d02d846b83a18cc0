"""Pieces as one array of tokens with the automaton's states, and batches cut out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bicinium.data.piece_record import PieceRecord, score_of
from bicinium.errors import BiciniumError
from bicinium.grammar import MusicalGrammar, States
from bicinium.model.config import ModelConfig
from bicinium.model.inputs.encode import PieceConditions, encode_along, notes_along
from bicinium.model.inputs.form_columns import FormColumns
from bicinium.model.inputs.layout import ENDINGS, first_rows
from bicinium.model.inputs.lookahead import Lookahead
from bicinium.model.inputs.voice_notes import VoiceNotes
from bicinium.music.counterpoint import comes_to_rest
from bicinium.music.form import Form, form_of_score
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


class PieceDataset:
    """Many pieces as one array of tokens, with the automaton's state after each token.

    ``spare_slots``: see ``MusicalGrammar.initial_state``; legal pieces need none. ``endings`` and
    ``forms``: one for each piece (see ``piece_endings`` and ``piece_forms``), or None if the model
    is not to see them.
    """

    def __init__(
        self,
        pieces: Sequence[TokenizedPiece],
        config: ModelConfig,
        spare_slots: int = 0,
        endings: Sequence[str | None] | None = None,
        forms: Sequence[Form | None] | None = None,
    ) -> None:
        self.config = config
        self.forms = forms or [None] * len(pieces)
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

    def notes(self, piece: int) -> list[VoiceNotes]:
        """Return the notes of each voice of a piece."""
        first, stop = self.first_row[piece], self.first_row[piece + 1]
        return notes_along(self._states_after(piece, stop), self.tokens[first:stop])

    def batch(
        self,
        windows: Sequence[Window],
        rng: np.random.Generator,
        condition_dropout: float = 0.0,
        grammar_positions: int = 0,
        known: Sequence[KnownSpans] | None = None,
        forms: Sequence[Form | None] | None = None,
    ) -> Batch:
        """Put windows side by side, padded to the longest.

        condition_dropout: probability of hiding each condition of each window.
        grammar_positions: of the scored positions, how many the grammar loss looks at.
        known: for each window, the notes that the model sees ahead of time; None for none.
        forms: for each window, what the model sees of its piece's form; None for nothing.
        """
        targets = self._targets(windows)
        conditions = self._conditions(windows, condition_dropout, rng)
        scored = np.flatnonzero(targets.ravel() != IGNORE_INDEX)
        chosen = np.sort(rng.choice(scored, min(grammar_positions, len(scored)), replace=False))
        return Batch(
            inputs=torch.from_numpy(self._inputs(windows, conditions, known, forms)),
            targets=torch.from_numpy(targets),
            styles=tuple(self.styles[window.piece] for window in windows),
            states=self.states.take(self._state_rows(windows, *np.divmod(chosen, len(targets[0])))),
            grammar_rows=torch.from_numpy(chosen),
        )

    def _targets(self, windows: Sequence[Window]) -> NDArray[np.int64]:
        """Return (B, T) the token after each position; IGNORE_INDEX where the loss counts none."""
        length = max(window.stop - window.start for window in windows)
        targets = np.full((len(windows), length), IGNORE_INDEX, np.int64)
        for row, window in zip(targets, windows, strict=True):
            scored = slice(window.first_scored - window.start, window.stop - window.start)
            first = self.first_row[window.piece] + 1
            row[scored] = self.tokens[first + window.first_scored : first + window.stop]
        return targets

    def _inputs(
        self,
        windows: Sequence[Window],
        conditions: PieceConditions,
        known: Sequence[KnownSpans] | None,
        forms: Sequence[Form | None] | None,
    ) -> NDArray[np.int32]:
        """Return (B, T, F) the inputs; in the padding PAD, with everything else unknown."""
        length = max(window.stop - window.start for window in windows)
        unknown = np.array(first_rows(self.config), np.int32)
        inputs = np.tile(unknown, (len(windows), length, 1))
        inputs[:, :, 0] = PAD
        for index, (window, told) in enumerate(zip(windows, conditions.rows(), strict=True)):
            first = self.first_row[window.piece]
            lookahead = None
            if known and self.config.lookahead:
                lookahead = Lookahead(self.notes(window.piece), known[index])
            form = forms[index] if forms else None
            inputs[index, : window.stop - window.start] = encode_along(
                self.config,
                self._states_after(window.piece, first + window.stop),
                self.tokens[first : first + window.stop],
                told,
                lookahead,
                window.start,
                FormColumns(form) if form else None,
            )
        return inputs

    def _states_after(self, piece: int, stop: int) -> States:
        """Return the states after the tokens of a piece, up to row ``stop`` of ``tokens``."""
        first = self.first_row[piece] + piece + 1  # A piece of T tokens has T + 1 states.
        table = self.states.table[first : stop + piece + 1]
        return States(self.states.limits, self.states.slots, table)

    def _state_rows(
        self, windows: Sequence[Window], row: NDArray[np.int64], place: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return (N,) the rows of ``states`` after the tokens at these places of the windows."""
        first = [self.first_row[each.piece] + each.piece + each.start + 1 for each in windows]
        return np.asarray(np.array(first)[row] + place)

    def _conditions(
        self, windows: Sequence[Window], dropout: float, rng: np.random.Generator
    ) -> PieceConditions:
        """Return the conditions of each window; some windows do not see some of them."""
        names = [field.name for field in fields(PieceConditions)]
        seen = rng.random((len(names), len(windows))) >= dropout
        piece = np.array([window.piece for window in windows])
        columns = [getattr(self.conditions, name)[piece] for name in names]
        return PieceConditions(
            *(np.where(seen[i], column, 0).astype(np.int32) for i, column in enumerate(columns))
        )


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


def piece_forms(pieces: Sequence[PieceRecord]) -> list[Form | None]:
    """Return the form of each piece; None if its tokens cannot be decoded."""
    return [_form(piece) for piece in pieces]


def _form(piece: PieceRecord) -> Form | None:
    try:
        return form_of_score(score_of(piece))
    except BiciniumError:
        return None
