"""Measure the time of the grammar for each token, with llguidance and xgrammar, and of validation.

bicinium applies all its rules. The other two get the part of the grammar that a context-free
grammar can say in few lines: the order of the kinds of tokens. They do not know which notes sound,
how long a note may last, or where a bar ends. For them a token is a word: a
number, then a letter for its kind. The letter is last because llguidance splits a word if the
grammar allows only one first letter.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Table, interleaved, one_core, spread
from bicinium.api import load_composer
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import GenerationConfig
from bicinium.grammar import MusicalGrammar, MusicalGrammarValidator
from bicinium.music.key import Key
from bicinium.music.score import Meter
from bicinium.tokenizer.vocabulary import END, KINDS, VOCAB_SIZE, Kind

_BARS, _METER = 16, Meter(4, 4)
_LETTERS = {
    Kind.NOTE_ON: "n", Kind.NOTE_OFF: "f", Kind.TIME_SHIFT: "t", Kind.VELOCITY: "v",
    Kind.TEMPO: "q", Kind.PART: "p",
}  # fmt: skip
_WORDS = [
    f"{token}{_LETTERS.get(Kind(kind), 'x')} ".encode() for token, kind in enumerate(KINDS.tolist())
]
_LARK = """start: TEMPO? item*
item: SHIFT | PART? (VELOCITY? NOTE_ON | NOTE_OFF)
TEMPO: /[0-9]+q /
SHIFT: /[0-9]+t /
PART: /[0-9]+p /
VELOCITY: /[0-9]+v /
NOTE_ON: /[0-9]+n /
NOTE_OFF: /[0-9]+f /
"""
_EBNF = """root ::= tempo? item*
item ::= shift | part? (velocity? on | off)
tempo ::= [0-9]+ "q "
shift ::= [0-9]+ "t "
part ::= [0-9]+ "p "
velocity ::= [0-9]+ "v "
on ::= [0-9]+ "n "
off ::= [0-9]+ "f "
"""
Pieces = list[NDArray[np.int16]]


def measure(arguments: Sequence[str]) -> list[Table]:
    """Measure microseconds a token on pieces that the model composes."""
    parser = argparse.ArgumentParser(prog="benchmarks grammar_speed", description=__doc__)
    parser.add_argument("--pieces", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=7)
    options = parser.parse_args(arguments)
    with one_core():
        conditions = [Conditions(Key.parse("C major"), _METER, _BARS)] * options.pieces
        rngs = [np.random.default_rng(seed) for seed in range(options.pieces)]
        pieces = load_composer().draw(conditions, rngs, GenerationConfig())
        return [_masks(pieces, options.repetitions), _validating(pieces, options.repetitions)]


def _masks(pieces: Pieces, repetitions: int) -> Table:
    calls = {
        "bicinium, one piece": lambda: _one_piece(pieces[:8]),
        f"bicinium, {len(pieces)} pieces at once": lambda: _batch(pieces),
    }
    missing = []
    for name, prepare in (("llguidance", _llguidance), ("xgrammar", _xgrammar)):
        try:
            walk = prepare()
            calls[f"{name}, order of tokens only"] = lambda walk=walk: _rate(walk, pieces[:8])
        except ImportError:
            missing.append(f"{name} is not installed.")
    table = Table(
        "The grammar while composing",
        ("Program", "Microseconds per token"),
        [
            "Mask of the allowed tokens, and the next state, along composed pieces; one core, "
            "called from Python. bicinium applies all rules. The others apply the order of the "
            "tokens only, since which notes sound is beyond a short context-free grammar. Goal: 2.",
            *missing,
        ],
    )
    for name, times in interleaved(calls, repetitions).items():
        table.add(name, spread(times))
    return table


def _one_piece(pieces: Pieces) -> float:
    grammar, mask = MusicalGrammar(), np.empty(VOCAB_SIZE, np.bool_)

    def walk(tokens: Sequence[int]) -> None:
        state = grammar.initial_state(bar_ticks=_METER.bar_ticks, bars=_BARS, spare_slots=0)
        for token in tokens:
            grammar.token_mask(state, mask)
            state.advance(token)

    return _rate(walk, pieces)


def _batch(pieces: Pieces) -> float:
    """Walk along as many tokens of each piece as the shortest has."""
    grammar, shortest = MusicalGrammar(), min(map(len, pieces))
    tokens = np.ascontiguousarray(np.stack([piece[:shortest] for piece in pieces], axis=1))
    states = grammar.initial_states(
        len(pieces), bar_ticks=_METER.bar_ticks, bars=_BARS, spare_slots=0
    )
    began = time.process_time()
    for row in tokens:
        grammar.mask(states)
        grammar.advance(states, row)
    return 1e6 * (time.process_time() - began) / tokens.size


def _rate(walk: Callable[[Sequence[int]], None], pieces: Pieces) -> float:
    """Return microseconds of processor time for each token."""
    tokens = [piece.tolist() for piece in pieces]
    began = time.process_time()
    for piece in tokens:
        walk(piece)
    return 1e6 * (time.process_time() - began) / sum(map(len, tokens))


def _llguidance() -> Callable[[Sequence[int]], None]:
    import llguidance
    import llguidance.numpy as masks

    words = llguidance.TokenizerWrapper(_Words())
    tokenizer = llguidance.LLTokenizer(words, n_vocab=VOCAB_SIZE)
    grammar = llguidance.grammar_from("lark", _LARK)
    mask = masks.allocate_token_bitmask(1, VOCAB_SIZE)
    start = llguidance.LLMatcher(tokenizer, grammar)

    def walk(tokens: Sequence[int]) -> None:
        matcher = start.deep_copy()
        for token in tokens[1:-1]:
            masks.fill_next_token_bitmask(matcher, mask)
            matcher.consume_token(token)
        _check("llguidance", not matcher.is_error() and matcher.is_accepting())

    return walk


class _Words:
    """The vocabulary as llguidance expects a tokenizer."""

    eos_token_id, bos_token_id, tokens = END, None, _WORDS

    def __call__(self, text: bytes) -> list[int]:
        return [_WORDS.index(word + b" ") for word in text.split()]


def _xgrammar() -> Callable[[Sequence[int]], None]:
    import xgrammar

    vocabulary = xgrammar.TokenizerInfo(_WORDS, vocab_size=VOCAB_SIZE, stop_token_ids=[END])
    compiled = xgrammar.GrammarCompiler(vocabulary, max_threads=1).compile_grammar(_EBNF)
    mask: Any = xgrammar.allocate_token_bitmask(1, VOCAB_SIZE)

    def walk(tokens: Sequence[int]) -> None:
        matcher = xgrammar.GrammarMatcher(compiled)
        accepted = True
        for token in tokens[1:-1]:
            matcher.fill_next_token_bitmask(mask)
            accepted &= matcher.accept_token(token)
        _check("xgrammar", accepted)

    return walk


def _check(name: str, accepted: bool) -> None:
    """A grammar that stops in the middle of a piece would look fast."""
    if not accepted:
        raise RuntimeError(f"{name} does not accept a composed piece.")


def _validating(pieces: Pieces, repetitions: int) -> Table:
    validator, many = MusicalGrammarValidator(), pieces * 32
    tokens = sum(map(len, many))

    def run() -> float:
        began = time.process_time()
        results = list(
            validator.validate_sequences(many, [_METER] * len(many), [_BARS] * len(many))
        )
        took = time.process_time() - began
        _check("bicinium", all(result.valid for result in results))
        return tokens / took / 1e6

    table = Table(
        "Validating",
        ("What", "Million tokens per second", "Goal"),
        [f"{len(many):,} pieces with {tokens:,} tokens, one core."],
    )
    table.add("bicinium", spread([run() for _ in range(repetitions)], ".1f"), "20")
    return table
