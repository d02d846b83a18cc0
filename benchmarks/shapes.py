"""Which shape of model, and of data? Small runs of equal steps, each with one thing changed.

Usage: python -m benchmarks shapes [--prepared data/prepared] [--runs runs/shapes]
                                   [--steps 500] [--seed 1] [--only NAME …]

Width, depth, context, dropout, the peak of the learning rate, pieces in all keys instead of in
C major and A minor, and what grammar loss, foresight and state embedding cost or bring. A step
shows 4,096 tokens whatever the context. Runs that are done are not done again, so this can be
interrupted. Prints a row for each: held-out bits a note.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ablation import validations
from bicinium.data.piece_record import PieceRecord, score_of
from bicinium.data.shards import SHARDS, load_pieces, write_shards
from bicinium.errors import BiciniumError
from bicinium.model.checkpoint import load_checkpoint
from bicinium.tokenizer.codec import encode
from bicinium.training.config import TrainConfig
from bicinium.training.loop import train
from bicinium.training.run_dir import MODEL, last_checkpoint, read_metrics

_TOKENS_A_STEP = 4096
_SHAPE = {"d_model": 128, "n_layers": 4, "d_ff": 352, "context": 512}
_ALL_KEYS = "all keys"
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "as it is": {},
    "width 192": {"model": {"d_model": 192, "d_ff": 528}},
    "depth 8": {"model": {"n_layers": 8}},
    "depth 2": {"model": {"n_layers": 2}},
    "context 256": {"model": {"context": 256}},
    "context 1024": {"model": {"context": 1024}},
    "dropout 0.1": {"model": {"dropout": 0.1}},
    "half the rate": {"training": {"learning_rate": 1.5e-3}},
    "twice the rate": {"training": {"learning_rate": 6e-3}},
    _ALL_KEYS: {},
    "no grammar loss": {"musical_grammar": {"enabled": False}},
    "nothing foretold": {"data": {"lookahead_probability": 0.0}},
    "no state embedding": {"model": {"state_embedding": False, "time_heads": 0}},
}


def configuration(variant: str, steps: int, seed: int, prepared: Path) -> TrainConfig:
    """The default but for its size and for what the variant changes."""
    changed = VARIANTS[variant]
    model = _SHAPE | changed.get("model", {})
    return TrainConfig.model_validate(
        {
            "model": model,
            "training": {
                "seed": seed,
                "max_steps": steps,
                "batch_size": _TOKENS_A_STEP // model["context"],
                "threads": 1,
                "musical_grammar": {
                    "validate_every_n_batches": steps,
                    "live_pieces": 8,
                    "live_bars": 8,
                    "rollback": False,
                }
                | changed.get("musical_grammar", {}),
            }
            | changed.get("training", {}),
            "data": {
                "prepared": str(prepared),
                "exclude_styles": ["palestrina"],
                "keyboard_repeats": 5,
            }
            | changed.get("data", {}),
        }
    )


def in_all_keys(prepared: Path, to: Path, seed: int) -> Path:
    """The corpus with each training piece in a key drawn by lot, and the others in their own."""
    if not any(to.glob(SHARDS)):
        rng = np.random.default_rng(seed)
        to.mkdir(parents=True, exist_ok=True)
        moved = [
            _moved(piece, int(rng.integers(-5, 7)) if piece.split == "train" else None)
            for piece in load_pieces(prepared)
        ]
        write_shards(to, moved)
    return to


def _moved(piece: PieceRecord, semitones: int | None) -> PieceRecord:
    """A piece in another key, its own where ``semitones`` is None; as it was where that is off the
    keyboard.
    """
    away = piece.transposition if semitones is None else semitones
    try:
        tokens = encode(score_of(piece).transpose(away))
    except BiciniumError:
        return piece
    return replace(piece, tokens=tokens, transposition=piece.transposition - away)


def main(arguments: Sequence[str]) -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prepared", type=Path, default=Path("data/prepared"))
    parser.add_argument("--runs", type=Path, default=Path("runs/shapes"))
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    options = parser.parse_args(arguments)
    print("| variant | parameters | keyboard, bits a note | other | steps a second |")
    print("|---|---|---|---|---|")
    for variant in options.only:
        prepared = options.prepared
        if variant == _ALL_KEYS:
            prepared = in_all_keys(prepared, options.runs / "corpus", options.seed)
        run = options.runs / variant.replace(" ", "-")
        if not validations(run):
            config = configuration(variant, options.steps, options.seed, prepared)
            train(config, run, resume=last_checkpoint(run).is_file())
        _print(variant, run)


def _print(variant: str, run: Path) -> None:
    found = validations(run)[-1]
    weights = load_checkpoint(run / MODEL).weights
    rate = read_metrics(run)["train/steps_per_second"][-1][1]
    print(
        f"| {variant} | {sum(w.size for w in weights.values()):,} | "
        f"{found['validation/keyboard/bits_per_note']:.3f} | "
        f"{found['validation/other/bits_per_note']:.3f} | {rate:.2f} |",
        flush=True,
    )
