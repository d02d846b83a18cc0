"""The state of a batch of pieces that begin together and receive one token per step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bicinium.generation.conditions import Conditions, fixed_notes_in_token_key
from bicinium.generation.config import GenerationConfig
from bicinium.generation.fixed_notes import FixedNotesBatch
from bicinium.grammar import MusicalGrammar, States
from bicinium.model.config import ModelConfig
from bicinium.model.inputs.encode import BatchInputs, PieceConditions
from bicinium.model.inputs.layout import AT_REST
from bicinium.tokenizer.vocabulary import START

_SPARE_SLOTS = 3  # sounding notes beyond two, which a piece without the grammar may have


@dataclass(slots=True)
class Batch:
    """B pieces, of which N are in progress. Each draws from its own random numbers."""

    conditions: Sequence[Conditions]  # (B)
    rngs: Sequence[np.random.Generator]  # (B)
    fixed_notes: FixedNotesBatch  # (B)
    rows: NDArray[np.int64]  # (N,) the pieces in progress
    tokens: NDArray[np.int64]  # (N,) the last token of each
    state: States  # (N,) the grammar's
    inputs: BatchInputs  # (B) the model's; ``inputs.restart`` frees a place for another piece
    _all: tuple[States, NDArray[np.int64]] | None = None  # (B) each

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def start(
        cls,
        conditions: Sequence[Conditions],
        rngs: Sequence[np.random.Generator],
        config: GenerationConfig,
        model: ModelConfig,
        grammar: MusicalGrammar,
    ) -> Batch:
        """Return the batch before its first step; the only token is START."""
        rows = np.arange(len(conditions))
        fixed_notes = FixedNotesBatch(fixed_notes_in_token_key(conditions))
        ends_on_tonic = bool(config.constraints and config.constraints.close)
        model_conditions = PieceConditions.of(
            model,
            [str(piece.meter) for piece in conditions],
            [piece.key.mode for piece in conditions],
            [piece.style for piece in conditions],
            [piece.bars for piece in conditions],
            [AT_REST if ends_on_tonic and not piece.end_is_fixed else None for piece in conditions],
        )
        return cls(
            conditions=conditions,
            rngs=rngs,
            fixed_notes=fixed_notes,
            rows=rows,
            tokens=np.full(len(rows), START, np.int64),
            state=grammar.initial_states(
                len(conditions),
                bar_ticks=[piece.meter.bar_ticks for piece in conditions],
                bars=[piece.bars for piece in conditions],
                max_tokens=[config.max_tokens or piece.token_budget for piece in conditions],
                transposition=[-piece.key.semitones_to_reference for piece in conditions],
                spare_slots=0 if config.use_grammar else _SPARE_SLOTS,
            ),
            inputs=BatchInputs(model, model_conditions, fixed_notes.lookaheads()),
        )

    def advance(self, grammar: MusicalGrammar) -> None:
        """Move the state past the last tokens."""
        grammar.advance(self.state, self.tokens)

    def select(self, rows: NDArray[np.int64]) -> None:
        """Go on with these pieces only, until others are selected."""
        if self._all is None:
            self._all = self.state, self.tokens
        state, tokens = self._all
        state.table[self.rows], tokens[self.rows] = self.state.table, self.tokens
        self.rows, self.tokens = rows, tokens[rows]
        self.state = state.take(rows)

    def encode_inputs(self) -> NDArray[np.int32]:
        """Return the model's inputs at this step, (N, F). Call it once a step."""
        return self.inputs.step(self.state, self.tokens, self.rows)

    def uniform(self) -> NDArray[np.float64]:
        """Draw (N,) one number for each piece in progress, from its own generator."""
        return np.array([self.rngs[row].random() for row in self.rows.tolist()])
