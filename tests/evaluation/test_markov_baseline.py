"""The Markov chain that the model is measured against (``benchmarks.baselines.markov``)."""

import math
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from benchmarks.baselines.markov import MarkovChain, MarkovDecoder
from bicinium.generation.composer import Composer
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import GenerationConfig
from bicinium.generation.sampling import Sampling
from bicinium.model.checkpoint import load_checkpoint
from bicinium.model.decoder import Decoder
from bicinium.music.key import Key
from bicinium.music.score import COMMON_TIME
from bicinium.tokenizer.vocabulary import END, PAD, START, VOCAB_SIZE

A, B, C = 700, 20, 30
PIECE = np.array([START, A, B, A, C, END], np.int16)
CONTEXTS = np.array([[PAD, PAD, START], [START, A, B], [C, C, A], [C, B, B], [3, 3, 3]])


def test_probabilities_sum_to_one_and_leave_nothing_out() -> None:
    chain = MarkovChain([PIECE, PIECE[[0, 1, 4, 5]]], repeats=[5, 1])

    p = chain.probabilities(CONTEXTS)

    assert p.sum(axis=1) == pytest.approx(1)
    assert (p > 0).all()


def test_interpolation_by_hand() -> None:
    chain = MarkovChain([PIECE], repeats=[1], order=1)

    p = chain.probabilities(np.array([[A]]))[0]

    # of the five tokens two are A; four kinds have come. After A one B, one C: two kinds
    of_b, of_a = (count + 4 / VOCAB_SIZE for count in (1, 2))
    assert p[B] == pytest.approx((1 + 2 * of_b / 9) / 4)
    assert p[A] == pytest.approx((2 * of_a / 9) / 4)


def test_a_context_never_seen_says_what_the_shorter_one_does() -> None:
    chain = MarkovChain([PIECE], repeats=[3])

    p = chain.probabilities(np.array([[END, END, A], [C, C, A], [C, C, 3], [3, 3, 3]]))

    assert np.array_equal(p[0], p[1])
    assert np.array_equal(p[2], p[3])


def test_repeats_count_as_if_the_piece_stood_there_so_often() -> None:
    other = np.array([START, B, B, END], np.int16)

    weighed = MarkovChain([PIECE, other], repeats=[3, 1]).probabilities(CONTEXTS)
    written_out = MarkovChain([PIECE] * 3 + [other], repeats=[1] * 4).probabilities(CONTEXTS)

    assert weighed == pytest.approx(written_out)


def test_the_decoder_remembers_each_sequence() -> None:
    chain = MarkovChain([PIECE], repeats=[1])
    decoder = MarkovDecoder(chain)
    decoder.start(2)
    decoder.step(np.array([[START, 7], [START, 7]]))
    decoder.step(np.array([[C, 7], [A, 7]]))

    logits = decoder.step(np.array([[B, 7]]), np.array([1]))

    expected = chain.probabilities(np.array([[START, A, B]]))
    assert logits == pytest.approx(np.log(expected))
    decoder.restart(1)
    logits = decoder.step(np.array([[START, 7]]), np.array([1]))
    assert logits == pytest.approx(np.log(chain.probabilities(np.array([[PAD, PAD, START]]))))
    assert math.isclose(np.exp(logits).sum(), 1)


def test_a_composer_writes_with_it_however_many_pieces_there_are(tiny_model: Path) -> None:
    checkpoint, chain = load_checkpoint(tiny_model), MarkovChain([PIECE], repeats=[1], order=1)
    composer = Composer(checkpoint).with_decoder(cast(Decoder, MarkovDecoder(chain)))
    asked = [Conditions(Key.parse("C major"), COMMON_TIME, 16)] * 8
    pieces = composer.compose(asked, range(8), GenerationConfig(Sampling(), use_grammar=False))
    rngs = [np.random.default_rng([seed, 0]) for seed in range(8)]
    drawn = composer.draw(asked, rngs, GenerationConfig(Sampling(), use_grammar=False))
    assert [piece.tokens.tolist() for piece in pieces] == [tokens.tolist() for tokens in drawn]
