"""The training run: one loop around the model, the loss, the batches and the monitor.

Batches, learning rate and random numbers are functions of the seed, the step and the number of
rollbacks, so a run that was interrupted ends like one that was not, bit for bit. What a run leaves
on the disk: ``run_folder``.

Devices, nodes and precision are Lightning Fabric's. Every process runs this loop; the first one
validates and writes, and the others are told.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lightning.fabric import Fabric
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from bicinium.atomic_write import atomic_write
from bicinium.data.piece_record import PieceRecord
from bicinium.data.shards import load_checked, load_pieces
from bicinium.data.sources import STYLES
from bicinium.errors import CollapseError, ConfigError
from bicinium.model.checkpoint import Checkpoint, load_checkpoint
from bicinium.model.transformer import Transformer
from bicinium.training.config import TrainConfig, changed_keys
from bicinium.training.dataset import (
    Batch,
    PieceDataset,
    TrainingBatches,
    ValidationBatches,
    batch_statistics,
    endings,
    on_policy_batch,
    piece_repeats,
    validation_sets,
)
from bicinium.training.interrupts import InterruptHandler
from bicinium.training.losses import MusicalGrammarLoss
from bicinium.training.monitor import DataMonitor, Monitor, Validation
from bicinium.training.optim import (
    build_optimizers,
    grammar_ramp,
    learning_rate_at,
    next_token_loss,
    ramp_end_step,
)
from bicinium.training.run_dir import (
    COLLAPSE_REPORT,
    MODEL,
    EventKind,
    RunLog,
    best_checkpoint,
    last_checkpoint,
    samples_folder,
    write_collapse_report,
    write_config,
    write_model,
    write_quotation_index,
)
from bicinium.training.validation import (
    GeneratedPiece,
    LiveSampler,
    generated_pieces,
    held_out_metrics,
    save_samples,
)

_LOG_EVERY = 10  # steps
_EASED = 0.5  # the learning rate after a rollback, of what it was
_STRICTER = 1.5  # the grammar's weights after a rollback, of what they were
_MOST_BARS_ON_POLICY = 16
_MOST_NAMED = 3  # pieces, in an alert
_SHOWN = (
    "cross_entropy",
    "note_pairing",
    "sequence_coherence",
    "repetition_penalty",
)  # of the losses, on the console


def train(config: TrainConfig, run: Path, resume: bool = False) -> Path:
    """Train and return the path of the model. ``run`` is the folder that receives everything.

    Raises KeyboardInterrupt where it was stopped (and saved), CollapseError where it was rolled
    back as often as the configuration allows and has collapsed again.
    """
    if resume and not last_checkpoint(run).is_file():
        raise ConfigError(f"there is nothing to resume at {run}; start without --resume")
    if not resume and last_checkpoint(run).is_file():
        raise ConfigError(f"{run} holds a run already; resume it with --resume or name another")
    training = config.training
    if training.threads:
        torch.set_num_threads(training.threads)
    for name in ("lightning.fabric", "lightning.pytorch"):  # what they tell of themselves
        logging.getLogger(name).setLevel(logging.WARNING)
    fabric = Fabric(
        accelerator=training.accelerator,
        devices=training.devices,
        num_nodes=training.num_nodes,
        strategy=training.strategy,
        precision=training.precision,
    )
    return fabric.launch(lambda process: TrainingRun(process, config, run, resume).work())


def init_from(net: Transformer, checkpoint: Checkpoint) -> None:
    """Give a model the weights of a checkpoint of its shape; ConfigError where that is another."""
    if differ := net.config.differing_fields(checkpoint.config):
        raise ConfigError(
            f"init_from: {checkpoint.name} has another {', '.join(differ)} than this model; "
            "configure the model as it was"
        )
    net.load_state_dict({name: torch.from_numpy(w) for name, w in checkpoint.weights.items()})


class TrainingRun:
    """A run in one process. Its state is the model, the optimiser, the monitors, the step and how
    often it was rolled back; all of that is in a checkpoint.
    """

    def __init__(self, fabric: Fabric, config: TrainConfig, run: Path, resume: bool) -> None:
        self.fabric, self.run = fabric, run
        if config.model.styles not in ((), STYLES):
            raise ConfigError(
                f"model.styles: {', '.join(config.model.styles)} are not those of the corpora "
                f"({', '.join(STYLES)}); leave the key out, or name exclude_styles"
            )
        config = config.model_copy(
            update={"model": config.model.model_copy(update={"styles": STYLES})}
        )
        self.config, self.training = config, config.training
        self.grammar = config.training.musical_grammar
        data = config.data
        refused: list[PieceRecord] = []
        if data.validate_grammar:
            pieces, refused = load_checked(data.prepared, data.min_grammar_score)
        if not (data.validate_grammar and data.filter_poor_grammar):
            pieces = load_pieces(data.prepared)
        pieces = [piece for piece in pieces if piece.style not in data.exclude_styles]
        shown = [piece for piece in pieces if piece.split == "train"]
        self.held_out = validation_sets(pieces, config.data.validation_tokens)
        if not shown or not self.held_out:
            raise ConfigError(
                f"{config.data.prepared} has {len(shown)} training pieces and "
                f"{len(pieces) - len(shown)} validation pieces; both are needed"
            )
        repeats = piece_repeats(shown, data.keyboard_repeats)
        store = PieceDataset(shown, config.model, endings=endings(shown))
        self.corpus = [len(shown), len(store.tokens)]  # by which it is known again
        self.batches = TrainingBatches(
            store,
            repeats,
            batch_size=self.training.batch_size,
            seed=self.training.seed,
            condition_dropout=config.data.condition_dropout,
            grammar_positions=self.grammar.positions,
            lookahead_probability=config.data.lookahead_probability,
            process=(fabric.global_rank, fabric.world_size),
        )
        self.validation = {
            name: ValidationBatches(PieceDataset(chosen, config.model), self.training.batch_size)
            for name, chosen in self.held_out.items()
        }
        torch.manual_seed(self.training.seed)
        self.net = Transformer(config.model)
        if self.training.init_from and not resume:
            init_from(self.net, load_checkpoint(self.training.init_from))
        self.model, *self.optimizers = fabric.setup(
            self.net, *build_optimizers(self.net, self.training)
        )
        self.loss = MusicalGrammarLoss(self.grammar)
        self.live = LiveSampler(self.net, shown, repeats)
        self.monitor = Monitor(
            self.grammar.grammar_score_threshold,
            self.grammar.early_stop_patience,
            self.grammar.loss_spike_factor,
            min(ramp_end_step(self.grammar), self.training.max_steps),
        )
        self.data_monitor = DataMonitor()
        self.step = self.rollbacks = 0
        self.saved = -1  # the step of last.ckpt
        self.whole = True  # the state is one that may be saved
        self.ended = ""  # why
        self.losses = self.validated = ""  # as they are shown
        self.own: list[
            GeneratedPiece
        ] = []  # what the last validation drew, until it is learned from
        if resume:
            self._restore(last_checkpoint(run))
        if fabric.is_global_zero:
            write_config(run, config)
            if not resume:
                write_quotation_index(run, shown)
        self.log = RunLog(run, Console(stderr=True), fabric.is_global_zero)
        if refused:
            done = "are left out" if data.filter_poor_grammar else "are shown all the same"
            named = "; ".join(f"{one.name} ({one.reason})" for one in refused[:_MOST_NAMED])
            self.log.event(
                EventKind.ALERT, self.step, f"{len(refused)} pieces are unfit, and {done}: {named}"
            )
        self.started, self.steps_made = time.monotonic(), 0  # in this session
        if resume:
            self.log.resume_from(self.step)
            self.log.event(EventKind.RESUMED, self.step, f"{self.training.max_steps} steps in all")

    # ------------------------------------------------------------------ the loop

    def work(self) -> Path:
        """Train until the steps are done or the monitor ends it; see ``train``."""
        if not self.step:
            self._save(best_checkpoint(self.run))  # the start, until something was validated
        with InterruptHandler() as interrupts, self._progress() as progress:
            bar = progress.add_task("", total=self.training.max_steps)
            try:
                while not self.ended:
                    if self._mean(torch.tensor(float(interrupts.requested))):
                        raise KeyboardInterrupt
                    due = self._validation_is_due()
                    # before a validation, so that its pieces, which no checkpoint holds, come again
                    if due or self.step % self.training.checkpoint_every_steps == 0:
                        self._save_last()
                    if due:
                        with interrupts.immediate():
                            found, self.own = self.fabric.broadcast(self._measure())
                        with self._undivided():
                            self._judge(found)
                    elif self.step >= self.training.max_steps:
                        self.ended = "all steps are done"
                    else:
                        with self._undivided():
                            self._advance()
                    progress.update(bar, completed=self.step, description=self.status)
            except KeyboardInterrupt:
                if self.whole:
                    self._save_last()
                raise
            finally:
                self.log.close()
        return self._finish()

    @contextmanager
    def _undivided(self) -> Iterator[None]:
        """A second Ctrl-C may cut this in two: then nothing is saved, and what was saved holds."""
        self.whole = False
        yield
        self.whole = True

    def _advance(self) -> None:
        """One step of the optimiser."""
        step, grammar = self.step, self.grammar
        seed = np.random.default_rng(self._seed(2)).integers(2**63)
        torch.manual_seed(int(seed))  # for dropout
        rate = learning_rate_at(self.training, step) * _EASED**self.rollbacks
        for optimizer in self.optimizers:
            optimizer.zero_grad()
            for group in optimizer.param_groups:
                group["lr"] = rate
        scale = grammar_ramp(grammar, step) * _STRICTER**self.rollbacks
        measured: dict[str, Tensor] = {}
        own = self._own_batch() if scale and grammar.on_policy_weight else None
        self.own = []  # no checkpoint holds them, so they are for this step or for none
        if own is not None:
            with self.fabric.no_backward_sync(self.model):
                nothing = torch.zeros((), device=self.fabric.device)
                loss, parts = self._grammar_loss(
                    own, self._logits(own), nothing, scale * grammar.on_policy_weight, True
                )
                self.fabric.backward(loss)
            measured |= {f"on_policy/{name}": part for name, part in parts.items()}
        batch = self.batches.batch(step, self.rollbacks)
        logits = self._logits(batch)
        loss = cross_entropy = next_token_loss(logits, batch.targets.to(logits.device))
        if grammar.enabled:
            loss, parts = self._grammar_loss(batch, logits, cross_entropy, scale, False)
            measured |= {f"train/{name}": part for name, part in parts.items()}
        self.fabric.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.training.gradient_clip)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        self.steps_made += 1
        numbers = {name: float(value.detach()) for name, value in measured.items()}
        numbers["train/cross_entropy"] = self._mean(cross_entropy.detach())
        numbers["train/gradient_norm"] = float(norm)
        self._look_at(batch, numbers)

    def _look_at(self, batch: Batch, measured: dict[str, float]) -> None:
        """What the step says about the run and its data."""
        contents = batch_statistics(self.loss.grammar, batch)
        if drift := self.data_monitor.after_batch(contents):
            self.log.event(EventKind.ALERT, self.step, drift)
        on_policy = {name: v for name, v in measured.items() if name.startswith("on_policy/")}
        if self.step % _LOG_EVERY == 0 or self.step == 1:
            rate = self.steps_made / (time.monotonic() - self.started)
            measured["train/learning_rate"] = self.optimizers[0].param_groups[0]["lr"]
            measured["train/steps_per_second"] = rate
            measured |= {f"data/{name}": value for name, value in contents.items()}
            self.log.metrics(self.step, measured)
        elif on_policy:
            self.log.metrics(self.step, on_policy)
        self.losses = " ".join(
            f"{name.rpartition('/')[2]} {value:.3g}"
            for name, value in measured.items()
            if name.startswith("train/") and name.rpartition("/")[2] in _SHOWN
        )
        if why := self.monitor.after_step(measured["train/cross_entropy"]):
            self._collapsed(why)

    def _logits(self, batch: Batch) -> Tensor:
        return self.model(batch.inputs.to(self.fabric.device))

    def _grammar_loss(
        self, batch: Batch, logits: Tensor, base: Tensor, scale: float, on_policy: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        return self.loss(
            predicted_tokens=logits,
            target_tokens=batch.targets.to(logits.device),
            base_loss=base,
            states=batch.states,
            rows=batch.grammar_rows,
            scale=scale,
            on_policy=on_policy,
        )

    def _own_batch(self) -> Batch | None:
        """The model's own pieces to learn from at this step: those of the validation just done, or
        from time to time new ones.
        """
        pieces = self.own[self.fabric.global_rank :: self.fabric.world_size]
        grammar = self.grammar
        if not pieces and self.step and self.step % grammar.on_policy_every_n_batches == 0:
            pieces = self.live.write(
                -(-grammar.on_policy_pieces // self.fabric.world_size),
                _MOST_BARS_ON_POLICY,
                grammar.on_policy_tokens,
                grammar.on_policy_max_temperature,
                grammar.on_policy_error_rate,
                [*self._seed(3), self.fabric.global_rank],
            )
        if not pieces:
            return None
        return on_policy_batch(pieces, self.config.model, grammar.positions, self._seed(4))

    def _seed(self, purpose: int) -> list[int]:
        """The seed of random numbers at this step."""
        return [self.training.seed, purpose, self.step, self.rollbacks]

    def _mean(self, value: Tensor) -> float:
        """Over all processes, so that each judges the same number."""
        if self.fabric.world_size == 1:
            return float(value)
        return float(cast(Tensor, self.fabric.all_reduce(value, reduce_op="mean")))

    # ------------------------------------------------------------------ validation

    def _validation_is_due(self) -> bool:
        due = self.step % self.grammar.validate_every_n_batches == 0 and self.step > 0
        last = self.step >= self.training.max_steps
        return (due or last) and self.monitor.validated_step != self.step

    def _measure(self) -> tuple[Validation, list[GeneratedPiece]]:
        """Validate the weights as they stand. A failure to do so is an event, and no number."""
        if not self.fabric.is_global_zero:
            return Validation(self.step, None, None), []
        if not all(bool(weight.isfinite().all()) for weight in self.net.parameters()):
            return Validation(self.step, math.nan, 0.0, "the weights are not finite"), []
        try:
            with self.fabric.autocast():
                sets = {
                    name: held_out_metrics(self.net, batches, self.held_out[name])
                    for name, batches in self.validation.items()
                }
            live = self.live.validate(
                self.grammar.live_pieces, self.grammar.live_bars, [self.training.seed, 5]
            )
            page = save_samples(
                live.pieces[: self.grammar.saved_pieces], samples_folder(self.run, self.step)
            )
        except (
            Exception
        ) as error:  # whatever it is: the state is then unknown, and training goes on
            self.log.event(EventKind.ALERT, self.step, f"validation failed: {error!r}")
            return Validation(self.step, None, None), []
        bits = next(iter(sets.values()))["bits_per_note"]  # of what the model is for
        metrics = {
            f"validation/{name}/{key}": v
            for name, found in sets.items()
            for key, v in found.items()
        }
        metrics |= {f"live/{name}": value for name, value in live.metrics.items()}
        self.log.metrics(self.step, metrics)
        score = live.metrics["grammar_score"]
        self.validated = f"grammar score {score:.3f}, {bits:.2f} bits a note"
        self.log.event(
            EventKind.VALIDATION,
            self.step,
            f"{self.validated}, {live.metrics['valid']:.0%} of {len(live.pieces)} pieces valid",
            samples=str(page) if page else None,
            **metrics,
        )
        own = generated_pieces([p.tokens for p in live.pieces], [p.conditions for p in live.pieces])
        return Validation(self.step, bits, score, live.degenerate), own

    def _judge(self, found: Validation) -> None:
        """Act on what a validation found."""
        finding = self.monitor.after_validation(found)
        if finding.alert:
            self.log.event(EventKind.ALERT, self.step, finding.alert)
        if finding.best:
            self._save(best_checkpoint(self.run))
            if self.fabric.is_global_zero:
                write_model(self.run, self.net, self._record(found))
        if finding.collapse:
            self._collapsed(finding.collapse)
        elif finding.stop and self.step < self.training.max_steps:
            self.ended = finding.stop

    # ------------------------------------------------------------------ collapse

    def _collapsed(self, why: str) -> None:
        """Go back to the best validated state, or end where that was done often enough."""
        at, best = self.step, self.monitor.best
        self.log.event(EventKind.COLLAPSE, at, why)
        if not self.grammar.rollback:
            return
        if self.rollbacks >= self.grammar.max_rollbacks:
            if self.fabric.is_global_zero:
                write_collapse_report(self.run, at, why, self.rollbacks, best)
            where = f"the best state is of step {best.step}" if best else "no state was any good"
            raise CollapseError(
                f"training collapsed at step {at} after {self.rollbacks} rollbacks ({why}); "
                f"{where}; see {self.run / COLLAPSE_REPORT}"
            )
        rollbacks = self.rollbacks + 1
        self._restore(best_checkpoint(self.run))
        self.rollbacks, self.own = rollbacks, []
        self._save(last_checkpoint(self.run))
        self.log.resume_from(self.step)
        self.log.event(
            EventKind.ROLLBACK,
            self.step,
            f"back from step {at} to {self.step}, number {rollbacks} of at most "
            f"{self.grammar.max_rollbacks}; learning rate times {_EASED**rollbacks:g}, grammar "
            f"weights times {_STRICTER**rollbacks:g}, other batches",
            left=at,
        )

    # ------------------------------------------------------------------ what lies on the disk

    def _save_last(self) -> None:
        if self.saved != self.step:
            self._save(last_checkpoint(self.run))

    def _save(self, path: Path) -> None:
        """Write the whole state, in the first process."""
        if self.fabric.is_global_zero:
            self._write_state(path)
        if path == last_checkpoint(self.run):
            self.saved = self.step

    def _write_state(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "step": self.step,
            "rollbacks": self.rollbacks,
            "model": self.net.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "monitor": self.monitor.state_dict(),
            "data_monitor": self.data_monitor.state_dict(),
            "config": self.config.model_dump(mode="json"),
            "corpus": self.corpus,
        }
        with atomic_write(path) as temporary:
            torch.save(state, temporary)

    def _restore(self, path: Path) -> None:
        """Take up the state that was saved, in every process."""
        self.fabric.barrier()
        state = torch.load(path, weights_only=True, map_location=self.fabric.device)
        changed = changed_keys(state["config"], self.config.model_dump(mode="json"))
        if changed:
            raise ConfigError(
                f"{path} belongs to a run with another {', '.join(changed)}: resume it as it was, "
                "or start a new run"
            )
        if state["corpus"] != self.corpus:
            raise ConfigError(
                f"{path} was trained on another corpus than {self.config.data.prepared} holds "
                f"(pieces and tokens {state['corpus']}, now {self.corpus}): prepare the same "
                "corpus again, or start a new run"
            )
        self.net.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.monitor.load_state_dict(state["monitor"])
        self.data_monitor.load_state_dict(state["data_monitor"])
        self.step, self.rollbacks = state["step"], state["rollbacks"]
        self.saved = self.step

    def _record(self, found: Validation) -> dict[str, Any]:
        """How the weights came to be."""
        return {
            "config": self.config.model_dump(mode="json"),
            "steps": self.step,
            "rollbacks": self.rollbacks,
            "training_pieces": self.corpus[0],
            "training_tokens": self.corpus[1],
            "hours_of_this_session": round((time.monotonic() - self.started) / 3600, 2),
            "torch_threads": torch.get_num_threads(),
            "validation": asdict(found),
        }

    def _finish(self) -> Path:
        self._save_last()
        best = self.monitor.best
        if best is None:
            raise CollapseError(
                f"no state of {self.run} could be validated, so none was chosen; the last one is "
                f"{last_checkpoint(self.run)}"
            )
        self.log.event(
            EventKind.ENDED, self.step, f"{self.ended}; the best state is of step {best.step}"
        )
        return self.run / MODEL

    @property
    def status(self) -> str:
        """One line for those who watch."""
        return f"{self.losses}\n{self.validated}"

    def _progress(self) -> Progress:
        return Progress(
            MofNCompleteColumn(),
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=self.log.console,
            disable=not self.fabric.is_global_zero,
        )
