"""Fixtures for tests of whole runs: a corpus, a tiny configuration, the plan's configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bicinium.data.piece_record import PieceRecord
from bicinium.data.shards import write_shards
from bicinium.music.key import Key
from bicinium.music.score import COMMON_TIME, Note, Score, Voice
from bicinium.tokenizer.codec import encode
from bicinium.training.config import TrainConfig

_BARS = 4


def _stroll(seed: int) -> Score:
    """Return a random walk of two voices through C major, quarters over halves."""
    rng = np.random.default_rng(seed)
    voices = []
    for lowest, length in ((60, 24), (48, 48)):
        notes, degree = [], 4
        for onset in range(0, _BARS * COMMON_TIME.bar_ticks, length):
            degree = int(np.clip(degree + rng.integers(-2, 3), 0, 6))
            notes.append(Note(onset, lowest + (0, 2, 4, 5, 7, 9, 11)[degree], length, 79))
        voices.append(Voice(tuple(notes)))
    return Score(tuple(voices), _BARS, COMMON_TIME, Key.parse("C major"), tempo_qpm=96.0)


def _piece(seed: int) -> PieceRecord:
    score = _stroll(seed)
    return PieceRecord(
        name=f"stroll {seed}",
        composer="",
        title="",
        licence="",
        credit="",
        cluster="",
        style="bach",
        split="validation" if seed < 2 else "train",
        meter="4/4",
        mode="major",
        transposition=0,
        bars=_BARS,
        notes=score.note_count,
        tokens=encode(score),
    )


@pytest.fixture(scope="session")
def strolls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of 150 short pieces."""
    out = tmp_path_factory.mktemp("strolls")
    write_shards(out, [_piece(seed) for seed in range(152)])
    return out


@pytest.fixture(scope="session")
def smallest() -> Callable[..., TrainConfig]:
    """Return a function (corpus, model fields, training fields) → two steps of one layer."""

    def config(prepared: Path, model: dict[str, Any] | None = None, **training: Any) -> TrainConfig:
        shape = {"d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 32, "context": 96}
        grammar = {"validate_every_n_batches": 100, "live_pieces": 1, "live_bars": 1}
        quick = {"batch_size": 2, "max_steps": 2, "threads": 1, "precision": "32-true"}
        quick |= {"warmup_steps": 0, "musical_grammar": grammar | {"positions": 8}}
        return TrainConfig.model_validate(
            {
                "model": shape | (model or {}),
                "training": quick | training,
                "data": {"prepared": str(prepared)},
            }
        )

    return config


@pytest.fixture(scope="session")
def plan() -> str:
    """The configuration of the plan, key for key."""
    return """
model:
  mode: "transformer"
  vocab_size: 774
  d_model: 256
  n_layers: 4

training:
  musical_grammar:
    enabled: true
    note_pairing_weight: 10.0
    sequence_coherence_weight: 5.0
    repetition_penalty_weight: 3.0
    validate_every_n_batches: 100
    grammar_score_threshold: 0.8
    early_stop_patience: 5

data:
  validate_grammar: true
  filter_poor_grammar: true
  min_grammar_score: 0.9
"""
