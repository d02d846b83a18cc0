"""What the grammar costs: beside a step of the decoder, and beside MidiTok's error count.

Usage: python -m benchmarks grammar_speed [--corpus FOLDER] [--batch 64] [--rounds 5]

One process, one thread; the two sides of each ratio are timed in turn. Times are the processor's,
not the clock's, so that others on the machine lengthen neither side by waiting.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bicinium.data.sources import find_sources
from bicinium.formats.midi import read_midi, write_midi
from bicinium.generation.sampling import DEFAULT_SAMPLING, draw, probabilities
from bicinium.grammar import MusicalGrammar, MusicalGrammarValidator, ValidationResult
from bicinium.model.checkpoint import load_checkpoint
from bicinium.model.decoder import Decoder
from bicinium.model.inputs.bar_lag import BarLag
from bicinium.model.inputs.encode import PieceConditions, encode_inputs
from bicinium.model.inputs.note_index import GrowingNoteIndex
from bicinium.music.voice_reduction import reduce_to_two_voices
from bicinium.tokenizer.codec import encode, snap
from bicinium.tokenizer.vocabulary import START

STEPS = 600  # a piece of 16 bars has 500 to 1,100 tokens
FIRST_STEPS = 200  # while there is little to attend to, a decoder step is cheapest


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
    """Mask and advance, as a share of a decoder step, while pieces are composed as users do."""
    checkpoint = load_checkpoint()
    decoder = Decoder(checkpoint.config, checkpoint.weights)
    grammar = MusicalGrammar()
    told = PieceConditions.of(
        checkpoint.config, ["4/4"] * batch, ["major"] * batch, [None] * batch, [64] * batch
    )
    shares = []
    for round_number in range(rounds):
        rng = np.random.default_rng(round_number)
        state = grammar.initial_states(
            batch,
            bar_ticks=96,
            bars=64,
            max_tokens=8000,
            transposition=rng.integers(-6, 6, batch),
            spare_slots=0,
        )
        tokens = np.full(batch, START)
        decoder.start(batch)
        lines, rows = GrowingNoteIndex(batch), np.arange(batch)
        in_grammar, in_decoder = np.empty(STEPS), np.empty(STEPS)
        for step in range(STEPS):
            a = time.process_time()
            grammar.advance(state, tokens)
            b = time.process_time()
            lines.update(state, rows, tokens)
            past = BarLag(lines, rows)
            seen = encode_inputs(checkpoint.config, state, tokens.astype(np.int32), told, past)
            c = time.process_time()
            mask = grammar.mask(state)
            d = time.process_time()
            logits = decoder.step(seen)
            e = time.process_time()
            in_grammar[step], in_decoder[step] = (b - a) + (d - c), e - d
            tokens = draw(probabilities(logits, mask, DEFAULT_SAMPLING), rng.random(batch))
        for steps in (FIRST_STEPS, STEPS):
            ours, theirs = 1e6 * in_grammar[:steps].mean(), 1e6 * in_decoder[:steps].mean()
            print(
                f"  batch {batch}, {steps} steps: mask + advance {ours:.0f} µs, decoder step "
                f"{theirs:.0f} µs: {ours / theirs:.2%}"
            )
        shares.append(ours / theirs)
    print(f"  median share: {statistics.median(shares):.2%}")


def against_miditok(folders: Sequence[Path], rounds: int) -> None:
    """Our rate over the corpus; and the seconds of both validators over the same hundred pieces.

    MidiTok gets its own tokens of the same notes, as its tokenizer returns them (one sequence for
    each track, ids and words both made beforehand), ours the ids alone.
    """
    import miditok
    import symusic

    scores = [
        snap(piece.score)
        for source in find_sources(folders)
        for piece in reduce_to_two_voices(read_midi(source.path))
    ]
    ours = [encode(score) for score in scores]
    meters, bars = [score.meter for score in scores], [score.bars for score in scores]
    some = slice(0, None, max(1, len(scores) // 100))
    tokenizer = miditok.MIDILike()
    theirs = []
    with tempfile.TemporaryDirectory() as folder:
        for score in scores[some]:
            write_midi(score, Path(folder) / "piece.mid")
            theirs += tokenizer(symusic.Score(Path(folder) / "piece.mid"))
    validator = MusicalGrammarValidator()

    def judge(chosen: slice) -> list[ValidationResult]:
        return list(validator.validate_sequences(ours[chosen], meters[chosen], bars[chosen]))

    all_tokens, some_tokens = sum(map(len, ours)), sum(map(len, ours[some]))
    their_tokens = sum(map(len, theirs))
    rates, ratios = [], []
    for _ in range(rounds):
        all_time, results = timed(lambda: judge(slice(None)))
        our_time, _ = timed(lambda: judge(some))
        their_time, _ = timed(lambda: tokenizer.tokens_errors(theirs))
        rates.append(all_tokens / all_time)
        ratios.append(their_time / our_time)
        print(
            f"  all: {rates[-1] / 1e6:.2f} million tokens/s; {len(ours[some])} pieces: bicinium "
            f"{some_tokens} tokens in {1e3 * our_time:.0f} ms, MidiTok {their_tokens} in "
            f"{1e3 * their_time:.0f} ms: {ratios[-1]:.0f} times"
        )
    valid = sum(result.valid for result in results)
    print(
        f"  {len(ours)} pieces ({valid} valid), {all_tokens} tokens: median "
        f"{statistics.median(rates) / 1e6:.2f} million tokens/s, "
        f"{statistics.median(ratios):.0f} times MidiTok's tokens_errors"
    )


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and result of a call."""
    started = time.process_time()
    result = work()
    return time.process_time() - started, result
