"""Fixed notes are kept exactly, and every piece ends, whatever the fixed notes.

The model is untrained, so its choices are random.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import given as forall
from hypothesis import strategies as st

from bicinium.errors import RequestError
from bicinium.generation.composer import Composer
from bicinium.generation.composition import Composition
from bicinium.generation.conditions import Conditions
from bicinium.generation.fixed_notes import (
    FixedNotes,
    fix_around_gap,
    fix_opening,
    fix_voice,
)
from bicinium.generation.fixed_notes_table import FixedNotesTable
from bicinium.generation.subject import fix_entries
from bicinium.grammar import MusicalGrammar, MusicalGrammarValidator
from bicinium.grammar.terms import ENDED
from bicinium.model.checkpoint import load_checkpoint
from bicinium.music.key import ALL_KEYS, Key
from bicinium.music.score import Meter, Note, Score, Voice
from bicinium.tokenizer.codec import decode, encode, snap
from bicinium.tokenizer.vocabulary import KINDS, START, Kind

Refuses = Callable[..., AbstractContextManager[None]]

_GRAMMAR = MusicalGrammar()
_SILENCE = Voice(())
_UNHURRIED = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


# ------------------------------------------------------------------ music to be given


@st.composite
def _voices(draw: st.DrawFn, start: int, end: int) -> Voice:
    """Voices with rests, long notes and repeated notes. Some end exactly at ``end``."""
    longest_rest = draw(st.sampled_from([0, 12, 700]))
    steps = st.tuples(
        st.integers(0, longest_rest),
        st.sampled_from([1, 6, 12, 12, 24, 36, 96, 513, 960]),
        st.sampled_from([36, 60, 60, 61, 96]),
        st.sampled_from([1, 17, 64, 80, 127]),
    )
    notes: list[Note] = []
    tick = start
    for rest, length, pitch, velocity in draw(st.lists(steps, max_size=12)):
        if tick + rest + length > end:
            break
        notes.append(Note(tick + rest, pitch, length, velocity))
        tick += rest + length
    if draw(st.booleans()) and end - tick in range(1, 961):
        notes.append(Note(tick, 64, end - tick))
    return Voice(tuple(notes))


@st.composite
def _scores(draw: st.DrawFn, silent: int | None = None) -> Score:
    """Two voices that the grammar has nothing against; ``silent``: this one has no notes."""
    meter = Meter.parse(draw(st.sampled_from(["2/8", "3/4", "4/4", "6/8", "12/8"])))
    bars = draw(st.sampled_from([1, 2, 3, 6, 20]))
    anacrusis = draw(st.just(0) | st.integers(1, meter.bar_ticks - 1))
    start = meter.bar_ticks - anacrusis if anacrusis else 0
    voices = tuple(
        _SILENCE if part == silent else draw(_voices(start, bars * meter.bar_ticks))
        for part in (0, 1)
    )
    score = Score(voices, bars, meter, tempo_qpm=96.0, anacrusis_ticks=anacrusis)
    assume(_is_legal(score))
    return score


def _is_legal(score: Score) -> bool:
    tokens = encode(score)
    return MusicalGrammarValidator().validate_sequence(tokens, score.meter, score.bars).valid


@st.composite
def _others(draw: st.DrawFn) -> FixedNotes:
    part = draw(st.integers(0, 1))
    score = draw(_scores(silent=1 - part))
    return fix_voice(score.voices[part], part, score)


@st.composite
def _openings(draw: st.DrawFn) -> FixedNotes:
    score = draw(_scores())
    return fix_opening(score, score.bars + draw(st.integers(1, 4)))


@st.composite
def _gaps(draw: st.DrawFn) -> FixedNotes:
    score = draw(_scores())
    first = draw(st.integers(1, score.bars))
    return fix_around_gap(score, first, draw(st.integers(first, score.bars)))


@st.composite
def _subjects(draw: st.DrawFn) -> FixedNotes:
    meter = Meter.parse(draw(st.sampled_from(["2/8", "3/4", "4/4"])))
    motif = draw(_voices(0, draw(st.integers(1, 3 * meter.bar_ticks))))
    assume(motif.notes)
    alone = -(-motif.end_tick // meter.bar_ticks)
    answer = _later(motif, alone * meter.bar_ticks)
    bars = -(-answer.end_tick // meter.bar_ticks) + draw(st.integers(0, 3))
    like = Score((_SILENCE, _SILENCE), bars, meter, tempo_qpm=96.0)
    given = fix_entries(motif, answer, like, alone * like.meter.bar_ticks)
    assume(_is_legal(given.score))
    return given


def _later(voice: Voice, ticks: int) -> Voice:
    return Voice(tuple(replace(note, onset_tick=note.onset_tick + ticks) for note in voice.notes))


_GIVEN = _others() | _openings() | _gaps() | _subjects()


def _assert_kept(given: FixedNotes, score: Score) -> None:
    """Where a voice is fixed, the score has the given notes and no others."""
    assert (score.bars, score.meter) == (given.score.bars, given.score.meter)
    for part, fixed in enumerate(given.fixed):
        inside = [
            note
            for note in score.voices[part].notes
            if any(note.onset_tick < until and begin < note.offset_tick for begin, until in fixed)
        ]
        assert inside == list(given.score.voices[part].notes)


def _own_notes(given: FixedNotes, score: Score, part: int) -> list[Note]:
    return [n for n in score.voices[part].notes if n not in given.score.voices[part].notes]


# ------------------------------------------------------------------ the mask alone


def _walk(given: FixedNotes, seed: int, patience: float) -> np.ndarray:
    """Draw a random legal piece.

    patience: probability of choosing a TIME_SHIFT, mostly the longest, where one may come.
    """
    rng, table, tokens = np.random.default_rng(seed), FixedNotesTable(given), [START]
    state = _GRAMMAR.initial_state(
        bar_ticks=given.score.meter.bar_ticks, bars=given.score.bars, spare_slots=0
    )
    while True:
        state.advance(tokens[-1])
        if state.stage == ENDED:
            return np.array(tokens, np.int16)
        allowed = _GRAMMAR.token_mask(state).view(np.uint8)
        table.forbid(state, allowed.data)
        assert allowed.any(), f"a dead end at tick {state.tick}"
        tokens.append(_one_of(np.flatnonzero(allowed), rng, patience))


def _one_of(legal: np.ndarray, rng: np.random.Generator, patience: float) -> int:
    kinds = KINDS[legal]
    waits = (kinds == Kind.TIME_SHIFT).any() and rng.random() < patience
    kind = Kind.TIME_SHIFT if waits else rng.choice(np.unique(kinds))
    tokens = legal[kinds == kind]
    if kind == Kind.TIME_SHIFT and rng.random() < 0.8:
        return int(tokens[-1] if waits else tokens[min(rng.geometric(0.1), len(tokens)) - 1])
    return int(rng.choice(tokens))


@forall(given=_GIVEN, seed=st.integers(0, 2**32 - 1), patience=st.sampled_from([0.0, 0.9]))
@settings(_UNHURRIED, max_examples=60)
def test_every_walk_under_the_mask_ends_with_the_notes_that_were_given(
    given: FixedNotes, seed: int, patience: float
) -> None:
    tokens = _walk(given, seed, patience)
    _assert_kept(replace(given, score=snap(given.score)), decode(tokens, given.score.meter))


def _line(*notes: tuple[int, int]) -> Voice:
    """(onset, duration) → a voice on one pitch."""
    return Voice(tuple(Note(onset, 60, duration) for onset, duration in notes))


def test_who_is_silent_in_a_gap_has_a_way_over_the_long_rest_after_it() -> None:
    """TIME_SHIFTs cannot pass over more than 2,047 ticks: at most three of the longest and one
    more.
    """
    score = Score((_line((0, 12), (90, 6), (2100, 12)), _line((0, 12), (60, 6))), 24)
    given = fix_around_gap(score, 1, 1)
    for seed in range(20):
        tokens = _walk(given, seed, 0.95)
        _assert_kept(replace(given, score=snap(given.score)), decode(tokens, score.meter))


def test_where_all_notes_were_in_the_gap_one_is_written_before_it_is_over() -> None:
    score = Score((_line((0, 12)), _SILENCE), 8)
    for seed in range(20):
        tokens = _walk(fix_around_gap(score, 1, 1), seed, 0.99)
        written = decode(tokens, score.meter)
        assert written.note_count > 0
        assert all(n.offset_tick <= 96 for voice in written.voices for n in voice.notes)


# ------------------------------------------------------------------ composed


@pytest.fixture(scope="module")
def composer(tiny_model: Path) -> Composer:
    return Composer(load_checkpoint(tiny_model))


def _composed(
    composer: Composer, given: Sequence[FixedNotes], keys: Sequence[Key]
) -> list[Composition]:
    conditions = [
        Conditions(
            key, one.score.meter, one.score.bars, one.score.tempo_qpm, fixed_notes=_in_key(one, key)
        )
        for one, key in zip(given, keys, strict=True)
    ]
    return composer.compose(conditions, range(len(given)))


def _in_key(given: FixedNotes, key: Key) -> FixedNotes:
    return replace(given, score=replace(given.score, key=key))


@pytest.mark.parametrize("kind", [_others, _openings, _gaps, _subjects])
@forall(data=st.data())
@settings(_UNHURRIED, max_examples=8)
def test_a_random_model_composes_around_any_given_notes(
    composer: Composer, kind: Callable[[], st.SearchStrategy[FixedNotes]], data: st.DataObject
) -> None:
    given = [data.draw(kind()) for _ in range(4)]
    keys = [data.draw(st.sampled_from(ALL_KEYS)) for _ in given]
    for one, piece in zip(given, _composed(composer, given, keys), strict=True):
        assert piece.result.valid
        assert piece.draws == 1  # no draw was stuck
        assert piece.score is not None
        _assert_kept(one, piece.score)  # velocities too
        assert piece.score.tempo_qpm == 96.0
        assert piece.score.anacrusis_ticks == one.score.anacrusis_ticks


_UPPER = _line(*((t, 24) for t in range(0, 168, 24)), (168, 240), (432, 36), (480, 6), (486, 264))
_LOWER = _line(*((t, 48) for t in range(0, 432, 48)), (444, 180), (630, 138))
# Upper notes are held over the barlines of bars 2 to 4 and of 6 and 7, lower ones of 5 to 7.
_HELD = Score((_UPPER, _LOWER), bars=8, tempo_qpm=77.0)


@pytest.mark.parametrize(
    ("first", "last"), [(1, 1), (1, 8), (8, 8), (2, 2), (2, 4), (3, 3), (4, 5), (5, 6), (6, 8)]
)
def test_a_gap_is_filled_wherever_it_is(composer: Composer, first: int, last: int) -> None:
    given = fix_around_gap(_HELD, first, last)
    (piece,) = _composed(composer, [given], [Key.parse("G minor")])
    assert piece.draws == 1
    assert piece.score is not None
    _assert_kept(given, piece.score)
    begin, until = (first - 1) * 96, last * 96
    for part, voice in enumerate(_HELD.voices):
        outside = [n for n in voice.notes if not begin <= n.onset_tick < until]
        assert list(given.score.voices[part].notes) == outside
        for note in _own_notes(given, piece.score, part):  # they stay clear of what was held
            assert begin <= note.onset_tick
            assert all(note.offset_tick <= n.onset_tick or n.offset_tick <= note.onset_tick
                       for n in outside)  # fmt: skip


def test_a_gap_that_lies_under_one_held_note_is_the_other_voices() -> None:
    given = fix_around_gap(_HELD, 3, 3)
    assert given.fixed[0] == ((0, 408), (408, 2**30))
    assert given.fixed[1] == ((0, 192), (288, 2**30))
    assert given.known == ((408, 2**30), (288, 2**30))


def test_a_gap_at_the_end_has_nothing_to_come() -> None:
    given = fix_around_gap(_HELD, 7, 8)
    assert [fixed[0] for fixed in given.fixed] == [(0, 750), (0, 624)]  # where held notes end
    assert given.known == ((0, 0), (0, 0))


def test_a_gap_of_all_bars_leaves_only_the_rest_before_the_anacrusis() -> None:
    score = Score((_line((84, 12), (96, 96)), _line((96, 48))), bars=2, anacrusis_ticks=12)
    given = fix_around_gap(score, 1, 2)
    assert given.score.note_count == 0
    assert given.score.anacrusis_ticks == 12
    assert [fixed[0] for fixed in given.fixed] == [(0, 84)] * 2


@pytest.mark.parametrize("part", [0, 1])
def test_the_other_voice_is_written_and_plays(composer: Composer, part: int) -> None:
    given = fix_voice(_HELD.voices[part], part, _HELD)
    keys = [Key.parse(name) for name in ("C major", "F# major", "Eb minor", "E minor")]
    for piece in _composed(composer, [given] * 4, keys):
        assert piece.score is not None
        assert piece.score.voices[part] == _HELD.voices[part]
        assert len(piece.score.voices[1 - part].notes) > 3


def test_an_opening_is_gone_on_from_by_both_voices(composer: Composer) -> None:
    given = fix_opening(_HELD, 16)
    (piece,) = _composed(composer, [given], [Key.parse("D major")])
    assert piece.score is not None
    assert piece.score.bars == 16
    for part in (0, 1):
        own = _own_notes(given, piece.score, part)
        assert own
        assert min(note.onset_tick for note in own) >= _HELD.end_tick


def test_the_lower_voice_answers_a_subject_that_stood_alone(composer: Composer) -> None:
    motif = _line((0, 24), (24, 48), (84, 36))
    like = Score((_SILENCE, _SILENCE), 8, Meter(3, 4), tempo_qpm=96.0)
    given = fix_entries(motif, _later(motif, 144), like, 2 * like.meter.bar_ticks)
    (piece,) = _composed(composer, [given], [Key.parse("A minor")])
    assert piece.score is not None
    upper, lower = piece.score.voices
    assert upper.notes[:3] == motif.notes
    assert [n.onset_tick for n in lower.notes[:3]] == [144, 168, 228]
    assert upper.notes[3].onset_tick < 264  # it goes on while the other answers
    assert given.known == ((0, 0), (144, 264))


def test_a_piece_with_given_notes_does_not_depend_on_its_company(composer: Composer) -> None:
    written_to = fix_voice(_UPPER, 0, _HELD)
    asked = [
        Conditions(Key.parse("D minor"), Meter(4, 4), 30),
        Conditions(Key.parse("D minor"), Meter(4, 4), 8, fixed_notes=fix_around_gap(_HELD, 3, 5)),
        Conditions(Key.parse("E major"), Meter(4, 4), 8, fixed_notes=written_to),
    ]
    together = composer.compose(asked, [4, 5, 6])
    for conditions, seed, piece in zip(asked, [4, 5, 6], together, strict=True):
        alone = composer.compose([conditions], [seed])[0]
        np.testing.assert_array_equal(alone.tokens, piece.tokens)


# ------------------------------------------------------------------ what is looked up by tick


def test_what_is_given_is_looked_up_by_tick_and_voice() -> None:
    given = FixedNotesTable(fix_around_gap(_HELD, 3, 3))
    fixed = {tick: [given.is_fixed(voice, tick) for voice in (0, 1)] for tick in (168, 192, 288)}
    assert fixed == {168: [True, True], 192: [True, False], 288: [True, True]}
    assert [given.coming_pitch(0, tick) for tick in (168, 407, 408)] == [60, 0, 0]
    assert [given.held_pitch(0, tick) for tick in (168, 407, 408)] == [60, 60, 0]
    assert given.is_fixed(0, 50_000)  # far beyond the end
    assert (given.coming_pitch(0, 50_000), given.held_pitch(1, 50_000)) == (0, 0)


def test_the_model_is_told_of_the_given_voice_and_of_what_follows_a_gap() -> None:
    ever, never = (0, 2**30), (0, 0)
    for given, known in (
        (fix_voice(_HELD.voices[1], 1, _HELD), (never, ever)),
        (fix_around_gap(_HELD, 3, 3), ((408, 2**30), (288, 2**30))),
        (fix_opening(_HELD, 9), (never, never)),
    ):
        told = FixedNotesTable(given).lookahead
        assert tuple(zip(told.known_from, told.known_until, strict=True)) == known
        for voice, line, (begin, until) in zip(told.voices, _HELD.voices, known, strict=True):
            notes = zip(voice.onset, voice.offset, voice.pitch, strict=True)
            seen = [note for note in list(notes)[: voice.count] if begin <= note[0] < until]
            assert seen == [
                (n.onset_tick, n.offset_tick, n.pitch)
                for n in line.notes
                if begin <= n.onset_tick < until
            ]


# ------------------------------------------------------------------ what cannot be asked


@pytest.mark.parametrize("bars", [(0, 1), (3, 2), (8, 9), (9, 9)])
def test_bars_that_are_not_there_cannot_be_rewritten(
    bars: tuple[int, int], refuses: Refuses
) -> None:
    with refuses(RequestError, f"Bars {bars[0]} to {bars[1]} .* bars 1 to 8"):
        fix_around_gap(_HELD, *bars)


@pytest.mark.parametrize("bars", [1, 8])
def test_a_piece_goes_on_beyond_what_is_given(bars: int, refuses: Refuses) -> None:
    with refuses(RequestError, f"{bars} bars cannot continue 8 bars"):
        fix_opening(_HELD, bars)


def test_a_key_in_which_given_notes_leave_the_keyboard_is_refused(
    composer: Composer, refuses: Refuses
) -> None:
    low = Score((_SILENCE, Voice((Note(0, 21, 96),))), 1, tempo_qpm=96.0)
    with refuses(RequestError, "do not fit on the keyboard .* Choose a key nearer to that"):
        _composed(composer, [fix_voice(low.voices[1], 1, low)], [Key.parse("D major")])
