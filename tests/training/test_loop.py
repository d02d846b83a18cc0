"""Whole runs of tiny models: they end with a model that composes, and resume exactly.

``test_collapse`` checks that they recover from a collapse.
"""

from __future__ import annotations

import math
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from lightning_fabric import Fabric

from bicinium.api import compose_many
from bicinium.data.piece_record import PieceRecord
from bicinium.data.prepare import prepare
from bicinium.data.shards import load_pieces, write_shards
from bicinium.data.sources import find_sources
from bicinium.errors import CollapseError, ConfigError, CorpusError, FolderInUseError
from bicinium.formats.midi import write_midi
from bicinium.grammar import MusicalGrammar
from bicinium.model.checkpoint import Checkpoint, load_checkpoint
from bicinium.model.decoder import Decoder
from bicinium.model.inputs.encode import PieceConditions
from bicinium.model.transformer import Transformer
from bicinium.music.score import Meter, Score
from bicinium.training import loop
from bicinium.training.config import TrainConfig
from bicinium.training.live_sampler import LiveSampler
from bicinium.training.loop import StepHook, train
from bicinium.training.monitor import Monitor
from bicinium.training.optim import learning_rate_at
from bicinium.training.run_dir import EVENTS, METRICS, last_checkpoint, read_metrics, read_records
from bicinium.training.run_state import RunState
from bicinium.training.setup import TrainingSetup, build_training
from bicinium.training.validation import validate_live

Refuses = Callable[..., AbstractContextManager[None]]

_STEPS = 6
_STYLES_OF_CORPUS = ("bach", "romantic")


def _config(
    prepared: Path, context: int = 64, d_model: int = 32, data: dict[str, Any] | None = None,
    grammar: dict[str, Any] | None = None, **training: object,
) -> TrainConfig:  # fmt: skip
    """Six steps; validated after the fourth and the sixth, and saved after every second."""
    model = {"d_model": d_model, "n_layers": 2, "n_heads": 2, "d_ff": 64, "dropout": 0.1}
    of_grammar = {
        "ramp_steps": 3,
        "positions": 64,
        "validate_every_n_batches": 4,
        "live_pieces": 2,
        "live_bars": 2,
        "on_policy_every_n_batches": 2,
        "on_policy_pieces": 2,
        "on_policy_tokens": 32,
    }
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
            "checkpoint_every_steps": 2,
            "musical_grammar": of_grammar | (grammar or {}),
        }
        | training,
        "data": {"prepared": str(prepared)} | (data or {}),
    }
    return TrainConfig.model_validate(values)


