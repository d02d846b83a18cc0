"""Shapes of model and data: small runs of equal steps, each with one change.

Usage: python -m benchmarks shapes [--prepared data/prepared] [--runs runs/shapes]
                                   [--steps 500] [--seed 1] [--only NAME …]

The changes: width, depth, context, dropout, peak learning rate, pieces in all keys instead of C
major and A minor, no grammar loss, no look-ahead, no state embedding. A step shows 4,096 tokens
whatever the context. Finished runs are not repeated, so the benchmark can be interrupted. It prints
a row for each: held-out bits per note.
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

_TOKENS_PER_STEP = 4096
_SHAPE = {"d_model": 128, "n_layers": 4, "d_ff": 352, "context": 512}
_ALL_KEYS = "all keys"
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "default": {},
    "width 192": {"model": {"d_model": 192, "d_ff": 528}},
    "depth 8": {"model": {"n_layers": 8}},
    "depth 2": {"model": {"n_layers": 2}},
    "context 256": {"model": {"context": 256}},
    "context 1024": {"model": {"context": 1024}},
    "dropout 0.1": {"model": {"dropout": 0.1}},
    "half the learning rate": {"training": {"learning_rate": 1.5e-3}},
    "twice the learning rate": {"training": {"learning_rate": 6e-3}},
    _ALL_KEYS: {},
    "no grammar loss": {"musical_grammar": {"enabled": False}},
    "no look-ahead": {"data": {"lookahead_probability": 0.0}},
    "no state embedding": {"model": {"state_embedding": False, "time_heads": 0}},
}


def configuration(variant: str, steps: int, seed: int, prepared: Path) -> TrainConfig:
    """Return the default configuration, smaller, with the change of a variant."""
    changed = VARIANTS[variant]
    model = _SHAPE | changed.get("model", {})
    return TrainConfig.model_validate(
        {
            "model": model,
            "training": {
                "seed": seed,
                "max_steps": steps,
                "batch_size": _TOKENS_PER_STEP // model["context"],
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
    """Return the corpus with each training piece in a random key and the others in their own."""
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
    """Return a piece transposed, to its own key if ``semitones`` is None.

    It stays as it is if the result leaves the keyboard.
    """
    away = piece.transposition if semitones is None else semitones
    try:
        tokens = encode(score_of(piece).transpose(away))
    except BiciniumError:
        return piece
    return replace(piece, tokens=tokens, transposition=piece.transposition - away)


def main(arguments: Sequence[str]) -> None:
    """Train the missing runs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prepared", type=Path, default=Path("data/prepared"))
    parser.add_argument("--runs", type=Path, default=Path("runs/shapes"))
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    options = parser.parse_args(arguments)
    print("| variant | parameters | keyboard, bits per note | other | steps per second |")
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
