"""The weights in the package: small, loadable, and good for a piece."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bicinium
from bicinium.data.sources import find_sources
from bicinium.formats.registry import read_score
from bicinium.generation.acceptance import bars_played
from bicinium.generation.critic import Critic
from bicinium.model.checkpoint import DEFAULT_MODEL, load_checkpoint
from bicinium.music.descriptors import describe


def test_they_are_under_ten_megabytes_and_say_how_they_were_made():
    assert DEFAULT_MODEL.stat().st_size < 10_000_000
    record = load_checkpoint().record
    assert record["steps"] == sum(session["steps"] for session in record["sessions"])
    assert record["command"].startswith("bicinium train configs/")
    assert {session["seed"] for session in record["sessions"]} == {1, 2}
    assert all("learning_rate" in session for session in record["sessions"])


@pytest.mark.slow
def test_their_critic_tells_real_music_from_theirs(shared_corpus: Path) -> None:
    """The critic was trained on the Inventions. The test only checks that it fits these weights."""
    critic = Critic.for_model(DEFAULT_MODEL)
    assert critic is not None
    sources = [s for s in find_sources([shared_corpus]) if "invention" in s.path.name]
    real = [critic.realism(describe(read_score(source.path, reduce=True))) for source in sources]
    asked = {"style": "bach", "bars": 16, "model": DEFAULT_MODEL}
    first = [
        critic.realism(describe(p.score)) for p in bicinium.compose_many(8, best_of=1, **asked)
    ]
    assert np.median(real) > 0.5 > np.median(first)
    chosen = [piece.sheet.realism for piece in bicinium.compose_many(8, **asked)]
    assert np.mean(chosen) > np.mean(first)


def test_they_compose_what_is_asked_in_two_voices():
    for piece in bicinium.compose_many(3, key="F# minor", meter="6/8", bars=8, tempo=90, seed=40):
        assert piece.result.valid
        assert piece.score is not None
        assert (piece.score.bars, str(piece.score.meter)) == (8, "6/8")
        assert (str(piece.score.key), piece.score.tempo_qpm) == (
            "F# minor",
            135,
        )  # 90 dotted quarters
        assert all(len(bars_played(piece.score, part)) >= 4 for part in (0, 1))
