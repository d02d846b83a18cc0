"""The folder of a training run: its layout, its writers and its readers. Imports no torch.

config.yaml                  configuration with all its defaults
model.safetensors            best validated state so far, with its quotation index beside it
average.safetensors          mean of two states, if asked for (``weight_averaging``)
checkpoints/last.ckpt        state to resume from
checkpoints/best.ckpt        state to roll back to
metrics.jsonl, events.jsonl  one record a line
events.out.tfevents.*        metrics, configuration and sound of the pieces, for TensorBoard
samples/STEP/                pieces generated at each validation
collapse.md                  report, if training ended in a collapse
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from numpy.typing import NDArray
from rich.console import Console

from bicinium.atomic_write import atomic_write
from bicinium.data.piece_record import PieceRecord, score_of
from bicinium.errors import BiciniumError
from bicinium.generation.form_bank import FormBank, forms_path
from bicinium.generation.memorization import QuotationIndex, quotations_path
from bicinium.model.checkpoint import MODEL_FILE, save_checkpoint
from bicinium.music.form import Form
from bicinium.training.config import TrainConfig
from bicinium.training.monitor import Validation
from bicinium.training.random_streams import RandomStream, stream_seed

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from bicinium.model.transformer import Transformer

CONFIG, MODEL, AVERAGE = "config.yaml", MODEL_FILE, "average.safetensors"
METRICS, EVENTS = "metrics.jsonl", "events.jsonl"
COLLAPSE_REPORT = "collapse.md"
_MAX_NUMBER = 1e300  # of a record; a greater one is damage


class EventKind(StrEnum):
    """Kinds of records in ``events.jsonl``."""

    VALIDATION = "validation"
    ALERT = "alert"
    COLLAPSE = "collapse"
    ROLLBACK = "rollback"
    RESUMED = "resumed"
    STOPPED = "stopped"
    ENDED = "ended"


_LAST_KINDS = (EventKind.STOPPED, EventKind.ENDED)

# ------------------------------------------------------------------ paths


def last_checkpoint(run: Path) -> Path:
    """Return the path of the state to resume from."""
    return run / "checkpoints" / "last.ckpt"


def best_checkpoint(run: Path) -> Path:
    """Return the path of the state to roll back to: the best validated one, or the first."""
    return run / "checkpoints" / "best.ckpt"


def samples_folder(run: Path, step: int) -> Path:
    """Return the folder of the pieces generated at a validation."""
    return run / "samples" / f"{step:06d}"


# ------------------------------------------------------------------ writing


def write_config(run: Path, config: TrainConfig) -> None:
    """Write the configuration with all its defaults; ``train --resume`` reads it."""
    run.mkdir(parents=True, exist_ok=True)
    with atomic_write(run / CONFIG) as temporary:
        temporary.write_text(yaml.safe_dump(config.model_dump(mode="json")))


def write_model(run: Path, model: Transformer, record: Mapping[str, Any]) -> None:
    """Write the weights as a model file, with a record of how they were trained."""
    save_checkpoint(run / MODEL, model.config, model.weights(), record, dtype=np.float16)


def write_quotation_index(run: Path, pieces: Sequence[PieceRecord]) -> None:
    """Index the training pieces beside the model, so that composing can find quotations."""
    named = []
    for piece in pieces:
        with suppress(BiciniumError):  # tokens that are no score cannot be quoted
            score = score_of(piece)
            named.append((score, f"{piece.composer}, {piece.title or Path(piece.name).stem}"))
    QuotationIndex.build(named).save(quotations_path(run / MODEL))


def write_form_bank(
    run: Path, pieces: Sequence[PieceRecord], forms: Sequence[Form | None], seed: int
) -> None:
    """Write the forms of the training pieces beside the model, so that new pieces can have them."""
    known = zip(pieces, forms, strict=True)
    named = [(piece.style, piece.meter, form) for piece, form in known if form]
    if named:
        rng = np.random.default_rng(stream_seed(seed, RandomStream.FORM_BANK))
        FormBank.of(named, rng).save(forms_path(run / MODEL))


def write_collapse_report(
    run: Path, step: int, reason: str, rollbacks: int, best: Validation | None
) -> None:
    """Write ``collapse.md``: what happened, where the best state is, all events."""
    lines = [
        f"# Training collapsed at step {step}\n",
        f"{reason[:1].upper()}{reason[1:]}. The run had been rolled back {rollbacks} times.\n",
        f"Best validated state: {best}.\n" if best else "No state was validated.\n",
        f"Weights: {run / MODEL if best else 'none'}. Full state: {best_checkpoint(run)}.\n",
        "| step | event | |\n|---|---|---|",
    ]
    lines += [
        f"| {event['step']} | {event['kind']} | {event['message']} |"
        for event in read_records(run / EVENTS)
    ]
    with atomic_write(run / COLLAPSE_REPORT) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


class RunLog:
    """Appends metrics and events to the files of a run, TensorBoard and the console.

    With ``active=False`` (every process but the first) it writes nothing.
    """

    def __init__(self, folder: Path, console: Console, active: bool = True) -> None:
        self.folder, self.console, self.active = folder, console, active
        self.board: SummaryWriter | None = None
        for path in (folder / METRICS, folder / EVENTS):
            if active and path.is_file() and not path.read_bytes().endswith(b"\n"):
                with path.open("a") as file:  # A crash left half a line.
                    file.write("\n")

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Record what was measured after ``step`` steps. Values that are not finite become null."""
        if not self.active:
            return
        numbers = {name: v if math.isfinite(v) else None for name, v in values.items()}
        self._append(METRICS, {"step": step, **numbers})
        board = self._open_board(step)
        for name, value in values.items():
            board.add_scalar(name, value, step)

    def audio(self, step: int, name: str, mono: NDArray[np.floating], rate: int) -> None:
        """Record (T,) samples between -1 and 1 for TensorBoard."""
        if self.active:
            self._open_board(step).add_audio(name, mono, step, sample_rate=rate)

    def _open_board(self, step: int) -> SummaryWriter:
        """Return the writer for TensorBoard; a new one begins with the configuration."""
        if self.board is None:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(self.folder), purge_step=step)
            if (self.folder / CONFIG).is_file():
                config = (self.folder / CONFIG).read_text(encoding="utf-8")
                self.board.add_text("config", f"```yaml\n{config}\n```", step)
        return self.board

    def event(self, kind: EventKind, step: int, message: str, **fields: Any) -> None:
        """Record an event, and print it."""
        if self.active:
            self._append(EVENTS, {"step": step, "kind": kind, "message": message, **fields})
            style = "bold red" if kind in (EventKind.COLLAPSE, EventKind.ALERT) else ""
            self.console.print(f"step {step}: {kind}: {message}", style=style, highlight=False)

    @property
    def says_why_it_ended(self) -> bool:
        """Whether the last record is that the run was stopped or ended."""
        path = self.folder / EVENTS
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        return bool(lines) and any(f'"kind": "{kind}"' in lines[-1] for kind in _LAST_KINDS)

    def resume_from(self, step: int) -> None:
        """Invalidate the records of all later steps: the run continues from ``step``.

        TensorBoard drops them when the next step is recorded.
        """
        if self.active:
            self._append(METRICS, {"step": step})
        self.close()
        self.board = None

    def close(self) -> None:
        """Flush everything to disk."""
        if self.board is not None:
            self.board.close()

    def _append(self, name: str, record: Mapping[str, Any]) -> None:
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


