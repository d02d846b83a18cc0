"""Loops: what a collapsed model writes is found, and music is left in peace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bicinium.data.sources import find_sources
from bicinium.formats.midi import read_midi
from bicinium.grammar.loops import loop_continuations, looped_share
from bicinium.music.voice_reduction import reduce_to_two_voices
from bicinium.tokenizer.codec import encode, snap

_PERIODS = range(2, 33)


def _next_in_loop(before: list[int]) -> int:
    """Follow the definition literally: a period p repeated four times or more, over 24 tokens or
    more.

    Return the token that the shortest such p predicts.
    """
    for period in _PERIODS:
        run = before[-max(4 * period, 24) :]
        if len(run) < max(4 * period, 24) or min(run) < 0:
            continue
        if run[period:] == run[:-period]:
            return before[-period]
    return -1


_patterns = st.tuples(st.lists(st.integers(-1, 3), min_size=1, max_size=34), st.integers(1, 14))
_sequences = st.lists(_patterns, min_size=1, max_size=4).map(
    lambda parts: [token for pattern, times in parts for token in pattern * times]
)


@given(_sequences)
def test_continuations_are_those_of_the_definition(tokens: list[int]) -> None:
    expected = [_next_in_loop(tokens[: end + 1]) for end in range(len(tokens))]
    assert loop_continuations(np.array([tokens]))[0].tolist() == expected


@given(st.lists(_sequences, min_size=2, max_size=4))
def test_rows_do_not_see_one_another(rows: list[list[int]]) -> None:
    length = min(len(row) for row in rows)
    together = loop_continuations(np.array([row[:length] for row in rows]))
    apart = [loop_continuations(np.array([row[:length]]))[0] for row in rows]
    np.testing.assert_array_equal(together, np.array(apart))


@pytest.mark.parametrize("period", _PERIODS)
def test_the_next_of_a_loop_is_expected_as_soon_as_it_is_one(period: int) -> None:
    tokens = list(range(100, 100 + period)) * 30
    needed = max(4 * period, 24)
    following = loop_continuations(np.array([tokens]))[0]
    assert (following[: needed - 1] == -1).all()
    np.testing.assert_array_equal(following[needed - 1 : -1], tokens[needed:])


def test_what_repeats_at_a_greater_distance_is_no_loop() -> None:
    assert looped_share(np.array(list(range(33)) * 20)) == 0


def test_the_share_counts_the_tokens_that_continue_a_loop() -> None:
    rng = np.random.default_rng(0)
    free = rng.permutation(700)
    loop = np.tile([701, 702, 703, 704, 705, 706], 50)
    both = np.concatenate([free[:300], loop])
    assert looped_share(free) == 0
    assert looped_share(both) == pytest.approx((300 - 24) / 599)


@pytest.mark.parametrize("tokens", [[], [5], [5, 6]])
def test_what_is_too_short_has_no_loop(tokens: list[int]) -> None:
    assert looped_share(np.array(tokens, np.int64)) == 0


def test_keyboard_music_hardly_loops(shared_corpus: Path) -> None:
    """Uses every tenth piece. Of the tokens of all pieces, 0.05 % are in loops."""
    looped = total = 0.0
    for source in list(find_sources([shared_corpus]))[::10]:
        for stretch in reduce_to_two_voices(read_midi(source.path)):
            tokens = np.asarray(encode(snap(stretch.score)))
            looped += looped_share(tokens) * (len(tokens) - 1)
            total += len(tokens) - 1
    assert total > 50_000
    assert looped / total < 0.005
