"""Cost of the grammar loss relative to a training step of the default model.

Usage: python -m benchmarks grammar_loss [--batch 16] [--length 512] [--rounds 10]

A step is forward, cross-entropy, backward and AdamW in bfloat16 autocast. The same steps are timed
with and without the grammar loss, alternately. The batch is of composed pieces.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

import torch

from bicinium.api import compose_many
from bicinium.data.sources import STYLES
from bicinium.model.config import ModelConfig
from bicinium.model.transformer import Transformer
from bicinium.training.batches import on_policy_batch
from bicinium.training.config import MusicalGrammarSection
from bicinium.training.dataset import Batch
from bicinium.training.live_sampler import generated_pieces
from bicinium.training.losses import MusicalGrammarLoss
from bicinium.training.optim import next_token_loss


def main(arguments: Sequence[str]) -> None:
    """Time both kinds of step and print the difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args(arguments)
    section = MusicalGrammarSection()
    config = ModelConfig(context=options.length, styles=STYLES)
    pieces = compose_many(options.batch, bars=options.length // 16, style="bach", best_of=1)
    own = generated_pieces(
        [piece.tokens for piece in pieces], [piece.conditions for piece in pieces]
    )
    batch = on_policy_batch(own, config, section.positions, [0])
    model = Transformer(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    loss = MusicalGrammarLoss(section)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for index in range(options.rounds + 1):
        for with_grammar in (True, False):
            started = time.perf_counter()
            step(model, optimizer, batch, loss if with_grammar else None)
            if index:  # The first round warms up.
                seconds[with_grammar].append(time.perf_counter() - started)
    with_it, without = (statistics.median(seconds[key]) for key in (True, False))
    print(
        f"  {options.batch} x {options.length} tokens, {torch.get_num_threads()} threads: a step "
        f"takes {without:.3f} s, with the grammar loss {with_it:.3f} s: "
        f"{(with_it - without) / without:.1%} more (medians of {options.rounds})"
    )


def step(
    model: Transformer,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    grammar_loss: MusicalGrammarLoss | None,
) -> None:
    """Take one training step."""
    optimizer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(batch.inputs)
    total = next_token_loss(logits, batch.targets)
    if grammar_loss is not None:
        total, _ = grammar_loss(
            logits, batch.targets, total, states=batch.states, rows=batch.grammar_rows
        )
    total.backward()
    optimizer.step()
