"""How much a model is surprised by a finished score."""

from __future__ import annotations

import numpy as np

from bicinium.generation.composer import Composer
from bicinium.model.inputs.encode import PieceConditions
from bicinium.model.softmax import softmax
from bicinium.model.teacher_forcing import logits_along
from bicinium.music.score import Score
from bicinium.tokenizer.codec import encode, snap

_MIN_PROBABILITY = 1e-12


def surprisal_bits(composer: Composer, score: Score) -> float:
    """Return the bits of surprise of a model at all tokens of a score, in the score's key."""
    key = score.key or score.estimated_key
    semitones = key.semitones_to_reference if key else 0
    tokens = encode(snap(score.transpose(semitones)))
    conditions = PieceConditions.of(
        composer.config,
        [str(score.meter)],
        [key.mode if key else None],
        [None],
        [score.bars],
    )
    _, chunks = logits_along(
        composer.decoder,
        composer.grammar,
        tokens[:-1],
        conditions,
        bar_ticks=score.meter.bar_ticks,
        bars=score.bars,
        transposition=-semitones,
    )
    p = softmax(np.concatenate([logits for _, logits in chunks]))
    written = np.maximum(p[np.arange(len(p)), tokens[1:]], _MIN_PROBABILITY)
    return float(-np.log2(written).sum())
