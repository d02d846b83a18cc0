"""Ranking prefers music to noise, pieces that fit the request, and pieces without quotations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bicinium.data.corruptions import reordered_notes, shuffled_bars, shuffled_notes
from bicinium.data.sources import find_sources
from bicinium.formats.midi import read_midi
from bicinium.generation.composition import Composition
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import GenerationConfig
from bicinium.generation.constraints import Constraints
from bicinium.generation.fixed_notes import fix_around_gap, fix_voice
from bicinium.generation.memorization import QuotationIndex
from bicinium.generation.rerank import Candidate, ScoreSheet, Selection, outliers
from bicinium.grammar import MusicalGrammarValidator
from bicinium.music.key import Key
from bicinium.music.quality import quality
from bicinium.music.score import Meter, Note, Score, Voice
from bicinium.music.voice_reduction import reduce_to_two_voices
from bicinium.tokenizer.codec import encode, snap

MakeScore = Callable[..., Score]

_BARS = 16
_C, _A_MINOR = Key.parse("C major"), Key.parse("A minor")


def _score_sheet(composition: Composition, quotations: QuotationIndex | None) -> ScoreSheet:
    selection = Selection(quotations=quotations)
    return selection.sheet(selection.candidate(composition))


def _composition(score: Score, **asked: object) -> Composition:
    """Return the score as a composition, with matching conditions except those in ``asked``."""
    score = snap(score)
    key = score.key or _C
    wanted: dict[str, object] = {"key": key, "meter": score.meter, "bars": score.bars}
    conditions = Conditions(**(wanted | asked))  # type: ignore[arg-type]
    home = key.semitones_to_reference
    tokens = encode(score.transpose(home))
    result = MusicalGrammarValidator().validate_sequence(tokens, score.meter, score.bars, -home)
    return Composition(
        conditions=conditions, seed=0, tokens=tokens, result=result, score=score, draws=1
    )


def _sheet(score: Score, **asked: object) -> ScoreSheet:
    return _score_sheet(_composition(score, **asked), None)


_CONSTRAINED = GenerationConfig(constraints=Constraints())


def _best(scores: Sequence[Score], **asked: object) -> int:
    """Return the index of the score that is chosen."""
    candidates = [Candidate(_composition(score, **asked)) for score in scores]
    return candidates.index(Selection(len(scores)).best(candidates, _CONSTRAINED))


@pytest.fixture(scope="module")
def inventions(shared_corpus: Path) -> list[Score]:
    """The last sixteen bars of each two-part invention: they close."""
    sources = [s for s in find_sources([shared_corpus]) if "invention" in s.path.name]
    scores = [reduce_to_two_voices(read_midi(source.path))[0].score for source in sources]
    return [_last_bars(score) for score in scores if score.bars >= _BARS]


def _last_bars(score: Score) -> Score:
    start = score.end_tick - _BARS * score.meter.bar_ticks
    voices = tuple(
        Voice(tuple(replace(n, onset_tick=n.onset_tick - start) for n in voice.notes
                    if n.onset_tick >= start))
        for voice in score.voices
    )  # fmt: skip
    return replace(score, voices=voices, bars=_BARS, anacrusis_ticks=0)


@pytest.fixture
def piece() -> Score:
    """Two bars in C major that close."""
    upper = [72, 76, 79, 77, 76, 74, 71, 72]
    lower = [48, 55, 52, 53, 55, 50, 43, 48]
    voices = [
        Voice(tuple(Note(24 * i, pitch, 24) for i, pitch in enumerate(line)))
        for line in (upper, lower)
    ]
    return Score(tuple(voices), 2, Meter(4, 4), _C, tempo_qpm=96.0)


def test_bach_is_chosen_over_the_same_notes_shuffled(inventions: list[Score]) -> None:
    assert len(inventions) >= 10
    rng = np.random.default_rng(1)
    chosen = [
        _best([shuffled_notes(music, rng), reordered_notes(music, rng), music]) == 2
        for music in inventions
    ]
    assert np.mean(chosen) > 0.9


def test_bach_is_mostly_chosen_over_his_bars_in_another_order(inventions: list[Score]) -> None:
    rng = np.random.default_rng(1)
    chosen = [_best([shuffled_bars(music, rng), music]) for music in inventions]
    assert np.mean(chosen) > 0.7


def test_bach_is_what_he_was_asked_for(inventions: list[Score]) -> None:
    sheets = [_sheet(music) for music in inventions]
    for sheet in sheets:
        assert sheet.checks["bars"]
        assert sheet.checks["meter"]
        assert sheet.checks["close"]
        assert sheet.grammar_score == 1.0
    assert np.mean([sheet.checks["key"] for sheet in sheets]) > 0.8
    assert np.mean([sheet.total for sheet in sheets]) > 0.8


def test_a_piece_in_another_key_than_asked_for_loses(inventions: list[Score]) -> None:
    for music in inventions:
        right = _sheet(music)
        for semitones in (-2, 1, 5):
            asked = (music.key or _C).transpose(semitones)
            wrong = _sheet(music, key=asked)
            assert not wrong.checks["key"]
            assert not wrong.checks["close"]
            assert wrong.adherence <= right.adherence - 0.25
            assert wrong.total < right.total


def test_a_piece_that_is_all_it_was_asked_to_be_obeys_in_full(piece: Score) -> None:
    sheet = _sheet(piece)
    assert sheet.checks == {"bars": True, "meter": True, "key": True, "close": True}
    assert sheet.adherence == 1.0


@pytest.mark.parametrize(
    ("asked", "broken"),
    [
        ({"bars": 3}, "bars"),
        ({"meter": Meter(2, 4)}, "meter"),
        ({"key": _A_MINOR}, "key"),
        ({"key": Key.parse("F major")}, "close"),
        ({"tempo_qpm": 97.0}, "tempo"),
    ],
)
def test_what_is_not_as_asked_is_named(piece: Score, asked: dict[str, object], broken: str) -> None:
    sheet = _sheet(piece, **asked)
    assert not sheet.checks[broken]
    assert sheet.adherence < 1
    assert 0 < sheet.total < _sheet(piece).total


def test_the_tempo_counts_only_where_one_was_asked_for(piece: Score) -> None:
    tempo = snap(piece).tempo_qpm
    assert "tempo" not in _sheet(piece).checks
    assert _sheet(piece, tempo_qpm=tempo).checks["tempo"]


def test_music_that_is_over_before_the_last_bar_has_not_all_its_bars(piece: Score) -> None:
    longer = replace(piece, bars=3)
    assert not _sheet(longer).checks["bars"]
    assert not _sheet(longer, bars=2).checks["bars"]


@pytest.mark.parametrize(
    ("key", "upper", "lower", "closes"),
    [
        ("C major", 72, 36, True),
        ("C major", 76, 48, True),
        ("C major", 67, 48, True),
        ("C major", 75, 48, False),  # the minor third
        ("C major", 74, 48, False),
        ("C major", 72, 43, False),  # on the dominant
        ("C minor", 75, 48, True),
        ("C minor", 76, 48, True),  # a Picardy third
        ("C minor", 77, 48, False),
        ("A minor", 72, 45, True),
        ("A minor", 72, 48, False),
    ],
)
def test_a_close_is_the_tonic_below_and_its_triad_above(
    piece: Score, key: str, upper: int, lower: int, closes: bool
) -> None:
    voices = tuple(
        Voice((*voice.notes[:-1], replace(voice.notes[-1], pitch=pitch)))
        for voice, pitch in zip(piece.voices, (upper, lower), strict=True)
    )
    assert _sheet(replace(piece, voices=voices), key=Key.parse(key)).checks["close"] is closes


def test_a_piece_that_quotes_loses(made_up_score: MakeScore) -> None:
    """The longer the quotation, the more; up to three bars nothing."""
    own = made_up_score(1, 16, "4/4", "C major")
    totals = []
    for bars in (0, 3, 4, 5, 8, 16):
        known = _first_bars(own, bars)
        index = QuotationIndex.build([(made_up_score(2, 16), "A. Nother, Own"), known])
        sheet = _score_sheet(_composition(own), index)
        assert sheet.quoted_bars == bars
        assert sheet.quoted_from == ("J. S. Bach, Known" if bars else "")
        totals.append(sheet.total)
    assert totals[0] == totals[1] == _sheet(own).total > 0
    assert totals[1:] == sorted(totals[1:], reverse=True)
    assert totals[2] == totals[1] / 2
    assert totals[3] < totals[1] / 3
    assert totals[5] < totals[1] / 1000


def _first_bars(score: Score, bars: int) -> tuple[Score, str]:
    end = bars * score.meter.bar_ticks
    voices = tuple(
        Voice(tuple(replace(n, duration_ticks=min(n.offset_tick, end) - n.onset_tick)
                    for n in voice.notes if n.onset_tick < end))
        for voice in score.voices
    )  # fmt: skip
    return replace(score, voices=voices, bars=bars), "J. S. Bach, Known"


def test_without_an_index_quotations_are_not_looked_for(made_up_score: MakeScore) -> None:
    sheet = _sheet(made_up_score(1))
    assert sheet.quoted_bars is None
    assert sheet.quoted_from == ""
    assert sheet.originality == 1.0


def test_a_sheet_says_what_the_total_is_made_of(made_up_score: MakeScore) -> None:
    for seed in range(6):
        score = made_up_score(seed, 12, "3/4", "D minor")
        sheet, judged = _sheet(score, key=Key.parse("D minor")), quality(snap(score))
        assert judged is not None
        assert sheet.quality_score == judged.score
        assert sheet.adherence == np.mean(list(sheet.checks.values()))
        assert sheet.total == sheet.quality_score * sheet.adherence * sheet.originality
        assert 0 < sheet.total <= 1


@pytest.mark.parametrize("indexed", [False, True])
def test_tokens_that_spell_no_score_are_worth_nothing(
    made_up_score: MakeScore, indexed: bool
) -> None:
    index = QuotationIndex.build([(made_up_score(1), "Nobody")]) if indexed else None
    lost = replace(_composition(made_up_score(1), tempo_qpm=96.0), score=None)
    sheet = _score_sheet(lost, index)
    assert sheet.total == sheet.adherence == sheet.quality_score == 0
    assert set(sheet.checks) == {"bars", "meter", "key", "close", "tempo"}
    assert sheet.quoted_bars == (0 if indexed else None)


def test_an_ungrammatical_piece_is_worth_nothing(made_up_score: MakeScore) -> None:
    good = _composition(made_up_score(1))
    bad = replace(good, result=replace(good.result, valid=False, grammar_score=0.99))
    assert _score_sheet(good, None).total > 0 == _score_sheet(bad, None).total


@pytest.mark.parametrize("lower", [Voice(), Voice((Note(0, 48, 24),))])
def test_a_piece_with_hardly_any_notes_is_worth_nothing(piece: Score, lower: Voice) -> None:
    for upper in (Voice(), Voice((Note(0, 72, 24),)), piece.voices[0]):
        sparse = replace(_composition(piece), score=replace(piece, voices=(upper, lower)))
        assert _score_sheet(sparse, QuotationIndex.build([])).total == 0


def test_fewer_outliers_count_before_what_was_requested(piece: Score) -> None:
    other_key = replace(piece, key=Key.parse("G major"))
    stuck = replace(
        piece,
        bars=4,
        voices=tuple(
            Voice(tuple(Note(96 * bar, voice.notes[0].pitch, 96) for bar in range(4)))
            for voice in piece.voices
        ),
    )
    candidates = [Candidate(_composition(score, bars=4, key=_C)) for score in (stuck, piece)]
    assert outliers(candidates[0], _CONSTRAINED) > outliers(candidates[1], _CONSTRAINED)
    assert Selection(2).best(candidates, _CONSTRAINED) is candidates[1]
    assert outliers(Candidate(_composition(other_key)), GenerationConfig()) == 0


def test_equals_keep_their_order_and_ungrammatical_pieces_come_last(piece: Score) -> None:
    whole, same = (Candidate(_composition(piece)) for _ in range(2))
    lost = _composition(piece)
    worse, better = (
        Candidate(replace(lost, score=None, result=replace(lost.result, grammar_score=share)))
        for share in (0.3, 0.8)
    )
    config = GenerationConfig(use_grammar=False)
    selection = Selection(4)
    assert selection.best([worse, better, whole, same], config) is whole
    assert selection.best([worse, better], config) is better


def test_each_candidate_is_described_once(piece: Score) -> None:
    candidate = Candidate(_composition(piece))
    assert candidate.descriptors is candidate.descriptors


def test_an_end_that_was_given_need_not_close(piece: Score) -> None:
    """Bar 1 is rewritten, or the lower voice is written; the rest is the user's own."""
    key = Key.parse("F major")
    rewritten = _sheet(piece, key=key, fixed_notes=fix_around_gap(piece, 1, 1))
    assert "close" not in rewritten.checks
    assert not _sheet(piece, key=key, fixed_notes=fix_around_gap(piece, 2, 2)).checks["close"]
    beside = fix_voice(piece.voices[0], 0, piece)
    assert not _sheet(piece, key=key, fixed_notes=beside).checks["close"]