@pytest.fixture(scope="module")
def uninterrupted(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run of six steps."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    assert train(_config(prepared), run) == run / "model.safetensors"
    return run


def _weights(run: Path) -> dict[str, np.ndarray]:
    """The weights at the end, in full precision (the model is of the best state, in half)."""
    state = torch.load(last_checkpoint(run), weights_only=True)["model"]
    return {name: weight.numpy() for name, weight in state.items()}


def _same_weights(one: Path, other: Path) -> bool:
    a, b = _weights(one), _weights(other)
    models = [load_checkpoint(run / "model.safetensors").weights for run in (one, other)]
    return (
        a.keys() == b.keys()
        and all(np.array_equal(a[name], b[name]) for name in a)
        and all(np.array_equal(models[0][name], models[1][name]) for name in a)
    )


def _setup(config: TrainConfig, run: Path, resume: bool = False) -> TrainingSetup:
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    return build_training(fabric, config, run, resume)


def _kinds(run: Path) -> list[str]:
    return [event["kind"] for event in read_records(run / EVENTS)]


def test_a_run_ends_with_a_model_that_composes(uninterrupted: Path) -> None:
    for piece in compose_many(2, bars=4, seed=0, model=uninterrupted / "model.safetensors"):
        assert piece.result.valid
        assert piece.result.notes > 0


def test_a_run_writes_configuration_record_and_metrics(uninterrupted: Path, prepared: Path) -> None:
    checkpoint = load_checkpoint(uninterrupted / "model.safetensors")
    assert checkpoint.config.styles == _STYLES_OF_CORPUS
    assert checkpoint.record["steps"] in (4, _STEPS)
    assert checkpoint.record["training_pieces"] == 6
    written = yaml.safe_load((uninterrupted / "config.yaml").read_text())
    assert written == checkpoint.record["config"]
    assert TrainConfig.model_validate(written).training == _config(prepared).training
    assert checkpoint.record["validation"]["bits_per_note"] > 0
    curves = read_metrics(uninterrupted)
    assert [step for step, _ in curves["validation/keyboard/illegal_mass"]] == [4, 6]
    assert _kinds(uninterrupted) == ["validation", "validation", "alert", "ended"]
    (alert,) = [e for e in read_records(uninterrupted / EVENTS) if e["kind"] == "alert"]
    assert "the model is weak: its grammar score without the mask is 0.0" in alert["message"]


def test_every_component_is_recorded(uninterrupted: Path) -> None:
    """Losses on data and on policy, validation and batch statistics."""
    components = {"note_pairing", "sequence_coherence", "repetition_penalty", "velocity"}
    components.add("entropy_floor")
    live = {
        *("grammar_score", "min_grammar_score", "valid", "paired_notes", "looped", "entropy"),
        *("notes_per_quarter", "pitch_class_entropy", "in_scale", "illegal_mass"),
    }
    recorded = {name for line in read_records(uninterrupted / METRICS) for name in line}
    assert recorded >= {f"train/{name}" for name in components | {"cross_entropy"}}
    assert recorded >= {"train/gradient_norm", "train/learning_rate", "train/steps_per_second"}
    assert recorded >= {f"live/{name}" for name in live}
    assert recorded >= {f"data/{name}" for name in ("legal", "notes_per_quarter", "padding")}
    assert recorded >= {
        f"validation/keyboard/{name}" for name in ("bits_per_note", "bits_per_token")
    }


def test_samples_are_written_as_midi_and_as_a_page(uninterrupted: Path) -> None:
    for step in (4, 6):
        folder = uninterrupted / "samples" / f"{step:06d}"
        files = {path.name.partition(".")[0]: path for path in folder.iterdir()}
        assert set(files) == {"0", "1", "index"}
        assert "<svg" in files["index"].read_text()


def test_the_on_policy_loss_is_recorded_and_can_be_switched_off(
    prepared: Path, tmp_path: Path
) -> None:
    for name, grammar in (
        ("on", {}),
        ("off", {"on_policy_weight": 0}),
        ("bare", {"enabled": False}),
    ):
        train(_config(prepared, grammar=grammar, log_every_steps=1), tmp_path / name)
    on, off, bare = (read_metrics(tmp_path / name) for name in ("on", "off", "bare"))
    # every second step, and after the validation of the fourth; recorded when the step is done
    assert [step for step, _ in on["on_policy/note_pairing"]] == [3, 5]
    assert "on_policy/note_pairing" not in off
    assert "train/note_pairing" in off
    assert not any(name.startswith("on_policy/") for name in bare)
    assert "train/note_pairing" not in bare
    assert "live/grammar_score" in bare  # it is validated all the same
    ends = [_weights(tmp_path / name)["head.weight"] for name in ("on", "off", "bare")]
    assert not np.array_equal(ends[0], ends[1])
    assert not np.array_equal(ends[1], ends[2])


def test_the_grammar_loss_starts_after_the_configured_steps(prepared: Path, tmp_path: Path) -> None:
    grammar = {"ramp_after_steps": 3, "ramp_steps": 2}
    train(_config(prepared, grammar=grammar, log_every_steps=1), tmp_path / "run")
    measured = read_metrics(tmp_path / "run")
    assert [scale for _, scale in measured["train/grammar_scale"]] == [0, 0, 0, 0.5, 1, 1]
    # it is measured from the start; generated pieces are used after the validation of step 4
    assert [step for step, _ in measured["train/note_pairing"]] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in measured["on_policy/note_pairing"]] == [5]


