"""The callback validates a Trainer's model, stops early, and goes back to the best state."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import bicinium
from bicinium.errors import CollapseError
from bicinium.grammar import MusicalGrammarValidator
from bicinium.music.score import Meter
from bicinium.training.config import MusicalGrammarSection
from bicinium.training.monitor import Validation

transformers = pytest.importorskip("transformers", minversion="5.24")
pytest.importorskip("accelerate")

from bicinium.adapters.transformers import (  # noqa: E402
    GrammarLogitsProcessor,
    GrammarTrainerCallback,
    GrammarTrainerLoss,
    validate_live,
)

pytestmark = pytest.mark.slow

# Any state is healthy here: these tests are about what follows from a loss, or about weak models.
_QUIET = {"live_pieces": 2, "ramp_steps": 2, "grammar_score_threshold": 0.0, "positions": 64}


@pytest.fixture(scope="module")
def rows():
    """Eight pieces of two bars, cut to equal length: (8, T) token ids."""
    pieces = [
        bicinium.compose(key="C major", meter="2/4", bars=2, seed=seed, best_of=1).tokens
        for seed in range(8)
    ]
    length = min(map(len, pieces))
    return np.stack([piece[:length] for piece in pieces]).astype(np.int64)


@pytest.fixture
def trainer(llama, rows, tmp_path):
    """Return a function that builds a Trainer with loss and callback."""

    def build(section, steps=6, more=(), **options):
        data = [{"input_ids": row, "labels": row} for row in torch.from_numpy(rows)]
        loss = GrammarTrainerLoss(section)
        callback = GrammarTrainerCallback(loss, max_tokens=24)
        arguments = transformers.TrainingArguments(
            output_dir=str(tmp_path), max_steps=steps, per_device_train_batch_size=4,
            eval_strategy="steps", save_strategy="no", report_to="none",
            logging_steps=1, disable_tqdm=True, use_cpu=True, lr_scheduler_type="constant",
            **({"eval_steps": 2, "learning_rate": 1e-3} | options),
        )  # fmt: skip
        built = transformers.Trainer(
            model=llama(), args=arguments, train_dataset=data, eval_dataset=data[:4],
            compute_loss_func=loss, callbacks=[callback, *more],
        )  # fmt: skip
        return built, callback

    return build


class _At(transformers.TrainerCallback):
    """Calls a function with the model at the end of some steps."""

    def __init__(self, steps, change):
        self.steps, self.change = steps, change

    def on_step_begin(self, args, state, control, model=None, **kwargs):
        if state.global_step in self.steps:
            with torch.no_grad():
                self.change(model)


def _spoil(model):
    """Make the loss not finite."""
    model.lm_head.weight.fill_(float("nan"))


def _shout(model):
    """Make the loss large."""
    model.lm_head.weight.mul_(30)


def test_a_training_ends_with_its_best_validated_state(trainer, tmp_path):
    built, callback = trainer(MusicalGrammarSection(**_QUIET, early_stop_patience=50))
    built.train()
    assert [found["step"] for found in callback.validations] == [2, 4, 6]
    assert callback.rollbacks == 0
    logged = [line for line in built.state.log_history if "eval_live_grammar_score" in line]
    assert [line["step"] for line in logged] == [2, 4, 6]
    assert {"eval_live_valid", "eval_live_entropy", "eval_live_illegal_mass"} <= set(logged[0])
    best = callback.monitor.best
    evaluated = {line["step"]: line["eval_loss"] for line in built.state.log_history
                 if "eval_loss" in line}  # fmt: skip
    assert built.evaluate()["eval_loss"] == pytest.approx(evaluated[best.step], rel=1e-5)
    assert (tmp_path / "samples/000006/index.html").is_file()


def test_the_grammar_loss_is_ramped_in(trainer):
    section = MusicalGrammarSection(**(_QUIET | {"ramp_after_steps": 2, "ramp_steps": 4}))
    scales = []
    built, callback = trainer(section, more=[_At(range(6), lambda _: scales.append(loss.scale))])
    loss = callback.loss
    built.train()
    assert scales == [0.0, 0.0, 0.25, 0.5, 0.75, 1.0]
    assert loss.components["legality"] > 0


def test_a_loss_that_is_not_finite_is_rolled_back(trainer):
    section = MusicalGrammarSection(**_QUIET)
    built, callback = trainer(section, more=[_At([3], _spoil)])
    built.train()
    assert callback.rollbacks == 1
    assert "loss is nan" in callback.events[0]
    assert "back" in callback.events[1]
    assert all(bool(weight.isfinite().all()) for weight in built.model.parameters())
    assert built.optimizer.param_groups[0]["lr"] == pytest.approx(5e-4)
    assert callback.loss.scale == 1.5
    assert built.state.global_step == 6


def test_a_collapse_before_any_validation_goes_back_to_the_beginning(trainer):
    built, callback = trainer(
        MusicalGrammarSection(**_QUIET), more=[_At([1], _spoil)], eval_steps=6
    )
    built.train()
    assert callback.rollbacks == 1
    assert np.isfinite(built.evaluate()["eval_loss"])


def test_losses_that_stay_large_are_rolled_back(trainer):
    section = MusicalGrammarSection(**_QUIET)
    built, callback = trainer(section, steps=27, more=[_At([22], _shout)], eval_steps=20)
    built.train()
    assert callback.rollbacks == 1
    assert "the loss rose from" in callback.events[0]


def test_too_many_collapses_end_the_training(trainer):
    section = MusicalGrammarSection(**_QUIET, max_rollbacks=1)
    built, _ = trainer(section, more=[_At([3, 4], _spoil)])
    with pytest.raises(CollapseError, match="after 1 rollbacks"):
        built.train()
    assert all(bool(weight.isfinite().all()) for weight in built.model.parameters())


def test_without_rollback_a_collapse_is_only_reported(trainer):
    section = MusicalGrammarSection(**_QUIET, rollback=False)
    built, callback = trainer(section, more=[_At([3], _spoil)], eval_steps=6)
    built.train()
    assert callback.rollbacks == 0
    assert callback.events[0].startswith("step 4: collapse")
    assert not callback.validations  # Weights that are not finite write no pieces.


def test_a_validation_that_fails_ends_no_training(trainer):
    built, callback = trainer(MusicalGrammarSection(**_QUIET))
    callback.options = {"num_beams": 0}
    built.train()
    assert built.state.global_step == 6
    assert "the validation failed" in callback.events[0]
    assert callback.monitor.best is None


def test_training_stops_when_nothing_improves(trainer):
    section = MusicalGrammarSection(**_QUIET, early_stop_patience=2)
    built, callback = trainer(section, steps=30, learning_rate=0.0)
    built.train()
    assert built.state.global_step < 30
    assert "improved in 2 validations" in callback.events[-1]


def test_a_model_whose_music_gets_worse_goes_back(trainer):
    """Its score stays below a threshold that one state has reached."""
    section = MusicalGrammarSection(
        **(_QUIET | {"grammar_score_threshold": 1e-9, "live_pieces": 4}), early_stop_patience=2
    )
    built, callback = trainer(section, steps=12)
    # Score and degeneration of an untrained model say nothing, so the monitor is told.
    callback.monitor.after_validation(Validation(2, 99.0, 0.9))
    built.train()
    assert callback.rollbacks >= 1
    assert "for 2 consecutive validations" in callback.events[1]


def test_an_evaluation_outside_training_is_measured_and_decides_nothing(trainer):
    built, callback = trainer(MusicalGrammarSection(**_QUIET))
    assert 0 < built.evaluate()["eval_live_illegal_mass"] < 1
    assert callback.monitor.best is None


def test_live_validation_is_repeatable_and_disturbs_no_other_draws(llama):
    model = llama().train()
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = validate_live(model, 3, max_tokens=40, seed=1)
    assert torch.equal(torch.rand(1), expected)
    assert model.training
    second = validate_live(model, 3, max_tokens=40, seed=1)
    other = validate_live(model, 3, max_tokens=40, seed=2)
    tokens = [[piece.tokens.tolist() for piece in live.pieces] for live in (first, second, other)]
    assert tokens[0] == tokens[1] != tokens[2]
    assert first.metrics == second.metrics
    assert first.metrics["valid"] == 0.0
    assert first.degenerate


def test_live_validation_measures_pieces_as_the_validator_does(llama):
    """With the grammar's mask as an option, every piece is valid."""
    processor = GrammarLogitsProcessor(meter="2/4", bars=2, max_tokens=80)
    live = validate_live(llama(), 4, max_tokens=80, meter=Meter(2, 4), logits_processor=[processor])
    assert live.metrics["valid"] == live.metrics["grammar_score"] == 1.0
    for piece in live.pieces:
        assert piece.result == MusicalGrammarValidator().validate_sequence(
            piece.tokens, Meter(2, 4)
        )
        assert piece.score.bars == 2
    assert 0.3 < live.metrics["illegal_mass"] < 1  # Of the weights as they are: random.