# ------------------------------------------------------------------ reading


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file. A line torn by a crash is left out; no file is no records."""
    return [record for record in _parsed_lines(path) if record is not None]


def count_bad_lines(run: Path) -> int:
    """Return the number of lines in the files of a run that ``read_records`` leaves out."""
    return sum(record is None for name in (METRICS, EVENTS) for record in _parsed_lines(run / name))


def _parsed_lines(path: Path) -> Iterator[dict[str, Any] | None]:
    """Yield the record of each line; None for a line that is no record."""
    if not path.is_file():
        return
    is_record = _is_event if path.name == EVENTS else _is_metrics
    for line in path.read_bytes().splitlines():
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        yield record if is_record(record) else None


def _is_metrics(record: Any) -> bool:
    """Whether this is a step, and finite numbers or null by name."""
    return _has_step(record) and all(
        value is None or (type(value) in (int, float) and abs(value) < _MAX_NUMBER)
        for value in record.values()
    )


def _is_event(record: Any) -> bool:
    """Whether this is a step, a kind and a message, and a rollback says which step it left."""
    return (
        _has_step(record)
        and isinstance(record.get("kind"), str)
        and isinstance(record.get("message"), str)
        and (record["kind"] != EventKind.ROLLBACK or type(record.get("left")) is int)
    )


def _has_step(record: Any) -> bool:
    return (
        isinstance(record, dict)
        and type(record.get("step")) is int
        and abs(record["step"]) < _MAX_NUMBER
    )


def read_metrics(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Return the curves of a run by name, as (step, value).

    What a rollback or a crash has undone is left out. A record with nothing but a step says that
    the run continues from there (``RunLog.resume_from``).
    """
    curves: dict[str, list[tuple[int, float]]] = {}
    last = -1
    for record in read_records(run / METRICS):
        step = record.pop("step")
        if step < last or not record:
            latest = step - 1 if record else step
            for name, points in curves.items():
                curves[name] = [point for point in points if point[0] <= latest]
        last = step
        for name, value in record.items():
            if value is None:  # It was not finite.
                continue
            points = curves.setdefault(name, [])
            if points and points[-1][0] == step:
                points.pop()
            points.append((step, value))
    return curves
