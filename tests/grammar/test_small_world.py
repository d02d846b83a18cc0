"""A small enough world to enumerate: the mask reaches exactly the encodings of all scores."""

from __future__ import annotations

from functools import cache

import numpy as np

from bicinium.grammar import MusicalGrammar, MusicalGrammarConfig, MusicalGrammarValidator
from bicinium.music.score import Meter, Note, Score, Voice
from bicinium.tokenizer.codec import encode
from bicinium.tokenizer.vocabulary import END, START, VOCAB_SIZE, Kind, bin_velocity, token_id

METER = Meter(1, 32)  # a bar of three ticks
PITCHES = (60, 61, 62, 63)
LOUDEST = 31
CONFIG = MusicalGrammarConfig(ranges=((60, 63), (60, 63)), lowest_velocity_bin=LOUDEST)
TEMPO = 20


@cache
def lines(start: int) -> tuple[tuple[Note, ...], ...]:
    """Every line of notes from tick ``start`` to the barline, found without the grammar."""
    if start == METER.bar_ticks:
        return ((),)
    found = list(lines(start + 1))  # a rest of one tick
    for length in range(1, METER.bar_ticks - start + 1):
        for rest in lines(start + length):
            for pitch in PITCHES:
                found.append((Note(start, pitch, length, bin_velocity(LOUDEST)), *rest))
    return tuple(found)


def spelled() -> set[tuple[int, ...]]:
    """The tokens of every two-voice score of one bar that has a note."""
    tempo_qpm = 30 * 8 ** (TEMPO / 31)
    scores = (
        Score((Voice(upper), Voice(lower)), 1, METER, tempo_qpm=tempo_qpm)
        for upper in lines(0)
        for lower in lines(0)
        if upper or lower
    )
    return {tuple(encode(score).tolist()) for score in scores}


def reachable() -> set[tuple[int, ...]]:
    """Every sequence that the mask allows, to its END; a dead end would raise."""
    grammar = MusicalGrammar(CONFIG)
    state = grammar.initial_states(1, bar_ticks=METER.bar_ticks, bars=1, spare_slots=0)
    prefixes = np.empty((1, 0), np.int64)
    for token in (START, token_id(Kind.TEMPO, TEMPO)):
        assert grammar.mask(state)[0, token]
        grammar.advance(state, [token])
        prefixes = np.append(prefixes, [[token]], axis=1)
    ended: set[tuple[int, ...]] = set()
    while len(prefixes):
        rows, tokens = np.nonzero(grammar.mask(state))
        state, prefixes = state.take(rows), np.append(prefixes[rows], tokens[:, None], axis=1)
        grammar.advance(state, tokens)
        over = tokens == END
        ended |= {tuple(prefix) for prefix in prefixes[over].tolist()}
        state, prefixes = state.take(np.flatnonzero(~over)), prefixes[~over]
    return ended


def test_the_mask_reaches_exactly_the_spellings_of_all_scores(capsys):
    found, expected = reachable(), spelled()
    with capsys.disabled():
        print(f"\nsmall world: {len(found)} sequences reached, {len(expected)} scores spelled")
    assert len(expected) == 169**2 - 1  # 169 lines of three ticks and four pitches, without silence
    assert found == expected


def test_the_validator_accepts_exactly_these():
    valid = spelled()
    rng = np.random.default_rng(0)
    validator = MusicalGrammarValidator(CONFIG)
    some = [list(tokens) for tokens in sorted(valid)[:: len(valid) // 400]]
    mutants = []
    for tokens in some:
        place = int(rng.integers(len(tokens)))
        for mutant in (
            [*tokens[:place], *tokens[place + 1 :]],
            [*tokens[:place], tokens[place], *tokens[place:]],
            [*tokens[:place], int(rng.integers(VOCAB_SIZE)), *tokens[place + 1 :]],
            tokens[:place],
        ):
            if mutant[1:2] == [token_id(Kind.TEMPO, TEMPO)]:
                mutants.append(mutant)
    for sequences in (some, mutants):
        n = len(sequences)
        for tokens, result in zip(
            sequences, validator.validate_sequences(sequences, [METER] * n, [1] * n), strict=True
        ):
            assert result.valid == (tuple(tokens) in valid), (tokens, result.violations)
