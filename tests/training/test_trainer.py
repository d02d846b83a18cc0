"""Whole runs, tiny ones: they end with a model that composes, and go on where they stopped."""

from __future__ import annotations

import csv
import math
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml

from bicinium.api import compose_many
from bicinium.corpus.prepare import prepare
from bicinium.corpus.shards import load_pieces
from bicinium.corpus.sources import STYLES, find_sources
from bicinium.errors import ConfigError, CorpusError
from bicinium.grammar import MusicalGrammar
from bicinium.model.checkpoint import Checkpoint, load_checkpoint
from bicinium.model.decoder import Decoder
from bicinium.model.features import PieceConditions
from bicinium.score.notes import Meter
from bicinium.training.config import TrainConfig
from bicinium.training.musical_grammar import IGNORED
from bicinium.training.trainer import GrammarTraining, next_token_loss, train

Refuses = Callable[..., AbstractContextManager[None]]

_STEPS = 6


def _config(prepared: Path, context: int = 64, **training: object) -> TrainConfig:
    model = {"d_model": 32, "n_layers": 2, "n_heads": 2, "d_ff": 64, "dropout": 0.1}
    values = {
        "model": model | {"context": context},
        "training": {
            "seed": 3,
            "max_steps": _STEPS,
            "batch_size": 4,
            "learning_rate": 1e-2,
            "warmup_steps": 2,
            "precision": "32-true",
            "threads": 1,
            "validate_every_steps": 4,
            "checkpoint_every_steps": 2,
            "musical_grammar": {"ramp_steps": 3, "positions": 64},
        }
        | training,
        "data": {"prepared": str(prepared)},
    }
    return TrainConfig.model_validate(values)


