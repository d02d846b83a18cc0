"""Mask and validator are the same grammar; every walk ends; no dead ends."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bicinium.errors import DeadEndError, GrammarError
from bicinium.grammar import (
    MusicalGrammar,
    MusicalGrammarConfig,
    MusicalGrammarValidator,
    Rule,
)
from bicinium.grammar.terms import Stage
from bicinium.music.score import Meter
from bicinium.tokenizer.vocabulary import (
    BLOCKS,
    END,
    KINDS,
    PAD,
    START,
    VOCAB_SIZE,
    Kind,
    describe,
    token_id,
)

GRAMMARS = {
    "two voices": MusicalGrammarConfig(),
    "narrow, short notes": MusicalGrammarConfig(ranges=((60, 64), (55, 62)), max_note_ticks=30),
    "three parts of chords with pedal": MusicalGrammarConfig(
        voices=3, max_polyphony=3, sustain=True, max_note_ticks=200
    ),
    "one voice": MusicalGrammarConfig(voices=1, max_identical_tokens=1),
}
METERS = (Meter(4, 4), Meter(3, 4), Meter(6, 8), Meter(2, 4), Meter(1, 32))


def random_walks(grammar, rng, rows, steps=5000, **asked):
    """Legal walks to END, all kinds of token equally likely at each step."""
    state = grammar.initial_states(rows, **asked)
    walks = [[] for _ in range(rows)]
    for _ in range(steps):
        tokens = random_legal(grammar.mask(state), rng)
        for row in np.flatnonzero(~grammar.ended(state)):
            walks[row].append(int(tokens[row]))
        grammar.advance(state, tokens)
        if grammar.ended(state).all():
            return walks
    raise AssertionError(f"a walk did not end within {steps} tokens")


def random_legal(mask, rng):
    """Return (B,) a random legal token for each row: first a kind is drawn, then a token of it."""
    by_kind = rng.random((len(mask), len(Kind)))[:, KINDS]
    return np.where(mask, by_kind + 1e-6 * rng.random(mask.shape), -1).argmax(axis=1)


def soup(rng, length):
    """Return random tokens with all kinds equally likely, mostly after a valid header."""
    kinds = rng.integers(len(Kind), size=length)
    tokens = [int(rng.choice(np.arange(VOCAB_SIZE)[BLOCKS[kind].ids])) for kind in kinds]
    header = [START, token_id(Kind.TEMPO, 3)] if rng.random() < 0.7 else []
    return header + tokens


def disagreements(grammar, prefix, meter, bars):
    """Tokens that the mask after ``prefix`` and the validator judge differently."""
    state = grammar.initial_state(bar_ticks=meter.bar_ticks, bars=bars)
    for token in prefix:
        state.advance(token)
    try:
        mask = grammar.token_mask(state)
    except DeadEndError:  # only soup can lead there
        mask = np.zeros(VOCAB_SIZE, bool)
    results = MusicalGrammarValidator(grammar).validate_sequences(
        [[*prefix, token] for token in range(VOCAB_SIZE)],
        [meter] * VOCAB_SIZE,
        [bars] * VOCAB_SIZE,
    )
    return [
        (describe(token), bool(mask[token]), result.violations[-2:])
        for token, result in enumerate(results)
        if mask[token] == any(v.index == len(prefix) for v in result.violations)
    ]


def check_agreement(name, seed):
    rng = np.random.default_rng(seed)
    grammar = MusicalGrammar(GRAMMARS[name])
    meter = METERS[rng.integers(len(METERS))]
    bars = int(rng.integers(1, 4)) if rng.random() < 0.7 else None
    if rng.random() < 0.6:
        walk = random_walks(grammar, rng, 1, bar_ticks=meter.bar_ticks, bars=bars, max_tokens=120)[
            0
        ]
        prefix = walk[: rng.integers(len(walk) + 1)]
        if rng.random() < 0.5:
            prefix += soup(rng, rng.integers(4))
    else:
        prefix = soup(rng, rng.integers(40))
    assert disagreements(grammar, prefix, meter, bars) == []
    return VOCAB_SIZE


@settings(max_examples=12, deadline=None)
@given(name=st.sampled_from(sorted(GRAMMARS)), seed=st.integers(0, 2**32))
def test_mask_and_validator_agree_on_every_token(name, seed):
    check_agreement(name, seed)


@pytest.mark.slow
def test_mask_and_validator_agree_on_100_000_pairs(capsys):
    names = sorted(GRAMMARS)
    pairs = sum(check_agreement(names[seed % len(names)], seed) for seed in range(160))
    with capsys.disabled():
        print(f"\n{pairs} (prefix, token) pairs: mask and validator agree on all")
    assert pairs >= 100_000


def check_walks(rng, rows):
    """Walks with random budgets and bars end valid, inside the budget, on the barline."""
    name = sorted(GRAMMARS)[rng.integers(len(GRAMMARS))]
    grammar = MusicalGrammar(GRAMMARS[name])
    validator = MusicalGrammarValidator(grammar)
    meters = [METERS[i] for i in rng.integers(len(METERS), size=rows)]
    bars = np.where(rng.random(rows) < 0.7, rng.integers(1, 65, rows), 0)
    budgets = np.exp(rng.uniform(np.log(4), np.log(2000), rows)).astype(int)
    refused = np.zeros(rows, bool)
    for row in range(rows):
        try:
            grammar.initial_state(
                bar_ticks=meters[row].bar_ticks, bars=bars[row], max_tokens=budgets[row]
            )
        except GrammarError:
            refused[row] = True
    rows_left = np.flatnonzero(~refused)
    if not len(rows_left):
        return 0, int(refused.sum())
    walks = random_walks(
        grammar,
        rng,
        len(rows_left),
        bar_ticks=[meters[row].bar_ticks for row in rows_left],
        bars=bars[rows_left],
        max_tokens=budgets[rows_left],
    )
    results = validator.validate_sequences(
        walks, [meters[row] for row in rows_left], [int(bars[row]) for row in rows_left]
    )
    for row, walk, result in zip(rows_left, walks, results, strict=True):
        assert result.valid, (name, meters[row], bars[row], budgets[row], result.violations[:2])
        assert result.grammar_score == 1.0
        assert len(walk) <= budgets[row]
        assert walk[-1] == END
        ticks = sum(t - 179 for t in walk if KINDS[t] == Kind.TIME_SHIFT)
        assert ticks % meters[row].bar_ticks == 0
        if bars[row]:
            assert ticks == bars[row] * meters[row].bar_ticks
    return len(walks), int(refused.sum())


def test_walks_end_valid_inside_any_budget():
    rng = np.random.default_rng(5)
    assert sum(check_walks(rng, 20)[0] for _ in range(4)) > 40


@pytest.mark.slow
def test_ten_thousand_walks_end_valid_inside_any_budget(capsys):
    rng = np.random.default_rng(6)
    walked = refused = 0
    while walked < 10_000:
        done, too_small = check_walks(rng, 400)
        walked, refused = walked + done, refused + too_small
    with capsys.disabled():
        print(f"\n{walked} walks valid; {refused} budgets refused as too small for their bars")


def test_a_budget_too_small_for_a_piece_is_refused_with_what_it_needs():
    with pytest.raises(GrammarError, match=r"budget of 6 tokens is too small.*give it \d+ or more"):
        MusicalGrammar().initial_state(bar_ticks=96, bars=1, max_tokens=6)


def test_the_smallest_budget_that_is_accepted_is_enough():
    grammar = MusicalGrammar()
    for bars in (1, 8, 64):
        with pytest.raises(GrammarError) as refusal:
            grammar.initial_state(bar_ticks=96, bars=bars, max_tokens=1)
        needed = int(str(refusal.value).split()[-3])
        rng = np.random.default_rng(bars)
        walks = random_walks(grammar, rng, 8, bar_ticks=96, bars=bars, max_tokens=needed)
        results = MusicalGrammarValidator().validate_sequences(walks, [Meter(4, 4)] * 8, [bars] * 8)
        assert all(result.valid for result in results)
        assert max(map(len, walks)) <= needed


def test_rules_that_forbid_everything_are_named():
    class Silence(Rule):
        name = "silence"

        def note_on(self, state, pitch):
            return True

        def velocity(self, state, velocity_bin):
            return True

        def part(self, state, part):
            return True

        def time_shift(self, state, ticks):
            return True

    with pytest.raises(DeadEndError, match=r"the rules .*silence together forbid all"):
        MusicalGrammar(extra_rules=[Silence])


class NoEnds(Rule):
    name = "no_ends"

    def note_off(self, state, pitch):
        return True


class ShortestNote(Rule):
    """No note is shorter than an eighth. A note that begins too near to the last barline cannot
    end.
    """

    name = "shortest_note"

    def note_off(self, state, pitch):
        return state.tick - state.last_onset(state.part) < 12


class SilentLowerVoice(Rule):
    """The lower voice has no notes. A PART may select it, but then no event can follow."""

    name = "silent_lower_voice"

    def note_on(self, state, pitch):
        return state.part == 1


@pytest.mark.parametrize(
    ("rule", "others"),
    [(NoEnds, "order"), (ShortestNote, "voices"), (SilentLowerVoice, "order")],
)
def test_a_rule_that_conflicts_with_others_is_found_when_the_grammar_is_built(rule, others):
    with pytest.raises(DeadEndError) as refusal:
        MusicalGrammar(extra_rules=[rule])
    named = str(refusal.value).split("the rules ")[1].split(" together")[0].split(", ")
    assert rule.name in named
    assert others in named
    assert "range" not in named  # only those that conflict


def test_a_rule_that_looks_ahead_is_taken():
    class LowerVoiceNotNamed(SilentLowerVoice):
        def part(self, state, part):
            return part == 1

    grammar = MusicalGrammar(extra_rules=[LowerVoiceNotNamed])
    walks = random_walks(grammar, np.random.default_rng(4), 10, bar_ticks=96, bars=3)
    results = MusicalGrammarValidator(grammar).validate_sequences(walks, [Meter(4, 4)] * 10)
    assert all(result.valid for result in results)


def test_a_dead_end_that_only_a_short_budget_makes_is_said_when_it_is_met():
    class NoShortRests(Rule):
        """One tick is what the way out takes when tokens are few."""

        name = "no_short_rests"

        def time_shift(self, state, ticks):
            return ticks == 1 and state.end_tick - state.tick > 1

    grammar = MusicalGrammar(extra_rules=[NoShortRests])
    with pytest.raises(DeadEndError, match=r"no way leads to END .* tokens .*no_short_rests"):
        random_walks(grammar, np.random.default_rng(0), 50, bar_ticks=96, bars=1, max_tokens=20)


def test_a_rule_of_ones_own_is_obeyed_by_mask_and_validator():
    class NoRepeatedPitch(Rule):
        """No note of the lower voice repeats the one before."""

        name = "no_repeated_pitch"

        def note_on(self, state, pitch):
            return state.part == 1 and pitch == state.last_pitch(1)

    grammar = MusicalGrammar(extra_rules=[NoRepeatedPitch])
    walks = random_walks(
        grammar, np.random.default_rng(1), 20, bar_ticks=48, bars=2, max_tokens=300
    )
    free = random_walks(
        MusicalGrammar(MusicalGrammarConfig(ranges=((60, 61), (40, 41)))),
        np.random.default_rng(1),
        20,
        bar_ticks=48,
        bars=2,
        max_tokens=300,
    )
    own = MusicalGrammarValidator(grammar)
    assert all(result.valid for result in own.validate_sequences(walks, [Meter(2, 4)] * 20))
    broken = [v for r in own.validate_sequences(free, [Meter(2, 4)] * 20) for v in r.violations]
    assert {violation.rule for violation in broken} == {"no_repeated_pitch"}


def test_a_rule_that_fails_is_named_with_its_method_and_the_token():
    class OldStyle(Rule):
        name = "old_style"

        def note_on(self, state, pitch):
            return pitch == state.here(state.last_pitch)

    with pytest.raises(
        GrammarError, match=r"rule 'old_style': note_on\(state, 21\) failed at NOTE_ON"
    ):
        MusicalGrammar(extra_rules=[OldStyle])


def test_a_rule_that_answers_no_truth_value_is_told_so():
    class Arrays(Rule):
        name = "arrays"

        def note_on(self, state, pitch):
            return np.array([True, False])

    with pytest.raises(GrammarError, match=r"rule 'arrays': note_on.* must answer True or False"):
        MusicalGrammar(extra_rules=[Arrays])


def test_a_rule_for_any_token_gets_its_id():
    class NoSixteenths(Rule):
        name = "no_sixteenths"

        def any_token(self, state, token):
            return token == token_id(Kind.TIME_SHIFT, 6)

    grammar = MusicalGrammar(extra_rules=[NoSixteenths])
    walks = random_walks(grammar, np.random.default_rng(3), 10, bar_ticks=96, bars=2)
    assert token_id(Kind.TIME_SHIFT, 6) not in {token for walk in walks for token in walk}


def test_a_grammar_with_a_rule_of_ones_own_can_be_copied_to_another_process():
    grammar = pickle.loads(pickle.dumps(MusicalGrammar(extra_rules=[ShortNotes])))
    assert grammar.rules[-1].name == "short_notes"
    assert grammar.token_mask(grammar.initial_state())[START]


class ShortNotes(Rule):
    name = "short_notes"

    def time_shift(self, state, ticks):
        return state.sounding > 0 and ticks > 48


def test_without_rules_every_token_may_come():
    grammar = MusicalGrammar(MusicalGrammarConfig(rules=()))
    state = grammar.initial_state()
    assert grammar.token_mask(state).all()
    assert grammar.broken_rule(state, END) == -1


def test_after_end_only_pad_is_legal():
    grammar = MusicalGrammar()
    state = grammar.initial_state()
    for token in random_walks(grammar, np.random.default_rng(2), 1, bars=1, bar_ticks=96)[0]:
        state.advance(token)
    assert np.flatnonzero(grammar.token_mask(state)).tolist() == [PAD]


@pytest.mark.parametrize(
    "wrong",
    [
        {"voices": 0},
        {"ranges": ((60, 50), (40, 50))},
        {"ranges": ((60, 70),)},
        {"max_polyphony": 0},
        {"rules": ("pairing", "harmony")},
    ],
)
def test_a_grammar_that_contradicts_itself_is_refused(wrong):
    with pytest.raises(GrammarError):
        MusicalGrammarConfig(**wrong)


def test_the_hash_names_the_configuration():
    assert MusicalGrammarConfig().config_hash == MusicalGrammarConfig().config_hash
    assert MusicalGrammarConfig().config_hash != MusicalGrammarConfig(max_note_ticks=96).config_hash


def test_a_range_that_the_transposition_leaves_no_pitch_is_refused():
    grammar = MusicalGrammar(MusicalGrammarConfig(ranges=((60, 84), (21, 24))))
    with pytest.raises(GrammarError, match=r"part 1, 21 to 24, .* by \+5 semitones: widen"):
        grammar.initial_state(bar_ticks=96, bars=1, transposition=5)


@pytest.mark.parametrize("transposition", [-3, 0, 3])
def test_narrow_ranges_make_no_dead_end(transposition):
    grammar = MusicalGrammar(MusicalGrammarConfig(ranges=((60, 60), (24, 25))))
    rng = np.random.default_rng(0)
    for _ in range(20):
        state = grammar.initial_state(
            bar_ticks=96, bars=2, max_tokens=120, transposition=transposition
        )
        while state.stage != Stage.ENDED:
            state.advance(int(rng.choice(np.flatnonzero(grammar.token_mask(state)))))


def test_without_a_budget_no_token_is_counted():
    grammar = MusicalGrammar()
    state = grammar.initial_state(bar_ticks=96)
    before = state.tokens_left
    state.advance(START)
    assert state.tokens_left == before


def test_the_mask_takes_the_metre_as_the_validator_does():
    grammar = MusicalGrammar()
    for meter in (Meter.parse("3/4"), Meter.parse("7/8")):
        by_metre = grammar.initial_state(meter=meter, bars=2)
        by_ticks = grammar.initial_state(bar_ticks=meter.bar_ticks, bars=2)
        assert (by_metre.bar_ticks, by_metre.end_tick) == (by_ticks.bar_ticks, by_ticks.end_tick)
    states = grammar.initial_states(2, meter=[Meter.parse("3/4"), None])
    assert states.bar_ticks.tolist() == [72, 0]
    with pytest.raises(GrammarError, match="give one of them"):
        grammar.initial_state(meter=Meter.parse("3/4"), bar_ticks=72)
