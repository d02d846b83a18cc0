"""Baselines: is it the grammar, the tokens, or just the data that make the model what it is?

Usage: python -m benchmarks baselines train-remi [--data DIR] [--run DIR]
       python -m benchmarks baselines table [--data DIR] [--model default] [--without-grammar FILE]
                                            [--remi DIR] [--pieces 100] [--json FILE]

a, our transformer without the automaton's state and without the grammar loss, is trained with
``bicinium train configs/training_configs/baseline_without_grammar.yaml``; b is a Llama of the same
size over REMI tokens, which ``train-remi`` trains for hours (Ctrl-C saves, the same command goes
on); c is a Markov chain, which ``table`` fits. All learn from the same pieces, of which keyboard
music counts three times; a and b for as many steps as our model, of as many tokens.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str]) -> None:
    """Train the baseline that needs it, or measure all."""
    from benchmarks.baselines import remi_training, table  # these need torch and MidiTok

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks baselines",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train-remi", help="baseline b, some hours")
    training.add_argument("--data", type=Path, default=Path("data/prepared"))
    training.add_argument("--run", type=Path, default=Path("runs/remi"))
    table.add_options(commands.add_parser("table", help="all beside real music"))
    options = parser.parse_args(arguments)
    if options.command == "train-remi":
        remi_training.train(options.data, options.run)
    else:
        table.main(options)
