"""Many states at once: a step of a batch, and whole corpora from their first token to their last.

Loops around ``State`` and ``Judge``, and nothing else. A table (N, W) has a state in each row; see
``states.States`` for its columns. Marks of N rows of tokens are one flat array (N · V,).

Compiled when the package is built; the C types are in ``scan.pxd``.
"""

from __future__ import annotations

from array import array

from bicinium.grammar.judge import Judge
from bicinium.grammar.state import State
from bicinium.grammar.terms import KIND_OF, NOTE_OFF
from bicinium.tokenizer.vocabulary import VOCAB_SIZE

TOKENS = VOCAB_SIZE
_kind_of = memoryview(array("i", KIND_OF))


def row_of(marks: memoryview, row: int) -> memoryview:
    """The marks of one row."""
    return marks[row * TOKENS : (row + 1) * TOKENS]


def advance(state: State, table: memoryview, tokens: memoryview) -> None:
    """Move each row of a table on by its token. ``state`` is room to work in, overwritten by
    every function here.
    """
    for row in range(len(table)):
        state.load(table, row)
        state.advance(tokens[row])
        state.save(table, row)


def mark_allowed(judge: Judge, state: State, table: memoryview, allowed: memoryview) -> int:
    """For each row, which tokens may come next, into ``allowed`` (N · V,). Answers the first row in
    which there are none, or -1.
    """
    dead = -1
    for row in range(len(table)):
        state.load(table, row)
        if not judge.mark_allowed(state, row_of(allowed, row)) and dead < 0:
            dead = row
    return dead


def mark_legal(judge: Judge, state: State, table: memoryview, legal: memoryview) -> None:
    """For each row, which tokens break no rule, into ``legal`` (N · V,)."""
    for row in range(len(table)):
        state.load(table, row)
        judge.mark_legal(state, row_of(legal, row))


def mark_broken(
    judge: Judge, rule: int, state: State, table: memoryview, broken: memoryview
) -> None:
    """Write into ``broken`` (N · V,), for each row, which tokens break the rule of this index."""
    for row in range(len(table)):
        state.load(table, row)
        judge.mark_broken(rule, state, row_of(broken, row))


def first_broken(
    judge: Judge, state: State, table: memoryview, tokens: memoryview, broken: memoryview
) -> None:
    """The index of the rule that the token of each row breaks, -1 if none, into ``broken`` (N,)."""
    for row in range(len(table)):
        state.load(table, row)
        broken[row] = judge.first_broken(state, tokens[row])


def states(
    state: State, initial: memoryview, tokens: memoryview, lengths: memoryview, table: memoryview
) -> None:
    """The states along sequences that stand one behind the other in ``tokens``.

    Sequence i begins in row i of ``initial``. T tokens give T + 1 rows of ``table``: the state
    before each token, and the one after the last.
    """
    token = 0
    row = 0
    for sequence in range(len(lengths)):
        state.load(initial, sequence)
        state.save(table, row)
        row += 1
        for _ in range(lengths[sequence]):
            state.advance(tokens[token])
            state.save(table, row)
            token += 1
            row += 1


def validate(
    judge: Judge,
    state: State,
    initial: memoryview,
    tokens: memoryview,
    lengths: memoryview,
    broken: memoryview,
    last: memoryview,
    paired: memoryview,
) -> None:
    """The index of the rule that each token breaks, -1 if none, into ``broken``.

    Of each sequence, the state after its last token into a row of ``last``, and the number of its
    legal NOTE_OFFs into ``paired``.
    """
    token = 0
    for sequence in range(len(lengths)):
        state.load(initial, sequence)
        pairs = 0
        for _ in range(lengths[sequence]):
            rule = judge.first_broken(state, tokens[token])
            broken[token] = rule
            if rule < 0 and _kind_of[tokens[token]] == NOTE_OFF:
                pairs += 1
            state.advance(tokens[token])
            token += 1
        state.save(last, sequence)
        paired[sequence] = pairs
