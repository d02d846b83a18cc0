"""Tokens per second, beside ``generate()`` of Transformers with a Llama of the same size.

The Llama has d_model 256, 4 layers, 4 heads, d_ff 512, 774 tokens, single precision and a cache.
Its weights are random. A ``LogitsProcessor`` applies the same grammar, by the same compiled code.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import numpy as np

from benchmarks.report import NotMeasuredError, Table, interleaved, one_core, spread
from bicinium.api import compose_many, load_composer
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import GenerationConfig
from bicinium.generation.constraints.config import Constraints
from bicinium.generation.sampling import DEFAULT_SAMPLING, Sampling
from bicinium.grammar import MusicalGrammar
from bicinium.music.key import Key
from bicinium.music.score import Meter
from bicinium.tokenizer.vocabulary import PAD, START, VOCAB_SIZE

_PIECE = Conditions(Key.parse("C major"), Meter(4, 4), 16, style="bach")
_TOKENS = 500  # that the Llama draws for each piece: what a piece of 16 bars has
_KINDS = {
    "everything on": GenerationConfig(
        Sampling(top_p=DEFAULT_SAMPLING.top_p, motif_strength=None), constraints=Constraints()
    ),
    "everything on, with guidance": GenerationConfig(constraints=Constraints()),
    "grammar only": GenerationConfig(Sampling(top_p=DEFAULT_SAMPLING.top_p)),
}


def measure(arguments: Sequence[str]) -> list[Table]:
    """Measure tokens per second at batch 1 and 64."""
    parser = argparse.ArgumentParser(prog="benchmarks transformers_speed", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=9, help="a third at higher batches")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 64])
    options = parser.parse_args(arguments)
    table = Table(
        "Tokens per second",
        ("Program", "Batch", "Tokens per second", "Times Transformers", "Goal"),
        [
            "Tokens per second of processor time, which other programs change little. Pieces of 16 "
            "bars, one core, one thread each, all in turn. Transformers runs "
            "`generate()` with a Llama of the same size (d_model 256, 4 layers, 4 heads, d_ff 512, "
            "774 tokens, single precision, cache) and a `LogitsProcessor` with the same grammar; "
            f"it draws {_TOKENS} tokens a piece. bicinium makes as many steps; a piece that is "
            "finished makes room for the next. Everything on: grammar, default constraints and "
            "motif bias. Guidance reads each token twice. As users get it: default options and "
            "candidates; only tokens of the pieces that are kept count."
        ],
    )
    with one_core():
        for batch in options.batches:
            _compare(table, batch, max(1, options.repetitions // (1 if batch == 1 else 3)))
    return [table]


def _compare(table: Table, batch: int, repetitions: int) -> None:
    llama = _llama(batch)
    calls: dict[str, Callable[[], float]] = {"Transformers": llama}
    for name, config in _KINDS.items():
        calls[f"bicinium, one draw, {name}"] = lambda config=config: _draw(batch, config)
    calls["bicinium, as users get it"] = lambda: _kept(batch)
    if batch == 1:
        for call in calls.values():
            call()  # loads the model and what it imports
    rates = interleaved(calls, repetitions)
    goals = {"bicinium, one draw, everything on": "6" if batch == 1 else "5",
             "bicinium, as users get it": "1"}  # fmt: skip
    for name, found in rates.items():
        pairs = zip(found, rates["Transformers"], strict=True)
        ratio = statistics.median(ours / theirs for ours, theirs in pairs)
        table.add(name, str(batch), spread(found, ",.0f"), f"{ratio:.1f}", goals.get(name, ""))


def _draw(batch: int, config: GenerationConfig) -> float:
    """Return tokens per second while all places are taken."""
    drawing = load_composer().engine.drawing(config, batch)
    for seed in range(4 * batch):  # more than are finished
        drawing.add(seed, _PIECE, np.random.default_rng(seed))
    began = time.process_time()
    tokens = sum(len(moved) for moved in islice(drawing.steps(), _TOKENS))
    return tokens / (time.process_time() - began)


def _kept(batch: int) -> float:
    began = time.process_time()
    pieces = compose_many(
        batch, key="C major", meter="4/4", bars=_PIECE.bars, style=_PIECE.style, seed=0
    )
    return sum(len(piece.tokens) for piece in pieces) / (time.process_time() - began)


def _llama(batch: int) -> Callable[[], float]:
    """Return a function that generates and gives tokens per second."""
    try:
        import torch
        import transformers
    except ImportError as error:
        raise NotMeasuredError(f"{error.name} is not installed.") from error
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=VOCAB_SIZE, hidden_size=256, intermediate_size=512, num_hidden_layers=4,
        num_attention_heads=4, max_position_embeddings=1024, bos_token_id=START,
        eos_token_id=None, pad_token_id=PAD,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    prompt = torch.full((batch, 1), START)
    options: dict[str, Any] = {
        "max_new_tokens": _TOKENS, "do_sample": True, "top_p": DEFAULT_SAMPLING.top_p, "top_k": 0,
        "attention_mask": torch.ones_like(prompt),
    }  # fmt: skip

    def run() -> float:
        processor = transformers.LogitsProcessorList([_grammar_processor(batch)])
        began = time.process_time()
        with torch.inference_mode():
            tokens = model.generate(prompt, logits_processor=processor, **options)
        return batch * (tokens.shape[1] - 1) / (time.process_time() - began)

    return run


def _grammar_processor(batch: int) -> Any:
    """Return a ``LogitsProcessor``. 256 bars: random weights must not end the piece early."""
    import torch
    import transformers

    class GrammarProcessor(transformers.LogitsProcessor):
        def __init__(self) -> None:
            self.grammar = MusicalGrammar()
            self.states = self.grammar.initial_states(batch, bar_ticks=96, bars=256, spare_slots=0)

        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            self.grammar.advance(self.states, input_ids[:, -1].numpy().astype(np.int32))
            allowed = torch.from_numpy(self.grammar.mask(self.states))
            return scores.masked_fill(~allowed, -torch.inf)

    return GrammarProcessor()
