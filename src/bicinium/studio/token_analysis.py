"""Analyse a piece token by token with the model (teacher forcing).

For each position: the probability on tokens that the grammar forbids, the surprisal of the token
that was written, and the places where the most probable token is forbidden.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bicinium.errors import RequestError
from bicinium.generation.composer import Composer
from bicinium.generation.surprisal import (
    token_probabilities,
    token_surprisals,
    tokens_for_model,
)
from bicinium.grammar import MusicalGrammarValidator, Violation
from bicinium.music.key import Key
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, Score
from bicinium.tokenizer.codec import encode, snap
from bicinium.tokenizer.vocabulary import KINDS, VALUES, Kind, describe, token_id

MAX_TOKENS = 8000


@dataclass(frozen=True, slots=True)
class ForbiddenChoice:
    """A position at which the most probable token is forbidden."""

    violation: Violation  # what that token would have broken
    probability: float  # of that token
    written: str  # the token in the piece


@dataclass(frozen=True, slots=True)
class TokenAnalysis:
    """Columns with one entry for each token after START."""

    tick: list[int]  # at which the token is written
    illegal_mass: list[float]  # probability on forbidden tokens
    surprisal_bits: list[float]  # -log2 of the token's probability
    forbidden_choices: list[ForbiddenChoice]

    @property
    def mean_illegal_mass(self) -> float:
        """Mean probability on forbidden tokens."""
        return sum(self.illegal_mass) / len(self.illegal_mass)


def analyse_tokens(composer: Composer, score: Score, key: Key, style: str | None) -> TokenAnalysis:
    """Analyse a score in ``key``.

    Raises RequestError if the score breaks the grammar or is too long.
    """
    semitones = key.semitones_to_reference
    model_tokens, tokens = tokens_for_model(score, key), encode(snap(score))
    if len(model_tokens) > MAX_TOKENS:
        raise RequestError(
            f"the piece may have at most {MAX_TOKENS} tokens (got {len(model_tokens)})"
        )
    validator = MusicalGrammarValidator(composer.grammar)
    result = validator.validate_sequence(tokens, score.meter, score.bars)
    if not result.valid:
        raise RequestError(f"only a valid piece can be analysed: {result.violations[0].message}")
    states, p = token_probabilities(composer, model_tokens, score, key, style)
    allowed = composer.grammar.mask(states)
    rows, most_probable = np.arange(len(p)), p.argmax(axis=1)
    choices = []
    for row in np.flatnonzero(~allowed[rows, most_probable]).tolist():
        choice = _transposed(int(most_probable[row]), -semitones)
        with_choice = [*tokens[: row + 1].tolist(), choice]
        violations = validator.validate_sequence(with_choice, score.meter, score.bars).violations
        violation = next((one for one in violations if one.index == row + 1), None)
        if violation:
            probability = float(p[row, most_probable[row]])
            choices.append(ForbiddenChoice(violation, probability, describe(int(tokens[row + 1]))))
    return TokenAnalysis(
        tick=states.tick.tolist(),
        illegal_mass=np.where(allowed, 0.0, p).sum(axis=1).tolist(),
        surprisal_bits=token_surprisals(model_tokens, p).tolist(),
        forbidden_choices=choices,
    )


def _transposed(token: int, semitones: int) -> int:
    """Return the token of a transposed note; other tokens are unchanged."""
    kind = Kind(KINDS[token])
    if kind not in (Kind.NOTE_ON, Kind.NOTE_OFF):
        return token
    pitch = int(VALUES[token]) + semitones
    return token_id(kind, pitch) if LOWEST_PITCH <= pitch <= HIGHEST_PITCH else token
