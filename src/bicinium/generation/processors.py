"""Processors: each changes which token may come next in one piece, or how likely it is.

The order in which they are called is in ``processors_for`` of ``engine``.

Compiled when the package is built; the C types are in ``processors.pxd``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicinium.grammar.judge import Judge
from bicinium.grammar.state import State
from bicinium.grammar.terms import BEFORE_TEMPO, KIND_OF, NOTE_ON
from bicinium.tokenizer.vocabulary import VOCAB_SIZE, Kind, tempo_bin, token_id

TOKENS = VOCAB_SIZE
_is_onset = memoryview(bytes(kind == NOTE_ON for kind in KIND_OF))


class Processor:
    """Base class; by itself it changes nothing."""

    def observe(self, state: State, token: int) -> None:
        """Take in a token, which has just led to ``state``."""

    def forbid(self, state: State, allowed: memoryview) -> None:
        """Set ``allowed`` (V,) to 0 for each token that must not come next."""

    def weigh(self, state: State, weights: memoryview[Any]) -> None:
        """Change the weights (V,) of the tokens, which are 0 for those that must not come next.

        ``forbid`` has been called before, with the same state.
        """


class RequestedTempo(Processor):
    """Allows only the TEMPO token nearest to the requested tempo, in quarter notes a minute."""

    def __init__(self, tempo_qpm: float) -> None:
        self.token = token_id(Kind.TEMPO, tempo_bin(tempo_qpm))

    def forbid(self, state: State, allowed: memoryview) -> None:
        """Narrow the mask before the tempo."""
        if state.stage == BEFORE_TEMPO:
            for token in range(TOKENS):
                allowed[token] = token == self.token


class IllegalTokens(Processor):
    """Forces illegal tokens, for training. Replaces the mask.

    With a probability, the model's logits choose among the tokens that the grammar forbids. With
    the same probability, a note that may begin gets any pitch.
    """

    def __init__(self, judge: Judge, probability: float, rng: np.random.Generator) -> None:
        self.judge, self.probability, self.rng = judge, probability, rng
        self.any_pitch = False

    def forbid(self, state: State, allowed: memoryview) -> None:
        """Write the mask. Where nothing is forced, every token is allowed."""
        illegal, off_pitch = self.rng.random(2) < self.probability
        self.judge.mark_legal(state, allowed)
        some_illegal = False
        some_onset = False
        for token in range(TOKENS):
            if not allowed[token]:
                some_illegal = True
            elif _is_onset[token]:
                some_onset = True
        illegal = illegal and some_illegal
        self.any_pitch = bool(off_pitch and not illegal and some_onset)
        for token in range(TOKENS):
            if illegal:
                allowed[token] = not allowed[token]
            elif self.any_pitch:
                allowed[token] = allowed[token] and _is_onset[token]
            else:
                allowed[token] = 1

    def weigh(self, state: State, weights: memoryview[Any]) -> None:
        """Make all pitches equally likely where a note gets any pitch."""
        if self.any_pitch:
            for token in range(TOKENS):
                weights[token] = 1.0 if _is_onset[token] and weights[token] > 0 else 0.0
