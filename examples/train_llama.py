"""Train a small Llama on bicinium's tokens with and without the grammar loss, and compare.

Usage: python examples/train_llama.py [--pieces 160] [--steps 500] [--samples 100] [--seed 0]

The training pieces are composed by bicinium. Both models begin with the same weights and see the
same batches. Each then generates pieces without any mask or constraint, at temperature 1.
Needs: pip install 'bicinium[transformers]'
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Sequence

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments, set_seed

import bicinium
from bicinium.adapters.transformers import (
    GrammarTrainerCallback,
    GrammarTrainerLoss,
    validate_live,
)
from bicinium.music.score import Meter
from bicinium.tokenizer.vocabulary import END, PAD, START, VOCAB_SIZE
from bicinium.training.config import MusicalGrammarSection

METER, BARS = Meter(3, 4), 2
MAX_TOKENS = 160
SHOWN = ("valid", "grammar_score", "paired_notes", "illegal_mass", "notes_per_quarter")


def training_pieces(count: int) -> list[list[int]]:
    """Return the tokens of short pieces in C major, composed by bicinium."""
    pieces = bicinium.compose_many(
        count, key="C major", meter=str(METER), bars=BARS, style="bach", seed=0, best_of=1
    )
    return [piece.tokens.tolist() for piece in pieces if len(piece.tokens) <= MAX_TOKENS]


def collate(pieces: Sequence[list[int]]) -> dict[str, torch.Tensor]:
    """Return a batch, padded on the right; padding is no label."""
    rows = [torch.tensor(tokens) for tokens in pieces]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)
    return {
        "input_ids": ids,
        "attention_mask": (ids != PAD).long(),
        "labels": ids.masked_fill(ids == PAD, -100),
    }


def train(pieces: list[list[int]], steps: int, seed: int, grammar: bool) -> dict[str, float]:
    """Train one model; return its held-out bits per token and what its own pieces are like."""
    set_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCAB_SIZE, hidden_size=96, intermediate_size=192, num_hidden_layers=2,
            num_attention_heads=4, max_position_embeddings=MAX_TOKENS, bos_token_id=START,
            eos_token_id=END, pad_token_id=PAD,
        )
    )  # fmt: skip
    section = MusicalGrammarSection(
        enabled=grammar, ramp_after_steps=steps // 4, ramp_steps=steps // 4, saved_pieces=0
    )
    loss = GrammarTrainerLoss(section)
    callback = GrammarTrainerCallback(loss, meter=METER, max_tokens=MAX_TOKENS)
    held_out = len(pieces) // 10
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=folder, max_steps=steps, per_device_train_batch_size=8,
                learning_rate=2e-3, warmup_steps=steps // 20, lr_scheduler_type="cosine",
                eval_strategy="steps", eval_steps=steps // 4, save_strategy="no",
                logging_strategy="no", report_to="none", disable_tqdm=True, seed=seed,
                remove_unused_columns=False, dataloader_pin_memory=False,
            ),
            train_dataset=pieces[held_out:],
            eval_dataset=pieces[:held_out],
            data_collator=collate,
            compute_loss_func=loss,
            callbacks=[callback],
        )  # fmt: skip
        trainer.train()
        bits = trainer.evaluate()["eval_loss"] / math.log(2)
    return {"step": callback.monitor.best.step, "bits_per_token": bits, "model": trainer.model}


def main(arguments: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """Train both models, print a table, and return it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pieces", type=int, default=160)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    pieces = training_pieces(options.pieces)
    table = {}
    for name, grammar in (("cross-entropy", False), ("+ grammar loss", True)):
        found = train(pieces, options.steps, options.seed, grammar)
        live = validate_live(
            found.pop("model"), options.samples, max_tokens=MAX_TOKENS, meter=METER, seed=1
        )
        table[name] = found | {key: live.metrics[key] for key in SHOWN}
    print("| trained with |", " | ".join(name.replace("_", " ") for name in table[name]), "|")
    for name, row in table.items():
        print(f"| {name} |", " | ".join(f"{value:.4g}" for value in row.values()), "|")
    return table


if __name__ == "__main__":
    main()
