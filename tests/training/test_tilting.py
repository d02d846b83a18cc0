"""Tilting: of the model's own pieces those become likelier that a judge takes for real music."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bicinium.errors import ConfigError
from bicinium.generation.conditions import Conditions
from bicinium.generation.engine import Composer, Manner
from bicinium.model.checkpoint import load_checkpoint
from bicinium.model.config import ModelConfig
from bicinium.model.transformer import Transformer
from bicinium.music.key import Key
from bicinium.music.score import COMMON_TIME
from bicinium.training.config import TiltingSection, TrainConfig
from bicinium.training.dataset import PieceStore, Window
from bicinium.training.loop import TrainingRun, start_from, train
from bicinium.training.losses import IGNORED
from bicinium.training.tilting import JudgedPieces, Tilting, log_likelihood, tilting_error
from bicinium.training.validation import own_pieces

Smallest = Callable[..., TrainConfig]
_QUESTIONS, _ANSWERS = 4, 4


@pytest.fixture(scope="module")
def writer(strolls: Path, tmp_path_factory: pytest.TempPathFactory, smallest: Smallest) -> Path:
    """A model that has just begun to learn."""
    return train(smallest(strolls, max_steps=20), tmp_path_factory.mktemp("writer") / "run")


@pytest.fixture(scope="module")
def judged(writer: Path) -> JudgedPieces:
    """Of what it writes, the more of the tokens are notes the better."""
    asked = [Conditions(Key.parse("C major"), COMMON_TIME, 2, style="bach")] * (
        _QUESTIONS * _ANSWERS
    )
    rngs = [np.random.default_rng(seed) for seed in range(len(asked))]
    tokens = Composer(load_checkpoint(writer)).draw(asked, rngs, Manner(max_tokens=120))
    lengths = np.array([len(one) for one in tokens], float)
    log_odds = 3 * (lengths - lengths.mean()) / lengths.std()
    return JudgedPieces(
        own_pieces(tokens, asked), np.repeat(np.arange(_QUESTIONS), _ANSWERS), log_odds
    )


def _log_p(model: Path, judged: JudgedPieces) -> np.ndarray:
    """(P,) of each whole piece, told all that was asked."""
    checkpoint = load_checkpoint(model)
    net = Transformer(checkpoint.config)
    start_from(net, checkpoint)
    store = PieceStore(judged.pieces, net.config, endings=["at rest"] * len(judged.pieces))
    windows = [Window(i, 0, int(n) - 1, 0) for i, n in enumerate(store.lengths)]
    batch = store.batch(windows, np.random.default_rng(0))
    with torch.no_grad():
        return log_likelihood(net.eval()(batch.features), batch.targets).numpy()


def _tilted(pieces: Path, start: Path, **tilting: Any) -> dict[str, Any]:
    return {"start_from": start, "tilting": {"pieces": pieces, **tilting}}


@given(
    st.lists(st.floats(-50, 50), min_size=6, max_size=6),
    st.tuples(st.floats(-50, 50), st.floats(-50, 50)),
)
def test_nothing_is_missing_where_answers_gained_what_they_are_worth(
    log_odds: list[float], by_question: tuple[float, float]
) -> None:
    """Whatever all the answers to a question have in common."""
    question = torch.tensor([0, 0, 0, 1, 1, 1])
    worth = torch.tensor(log_odds, dtype=torch.float64)
    gained = worth + torch.tensor(by_question, dtype=torch.float64)[question]
    assert float(tilting_error(gained, worth, question)) == pytest.approx(0, abs=1e-20)


def test_the_error_is_the_variance_of_what_is_missing() -> None:
    gained, worth = torch.zeros(4), torch.tensor([1.0, -1.0, 5.0, 9.0])
    assert float(tilting_error(gained, worth, torch.tensor([0, 0, 1, 1]))) == pytest.approx(2.5)


def test_what_is_judged_better_gains_as_much_as_it_is_worth(
    strolls: Path, writer: Path, judged: JudgedPieces, tmp_path: Path, smallest: Smallest
) -> None:
    judged.save(tmp_path / "judged.npz")
    tilting = _tilted(tmp_path / "judged.npz", writer, weight=0.1, strength=1, questions=_QUESTIONS)
    config = smallest(
        strolls, max_steps=60, optimizer="adamw", learning_rate=3e-3, seed=3, **tilting
    )
    tilted = train(config, tmp_path / "tilted")
    gained = torch.from_numpy(_log_p(tilted, judged) - _log_p(writer, judged)).double()
    worth, question = torch.from_numpy(judged.log_odds), torch.from_numpy(judged.question)
    before = tilting_error(torch.zeros_like(gained), worth, question)
    assert tilting_error(gained, worth, question) < before / 3
    assert "train/tilting" in (tmp_path / "tilted" / "metrics.jsonl").read_text()


def test_a_run_that_was_interrupted_ends_like_an_uninterrupted_one(
    strolls: Path,
    writer: Path,
    judged: JudgedPieces,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    smallest: Smallest,
) -> None:
    judged.save(tmp_path / "judged.npz")
    config = smallest(strolls, max_steps=4, **_tilted(tmp_path / "judged.npz", writer))
    whole = load_checkpoint(train(config, tmp_path / "whole"))
    advance = TrainingRun._advance

    def stopped_at_step_two(run: TrainingRun) -> None:
        if run.step == 2:
            raise KeyboardInterrupt
        advance(run)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "_advance", stopped_at_step_two)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "halves")
    halves = load_checkpoint(train(config, tmp_path / "halves", resume=True))
    for name, weight in whole.weights.items():
        assert np.array_equal(weight, halves.weights[name]), name


def test_a_long_piece_counts_for_as_much_as_its_window_shows(judged: JudgedPieces) -> None:
    config = ModelConfig(context=16, styles=("bach",))
    section = TiltingSection(strength=2, questions=1, answers=_ANSWERS)
    batch, falls, question = Tilting(section, judged, config, 0).batch([0])
    shown = (batch.targets != IGNORED).sum(dim=1)
    all_inputs = [len(one.tokens) - 1 for one in judged.pieces]
    assert len(falls) == _ANSWERS
    assert question.unique().tolist() == [0]
    of_an_input = 2 * judged.log_odds / all_inputs
    for fall, inputs in zip(falls.tolist(), shown.tolist(), strict=True):
        assert np.isclose(fall, of_an_input * inputs).any()


# ------------------------------------------------------------------ the file


def test_judged_pieces_come_back_from_their_file(judged: JudgedPieces, tmp_path: Path) -> None:
    judged.save(tmp_path / "judged.npz")
    again = JudgedPieces.load(tmp_path / "judged.npz")
    assert np.array_equal(again.log_odds, judged.log_odds)
    assert np.array_equal(again.question, judged.question)
    for piece, before in zip(again.pieces, judged.pieces, strict=True):
        assert np.array_equal(piece.tokens, before.tokens)
        assert replace(piece, tokens=before.tokens) == before


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_a_file_that_holds_none_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "judged.npz"
    if content is None:
        np.savez(path, tokens=np.zeros(3))
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="holds no judged pieces"):
        JudgedPieces.load(path)


def test_it_must_be_known_who_wrote_them(
    strolls: Path, judged: JudgedPieces, tmp_path: Path, smallest: Smallest
) -> None:
    judged.save(tmp_path / "judged.npz")
    config = smallest(strolls, tilting={"pieces": tmp_path / "judged.npz"})
    with pytest.raises(ConfigError, match="start_from"):
        train(config, tmp_path / "run")


def test_single_answers_are_refused(judged: JudgedPieces) -> None:
    alone = replace(judged, question=np.arange(len(judged.pieces)))
    with pytest.raises(ConfigError, match="no two of its pieces answer the same question"):
        Tilting(TiltingSection(), alone, ModelConfig(), 0)
