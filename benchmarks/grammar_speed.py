"""What the grammar costs: beside a step of the decoder, and beside MidiTok's error count.

Usage: python -m benchmarks grammar_speed [--corpus FOLDER] [--batch 64] [--rounds 5]

One process, one thread; the two sides of each ratio are timed in turn.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bicinium.corpus.sources import find_sources
from bicinium.grammar import MusicalGrammar, MusicalGrammarValidator
from bicinium.model.checkpoint import load_checkpoint
from bicinium.model.decoder import Decoder
from bicinium.model.features import PieceConditions, features
from bicinium.score.midi import read_midi, write_midi
from bicinium.score.texture import two_voices
from bicinium.tokens.codec import encode, snap
from bicinium.tokens.vocabulary import KINDS, Kind

STEPS = 200


def main(arguments: Sequence[str]) -> None:
    """Time both sides and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, nargs="*", default=[])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    against_decoder(options.batch, options.rounds)
    against_miditok(options.corpus, options.rounds)


def against_decoder(batch: int, rounds: int) -> None:
    """Mask and advance, as a share of a decoder step, over walks of legal tokens."""
    checkpoint = load_checkpoint()
    decoder = Decoder(checkpoint.config, checkpoint.weights)
    grammar = MusicalGrammar()
    told = PieceConditions.of(
        checkpoint.config, ["4/4"] * batch, ["major"] * batch, [None] * batch, [64] * batch
    )
    shares = []
    for round_number in range(rounds):
        rng = np.random.default_rng(round_number)
        state = grammar.initial_state(batch, bar_ticks=96, bars=64, max_tokens=8000, spare_slots=0)
        tokens = np.zeros(batch, np.int64)
        decoder.start(batch)
        in_grammar = in_decoder = 0.0
        for _ in range(STEPS):
            a = time.perf_counter()
            grammar.advance(state, tokens)
            mask = grammar.token_mask(state)
            b = time.perf_counter()
            seen = features(checkpoint.config, state, tokens.astype(np.int32), told)
            c = time.perf_counter()
            decoder.step(seen)
            d = time.perf_counter()
            in_grammar, in_decoder = in_grammar + (b - a), in_decoder + (d - c)
            by_kind = rng.random((batch, len(Kind)))[:, KINDS]
            tokens = np.where(mask, by_kind + 1e-6 * rng.random(mask.shape), -1).argmax(axis=1)
        shares.append(in_grammar / in_decoder)
        print(
            f"  mask + advance {1e6 * in_grammar / STEPS:.0f} µs, decoder step "
            f"{1e6 * in_decoder / STEPS:.0f} µs at batch {batch}: {shares[-1]:.2%}"
        )
    print(f"  median share: {statistics.median(shares):.2%}")


def against_miditok(folders: Sequence[Path], rounds: int) -> None:
    """Tokens a second of both validators, over the same pieces."""
    import miditok
    import symusic

    scores = [
        snap(piece.score)
        for source in find_sources(folders)
        for piece in two_voices(read_midi(source.path))
    ]
    ours = [encode(score) for score in scores]
    meters, bars = [score.meter for score in scores], [score.bars for score in scores]
    tokenizer = miditok.MIDILike()
    scratch = Path("benchmark-piece.mid")
    theirs = []
    for score in scores[:: max(1, len(scores) // 100)]:  # a hundred pieces are enough for a rate
        write_midi(score, scratch)
        theirs += tokenizer(symusic.Score(scratch))
    scratch.unlink()
    our_tokens = sum(map(len, ours))
    their_tokens = sum(len(sequence) for sequence in theirs)
    validator = MusicalGrammarValidator()
    rates, ratios = [], []
    for _ in range(rounds):
        our_time, results = timed(lambda: list(validator.validate_sequences(ours, meters, bars)))
        their_time, _ = timed(lambda: tokenizer.tokens_errors(theirs))
        rates.append(our_tokens / our_time)
        ratios.append(rates[-1] / (their_tokens / their_time))
        print(f"  bicinium {rates[-1] / 1e6:.2f} million tokens/s, MidiTok "
              f"{their_tokens / their_time / 1e6:.3f}: {ratios[-1]:.1f} times")  # fmt: skip
    valid = sum(result.valid for result in results)
    print(f"  {len(ours)} pieces ({valid} valid), {our_tokens} tokens: median "
          f"{statistics.median(rates) / 1e6:.2f} million tokens/s, "
          f"{statistics.median(ratios):.1f} times MidiTok's tokens_errors")  # fmt: skip


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and result of a call."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result