@pytest.fixture(scope="module")
def uninterrupted(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of six steps."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    assert train(_config(prepared), run) == run / "model.safetensors"
    return run


def _weights(run: Path) -> dict[str, np.ndarray]:
    return load_checkpoint(run / "model.safetensors").weights


def _same_weights(one: Path, other: Path) -> bool:
    a, b = _weights(one), _weights(other)
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_a_run_ends_with_a_model_that_composes(uninterrupted: Path) -> None:
    for piece in compose_many(2, bars=4, model=uninterrupted / "model.safetensors"):
        assert piece.result.valid
        assert piece.result.notes > 0


def test_a_run_leaves_its_configuration_its_record_and_its_metrics(
    uninterrupted: Path, prepared: Path
) -> None:
    checkpoint = load_checkpoint(uninterrupted / "model.safetensors")
    assert checkpoint.config.styles == STYLES
    assert checkpoint.record["steps"] == _STEPS
    assert checkpoint.record["training_pieces"] == 6
    written = yaml.safe_load((uninterrupted / "config.yaml").read_text())
    assert written == checkpoint.record["config"]
    assert TrainConfig.model_validate(written).training == _config(prepared).training
    assert checkpoint.record["metrics"]["validation/keyboard/bits_per_note"] > 0
    with (uninterrupted / "metrics.csv").open(newline="") as file:
        columns = next(csv.reader(file))
    assert "validation/keyboard/illegal_mass" in columns


def test_a_run_moves_every_weight(uninterrupted: Path, prepared: Path) -> None:
    torch.manual_seed(0)
    fresh = GrammarTraining(_config(prepared), {}).model.state_dict()
    for name, weight in _weights(uninterrupted).items():
        if weight.ndim == 1:  # the norms begin at 1
            assert np.abs(weight - 1).max() > 1e-3, name
        assert weight.shape == fresh[name].shape or name == "embedding.weight"


def test_validation_reports_the_bits_that_the_decoder_measures(
    prepared: Path, tmp_path: Path, shown_along: Callable[..., np.ndarray]
) -> None:
    """Bits per note: −log₂ of the probability of all tokens after START, and the bill for what the
    model was told (key, bars, style), by the notes; here taken token by token from numpy."""
    path = train(_config(prepared, context=1024, max_steps=4), tmp_path / "run")
    checkpoint: Checkpoint = load_checkpoint(path)
    pieces = [piece for piece in load_pieces(prepared) if piece.split == "validation"]
    grammar, decoder = MusicalGrammar(), Decoder(checkpoint.config, checkpoint.weights)
    bits = illegal = 0.0
    for piece in pieces:
        asked = {"bar_ticks": Meter.parse(piece.meter).bar_ticks, "bars": piece.bars}
        told = PieceConditions.of(
            checkpoint.config, [piece.meter], [piece.mode], [piece.style], [piece.bars]
        )
        seen = shown_along(checkpoint.config, piece.tokens, told, **asked)
        state = grammar.initial_state(1, transposition=piece.transposition, **asked)
        decoder.start(1)
        for row, token, following in zip(seen, piece.tokens, piece.tokens[1:], strict=False):
            grammar.advance(state, np.array([token]))
            logits = decoder.step(row[None])[0].astype(np.float64)
            p = np.exp(logits - np.logaddexp.reduce(logits))
            bits -= math.log2(p[following])
            illegal += p[~grammar.token_mask(state)[0]].sum()
        bits += math.log2(12) + math.log2(64) + math.log2(len(STYLES))
    tokens = sum(len(piece.tokens) - 1 for piece in pieces)
    reported = checkpoint.record["metrics"]
    in_notes = bits / sum(piece.notes for piece in pieces)
    assert reported["validation/keyboard/bits_per_note"] == pytest.approx(in_notes, abs=1e-3)
    assert reported["validation/keyboard/illegal_mass"] == pytest.approx(illegal / tokens, abs=1e-4)


def test_a_finished_run_is_not_overwritten(
    uninterrupted: Path, prepared: Path, refuses: Refuses
) -> None:
    before = (uninterrupted / "model.safetensors").read_bytes()
    with refuses(ConfigError, "holds a run already"):
        train(_config(prepared), uninterrupted)
    assert (uninterrupted / "model.safetensors").read_bytes() == before


def test_the_same_seed_trains_the_same_model_and_another_another(
    uninterrupted: Path, prepared: Path, tmp_path: Path
) -> None:
    train(_config(prepared), tmp_path / "again")
    train(_config(prepared, seed=4), tmp_path / "other")
    assert _same_weights(uninterrupted, tmp_path / "again")
    assert not _same_weights(uninterrupted, tmp_path / "other")


# ------------------------------------------------------------------ going on


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """(method of the training module, call, exception): that call raises, once."""

    def arrange(method: str, call: int, exception: BaseException) -> None:
        original = getattr(GrammarTraining, method)
        calls = iter(range(1000))

        def stopping(self: GrammarTraining, *args: object) -> object:
            if next(calls) == call:
                raise exception
            return original(self, *args)

        monkeypatch.setattr(GrammarTraining, method, stopping)

    return arrange


@pytest.mark.parametrize("step", [1, 3, 5])
@pytest.mark.parametrize("exception", [KeyboardInterrupt(), RuntimeError("power cut")], ids=repr)
def test_an_interrupted_run_ends_like_an_uninterrupted_one(
    uninterrupted: Path,
    prepared: Path,
    tmp_path: Path,
    stop_at: Callable[..., None],
    step: int,
    exception: BaseException,
) -> None:
    run = tmp_path / "run"
    stop_at("training_step", step, exception)
    with pytest.raises(type(exception)):
        train(_config(prepared), run)
    assert not (run / "model.safetensors").exists()
    train(_config(prepared), run, resume=True)
    assert _same_weights(uninterrupted, run)
    assert load_checkpoint(run / "model.safetensors").record["steps"] == _STEPS


def test_a_killed_run_goes_on_from_its_last_checkpoint(
    uninterrupted: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 leaves what was saved every two steps, and nobody to save more."""
    saved = tmp_path / "killed" / "checkpoints" / "last.ckpt"
    original = GrammarTraining.training_step

    def keeping(self: GrammarTraining, *args: object) -> object:
        if self.global_step == 5:
            saved.parent.mkdir(parents=True)
            shutil.copy(tmp_path / "run" / "checkpoints" / "last.ckpt", saved)
        return original(self, *args)

    monkeypatch.setattr(GrammarTraining, "training_step", keeping)
    train(_config(prepared), tmp_path / "run")
    monkeypatch.undo()
    assert torch.load(saved, weights_only=False)["global_step"] == 4
    train(_config(prepared), tmp_path / "killed", resume=True)
    assert _same_weights(uninterrupted, tmp_path / "killed")


def test_a_validation_that_was_interrupted_is_begun_again(
    uninterrupted: Path, prepared: Path, tmp_path: Path, stop_at: Callable[..., None]
) -> None:
    """Half a validation would report half the bits."""
    run = tmp_path / "run"
    stop_at("validation_step", 1, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        train(_config(prepared), run)
    train(_config(prepared), run, resume=True)
    assert _same_weights(uninterrupted, run)

    def metrics(folder: Path) -> dict[str, float]:
        record = load_checkpoint(folder / "model.safetensors").record["metrics"]
        return {name: v for name, v in record.items() if name.startswith("validation")}

    assert len(metrics(run)) == 3
    assert metrics(run) == pytest.approx(metrics(uninterrupted), abs=2e-4)


def test_metrics_of_the_first_session_survive_the_second(
    prepared: Path, tmp_path: Path, stop_at: Callable[..., None]
) -> None:
    run = tmp_path / "run"
    stop_at("training_step", 5, RuntimeError("power cut"))
    with pytest.raises(RuntimeError):
        train(_config(prepared), run)
    before = (run / "metrics.csv").read_bytes()
    train(_config(prepared), run, resume=True)
    assert before.count(b"\n") > 1
    assert (run / "metrics-1.csv").read_bytes() == before


def test_a_run_that_fails_before_its_first_step_leaves_the_checkpoint_alone(
    prepared: Path, tmp_path: Path, stop_at: Callable[..., None]
) -> None:
    run = tmp_path / "run"
    stop_at("training_step", 3, RuntimeError("power cut"))
    with pytest.raises(RuntimeError):
        train(_config(prepared), run)
    last = run / "checkpoints" / "last.ckpt"
    broken = last.read_bytes()[:-1000]
    last.write_bytes(broken)
    with pytest.raises(Exception):  # noqa: B017, PT011  (torch's, whatever it is)
        train(_config(prepared), run, resume=True)
    assert last.read_bytes() == broken


# ------------------------------------------------------------------ what cannot be run


def test_resuming_nothing_is_refused(prepared: Path, tmp_path: Path, refuses: Refuses) -> None:
    with refuses(ConfigError, "nothing to resume"):
        train(_config(prepared), tmp_path / "run", resume=True)


def test_training_without_a_corpus_is_refused(tmp_path: Path, refuses: Refuses) -> None:
    with refuses(CorpusError, "there is no prepared corpus"):
        train(_config(tmp_path / "nowhere"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_training_without_validation_pieces_is_refused(
    midi_folder: Path, tmp_path: Path, refuses: Refuses
) -> None:
    prepare(find_sources([midi_folder / "piece-0.mid"]), tmp_path / "one", jobs=1)
    sides = {piece.split for piece in load_pieces(tmp_path / "one")}
    assert len(sides) == 1
    with refuses(ConfigError, "both are needed"):
        train(_config(tmp_path / "one"), tmp_path / "run")


# ------------------------------------------------------------------ the loss


def test_the_loss_is_the_mean_over_the_positions_that_count() -> None:
    logits = torch.randn(2, 3, 774)
    targets = torch.tensor([[5, IGNORED, 7], [IGNORED, IGNORED, 700]])
    expected = F.cross_entropy(logits[[0, 0, 1], [0, 2, 2]], torch.tensor([5, 7, 700]))
    torch.testing.assert_close(next_token_loss(logits, targets), expected)


def test_the_learning_rate_rises_to_its_peak_and_falls_to_a_twentieth(prepared: Path) -> None:
    module = GrammarTraining(_config(prepared, max_steps=100, warmup_steps=10), {})
    asked = module.configure_optimizers()
    optimizer, schedule = asked["optimizer"], asked["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(1e-3)
    assert max(rates) == pytest.approx(1e-2)
    assert int(np.argmax(rates)) in (9, 10)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(5e-4)


def test_only_matrices_are_decayed(prepared: Path) -> None:
    groups = GrammarTraining(_config(prepared), {}).configure_optimizers()["optimizer"].param_groups
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert all(p.ndim >= 2 for p in groups[0]["params"])
    assert all(p.ndim == 1 for p in groups[1]["params"])
    assert sum(len(group["params"]) for group in groups) == 3 + 2 * 6
