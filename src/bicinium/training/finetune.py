"""Fine-tune a model on a few pieces: a short run that starts from its weights.

The held-out pieces are measured before the first step. If training does not improve on that, the
model of the run has the weights that it started from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bicinium.data.piece_record import PieceRecord
from bicinium.data.prepare import CACHE_NAME, MANIFEST_NAME, prepare
from bicinium.data.sources import find_sources
from bicinium.errors import ConfigError, CorpusError
from bicinium.training.config import TrainConfig
from bicinium.training.loop import train
from bicinium.training.run_dir import last_checkpoint, read_metrics

_MIN_PIECES = 2


@dataclass(frozen=True, slots=True)
class FineTuned:
    """The model, and the bits per note of held-out pieces before and after (of the best state)."""

    model: Path
    bits_before: float
    bits_after: float
    best_step: int


def prepare_pieces(
    sources: Sequence[str],
    run: Path,
    style: str | None = None,
    jobs: int = -1,
    *,
    quantize: bool = False,
    unfold: bool = False,
) -> list[PieceRecord]:
    """Prepare music in the folder of the run and return the record of every piece.

    The style of all pieces is ``style``, or the name of the first source. Pieces of any quality are
    kept. See ``read_music`` for ``quantize`` and ``unfold``.

    Raises CorpusError if fewer than two can be used, ConfigError if the folder holds a run.
    """
    prepared = prepared_folder(run)
    others = (prepared / MANIFEST_NAME).is_file() and not (prepared / CACHE_NAME).is_file()
    if last_checkpoint(run).is_file() or others:
        raise ConfigError(
            f"{run} holds a run already. Resume it with bicinium train --resume {run}, or name "
            "another folder with --run."
        )
    name = style if style is not None else Path(sources[0]).resolve().stem
    records: list[PieceRecord] = []
    found = find_sources(list(sources), name, quantize=quantize, unfold=unfold)
    kept = prepare(found, prepared, jobs=jobs, on_record=records.append).kept
    if kept < _MIN_PIECES:
        raise CorpusError(
            f"{kept} of {len(records)} pieces can be used; at least {_MIN_PIECES} are needed, one "
            f"to train on and one to measure. Add music to {sources[0]}."
        )
    return records


def prepared_folder(run: Path) -> Path:
    """Return the folder of the prepared pieces of a run."""
    return run / "data"


def finetuning_config(model: Path, run: Path, max_steps: int) -> TrainConfig:
    """Return the configuration of a short run that starts from ``model``."""
    grammar = {
        "positions": 256,
        "ramp_steps": 0,  # The model knows the grammar already.
        "on_policy_every_n_batches": 20,
        "on_policy_pieces": 2,
        "on_policy_tokens": 256,
        "validate_every_n_batches": 5,
        "live_pieces": 2,
        "live_bars": 8,
        "early_stop_patience": 4,
    }
    training = {
        "init_from": str(model),
        "max_steps": max_steps,
        "batch_size": 4,
        "optimizer": "adamw",
        "learning_rate": 3e-4,
        "warmup_steps": 5,
        "checkpoint_every_steps": 50,
        "musical_grammar": grammar,
    }
    data = {"prepared": str(prepared_folder(run)), "keyboard_repeats": 1}
    return TrainConfig.model_validate({"training": training, "data": data})


def finetune(config: TrainConfig, run: Path) -> FineTuned:
    """Train, and compare the best state with the initial one. Raises what ``train`` raises."""
    model = train(config, run)
    bits = next(
        curve
        for name, curve in read_metrics(run).items()
        if name.startswith("validation/") and name.endswith("/bits_per_note")
    )
    best_step, least = min(bits, key=lambda point: (point[1], point[0]))
    return FineTuned(model, bits[0][1], least, best_step)
