"""The sampler: one token from the logits of one sequence. Knows ids, but no music.

A weight is a probability that is not normalised. Everything is in double precision and in a fixed
order, with an exponential of its own, so that a piece does not depend on the processor.

Compiled when the package is built; the C types are in ``sampler.pxd``.
"""

from __future__ import annotations

import math
from array import array
from typing import Any

from bicinium.generation.sampling import Sampling

LOG2_E = 1.4426950408889634
# ln 2 as a sum: multiples of the first part are exact.
LN2_HIGH, LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10
LEAST_EXPONENT = -700.0  # below, the exponential counts as 0
LOWEST_LOGIT = -math.inf
TERMS = 13
_inverse = memoryview(array("d", [0.0] + [1 / n for n in range(1, TERMS + 1)]))
_power = memoryview(array("d", [2.0**-n for n in range(1024)]))


class Sampler:
    """Draws tokens, with the options of ``Sampling``.

    tokens: size of the vocabulary.
    """

    def __init__(self, sampling: Sampling, tokens: int) -> None:
        self.sampling = sampling
        self.temperature = sampling.temperature
        self.truncates = sampling.truncates
        self.tokens = tokens
        self.heap = memoryview(array("i", [0] * tokens))  # token ids, the most likely one first
        self.waiting = 0  # how many of them are in the heap

    def weigh(self, logits: memoryview[Any], allowed: memoryview, weights: memoryview[Any]) -> bool:
        """Write the weight of each allowed token, the greatest is 1, and 0 for the others.

        Each argument is (V,). Answers whether any token is allowed. A logit that is not a number
        counts as minus infinity.
        """
        best = -1
        highest = LOWEST_LOGIT
        for token in range(self.tokens):
            weights[token] = 0.0
            if allowed[token] and (best < 0 or number(logits[token]) > highest):
                best = token
                highest = number(logits[token])
        if best < 0:
            return False
        for token in range(self.tokens):
            if allowed[token]:
                weights[token] = exponential((number(logits[token]) - highest) / self.temperature)
        weights[best] = 1.0
        return True

    def choose(self, weights: memoryview[Any], uniform: float) -> int:
        """Draw a token, by the inverse cumulative distribution at ``uniform``, in [0, 1).

        Sets the weight of the tokens that top-p, top-k and min-p leave out to 0.
        """
        if self.truncates:
            self.truncate(weights)
        total = 0.0
        last = 0
        for token in range(self.tokens):
            if weights[token] > 0:
                total += weights[token]
                last = token
        target = uniform * total
        total = 0.0
        for token in range(last):
            total += weights[token]
            if total > target:
                return token
        return last

    def truncate(self, weights: memoryview[Any]) -> None:
        """Set the weights of all tokens to 0 except those that top-p, top-k and min-p keep.

        The most likely ones are kept, of equals the first; the one that reaches top-p as well.
        """
        total = 0.0
        self.waiting = 0
        for token in range(self.tokens):
            if weights[token] > 0:
                total += weights[token]
                self.heap[self.waiting] = token
                self.waiting += 1
        for place in range(self.waiting // 2 - 1, -1, -1):
            self._sink(place, weights)
        enough = self.sampling.top_p * total
        least = self.sampling.min_p * weights[self.heap[0]] if self.waiting else 0.0
        most = self.sampling.top_k or self.tokens
        kept = 0
        mass = 0.0
        while self.waiting and kept < most and mass < enough:
            token = self.heap[0]
            if kept and weights[token] < least:
                break
            mass += weights[token]
            kept += 1
            self.waiting -= 1
            self.heap[0] = self.heap[self.waiting]
            self._sink(0, weights)
        for place in range(self.waiting):
            weights[self.heap[place]] = 0.0

    def _sink(self, place: int, weights: memoryview[Any]) -> None:
        """Move a token of the heap down to its place."""
        token = self.heap[place]
        while 2 * place + 1 < self.waiting:
            child = 2 * place + 1
            if child + 1 < self.waiting and _comes_first(
                self.heap[child + 1], self.heap[child], weights
            ):
                child += 1
            if not _comes_first(self.heap[child], token, weights):
                break
            self.heap[place] = self.heap[child]
            place = child
        self.heap[place] = token


def _comes_first(token: int, other: int, weights: memoryview[Any]) -> bool:
    """Is the token more likely than the other, or equally likely and before it?"""
    if weights[token] == weights[other]:
        return token < other
    return weights[token] > weights[other]


def number(logit: float) -> float:
    """Return the logit; minus infinity for NaN, which a collapsed model gives."""
    return logit if logit == logit else LOWEST_LOGIT


def exponential(x: float) -> float:
    """Return e^x for x of 0 or less, with an error under 1e-15 of it; 0 for NaN."""
    if not x >= LEAST_EXPONENT:
        return 0.0
    halvings = int(0.5 - x * LOG2_E)
    rest = (x + halvings * LN2_HIGH) + halvings * LN2_LOW
    power = 1.0
    for n in range(TERMS, 0, -1):
        power = 1.0 + rest * _inverse[n] * power
    return power * _power[halvings]
