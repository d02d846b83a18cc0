"""The folder of a run, and what is written there to be kept.

``config.yaml``; ``model.safetensors``, the best validated state so far, and beside it the index of
what it is trained on, by which quotations are found; ``average.safetensors``, where one has asked
for a mean of two states (``averaging``); in ``checkpoints/``
``last.ckpt``, to resume from, and ``best.ckpt``, to roll back to; ``metrics.jsonl``,
``events.jsonl`` and TensorBoard's files (``run_log``); ``samples/``, what the model wrote at each
validation; and where training had to be given up ``collapse.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bicinium.atomic_write import atomic_write
from bicinium.data.piece_record import PieceRecord, score_of
from bicinium.errors import BiciniumError
from bicinium.generation.memorization import QuotationIndex, quotations_path
from bicinium.model.checkpoint import save_checkpoint
from bicinium.model.transformer import Transformer
from bicinium.training.config import TrainConfig
from bicinium.training.monitor import Validation
from bicinium.training.run_records import EVENTS, read_records

CONFIG, MODEL, AVERAGE = "config.yaml", "model.safetensors", "average.safetensors"
COLLAPSE_REPORT = "collapse.md"


def last_checkpoint(run: Path) -> Path:
    """What a run is resumed from."""
    return run / "checkpoints" / "last.ckpt"


def best_checkpoint(run: Path) -> Path:
    """What a run is rolled back to: the best validated state, or else the start."""
    return run / "checkpoints" / "best.ckpt"


def samples_folder(run: Path, step: int) -> Path:
    """Where the pieces of a validation are kept."""
    return run / "samples" / f"{step:06d}"


def write_config(run: Path, config: TrainConfig) -> None:
    """The configuration with all its defaults; ``train --resume`` reads it."""
    run.mkdir(parents=True, exist_ok=True)
    with atomic_write(run / CONFIG) as temporary:
        temporary.write_text(yaml.safe_dump(config.model_dump(mode="json")))


def write_model(run: Path, model: Transformer, record: Mapping[str, Any]) -> None:
    """The weights as a model file, with the record of how they came to be."""
    save_checkpoint(run / MODEL, model.config, model.weights(), record, dtype=np.float16)


def write_quotations(run: Path, pieces: Sequence[PieceRecord]) -> None:
    """The index of what the model is trained on, beside it, for composing to find quotations."""
    named = []
    for piece in pieces:
        with suppress(BiciniumError):  # what spells no score can be trained on, but not quoted
            score = score_of(piece)
            named.append((score, f"{piece.composer}, {piece.title or Path(piece.name).stem}"))
    QuotationIndex.build(named).save(quotations_path(run / MODEL))


def write_collapse_report(
    run: Path, step: int, why: str, rollbacks: int, best: Validation | None
) -> None:
    """What happened, for those who come in the morning."""
    lines = [
        f"# Training collapsed at step {step}\n",
        f"{why[:1].upper()}{why[1:]}. It was rolled back {rollbacks} times before.\n",
        f"The best validated state: {best}.\n" if best else "No state was validated.\n",
        f"Its weights: {run / MODEL if best else 'none'}; all of it: {best_checkpoint(run)}.\n",
        "| step | event | |\n|---|---|---|",
    ]
    lines += [
        f"| {event['step']} | {event['kind']} | {event['message']} |"
        for event in read_records(run / EVENTS)
    ]
    with atomic_write(run / COLLAPSE_REPORT) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
