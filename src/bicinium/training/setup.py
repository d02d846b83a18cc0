"""Builds everything that a run needs from its configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException

from bicinium.errors import ConfigError
from bicinium.model.checkpoint import load_checkpoint
from bicinium.model.config import ModelConfig
from bicinium.model.transformer import Transformer
from bicinium.music.form import Form
from bicinium.stderr_console import stderr_console
from bicinium.training.batches import TrainingBatches
from bicinium.training.config import TrainConfig, load_config
from bicinium.training.corpus import Corpus, load_corpus, piece_repeats
from bicinium.training.dataset import PieceDataset, piece_endings, piece_forms
from bicinium.training.initial_model import load_initial_weights, model_of_run
from bicinium.training.live_sampler import LiveSampler
from bicinium.training.monitor import Monitor
from bicinium.training.optim import build_optimizers, ramp_end_step
from bicinium.training.run_dir import (
    CONFIG,
    EventKind,
    RunLog,
    last_checkpoint,
    write_config,
    write_form_bank,
    write_quotation_index,
)
from bicinium.training.run_state import RunState
from bicinium.training.step import TrainingStep
from bicinium.training.validation import Validator
from bicinium.training.windows import Masking

_MAX_NAMED_PIECES = 3  # in an alert


@dataclass(frozen=True, slots=True)
class TrainingSetup:
    """The parts of a run in one process."""

    fabric: Fabric
    run: Path
    corpus: Corpus
    state: RunState
    step: TrainingStep
    validator: Validator
    log: RunLog


def build_fabric(config: TrainConfig) -> Fabric:
    """Return Lightning Fabric with the devices and the precision of the configuration.

    Raises ConfigError if this machine has no such devices.
    """
    training = config.training
    try:
        return Fabric(
            accelerator=training.accelerator,
            devices=training.devices,
            num_nodes=training.num_nodes,
            strategy=training.strategy,
            precision=training.precision,
        )
    except (RuntimeError, ValueError, TypeError, MisconfigurationException) as error:
        raise ConfigError(
            f"training.accelerator={training.accelerator}, devices={training.devices}, "
            f"strategy={training.strategy}, precision={training.precision} cannot be used here "
            f"({' '.join(str(error).split()).rstrip('.')}). "
            "accelerator=cpu or auto, devices=1 and strategy=auto work on every machine."
        ) from error


def build_training(fabric: Fabric, config: TrainConfig, run: Path, resume: bool) -> TrainingSetup:
    """Load the corpus, build model, optimisers and batches, and open the folder of the run.

    With ``resume``, the state is that of the last checkpoint. Raises ConfigError or CorpusError.
    """
    training, data, grammar = config.training, config.data, config.training.musical_grammar
    corpus = load_corpus(data)
    initial = load_checkpoint(training.init_from) if training.init_from and not resume else None
    start = initial.config if initial else None
    if resume:
        start = load_config(run / CONFIG).model
    config = _with_model(config, corpus, start)
    forms = piece_forms(corpus.training) if config.model.form_inputs else None
    endings = piece_endings(corpus.training)
    dataset = PieceDataset(corpus.training, config.model, endings=endings, forms=forms)
    repeats = piece_repeats(corpus.training, data.keyboard_repeats, data.style_repeats)
    batches = TrainingBatches(
        dataset,
        repeats,
        batch_size=training.batch_size,
        seed=training.seed,
        grammar_positions=grammar.positions,
        masking=Masking(
            data.condition_dropout,
            data.lookahead_probability,
            data.form_dropout,
        ),
        process=(fabric.global_rank, fabric.world_size),
    )
    torch.manual_seed(training.seed)
    net = Transformer(config.model)
    if initial:
        load_initial_weights(net, initial)
    model, *optimizers = fabric.setup(net, *build_optimizers(net, training))
    monitor = Monitor(
        grammar.grammar_score_threshold,
        grammar.early_stop_patience,
        grammar.loss_spike_factor,
        min(ramp_end_step(grammar), training.max_steps),
    )
    corpus_size = len(corpus.training), len(dataset.tokens)
    state = RunState(config, corpus_size, net, optimizers, monitor)
    if resume:
        fabric.barrier()
        state.restore(last_checkpoint(run), fabric.device)
    sampler = LiveSampler(net, corpus.training, repeats, grammar.grammar, forms)
    return TrainingSetup(
        fabric,
        run,
        corpus,
        state,
        TrainingStep(fabric, state, model, batches, sampler),
        Validator(fabric, config, net, corpus.validation, sampler, run),
        _open_run(fabric, state, corpus, forms, run, resume),
    )


def _with_model(config: TrainConfig, corpus: Corpus, start: ModelConfig | None) -> TrainConfig:
    """Return the configuration with the names that the model has to know."""
    pieces = [*corpus.training, *(piece for some in corpus.validation.values() for piece in some)]
    return config.model_copy(update={"model": model_of_run(config.model, pieces, start)})


def _open_run(
    fabric: Fabric,
    state: RunState,
    corpus: Corpus,
    forms: Sequence[Form | None] | None,
    run: Path,
    resume: bool,
) -> RunLog:
    """Write the configuration, the quotation index and the form bank, and return the log."""
    if fabric.is_global_zero:
        write_config(run, state.config)
        if not resume:
            write_quotation_index(run, corpus.training)
            if forms:
                write_form_bank(run, corpus.training, forms, state.config.training.seed)
    log = RunLog(run, stderr_console(), fabric.is_global_zero)
    if rejected := corpus.rejected:
        action = "left out" if state.config.data.filter_poor_grammar else "trained on all the same"
        named = "; ".join(f"{one.name} ({one.reason})" for one in rejected[:_MAX_NAMED_PIECES])
        log.event(
            EventKind.ALERT,
            state.step,
            f"{len(rejected)} pieces have poor grammar and are {action}: {named}",
        )
    if resume:
        message = f"{state.config.training.max_steps} steps in total"
        if not log.says_why_it_ended:
            message += "; the process before ended without a word (killed, or out of memory)"
        log.resume_from(state.step)
        log.event(EventKind.RESUMED, state.step, message)
    return log
