"""The validator: what it finds, where it says it is, and how it scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bicinium.errors import TokenError
from bicinium.formats.midi import read_midi
from bicinium.grammar import MusicalGrammarConfig, MusicalGrammarValidator
from bicinium.music.score import Meter
from bicinium.music.voice_reduction import reduce_to_two_voices
from bicinium.tokenizer.codec import encode, snap
from bicinium.tokenizer.vocabulary import END, PAD, START, VOCAB_SIZE, Kind, token_id

TEMPO = token_id(Kind.TEMPO, 20)
LOUD = token_id(Kind.VELOCITY, 20)
HEADER = [START, TEMPO]


def on(pitch):
    return token_id(Kind.NOTE_ON, pitch)


def off(pitch):
    return token_id(Kind.NOTE_OFF, pitch)


def shift(ticks):
    return token_id(Kind.TIME_SHIFT, ticks)


def part(index):
    return token_id(Kind.PART, index)


def judge(tokens, meter=None, bars=None, **config):
    return MusicalGrammarValidator(MusicalGrammarConfig(**config)).validate_sequence(
        tokens, meter, bars
    )


UNCLOSED = [token for pitch in range(40, 90) for token in (on(pitch), shift(24))]
ONE_BAR = [*HEADER, LOUD, on(60), shift(96), off(60), END]


def test_the_founding_failure_breaks_pairing_and_names_both_pitches():
    result = judge([START, TEMPO, LOUD, 43, shift(24), 171, END])
    assert not result.valid
    assert result["grammar_score"] < 0.3
    first = result.violations[0]
    assert (first.rule, first.index) == ("pairing", 5)
    assert "E7" in first.message
    assert "C4" in first.message


def test_a_whole_piece_of_the_founding_failure_scores_under_the_limit():
    tokens = [*HEADER, LOUD]
    for _ in range(50):
        tokens += [43, shift(24), 171, shift(24)]
    assert judge([*tokens, END])["grammar_score"] < 0.3


@pytest.mark.parametrize(
    "tokens", [[], [START], [START, END], [*HEADER, END], [*HEADER, shift(96), END]]
)
def test_a_piece_without_notes_scores_nothing_and_is_not_valid(tokens):
    result = judge(tokens)
    assert result["grammar_score"] == 0
    assert not result.valid


def test_a_piece_as_the_codec_spells_it_is_valid_and_scores_one():
    result = judge(ONE_BAR, Meter(4, 4), 1)
    assert result.valid
    assert result.grammar_score == 1.0
    assert (result.notes, result.paired_notes) == (1, 1)


@pytest.mark.parametrize(
    ("name", "tokens", "limit"),
    [
        ("a loop", [*HEADER, LOUD, on(60), shift(24), off(60), *[shift(24)] * 400, END], 0.5),
        ("a loop of one note", [*HEADER, LOUD, *[on(60)] * 400], 0.5),
        ("zero-length notes", [*HEADER, LOUD, *[on(60), off(60), shift(24)] * 50, END], 0.5),
        ("notes never closed", [*HEADER, LOUD, *UNCLOSED, END], 0.5),
        ("random tokens", np.random.default_rng(0).integers(0, VOCAB_SIZE, 2000), 0.1),
    ],
)  # fmt: skip
def test_nonsense_scores_below_its_limit(name, tokens, limit):
    assert judge(tokens)["grammar_score"] < limit


def test_random_tokens_score_below_a_tenth_always():
    rng = np.random.default_rng(1)
    sequences = [rng.integers(0, VOCAB_SIZE, rng.integers(20, 800)) for _ in range(200)]
    results = MusicalGrammarValidator().validate_sequences(sequences)
    assert max(result.grammar_score for result in results) < 0.1


@pytest.mark.parametrize(
    ("rule", "tokens", "index"),
    [
        ("pairing", [*HEADER, LOUD, on(60), shift(48), on(60), shift(48), off(60), END], 5),
        ("pairing", [*HEADER, LOUD, on(60), shift(96), END], 5),
        ("duration", [*HEADER, LOUD, on(60), off(60), shift(96), END], 4),
        ("duration", [*HEADER, LOUD, on(60), shift(512), shift(449), off(60), shift(95), END], 5),
        ("time", [*HEADER, LOUD, on(60), shift(48), shift(48), off(60), END], 5),
        ("time", [*HEADER, LOUD, on(60), shift(95), off(60), END], 6),
        ("voices", [*HEADER, LOUD, on(60), on(64), shift(96), off(60), off(64), END], 4),
        ("voices", [*HEADER, part(2), LOUD, on(60), shift(96), off(60), END], 2),
        ("order", [TEMPO, LOUD, on(60), shift(96), off(60), END], 0),
        ("order", [START, LOUD, on(60), shift(96), off(60), END], 1),
        ("order", [*ONE_BAR[:-1], on(62), shift(96), PAD, off(62), END], 8),
        ("order", [*HEADER, part(0), LOUD, on(60), shift(96), off(60), END], 2),
        ("order", [*HEADER, part(1), shift(96), END], 3),
        ("order", [*ONE_BAR, on(60)], 7),
        ("order", ONE_BAR[:-1], 6),
        ("velocity", [*HEADER, on(60), shift(96), off(60), END], 2),
        ("velocity", [*HEADER, token_id(Kind.VELOCITY, 0), on(60), shift(96), off(60), END], 2),
        ("velocity", [*ONE_BAR[:-1], LOUD, on(60), shift(96), off(60), END], 6),
        ("repetition", [*ONE_BAR[:-1], *[shift(512)] * 4, shift(64), END], 9),
    ],
)  # fmt: skip
def test_each_rule_is_broken_at_its_place(rule, tokens, index):
    violations = judge(tokens, Meter(4, 4)).violations
    assert violations, "nothing was found"
    assert (violations[0].rule, violations[0].index) == (rule, index)


def test_range_counts_in_the_transposition():
    validator = MusicalGrammarValidator(MusicalGrammarConfig(ranges=((60, 70), (40, 50))))
    assert validator.validate_sequence(ONE_BAR, Meter(4, 4), 1).valid
    down = validator.validate_sequence(ONE_BAR, Meter(4, 4), 1, transposition=-1)
    assert [violation.rule for violation in down.violations] == ["range"]
    assert "C4 to Bb4" in down.violations[0].message


def test_one_slip_is_reported_once():
    good = [*HEADER, LOUD]
    for pitch in (60, 62, 64, 65):
        good += [on(pitch), shift(24), off(pitch)]
    slip = [*good, END]
    slip[slip.index(off(62))] = off(63)  # 62 goes on sounding
    result = judge(slip, Meter(4, 4))
    rules = [violation.rule for violation in result.violations]
    assert len(rules) <= 4  # the wrong end, the notes over 62, and END over it
    assert rules[0] == "pairing"
    assert 0 < result.grammar_score < 1


def test_a_violation_says_bar_beat_and_voice():
    tokens = [*HEADER, LOUD, on(60), shift(96), off(60), part(1), on(48), shift(36), off(50)]
    violation = judge(tokens, Meter(4, 4)).violations[0]
    assert (violation.tick, violation.bar, violation.beat, violation.part) == (132, 2, 2.5, 1)
    assert violation.message.startswith("bar 2, beat 2.5, lower voice: NOTE_OFF")


def test_pieces_must_end_on_the_last_bar_that_was_asked_for():
    assert judge(ONE_BAR, Meter(4, 4), 1).valid
    assert [v.rule for v in judge(ONE_BAR, Meter(4, 4), 2).violations] == ["time"]
    too_long = judge(ONE_BAR, Meter(2, 4), 1)
    assert not too_long.valid


def test_tokens_outside_the_vocabulary_are_violations_not_crashes():
    result = judge([*ONE_BAR[:3], 9999, -7, *ONE_BAR[3:]])
    assert [v.index for v in result.violations] == [3, 4]
    assert "9999" in result.violations[0].message


def test_the_result_can_be_asked_like_a_dict_and_nothing_is_changed():
    tokens = np.array(ONE_BAR)
    before = tokens.copy()
    result = judge(tokens)
    assert result["valid"] is result.valid
    np.testing.assert_array_equal(tokens, before)


def test_many_sequences_get_the_results_of_each_alone():
    rng = np.random.default_rng(3)
    sequences = [ONE_BAR, *(rng.integers(0, VOCAB_SIZE, n) for n in (0, 5, 50)), ONE_BAR[:4]]
    together = list(MusicalGrammarValidator().validate_sequences(sequences))
    assert together == [judge(sequence) for sequence in sequences]


def corpus_scores(folder: Path, every: int):
    for path in sorted(folder.rglob("*.mid"))[::every]:
        yield from (piece.score for piece in reduce_to_two_voices(read_midi(path)))


@pytest.mark.parametrize("every", [12, pytest.param(1, marks=pytest.mark.slow)])
def test_every_piece_of_the_keyboard_corpus_scores_one(shared_corpus, every, capsys):
    scores = [snap(score) for score in corpus_scores(shared_corpus, every)]
    results = list(
        MusicalGrammarValidator().validate_sequences(
            [encode(score) for score in scores],
            [score.meter for score in scores],
            [score.bars for score in scores],
        )
    )
    with capsys.disabled():
        print(f"\n{sum(r.valid for r in results)} of {len(results)} corpus pieces are valid")
    wrong = [result.violations[0] for result in results if not result.valid]
    assert not wrong
    assert all(result.grammar_score == 1.0 for result in results)


def test_an_unpaired_pedal_lowers_the_score():
    pedal = token_id(Kind.SUSTAIN_OFF, 0)
    result = judge([*HEADER, pedal, LOUD, on(60), shift(96), off(60), END], sustain=True)
    assert [violation.rule for violation in result.violations] == ["pairing"]
    assert result.rule_scores["pairing"] == pytest.approx(2 / 3)
    assert result.grammar_score < 1


def test_a_note_off_that_skips_a_due_note_is_told_so_though_another_note_began_now():
    """In the lower voice a note is due, and the upper voice has begun a note in the same tick."""
    tokens = [*HEADER, LOUD, on(60), part(1), on(40), on(43), shift(24), part(0), off(60), on(62)]
    tokens += [part(1), off(43), off(40), shift(72), part(0), off(62), END]
    result = judge(tokens, max_polyphony=2, max_note_ticks=24)
    message = next(
        one.message for one in result.violations if "sounding for too long" in one.message
    )
    assert "leaves E2 sounding for too long" in message


def test_ids_of_another_vocabulary_are_recognised(legal_walks):
    ids = np.random.default_rng(3).integers(4, 500, 200)
    result = MusicalGrammarValidator().validate_sequence(ids)
    assert "ids of another vocabulary" in result.hint
    assert "ids of another vocabulary" in result["hint"]
    (walk,) = legal_walks(1, 5)
    assert MusicalGrammarValidator().validate_sequence(walk).hint == ""
    slipped = np.concatenate([walk[:20], walk[18:]])  # a slip is no other vocabulary
    assert MusicalGrammarValidator().validate_sequence(slipped).hint == ""


def test_a_batch_of_one_is_one_sequence():
    validator = MusicalGrammarValidator()
    assert validator.validate_sequence([ONE_BAR]) == validator.validate_sequence(ONE_BAR)


@pytest.mark.parametrize(
    ("tokens", "problem"),
    [
        ([ONE_BAR, ONE_BAR], r"shape \(T,\) or \(1, T\) \(got \(2, "),
        (5, r"got \(\)"),
        ([[[1, 2]]], r"got \(1, 1, 2\)"),
        ([0.5, 1.5], "must be whole numbers"),
        (["a"], "must be whole numbers"),
    ],
)
def test_what_is_no_sequence_of_ids_is_refused(tokens, problem):
    with pytest.raises(TokenError, match=problem):
        MusicalGrammarValidator().validate_sequence(tokens)
