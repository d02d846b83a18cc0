"""Ablation of grammar-aware training: small models, equal steps, equal seeds.

Usage: python -m benchmarks ablation [--prepared data/prepared] [--runs runs/ablation]
                                     [--steps 600] [--seeds 1 2 3]

The variants add, one after another, the grammar loss on data, the loss on policy and the component
"legality" to cross-entropy, each with and without the automaton's state as input. Finished runs are
not repeated, so the benchmark can be interrupted. It prints mean ± standard deviation over seeds.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

from bicinium.training.config import TrainConfig
from bicinium.training.loop import train
from bicinium.training.run_dir import EVENTS, last_checkpoint, read_records

LOSSES = {
    "cross-entropy": {"enabled": False},
    "+ teacher-forced": {"on_policy_weight": 0.0, "legality_weight": 0.0, "margin_weight": 0.0},
    "+ on-policy": {"legality_weight": 0.0, "margin_weight": 0.0},
    "+ legality": {"margin_weight": 0.0},
}
MEASURED = {
    "validation/keyboard/bits_per_note": "bits/note",
    "validation/keyboard/illegal_mass": "illegal mass",
    "live/illegal_mass": "illegal, own",
    "live/paired_notes": "paired",
    "live/valid": "valid",
    "live/grammar_score": "score",
    "live/distinct": "distinct",
}


def configuration(
    loss: str, state_embedding: bool, seed: int, steps: int, prepared: Path
) -> TrainConfig:
    """Return the configuration of a small model, as in the table in docs/training.md.

    It is evaluated with 48 unconstrained pieces of 8 bars.
    """
    return TrainConfig.model_validate(
        {
            "model": {
                "d_model": 128,
                "n_layers": 3,
                "d_ff": 352,
                "context": 256,
                "state_embedding": state_embedding,
                "time_heads": 0,
                "lookahead": False,
            },
            "training": {
                "seed": seed,
                "max_steps": steps,
                "batch_size": 12,
                "optimizer": "adamw",
                "learning_rate": 2e-3,
                "threads": 1,
                "checkpoint_every_steps": 100,
                "musical_grammar": {
                    "on_policy_every_n_batches": 10,
                    "validate_every_n_batches": steps,
                    "live_pieces": 48,
                    "live_bars": 8,
                    "rollback": False,
                }
                | LOSSES[loss],
            },
            "data": {
                "prepared": str(prepared),
                "keyboard_repeats": 4,
                "lookahead_probability": 0.0,
            },
        }
    )


def main(arguments: Sequence[str]) -> None:
    """Train the missing runs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prepared", type=Path, default=Path("data/prepared"))
    parser.add_argument("--runs", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args(arguments)
    found: dict[tuple[str, bool], list[dict[str, float]]] = {}
    for seed in options.seeds:
        for state_embedding in (True, False):
            for loss in LOSSES:
                name = f"{loss.strip('+ ')}-{'state' if state_embedding else 'plain'}-{seed}"
                run = options.runs / name
                config = configuration(loss, state_embedding, seed, options.steps, options.prepared)
                if not validations(run):
                    train(config, run, resume=last_checkpoint(run).is_file())
                measured = validations(run)[-1]
                found.setdefault((loss, state_embedding), []).append(measured)
                _print(found)


def validations(run: Path) -> list[dict[str, float]]:
    """Return the validations of a run in order."""
    return [event for event in read_records(run / EVENTS) if event["kind"] == "validation"]


def _print(found: dict[tuple[str, bool], list[dict[str, float]]]) -> None:
    print("\n| loss | state embedding | seeds | " + " | ".join(MEASURED.values()) + " |")
    print("|" + "---|" * (3 + len(MEASURED)))
    for (loss, state_embedding), rows in found.items():
        cells = [loss, "yes" if state_embedding else "no", str(len(rows))]
        for name in MEASURED:
            values = [row[name] for row in rows]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            cells.append(f"{statistics.fmean(values):.4f} ± {spread:.4f}")
        print("| " + " | ".join(cells) + " |", flush=True)