def test_before_the_ramp_a_run_equals_one_without_the_grammar_loss(
    prepared: Path, tmp_path: Path
) -> None:
    """Bit for bit, dropout and all: it draws no random numbers either."""
    for name, grammar in (("waiting", {"ramp_after_steps": _STEPS}), ("bare", {"enabled": False})):
        train(_config(prepared, grammar=grammar, log_every_steps=1), tmp_path / name)
    assert _same_weights(tmp_path / "waiting", tmp_path / "bare")
    waiting, bare = (read_metrics(tmp_path / name) for name in ("waiting", "bare"))
    assert not any(name.startswith("on_policy/") for name in waiting)
    assert waiting["train/gradient_norm"] == bare["train/gradient_norm"]


def test_training_changes_every_weight(uninterrupted: Path, prepared: Path, tmp_path: Path) -> None:
    fresh = _setup(_config(prepared), tmp_path / "run").state.net.state_dict()
    for name, weight in _weights(uninterrupted).items():
        assert weight.shape == fresh[name].shape
        moved = np.abs(weight - fresh[name].numpy())
        assert moved.max() > 1e-3, name


def test_bits_of_validation_equal_those_of_the_decoder(
    prepared: Path, tmp_path: Path, shown_along: Callable[..., np.ndarray]
) -> None:
    """Bits per note are −log₂ of the probability of all tokens after START plus the bits of the
    conditions (key, bars, style). They are computed here token by token in numpy."""
    path = train(_config(prepared, context=1024, max_steps=4), tmp_path / "run")
    checkpoint: Checkpoint = load_checkpoint(path)
    pieces = [piece for piece in load_pieces(prepared) if piece.split == "validation"]
    grammar, decoder = MusicalGrammar(), Decoder(checkpoint.config, checkpoint.weights)
    bits = illegal = 0.0
    for piece in pieces:
        options = {"bar_ticks": Meter.parse(piece.meter).bar_ticks, "bars": piece.bars}
        conditions = PieceConditions.of(
            checkpoint.config, [piece.meter], [piece.mode], [piece.style], [piece.bars]
        )
        seen = shown_along(checkpoint.config, piece.tokens, conditions, **options)
        state = grammar.initial_states(1, transposition=piece.transposition, **options)
        decoder.start(1)
        for row, token, following in zip(seen, piece.tokens, piece.tokens[1:], strict=False):
            grammar.advance(state, np.array([token]))
            logits = decoder.step(row[None])[0].astype(np.float64)
            p = np.exp(logits - np.logaddexp.reduce(logits))
            bits -= math.log2(p[following])
            illegal += p[~grammar.mask(state)[0]].sum()
        bits += math.log2(12) + math.log2(64) + math.log2(len(_STYLES_OF_CORPUS))
    tokens = sum(len(piece.tokens) - 1 for piece in pieces)
    curves = read_metrics(tmp_path / "run")
    reported = {name: curves[f"validation/keyboard/{name}"][-1][1] for name in _MEASURED}
    in_notes = bits / sum(piece.notes for piece in pieces)
    assert reported["bits_per_note"] == pytest.approx(in_notes, abs=1e-3)
    assert checkpoint.record["validation"]["bits_per_note"] == reported["bits_per_note"]
    assert reported["illegal_mass"] == pytest.approx(illegal / tokens, abs=1e-4)


_MEASURED = ("bits_per_note", "illegal_mass")


