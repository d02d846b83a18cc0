"""A Markov chain of order three over our tokens.

Interpolated Witten–Bell smoothing: Witten & Bell, "The zero-frequency problem", IEEE Transactions
on Information Theory 37 (1991), as Chen & Goodman write it in "An empirical study of smoothing
techniques for language modeling" (1999). The shortest context falls back to equal chances.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bicinium.data.piece_record import PieceRecord
from bicinium.evaluation.likelihood import Likelihood
from bicinium.grammar import MusicalGrammar
from bicinium.music.score import Meter
from bicinium.tokenizer.vocabulary import PAD, VOCAB_SIZE

ORDER = 3
_KEYS = 12  # among which a piece's is told; the chain is told nothing else
_AT_ONCE = 2048  # tokens

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Level:
    """What followed the contexts of one length. Tokens that stand together are one number."""

    grams: Integers  # context and token, rising
    counts: Floats
    contexts: Integers  # rising
    first: Integers  # where each context's grams begin, and where the last one's end
    totals: Floats  # of each context's counts


class MarkovChain:
    """Fitted to pieces (T,) from START to END, each counted ``repeats`` times."""

    def __init__(
        self, pieces: Sequence[NDArray[np.integer]], repeats: Sequence[int], order: int = ORDER
    ) -> None:
        self.order = order
        seen = np.concatenate([self._contexts(piece) for piece in pieces])
        token = np.concatenate([piece[1:] for piece in pieces]).astype(np.int64)
        weight = np.repeat(np.asarray(repeats, np.float64), [len(piece) - 1 for piece in pieces])
        self.levels = [
            _level(_number(seen[:, order - length :]), token, weight) for length in range(order + 1)
        ]

    @property
    def grams(self) -> int:
        """How many counts there are."""
        return sum(len(level.grams) for level in self.levels)

    def _contexts(self, piece: NDArray[np.integer]) -> Integers:
        """(T - 1, order) the tokens before each token after START; before START is PAD."""
        padded = np.concatenate([np.full(self.order - 1, PAD), piece[:-1]]).astype(np.int64)
        return np.lib.stride_tricks.sliding_window_view(padded, self.order)

    def probabilities(self, contexts: Integers) -> Floats:
        """(N, V) of each token after each of the contexts (N, order)."""
        p = np.full((len(contexts), VOCAB_SIZE), 1 / VOCAB_SIZE)
        for length, level in enumerate(self.levels):
            own = _number(contexts[:, self.order - length :])
            place = np.searchsorted(level.contexts, own)
            found = np.flatnonzero(
                level.contexts[np.minimum(place, len(level.contexts) - 1)] == own
            )
            place = place[found]
            types = np.diff(level.first)[place]
            gram = np.repeat(level.first[place] - (np.cumsum(types) - types), types)
            gram += np.arange(len(gram))
            counts = np.zeros((len(found), VOCAB_SIZE))
            row = np.repeat(np.arange(len(found)), types)
            counts[row, level.grams[gram] % VOCAB_SIZE] = level.counts[gram]
            novel = types[:, None]  # as often as something new came after a context, it may again
            p[found] = (counts + novel * p[found]) / (level.totals[place][:, None] + novel)
        return p

    def measure_likelihood(self, pieces: Sequence[PieceRecord]) -> Likelihood:
        """What our model's ``predict`` says, of this chain."""
        bits = illegal = 0.0
        grammar = MusicalGrammar()
        for piece in pieces:
            states = grammar.states_along(
                [piece.tokens],
                bar_ticks=[Meter.parse(piece.meter).bar_ticks],
                bars=[piece.bars],
                transposition=[piece.transposition],
                spare_slots=0,
            )
            contexts, token = self._contexts(piece.tokens), piece.tokens[1:].astype(np.int64)
            for start in range(0, len(token), _AT_ONCE):
                now = np.arange(start, min(start + _AT_ONCE, len(token)))
                p = self.probabilities(contexts[now])
                bits -= float(np.log2(p[np.arange(len(now)), token[now]]).sum())
                illegal += float(p[~grammar.mask(states.take(now + 1))].sum())
        return Likelihood(
            bits=bits,
            side_information_bits=len(pieces) * math.log2(_KEYS),
            illegal=illegal,
            tokens=sum(len(piece.tokens) - 1 for piece in pieces),
            notes=sum(piece.notes for piece in pieces),
            pieces=len(pieces),
        )


class MarkovDecoder:
    """The chain in the place of a model's decoder, so that a ``Composer`` writes with it."""

    def __init__(self, chain: MarkovChain) -> None:
        self.chain = chain
        self.start(1)

    def start(self, batch: int) -> None:
        """Begin ``batch`` new sequences."""
        self.last = np.full((batch, self.chain.order), PAD, np.int64)

    def restart(self, row: int) -> None:
        """Replace a sequence by a new one."""
        self.last[row] = PAD

    def step(self, inputs: NDArray[np.integer], rows: NDArray[np.integer] | None = None) -> Floats:
        """(N, F) inputs, of which the first is the token → (N, V) log-probabilities.

        rows: only these sequences.
        """
        which = np.arange(len(self.last)) if rows is None else rows
        self.last[which] = np.column_stack([self.last[which, 1:], inputs[:, 0]])
        return np.asarray(np.log(self.chain.probabilities(self.last[which])))


def _number(tokens: Integers) -> Integers:
    """(N, n) tokens that stand together → (N,) one number for them; 0 for none."""
    powers = VOCAB_SIZE ** np.arange(tokens.shape[1] - 1, -1, -1, dtype=np.int64)
    return np.asarray(tokens @ powers)


def _level(contexts: Integers, tokens: Integers, weights: Floats) -> _Level:
    grams, which = np.unique(contexts * VOCAB_SIZE + tokens, return_inverse=True)
    counts = np.bincount(which, weights).astype(np.float64)
    seen, first = np.unique(grams // VOCAB_SIZE, return_index=True)
    totals = np.add.reduceat(counts, first)
    return _Level(grams, counts, seen, np.append(first, len(grams)), totals)
