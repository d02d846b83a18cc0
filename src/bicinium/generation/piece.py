"""A piece while it is composed: its state, its processors, and its next token.

Compiled when the package is built; the C types are in ``piece.pxd``.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from bicinium.generation.processors import Processor
from bicinium.generation.sampler import Sampler
from bicinium.grammar import MusicalGrammar
from bicinium.grammar.state import State
from bicinium.grammar.terms import ENDED
from bicinium.model.inputs.row import Row
from bicinium.model.inputs.sequence import SequenceInputs
from bicinium.tokenizer.vocabulary import START, VOCAB_SIZE

TOKENS = VOCAB_SIZE
FIRST = START


class Piece:
    """One piece, which grows by a token at a time from its own random numbers.

    For each token: ``advance`` (or ``take``, if the token is given), ``write_inputs``, ``draw``,
    unless it is over.

    grammar: None if every token is allowed.
    """

    def __init__(
        self,
        state: State,
        inputs: SequenceInputs,
        sampler: Sampler,
        rng: np.random.Generator,
        grammar: MusicalGrammar | None,
        processors: Sequence[Processor] = (),
    ) -> None:
        self.state, self.inputs, self.sampler, self.rng = state, inputs, sampler, rng
        self.grammar = grammar
        self.judge: Any = grammar.judge if grammar else None
        self.processors = list(processors)
        self.token = FIRST  # the last one
        self.allowed = memoryview(bytearray(TOKENS))
        self.weights = memoryview(array("d", [0.0]) * TOKENS)

    def advance(self) -> bool:
        """Take in the last token. Answers whether a token may follow it."""
        self.state.advance(self.token)
        for processor in self.processors:
            processor.observe(self.state, self.token)
        self.inputs.observe(self.state, self.token)
        return self.state.stage != ENDED and self.state.tokens_left > 0

    def take(self, token: int) -> bool:
        """Take in a token that was not drawn here. Answers whether a token may follow it."""
        self.token = token
        return self.advance()

    def write_inputs(self, row: Row) -> None:
        """Write the model's inputs at the last token into a row."""
        self.inputs.write(self.state, self.token, row)

    def draw(self, logits: memoryview[Any]) -> bool:
        """Draw the next token, given its (V,) logits. Answers False if no token may come next.

        Raises DeadEndError if that is the grammar's fault.
        """
        if self.grammar is None:
            for token in range(TOKENS):
                self.allowed[token] = 1
        elif not self.judge.mark_allowed(self.state, self.allowed):
            self.grammar.token_mask(self.state)  # raises the error
        for processor in self.processors:
            processor.forbid(self.state, self.allowed)
        if not self.sampler.weigh(logits, self.allowed, self.weights):
            return False
        for processor in self.processors:
            processor.weigh(self.state, self.weights)
        self.token = self.sampler.choose(self.weights, self.rng.random())
        return True
