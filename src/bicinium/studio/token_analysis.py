"""The grammar laid over a piece: what the model thought of it, token for token.

The model reads the piece (teacher forcing) and says at every token what it would have written
next. How much of that the grammar forbids, where even its first choice was forbidden, and how
surprised it was by what came, is what the page draws along the music.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bicinium.errors import RequestError
from bicinium.generation.composer import Composer
from bicinium.grammar import MusicalGrammarValidator, Violation
from bicinium.model.inputs.encode import PieceConditions
from bicinium.model.teacher_forcing import logits_along
from bicinium.music.key import Key
from bicinium.music.score import Score
from bicinium.tokenizer.codec import encode, snap
from bicinium.tokenizer.vocabulary import KINDS, VALUES, Kind, describe, token_id

MOST_TOKENS = 8000


@dataclass(frozen=True, slots=True)
class Slip:
    """A place where the token that the model held likeliest is forbidden."""

    violation: Violation  # what it would have broken
    probability: float  # that the model gave it
    written: str  # what stands there instead


@dataclass(frozen=True, slots=True)
class Understanding:
    """Columns with an entry for each token after START."""

    tick: list[int]  # where the token is written
    illegal: list[float]  # probability on tokens that the grammar forbids there
    bits: list[float]  # how surprised the model was by the token, -log2 of its probability
    slips: list[Slip]

    @property
    def illegal_mass(self) -> float:
        """The mean."""
        return sum(self.illegal) / len(self.illegal)


def understand(composer: Composer, score: Score, key: Key, style: str | None) -> Understanding:
    """Have the model read a score in ``key``. Raises RequestError for one that is ungrammatical or
    very long.
    """
    home = key.semitones_to_reference
    at_home, sounding = encode(snap(score.transpose(home))), encode(snap(score))
    if len(at_home) > MOST_TOKENS:
        raise RequestError(f"the model reads pieces of up to {MOST_TOKENS} tokens here")
    validator = MusicalGrammarValidator(composer.grammar)
    result = validator.validate_sequence(sounding, score.meter, score.bars)
    if not result.valid:
        raise RequestError(f"the model reads only what is valid: {result.violations[0].message}")
    told = PieceConditions.of(
        composer.config, [str(score.meter)], [key.mode], [style], [score.bars]
    )
    seen, read = logits_along(
        composer.decoder,
        composer.grammar,
        at_home[:-1],
        told,
        bar_ticks=score.meter.bar_ticks,
        bars=score.bars,
        transposition=-home,
    )
    logits = np.concatenate([some for _, some in read])
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    allowed = composer.grammar.token_mask(seen)
    rows, first_choice = np.arange(len(p)), p.argmax(axis=1)
    slips = []
    for row in np.flatnonzero(~allowed[rows, first_choice]).tolist():
        would_be = [*sounding[: row + 1].tolist(), _transposed(int(first_choice[row]), -home)]
        broken = validator.validate_sequence(would_be, score.meter, score.bars).violations
        found = next((one for one in broken if one.index == row + 1), None)
        if found:
            chance = float(p[row, first_choice[row]])
            slips.append(Slip(found, chance, describe(int(sounding[row + 1]))))
    return Understanding(
        tick=seen.tick.tolist(),
        illegal=np.where(allowed, 0.0, p).sum(axis=1).tolist(),
        bits=(-np.log2(np.maximum(p[rows, at_home[1:]], 1e-12))).tolist(),
        slips=slips,
    )


def _transposed(token: int, semitones: int) -> int:
    """A note's token, moved; any other as it is."""
    kind = Kind(KINDS[token])
    if kind not in (Kind.NOTE_ON, Kind.NOTE_OFF):
        return token
    pitch = int(VALUES[token]) + semitones
    return token_id(kind, pitch) if 21 <= pitch <= 108 else token