def test_the_live_score_is_the_mean_over_reproducible_pieces(
    prepared: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    """The same weights and the same seed write the same pieces, and the score is their mean."""
    folder = tmp_path / "run"
    shutil.copytree(uninterrupted, folder)
    sampler = _setup(_config(prepared), folder, resume=True).validator.sampler
    found, again = (validate_live(sampler, 2, 2, [3, 5]) for _ in range(2))
    assert [piece.tokens.tolist() for piece in found.pieces] == [
        piece.tokens.tolist() for piece in again.pieces
    ]
    reported = read_metrics(uninterrupted)["live/grammar_score"][-1]
    assert reported == (_STEPS, found.metrics["grammar_score"])
    scores = [piece.result.grammar_score for piece in found.pieces]
    assert found.metrics["grammar_score"] == pytest.approx(np.mean(scores))


def test_a_finished_run_is_not_overwritten(
    uninterrupted: Path, prepared: Path, refuses: Refuses
) -> None:
    before = (uninterrupted / "model.safetensors").read_bytes()
    with refuses(ConfigError, "holds a run already"):
        train(_config(prepared), uninterrupted)
    assert (uninterrupted / "model.safetensors").read_bytes() == before


def test_only_the_same_seed_trains_the_same_model(
    uninterrupted: Path, prepared: Path, tmp_path: Path
) -> None:
    train(_config(prepared), tmp_path / "again")
    train(_config(prepared, seed=4), tmp_path / "other")
    assert _same_weights(uninterrupted, tmp_path / "again")
    assert not _same_weights(uninterrupted, tmp_path / "other")


def test_a_run_without_improvement_stops_early(prepared: Path, tmp_path: Path) -> None:
    """With a negligible learning rate the second and third validation equal the first."""
    grammar = {"validate_every_n_batches": 2, "early_stop_patience": 2, "on_policy_weight": 0}
    grammar["ramp_steps"] = 0
    config = _config(prepared, max_steps=40, learning_rate=1e-12, grammar=grammar)
    train(config, tmp_path / "run")
    events = read_records(tmp_path / "run" / EVENTS)
    assert [event["step"] for event in events if event["kind"] == "validation"] == [2, 4, 6]
    assert events[-1]["kind"] == "ended"
    assert (
        "neither bits per note nor grammar score improved in 2 validations"
        in (events[-1]["message"])
    )


# ------------------------------------------------------------------ interruption and resuming


def _at(step: int, happens: Callable[[], object]) -> StepHook:
    """A hook that does something before a step, once."""
    done: list[int] = []

    def before_step(state: RunState) -> None:
        if state.step == step and not done:
            done.append(step)
            happens()

    return before_step


@pytest.fixture
def at_call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """(owner, function, call, what happens): at that call of the function it happens, once."""

    def arrange(owner: object, function: str, call: int, happens: Callable[[], object]) -> None:
        original = getattr(owner, function)
        calls = iter(range(1000))

        def stopping(*args: object, **named: object) -> object:
            if next(calls) == call:
                happens()
            return original(*args, **named)

        monkeypatch.setattr(owner, function, stopping)

    return arrange


def _power_cut() -> None:
    raise RuntimeError("power cut")


def _signalled(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("step", "happens", "ends"),
    [
        pytest.param(1, _signalled(signal.SIGINT), KeyboardInterrupt, id="Ctrl-C 1"),
        pytest.param(4, _signalled(signal.SIGINT), KeyboardInterrupt, id="Ctrl-C 4"),
        pytest.param(3, _signalled(signal.SIGTERM), KeyboardInterrupt, id="SIGTERM 3"),
        pytest.param(3, _signalled(signal.SIGHUP), KeyboardInterrupt, id="SIGHUP 3"),
        pytest.param(3, _power_cut, RuntimeError, id="power cut 3"),
        pytest.param(5, _power_cut, RuntimeError, id="power cut 5"),
    ],
)
def test_an_interrupted_run_ends_with_the_same_weights(
    uninterrupted: Path,
    prepared: Path,
    tmp_path: Path,
    step: int,
    happens: Callable[[], None],
    ends: type[BaseException],
) -> None:
    run = tmp_path / "run"
    with pytest.raises(ends):
        train(_config(prepared), run, before_step=_at(step, happens))
    saved = torch.load(last_checkpoint(run), weights_only=True)["step"]
    # Ctrl-C finishes the step and saves; after a power cut there is what was saved before
    assert saved == (step + 1 if ends is KeyboardInterrupt else 2 * (step // 2))
    train(_config(prepared), run, resume=True)
    assert _same_weights(uninterrupted, run)
    assert _kinds(run)[-1] == "ended"
    assert "resumed" in _kinds(run)
    # after a power cut nothing says why the run ended, so the next process says that
    events = read_records(run / EVENTS)
    (resumed,) = (event["message"] for event in events if event["kind"] == "resumed")
    assert ("ended without a word" in resumed) == (ends is RuntimeError)
    assert ("stopped" in _kinds(run)) == (ends is KeyboardInterrupt)


def _twice() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("owner", "function"),
    [(torch.optim.AdamW, "step"), (torch.optim.Muon, "step"), (Monitor, "after_step")],
)
def test_an_incomplete_step_is_not_saved(
    uninterrupted: Path,
    prepared: Path,
    tmp_path: Path,
    at_call: Callable[..., None],
    owner: type,
    function: str,
) -> None:
    """A second Ctrl-C acts at once."""
    run = tmp_path / "run"
    at_call(owner, function, 3, _twice)
    with pytest.raises(KeyboardInterrupt):
        train(_config(prepared), run)
    assert torch.load(last_checkpoint(run), weights_only=True)["step"] == 2
    train(_config(prepared), run, resume=True)
    assert _same_weights(uninterrupted, run)


def test_dropout_is_on_after_a_failed_validation(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, seen = Transformer.forward, []

    def failing(self: Transformer, *args: Any) -> Any:
        seen.append(self.training)
        if not self.training and True in seen:  # After the rehearsal.
            raise MemoryError
        return original(self, *args)

    monkeypatch.setattr(Transformer, "forward", failing)
    with pytest.raises(CollapseError, match=r"no state .* the last failure: MemoryError"):
        train(_config(prepared), tmp_path / "run")
    assert not all(seen)
    assert seen.count(True) >= _STEPS


def test_a_model_knows_the_styles_of_its_corpus_and_of_its_configuration(
    prepared: Path, tmp_path: Path
) -> None:
    config = _config(prepared)
    other = config.model.model_copy(update={"styles": ("jazz",)})
    model = train(config.model_copy(update={"model": other}), tmp_path / "run")
    assert load_checkpoint(model).config.styles == ("jazz", *_STYLES_OF_CORPUS)


def test_interruption_before_the_ramp_does_not_change_the_weights(
    prepared: Path, tmp_path: Path
) -> None:
    """Pieces generated by a validation are not in the checkpoint, so no later step may use them."""
    config = _config(prepared, grammar={"ramp_after_steps": 5})
    train(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", before_step=_at(4, _signalled(signal.SIGINT)))
    train(config, tmp_path / "run", resume=True)
    assert _same_weights(tmp_path / "whole", tmp_path / "run")


@pytest.mark.parametrize(
    ("owner", "function", "saved_every"),
    [
        (LiveSampler, "compose", 2),
        (Monitor, "after_validation", 100),
        (loop, "write_model", 100),
    ],
)
def test_an_interrupted_validation_is_repeated(
    uninterrupted: Path,
    prepared: Path,
    tmp_path: Path,
    at_call: Callable[..., None],
    owner: object,
    function: str,
    saved_every: int,
) -> None:
    """Wherever in it Ctrl-C comes, its generated pieces are learned from all the same."""
    run, config = tmp_path / "run", _config(prepared, checkpoint_every_steps=saved_every)
    rehearsed = int(function == "compose")  # once, before the first step
    at_call(owner, function, rehearsed, _signalled(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        train(config, run)
    assert torch.load(last_checkpoint(run), weights_only=True)["step"] == 4
    train(config, run, resume=True)
    assert _same_weights(uninterrupted, run)
    mine, other = read_metrics(run), read_metrics(uninterrupted)
    for name in ("validation/keyboard/bits_per_note", "live/grammar_score"):
        assert mine[name] == other[name]


def test_ctrl_c_interrupts_a_validation_at_once(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("it went on after Ctrl-C")

    monkeypatch.setattr(LiveSampler, "compose", endless)
    with pytest.raises(KeyboardInterrupt):
        train(_config(prepared), tmp_path / "run")
    assert "alert" not in _kinds(tmp_path / "run")


def test_signal_handlers_are_restored_after_a_run(prepared: Path, tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt):
        train(_config(prepared), tmp_path / "run", before_step=_at(1, _signalled(signal.SIGINT)))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_killed_run_resumes_from_its_last_checkpoint(
    uninterrupted: Path, prepared: Path, tmp_path: Path
) -> None:
    """kill -9 leaves what was saved every two steps, and nobody to save more."""
    run, killed = tmp_path / "run", tmp_path / "killed"
    train(_config(prepared), run, before_step=_at(5, lambda: shutil.copytree(run, killed)))
    assert torch.load(last_checkpoint(killed), weights_only=True)["step"] == 4
    train(_config(prepared), killed, resume=True)
    assert _same_weights(uninterrupted, killed)


def test_a_finished_run_can_be_extended(
    uninterrupted: Path, prepared: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(uninterrupted, run)
    train(_config(prepared, max_steps=8), run, resume=True)
    assert torch.load(last_checkpoint(run), weights_only=True)["step"] == 8
    steps = [step for step, _ in read_metrics(run)["live/grammar_score"]]
    assert steps == [4, 6, 8]


def test_records_of_the_first_session_are_kept_on_resume(prepared: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(RuntimeError):
        train(_config(prepared), run, before_step=_at(5, _power_cut))
    before = (run / METRICS).read_bytes()
    assert before.count(b"\n") > 1
    train(_config(prepared), run, resume=True)
    after = (run / METRICS).read_bytes()
    assert after.startswith(before)
    assert len(after) > len(before)


def test_a_failed_resume_does_not_touch_the_checkpoint(prepared: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(RuntimeError):
        train(_config(prepared), run, before_step=_at(3, _power_cut))
    last = last_checkpoint(run)
    broken = last.read_bytes()[:-1000]
    last.write_bytes(broken)
    with pytest.raises(Exception):  # noqa: B017, PT011  (torch's, whatever it is)
        train(_config(prepared), run, resume=True)
    assert last.read_bytes() == broken


def test_a_run_of_an_earlier_version_is_resumed(
    uninterrupted: Path, prepared: Path, tmp_path: Path
) -> None:
    """Its configuration and its monitors have old names."""
    run = tmp_path / "run"
    with pytest.raises(RuntimeError):
        train(_config(prepared), run, before_step=_at(5, _power_cut))
    state = torch.load(last_checkpoint(run), weights_only=True)
    data, training, monitor = (
        state["config"]["data"],
        state["config"]["training"],
        state["monitor"],
    )
    for section, old, new in (
        (data, "styles_left_out", "exclude_styles"),
        (data, "foresight_share", "lookahead_probability"),
        (training, "start_from", "init_from"),
        (monitor, "unhealthy", "unhealthy_validations"),
        (monitor, "least_bits", "min_bits"),
        (state["data_monitor"], "first", "baseline"),
        (state["data_monitor"], "late", "recent"),
    ):
        section[old] = section.pop(new)
    training["tilting"] = {"pieces": None}
    torch.save(state, last_checkpoint(run))
    train(_config(prepared), run, resume=True)
    assert _same_weights(uninterrupted, run)


# ------------------------------------------------------------------ resuming that is rejected


def test_resuming_without_a_checkpoint_is_rejected(
    prepared: Path, tmp_path: Path, refuses: Refuses
) -> None:
    with refuses(ConfigError, "nothing to resume"):
        train(_config(prepared), tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        ({"d_model": 64}, r"another model\.d_model \(32, now 64\)"),
        ({"context": 32}, r"another model\.context \(64, now 32\)"),
        ({"seed": 4}, r"another training\.seed \(3, now 4\)"),
        ({"batch_size": 2}, r"another training\.batch_size \(4, now 2\)"),
        ({"data": {"keyboard_repeats": 1}}, r"another data\.keyboard_repeats \(3, now 1\)"),
    ],
)
def test_resuming_with_another_model_batches_or_seed_is_rejected(
    uninterrupted: Path, prepared: Path, refuses: Refuses, change: dict[str, Any], pattern: str
) -> None:
    before = last_checkpoint(uninterrupted).read_bytes()
    with refuses(ConfigError, pattern):
        train(_config(prepared, **change), uninterrupted, resume=True)
    assert last_checkpoint(uninterrupted).read_bytes() == before


def _write_corpus(out: Path, pieces: list[PieceRecord]) -> Path:
    out.mkdir()
    write_shards(out, pieces)
    return out


def test_resuming_with_another_corpus_is_rejected_but_it_may_move(
    uninterrupted: Path, prepared: Path, tmp_path: Path, refuses: Refuses
) -> None:
    pieces = load_pieces(prepared)
    fewer = [piece for piece in pieces if piece.name != "music/piece-0.mid"]
    with refuses(ConfigError, "was trained on another corpus"):
        train(_config(_write_corpus(tmp_path / "fewer", fewer)), uninterrupted, resume=True)
    run = tmp_path / "run"
    shutil.copytree(uninterrupted, run)
    train(_config(_write_corpus(tmp_path / "moved", pieces)), run, resume=True)
    assert _same_weights(uninterrupted, run)


# ------------------------------------------------------------------ runs that are rejected


def test_training_without_a_corpus_is_rejected(tmp_path: Path, refuses: Refuses) -> None:
    with refuses(CorpusError, "There is no prepared corpus"):
        train(_config(tmp_path / "nowhere"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_would_make_every_validation_fail_is_found_before_the_first_step(
    prepared: Path, tmp_path: Path, refuses: Refuses, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*args: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(LiveSampler, "compose", failing)
    with refuses(
        ConfigError, "No validation of this run would succeed.*ZeroDivisionError: a fault"
    ):
        train(_config(prepared), tmp_path / "run")
    assert not last_checkpoint(tmp_path / "run").exists()


def test_a_corpus_with_an_unusual_metre_trains(
    prepared: Path, midi_folder: Path, tmp_path: Path, made_up_score: Callable[..., Score]
) -> None:
    """Live validation asks for the metres of the pieces, also those that no model has learned."""
    source = tmp_path / "music"
    shutil.copytree(midi_folder, source)
    (source / "manifest.csv").unlink()
    for seed in range(8, 20):
        write_midi(made_up_score(seed, 8, "7/8", "G major"), source / f"seven-{seed}.mid")
    prepare(find_sources([source], style="jazz"), tmp_path / "set", jobs=1)
    grammar = {"live_pieces": 8}
    model = train(_config(tmp_path / "set", grammar=grammar), tmp_path / "run")
    assert "7/8" in load_checkpoint(model).config.meters
    assert load_checkpoint(model).config.styles == ("jazz",)
    messages = [event["message"] for event in read_records(tmp_path / "run" / EVENTS)]
    assert not any("failed" in message for message in messages)


def test_two_trainers_in_one_folder_are_one_too_many(
    prepared: Path, tmp_path: Path, refuses: Refuses
) -> None:
    run = tmp_path / "run"

    def again(state: RunState) -> None:
        if state.step == 3:
            with refuses(FolderInUseError, rf"run is in use by process {os.getpid()} on \S+\."):
                train(_config(prepared), run, resume=True)

    train(_config(prepared), run, before_step=again)


def test_a_misspelt_style_to_exclude_is_an_error(
    prepared: Path, tmp_path: Path, refuses: Refuses
) -> None:
    config = _config(prepared, data={"exclude_styles": ["palestrina", "romantik"]})
    with refuses(ConfigError, "no style 'romantik'; did you mean 'romantic'"):
        train(config, tmp_path / "run")


def test_training_without_validation_pieces_is_rejected(
    midi_folder: Path, tmp_path: Path, refuses: Refuses
) -> None:
    prepare(find_sources([midi_folder / "piece-0.mid"]), tmp_path / "one", jobs=1)
    sides = {piece.split for piece in load_pieces(tmp_path / "one")}
    assert len(sides) == 1
    with refuses(ConfigError, "both are needed"):
        train(_config(tmp_path / "one"), tmp_path / "run")


# ------------------------------------------------------------------ poor grammar in the corpus


@pytest.fixture
def spoiled(prepared: Path, tmp_path: Path) -> Path:
    """The corpus with one training piece in which every NOTE_OFF has the wrong pitch."""
    pieces = load_pieces(prepared)
    place = next(place for place, piece in enumerate(pieces) if piece.split == "train")
    tokens = pieces[place].tokens
    offs = (tokens >= 92) & (tokens < 180)
    pieces[place] = replace(pieces[place], tokens=np.where(offs, 171, tokens).astype(np.int16))
    return _write_corpus(tmp_path / "spoiled", pieces)


@pytest.mark.parametrize(
    ("data", "shown", "said"),
    [
        ({}, 5, "and are left out"),
        ({"filter_poor_grammar": False}, 6, "and are trained on all the same"),
        ({"min_grammar_score": 0.0}, 6, ""),
        ({"validate_grammar": False}, 6, ""),
    ],
)
def test_pieces_of_poor_grammar_are_reported_and_filtered_as_configured(
    spoiled: Path, tmp_path: Path, data: dict[str, Any], shown: int, said: str
) -> None:
    setup = _setup(_config(spoiled, data=data), tmp_path / "run")
    assert len(setup.corpus.training) == setup.state.corpus_size[0] == shown
    alerts = [e["message"] for e in read_records(tmp_path / "run" / EVENTS) if e["kind"] == "alert"]
    assert len(alerts) == bool(said)
    if said:
        assert said in alerts[0]
        assert "NOTE_OFF 171 (E7) ends a note that is not sounding" in alerts[0]


def test_excluded_styles_are_neither_trained_nor_validated_on(
    prepared: Path, tmp_path: Path
) -> None:
    others = [piece for piece in load_pieces(prepared) if piece.style != "bach"]
    config = _config(prepared, data={"exclude_styles": ["bach"]})
    corpus = _setup(config, tmp_path / "run").corpus
    assert len(corpus.training) == sum(piece.split == "train" for piece in others) < 6
    held_out = [piece.name for pieces in corpus.validation.values() for piece in pieces]
    assert held_out == [piece.name for piece in others if piece.split == "validation"]


# ------------------------------------------------------------------ optimisers


def test_the_learning_rate_of_the_step_is_used(prepared: Path, tmp_path: Path) -> None:
    config = _config(prepared, log_every_steps=1)
    train(config, tmp_path / "run")
    used = read_metrics(tmp_path / "run")["train/learning_rate"]
    assert used == [(step + 1, learning_rate_at(config.training, step)) for step in range(_STEPS)]


def test_a_run_with_adamw_alone_resumes(prepared: Path, tmp_path: Path) -> None:
    config = _config(prepared, optimizer="adamw")
    train(config, tmp_path / "whole")
    with pytest.raises(RuntimeError):
        train(config, tmp_path / "run", before_step=_at(3, _power_cut))
    train(config, tmp_path / "run", resume=True)
    assert _same_weights(tmp_path / "whole", tmp_path / "run")
