"""Constraints at full strength are never broken and leave a way, whatever is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import pytest

from bicinium.generation.conditions import Conditions
from bicinium.generation.constraints.config import STRENGTHS, Constraints
from bicinium.generation.constraints.processor import ConstraintProcessor
from bicinium.generation.constraints.registry import count_violations
from bicinium.generation.constraints.terms import CadencePlan
from bicinium.generation.fixed_notes import FixedNotes, fix_around_gap, fix_opening, fix_voice
from bicinium.generation.fixed_notes_table import FixedNotesTable
from bicinium.grammar import MusicalGrammar
from bicinium.grammar.state import State
from bicinium.grammar.terms import ENDED
from bicinium.music.counterpoint import ends_on_tonic, has_authentic_bass
from bicinium.music.key import ALL_KEYS, Key
from bicinium.music.score import Meter, Note, Score, Voice
from bicinium.tokenizer.codec import decode
from bicinium.tokenizer.vocabulary import (
    BLOCKS,
    KINDS,
    START,
    VOCAB_SIZE,
    Kind,
    tempo_bin,
    token_id,
)

_OFF = dict.fromkeys(STRENGTHS, 0.0)
_METERS = ("4/4", "3/4", "6/8", "2/4")
_TIGHT = {"max_leap": 7, "span": 9, "ranges": ((60, 80), (40, 60))}
_C_MAJOR, _A_MINOR = Key.parse("C major"), Key.parse("A minor")
_NOTE_ON, _NOTE_OFF, _TIME_SHIFT = (
    BLOCKS[kind].ids for kind in (Kind.NOTE_ON, Kind.NOTE_OFF, Kind.TIME_SHIFT)
)
_PITCHES = BLOCKS[Kind.NOTE_ON].values


def _only(*names: str, strength: float = 1.0, **others: object) -> Constraints:
    return Constraints.from_names(_OFF | dict.fromkeys(names, strength) | others)


# ------------------------------------------------------------------ random walks


def _asked(count: int, seed: int) -> list[Conditions]:
    """All keys, the common metres, one to eight bars."""
    rng = np.random.default_rng(seed)
    return [
        Conditions(
            ALL_KEYS[rng.integers(len(ALL_KEYS))],
            Meter.parse(_METERS[rng.integers(len(_METERS))]),
            bars=int(rng.integers(1, 9)),
        )
        for _ in range(count)
    ]


def _likely() -> np.ndarray:
    """Return (2, V) log-weights of tokens by part.

    The voices stay near each other, move mostly in eighths, and prefer few pitch classes, so that
    parallels are common.
    """
    weights = np.zeros((2, VOCAB_SIZE))
    for part, centre in enumerate((67, 57)):
        fond = np.isin(_PITCHES % 12, (0, 2, 7, 9))
        weights[part, _NOTE_ON] = 2 * fond - ((_PITCHES - centre) / 6) ** 2
    ticks = BLOCKS[Kind.TIME_SHIFT].values
    off_grid = np.where(ticks % 12 == 0, 0, np.where(ticks % 6 == 0, 3, 7))
    weights[:, _TIME_SHIFT] = -off_grid - ticks / 12
    return weights


_LIKELY = _likely()
_BY_KIND = np.zeros(len(Kind))
_BY_KIND[[Kind.NOTE_ON, Kind.PART, Kind.NOTE_OFF, Kind.VELOCITY]] = 4, 3, 1, -2


@dataclass
class _Walks:
    """What random walks came to: scores, None where one could not go on."""

    asked: list[Conditions]
    cadences: list[CadencePlan]
    scores: list[Score | None]

    @property
    def stuck(self) -> int:
        return sum(score is None for score in self.scores)

    def broken(self, constraints: Constraints) -> dict[str, int]:
        """Counted over all walks."""
        total = dict.fromkeys(constraints.strengths, 0)
        for asked, score in zip(self.asked, self.scores, strict=True):
            if score is not None:
                for name, count in count_violations(score, asked, constraints).items():
                    total[name] += count
        return total


_Look: TypeAlias = Callable[[State, ConstraintProcessor, ConstraintProcessor], None]


def _walk(
    constraints: Constraints,
    asked: list[Conditions],
    seed: int,
    obey: bool = True,
    uniform: bool = False,
    given: Sequence[FixedNotes] | None = None,
    beside: Constraints | None = None,
    look: _Look | None = None,
) -> _Walks:
    """Draw random pieces that the grammar, the constraints and the fixed notes allow.

    A kind is drawn first, then a token of it. Half of the pieces close on the downbeat, two of
    three from the dominant, and in four of seven chord notes may follow.

    obey: False ignores the constraints. uniform: all tokens of a kind are equally likely.
    look: called at each step with the state, the processor, and one for the constraints ``beside``.
    """
    free = [given is None and one.bars > 2 for one in asked]
    cadences = [
        CadencePlan(
            every and i % 2 == 0,
            every and i % 3 > 0,
            every and i % 5 > 0,
            every and i % 7 > 2,
        )
        for i, every in enumerate(free)
    ]
    scores = []
    for i, (one, cadence) in enumerate(zip(asked, cadences, strict=True)):
        table = FixedNotesTable(given[i]) if given else None
        processors = [
            ConstraintProcessor(settings, one, table, cadence=cadence)
            for settings in (constraints, beside or constraints)
        ]
        rng = np.random.default_rng([seed, i])
        tokens = _walk_of(one, processors, table, rng, obey, uniform, look)
        scores.append(_sounding(tokens, one) if tokens else None)
    return _Walks(asked, cadences, scores)


def _walk_of(
    asked: Conditions,
    processors: Sequence[ConstraintProcessor],
    table: FixedNotesTable | None,
    rng: np.random.Generator,
    obey: bool,
    uniform: bool,
    look: _Look | None,
) -> list[int]:
    """Return the tokens of one walk; none if it could not go on."""
    grammar, tokens = MusicalGrammar(), [START]
    quarters = -(-asked.bars * asked.meter.bar_ticks // 24)
    state = grammar.initial_state(
        bar_ticks=asked.meter.bar_ticks,
        bars=asked.bars,
        max_tokens=64 + 96 * quarters,
        transposition=-asked.key.semitones_to_reference,
        spare_slots=0,
    )
    while True:
        state.advance(tokens[-1])
        for processor in processors:
            processor.observe(state, tokens[-1])
        if state.stage == ENDED:
            return tokens
        allowed = grammar.token_mask(state).view(np.uint8)
        if table is not None:
            table.forbid(state, allowed.data)
        if look:
            look(state, processors[0], processors[1])
        if obey:
            processors[0].forbid(state, allowed.data)
        if not allowed.any():
            return []
        by_kind = (rng.gumbel(size=len(Kind)) + _BY_KIND)[KINDS]
        by_token = rng.gumbel(size=VOCAB_SIZE) + (0 if uniform else _LIKELY[state.part])
        tokens.append(int(np.where(allowed, 1000 * by_kind + by_token, -np.inf).argmax()))


def _rejected(processor: ConstraintProcessor, state: State) -> np.ndarray:
    """Return (V,) which tokens the constraints at full strength forbid."""
    allowed = np.ones(VOCAB_SIZE, np.uint8)
    processor.forbid(state, allowed.data)
    return allowed == 0


def _factors(processor: ConstraintProcessor, state: State) -> np.ndarray:
    """Return (V,) by what the weaker constraints multiply the weights."""
    assert not _rejected(processor, state).any()
    weights = np.ones(VOCAB_SIZE)
    processor.weigh(state, weights.data)
    return weights


def _sounding(tokens: Sequence[int], asked: Conditions) -> Score:
    home = decode(tokens, asked.meter, asked.key.transpose(asked.key.semitones_to_reference))
    return home.transpose(-asked.key.semitones_to_reference)


_OFTEN = {  # at least so often in so many unsteered walks
    "close": 40, "in_key": 30, "range": 150, "hand_span": 60, "parallels": 4, "crossing": 10,
    "consonance": 50, "leap": 150,
}  # fmt: skip


@pytest.mark.parametrize("name", _OFTEN)  # chords are about given voices: see test_chords.py
def test_a_constraint_at_full_strength_is_never_broken_and_leaves_a_way(name: str) -> None:
    constraints = _only(name, **_TIGHT)
    for uniform in (False, True):
        walks = _walk(constraints, _asked(40, 1), seed=2, uniform=uniform)
        assert walks.stuck == 0
        assert walks.broken(constraints) == {name: 0}
    unsteered = _walk(constraints, _asked(40, 1), seed=2, obey=False)
    assert unsteered.broken(constraints)[name] >= _OFTEN[name]


@pytest.mark.parametrize("uniform", [False, True])
def test_the_defaults_are_never_broken_and_leave_a_way(uniform: bool) -> None:
    constraints = Constraints()
    assert constraints.strengths == {
        "close": 1.0, "parallels": 1.0, "crossing": 1.0, "chords": 1.0,
    }  # fmt: skip
    walks = _walk(constraints, _asked(150, 3), seed=4, uniform=uniform)
    assert walks.stuck == 0
    assert walks.broken(constraints) == dict.fromkeys(constraints.strengths, 0)
    for asked, closing, score in zip(walks.asked, walks.cadences, walks.scores, strict=True):
        assert score is not None
        assert ends_on_tonic(score, asked.key)
        assert has_authentic_bass(score, asked.key) or not closing.from_dominant
    assert sum(closing.from_dominant for closing in walks.cadences) > 50


def test_all_at_full_strength_hold_together_and_seldom_leave_no_way() -> None:
    constraints = _only(*STRENGTHS)
    walks = _walk(constraints, _asked(60, 5), seed=6)
    assert walks.stuck <= 2
    assert not any(walks.broken(constraints).values())


def test_even_narrow_limits_together_are_never_broken() -> None:
    """They may leave no way: then the piece is begun anew."""
    constraints = _only(*STRENGTHS, **_TIGHT)
    walks = _walk(constraints, _asked(60, 5), seed=6)
    assert walks.stuck < 12
    assert not any(walks.broken(constraints).values())


@pytest.mark.parametrize("meter", ["4/4", "3/4", "6/8", "2/4", "3/8", "12/8", "5/4", "1/4"])
def test_pieces_of_one_bar_close(meter: str) -> None:
    asked = [Conditions(key, Meter.parse(meter), bars=1) for key in ALL_KEYS]
    walks = _walk(Constraints(), asked, seed=7)
    assert walks.stuck == 0
    assert walks.broken(Constraints())["close"] == 0


def test_notes_outside_the_key_are_used_up_to_their_share() -> None:
    constraints = _only("in_key", accidentals=0.25)
    walks = _walk(constraints, _asked(40, 8), seed=9, uniform=True)
    assert walks.broken(constraints) == {"in_key": 0}
    stricter = replace(constraints, accidentals=0.15)
    assert walks.broken(stricter)["in_key"] > 15


# ------------------------------------------------------------------ strengths under 1


@pytest.mark.parametrize("name", _OFTEN)  # chords are about given voices: see test_chords.py
def test_a_strength_weighs_what_full_strength_would_forbid(name: str) -> None:
    """A strength of 0.3 weighs only tokens that full strength forbids."""
    soft, weighed = _only(name, strength=0.3, **_TIGHT), 0

    def look(state: State, strict: ConstraintProcessor, softly: ConstraintProcessor) -> None:
        nonlocal weighed
        forbidden, factors = _rejected(strict, state), _factors(softly, state)
        assert np.isin(factors, (1, 0.7)).all()
        assert not (factors < 1)[~forbidden].any()
        weighed += int((factors < 1).sum())
        columns = slice(_NOTE_ON.start, _TIME_SHIFT.stop)
        if name != "close":
            np.testing.assert_array_equal(factors[columns] < 1, forbidden[columns])

    _walk(_only(name, **_TIGHT), _asked(12, 10), seed=11, beside=soft, look=look)
    assert weighed > 0


def test_weights_of_several_constraints_multiply() -> None:
    factors = _factors(
        *_after(_only("leap", "in_key", strength=0.5, accidentals=0.0), 0, [(60, 24)])
    )
    of_pitch = {pitch: factors[token_id(Kind.NOTE_ON, pitch)] for pitch in (62, 61, 84, 85)}
    assert of_pitch == {62: 1, 61: 0.5, 84: 0.5, 85: 0.25}


def test_nothing_changes_where_all_are_off() -> None:
    assert (_factors(*_after(Constraints.none(), 0, [(60, 24)])) == 1).all()


# ------------------------------------------------------------------ by hand


def _after(
    constraints: Constraints,
    part: int,
    *lines: Sequence[tuple[int, int]],
    key: Key = _C_MAJOR,
    meter: str = "4/4",
    bars: int = 4,
    given: FixedNotes | None = None,
    closing: CadencePlan | None = None,
) -> tuple[ConstraintProcessor, State]:
    """Return a piece up to the next event of ``part``.

    lines: (pitch, ticks) of the successive notes of each voice, pitch 0 for a rest. Notes that end
    at the last tick have ended in the parts up to ``part``. A note without ticks still sounds.
    """
    asked = Conditions(key, Meter.parse(meter), bars)
    grammar = MusicalGrammar()
    state = grammar.initial_state(
        bar_ticks=asked.meter.bar_ticks, bars=bars, transposition=-key.semitones_to_reference,
        spare_slots=0,
    )  # fmt: skip
    table = FixedNotesTable(given) if given else None
    processor = ConstraintProcessor(constraints, asked, table, cadence=closing or CadencePlan())
    events, end = [], max(sum(ticks for _, ticks in line) for line in lines)
    for voice, line in enumerate(lines):
        tick = 0
        for pitch, ticks in line:
            if pitch:
                events.append((tick, voice, 1, token_id(Kind.NOTE_ON, pitch)))
                if ticks and (tick + ticks < end or voice <= part):
                    events.append((tick + ticks, voice, 0, token_id(Kind.NOTE_OFF, pitch)))
            tick += ticks
    tokens, now, here = (
        [START, token_id(Kind.TEMPO, tempo_bin(120)), token_id(Kind.VELOCITY, 20)],
        0,
        0,
    )
    for tick, voice, _, token in sorted(events):
        if tick > now:
            tokens.append(token_id(Kind.TIME_SHIFT, tick - now))
        if voice != here:
            tokens.append(token_id(Kind.PART, voice))
        now, here = tick, voice
        tokens.append(token)
    if end > now:
        tokens.append(token_id(Kind.TIME_SHIFT, end - now))
    if part != here:
        tokens.append(token_id(Kind.PART, part))
    for token in tokens:
        state.advance(token)
        processor.observe(state, token)
    return processor, state


def _forbidden(processor: ConstraintProcessor, state: State, ids: slice) -> set[int]:
    """The values of the forbidden tokens of a kind."""
    values = next(block.values for block in BLOCKS if block.ids == ids)
    return set(values[_rejected(processor, state)[ids]].tolist())


def _pitches(*others: int, low: int = 21, high: int = 108) -> set[int]:
    return set(range(low, high + 1)) - set(others)


def test_the_lower_voice_may_not_follow_in_octaves_or_fifths() -> None:
    octave = [(72, 24), (74, 0)], [(48, 24)]
    assert _forbidden(*_after(_only("parallels"), 1, *octave), _NOTE_ON) == {50, 62, 74, 86, 98}
    fifth = [(67, 24), (69, 0)], [(48, 24)]
    assert _forbidden(*_after(_only("parallels"), 1, *fifth), _NOTE_ON) == {50, 62, 76, 88, 100}
    sixth = [(69, 24), (71, 0)], [(48, 24)]
    assert _forbidden(*_after(_only("parallels"), 1, *sixth), _NOTE_ON) == set()
    rested = [(72, 24), (74, 0)], [(48, 12), (0, 12)]
    assert _forbidden(*_after(_only("parallels"), 1, *rested), _NOTE_ON) == set()


def test_voices_may_not_cross() -> None:
    lower = _after(_only("crossing"), 1, [(60, 24), (62, 0)], [(48, 24)])
    assert _forbidden(*lower, _NOTE_ON) == _pitches(low=63)
    upper = _after(_only("crossing"), 0, [(60, 24)], [(58, 24)])
    assert _forbidden(*upper, _NOTE_ON) == _pitches(high=57)
    alone = _after(_only("crossing"), 0, [(60, 24)], [])
    assert _forbidden(*alone, _NOTE_ON) == set()


def test_what_sounds_on_a_strong_beat_is_consonant() -> None:
    at_48 = _after(_only("consonance"), 1, [(71, 48), (72, 0)], [(60, 48)])
    consonant = {p for p in _pitches() if abs(72 - p) % 12 in (0, 3, 4, 7, 8, 9)}
    assert _forbidden(*at_48, _NOTE_ON) == _pitches(*consonant)
    at_24 = _after(_only("consonance"), 1, [(71, 24), (72, 0)], [(60, 24)])
    assert _forbidden(*at_24, _NOTE_ON) == set()
    upper = _after(_only("consonance"), 0, [(71, 48)], [(60, 48)])
    assert _forbidden(*upper, _NOTE_ON) == set()  # the lower can still move


def test_time_stops_where_a_dissonance_would_stand_on_a_strong_beat() -> None:
    held = _after(_only("consonance"), 1, [(72, 24), (74, 0)], [(72, 24), (72, 0)])
    assert _forbidden(*held, _TIME_SHIFT) == set(range(25, 513))  # 48 is strong
    there = _after(_only("consonance"), 0, [(72, 48), (74, 0)], [(72, 48)])
    assert _forbidden(*there, _TIME_SHIFT) == set(range(1, 513))
    in_three = _after(_only("consonance"), 1, [(72, 24), (74, 0)], [(72, 24), (72, 0)], meter="3/4")
    assert _forbidden(*in_three, _TIME_SHIFT) == set(range(49, 513))


def test_from_the_deadline_on_only_what_closes_may_begin() -> None:
    lower = _after(_only("close"), 1, [(72, 48)], [(55, 48)], bars=1)
    assert _forbidden(*lower, _NOTE_ON) == _pitches(*range(24, 109, 12))
    assert _forbidden(*lower, _TIME_SHIFT) == set(range(1, 513))
    upper = _after(_only("close"), 0, [(74, 48)], [(48, 48)], bars=1)
    assert _pitches() - _forbidden(*upper, _NOTE_ON) == {
        p for p in _pitches() if p % 12 in (0, 4, 7)
    }
    picardy = _after(_only("close"), 0, [(74, 48)], [(45, 48)], bars=1, key=_A_MINOR)
    assert _pitches() - _forbidden(*picardy, _NOTE_ON) == {
        p for p in _pitches() if p % 12 in (9, 0, 1, 4)
    }


def test_after_the_deadline_nothing_begins_and_what_sounds_ends_on_a_beat() -> None:
    held = _after(_only("close"), 1, [(72, 0)], [(48, 48)], bars=1)
    assert _forbidden(*held, _TIME_SHIFT) == set(range(1, 48)) - {24}  # or on the last barline
    upper, lower = (_after(_only("close"), part, [(72, 60)], [(48, 60)], bars=1) for part in (0, 1))
    assert _forbidden(*upper, _NOTE_ON) == _forbidden(*lower, _NOTE_ON) == _pitches()
    assert _forbidden(*upper, _TIME_SHIFT) == set(range(1, 36)) - {12}  # the lower still sounds
    assert _forbidden(*lower, _TIME_SHIFT) == set(range(1, 36))


def test_in_the_beat_before_the_close_the_lower_voice_comes_to_the_dominant() -> None:
    """The second of four beats, one before the deadline. The upper voice joins the chord."""

    def after(
        part: int, *lines: Sequence[tuple[int, int]], key: Key = _C_MAJOR
    ) -> tuple[ConstraintProcessor, State]:
        closing = CadencePlan(from_dominant=True)
        return _after(_only("close"), part, *lines, key=key, bars=1, closing=closing)

    before = after(1, [(76, 12), (77, 0)], [(48, 12), (53, 0)])
    assert _forbidden(*before, _NOTE_ON) == set()
    assert _forbidden(*before, _TIME_SHIFT) == set(range(13, 513))
    upper = after(0, [(76, 24)], [(53, 24)])
    assert _forbidden(*upper, _TIME_SHIFT) == set(range(1, 513))
    assert _pitches() - _forbidden(*upper, _NOTE_ON) == {
        p for p in _pitches() if p % 12 in (7, 11, 2, 5)
    }
    lower = after(1, [(76, 24), (74, 0)], [(53, 24)])
    assert _forbidden(*lower, _NOTE_ON) == _pitches(*range(31, 109, 12))
    in_minor = after(1, [(76, 24), (74, 0)], [(53, 24)], key=_A_MINOR)
    assert _forbidden(*in_minor, _NOTE_ON) == _pitches(*range(28, 109, 12))
    there = after(1, [(76, 24), (74, 0)], [(53, 24), (43, 0)])
    assert _forbidden(*there, _TIME_SHIFT) == set(range(25, 513))  # to the deadline
    on_the_way = after(0, [(76, 24), (74, 12)], [(53, 24), (43, 12)])
    assert _forbidden(*on_the_way, _NOTE_ON) == set()


def test_the_upper_voice_may_be_asked_for_the_tonic_unless_it_comes_from_an_octave() -> None:
    def after(
        *lines: Sequence[tuple[int, int]], key: Key = _C_MAJOR
    ) -> tuple[ConstraintProcessor, State]:
        closing = CadencePlan(tonic_above=True)
        return _after(_only("close"), 0, *lines, key=key, bars=1, closing=closing)

    assert _forbidden(*after([(74, 48)], [(43, 48)]), _NOTE_ON) == _pitches(*range(24, 109, 12))
    in_minor = after([(71, 48)], [(40, 48)], key=_A_MINOR)
    assert _forbidden(*in_minor, _NOTE_ON) == _pitches(*range(21, 109, 12))
    octave = after([(67, 48)], [(43, 48)])
    assert _forbidden(*octave, _NOTE_ON) == {p for p in _pitches() if p % 12 not in (0, 4, 7)}


def test_where_a_piece_dies_away_its_last_chord_may_follow_until_the_middle_of_the_bar() -> None:
    def after(part: int, dies_away: bool) -> tuple[ConstraintProcessor, State]:
        lines = [(71, 96), (72, 24)], [(43, 96), (48, 24)]  # a beat of the last bar has passed
        closing = CadencePlan(on_downbeat=True, dies_away=dies_away)
        return _after(_only("close"), part, *lines, bars=2, closing=closing)

    for part, chord in ((0, (0, 4, 7)), (1, (0,))):
        assert _forbidden(*after(part, False), _NOTE_ON) == _pitches()
        assert _pitches() - _forbidden(*after(part, True), _NOTE_ON) == {
            pitch for pitch in _pitches() if pitch % 12 in chord
        }
    on_beats = {24, 48}  # what sounds may end there
    assert _forbidden(*after(0, False), _TIME_SHIFT) == set(range(1, 72)) - on_beats
    assert _forbidden(*after(0, True), _TIME_SHIFT) == set(range(25, 72)) - on_beats


def test_who_has_closed_may_rest() -> None:
    closed = _after(_only("close"), 0, [(76, 24), (0, 24)], [(48, 36), (0, 12)], bars=1)
    assert _forbidden(*closed, _TIME_SHIFT) == set(range(1, 48))  # nothing more: to the end
    too_soon = _after(_only("close"), 0, [(76, 24), (0, 120)], [(48, 36), (0, 108)], bars=2)
    assert _forbidden(*too_soon, _TIME_SHIFT) == set(range(1, 513))


def test_the_upper_voice_leaves_the_lower_a_tonic() -> None:
    """From A over D, the upper voice must not go to G: C below it would be a parallel fifth."""
    constraints = _only("close", "parallels", "crossing")
    lines = [(69, 48)], [(62, 48)]
    assert 67 in _forbidden(*_after(constraints, 0, *lines, bars=1), _NOTE_ON)
    assert 67 not in _forbidden(*_after(_only("close", "crossing"), 0, *lines, bars=1), _NOTE_ON)
    assert 72 not in _forbidden(*_after(constraints, 0, *lines, bars=1), _NOTE_ON)


def test_leaps_ranges_and_spans() -> None:
    lines = [(72, 12), (65, 12)], [(48, 24)]
    leap = _after(_only("leap", max_leap=5), 0, *lines)
    assert _forbidden(*leap, _NOTE_ON) == _pitches(*range(60, 71))
    span = _after(_only("hand_span", span=9), 0, *lines)
    assert _forbidden(*span, _NOTE_ON) == _pitches(*range(56, 75))
    near = _after(_only("hand_span", span=9), 0, [(72, 12), (65, 11)], [(48, 23)])
    assert _forbidden(*near, _NOTE_ON) == _pitches(*range(63, 75))
    wide = _only("range", ranges=((60, 80), (40, 55)))
    for part, low, high in ((0, 60, 80), (1, 40, 55)):
        d_major = _after(wide, part, *lines, key=Key.parse("D major"))
        assert _forbidden(*d_major, _NOTE_ON) == _pitches(*range(low - 2, high - 1))


def test_a_note_outside_the_key_needs_enough_inside_it() -> None:
    constraints = _only("in_key", accidentals=0.25)
    outside = {p for p in _pitches() if p % 12 in (1, 3, 6, 8, 10)}
    line = [(60, 12), (62, 12), (64, 12), (61, 12), (60, 12), (62, 12)]
    full = {
        length: _forbidden(*_after(constraints, 0, line[:length], []), _NOTE_ON)
        for length in range(1, 7)
    }
    assert full == {1: outside, 2: outside, 3: set(), 4: outside, 5: outside, 6: outside}


def test_a_voice_is_not_entered_where_it_could_begin_nothing() -> None:
    """A leap down is too far, and what is near would cross."""
    constraints = _only("leap", "crossing", max_leap=3)
    forbidden = _rejected(*_after(constraints, 0, [(0, 24), (50, 0)], [(67, 12), (0, 12)]))
    assert forbidden[token_id(Kind.PART, 1)]


# ------------------------------------------------------------------ given voices


def _lower_given(begins: int) -> FixedNotes:
    """A fixed lower voice: pitch 48 until tick 48, and pitch ``begins`` from then on."""
    lower = Voice((Note(0, 48, 48), Note(48, begins, 48)))
    return fix_voice(lower, 1, Score((Voice(()), lower), bars=4))


def _beside_given(
    name: str, upper: Sequence[tuple[int, int]], begins: int
) -> tuple[ConstraintProcessor, State]:
    """At tick 48, before the given lower voice moves from 48 to ``begins``."""
    return _after(_only(name), 0, upper, [(48, 48)], given=_lower_given(begins))


def test_the_upper_voice_heeds_where_a_given_lower_goes() -> None:
    free = [(72, 48)]
    assert _forbidden(*_beside_given("parallels", free, 50), _NOTE_ON) == {74, 86, 98}
    assert _forbidden(*_beside_given("parallels", free, 43), _NOTE_ON) == {31, 43, 55, 67}
    assert _forbidden(*_beside_given("parallels", free, 44), _NOTE_ON) == {32, 44, 56, 68}
    assert _forbidden(*_beside_given("crossing", free, 50), _NOTE_ON) == _pitches(high=49)
    consonant = {p for p in _pitches() if abs(50 - p) % 12 in (0, 3, 4, 7, 8, 9)}
    assert _forbidden(*_beside_given("consonance", free, 50), _NOTE_ON) == _pitches(*consonant)


@pytest.mark.parametrize(("name", "begins"), [("crossing", 60), ("consonance", 50)])
def test_the_upper_voice_moves_away_before_a_given_lower_comes(name: str, begins: int) -> None:
    held = [(55, 0), (0, 48)]
    forbidden = _rejected(*_beside_given(name, held, begins))
    assert forbidden[token_id(Kind.PART, 1)]
    assert not forbidden[_NOTE_OFF].any()
    assert not _rejected(*_beside_given(name, held, 43))[token_id(Kind.PART, 1)]


def test_a_given_voice_is_not_judged() -> None:
    constraints = _only(*(name for name in STRENGTHS if name != "close"), accidentals=0.0)
    processor, state = _after(
        constraints, 1, [(72, 48), (74, 0)], [(48, 48)], given=_lower_given(50)
    )
    assert _forbidden(processor, state, _NOTE_ON) == set()


_WAYS = {
    "upper": lambda score: fix_voice(score.voices[0], 0, score),
    "lower": lambda score: fix_voice(score.voices[1], 1, score),
    "opening": lambda score: fix_opening(score, score.bars + 2),
    "gap": lambda score: fix_around_gap(
        score, 1 + score.bars // 3, max(1 + score.bars // 3, score.bars - 2)
    ),
}


@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("names", [("close", "parallels", "crossing"), ("consonance",), ("leap",)])
def test_beside_given_notes_constraints_hold_and_leave_a_way(
    way: str, names: tuple[str, ...]
) -> None:
    constraints = _only(*names)
    sources = _walk(Constraints.none(), _asked(25, 14), seed=15)
    asked, at_home = [], []
    for one, score in zip(sources.asked, sources.scores, strict=True):
        assert score is not None
        given = _WAYS[way](score)
        asked.append(replace(one, bars=given.score.bars, fixed_notes=given))
        home = given.score.transpose(one.key.semitones_to_reference)
        at_home.append(replace(given, score=home))
    walks = _walk(constraints, asked, seed=16, given=at_home)
    assert walks.stuck == 0
    assert not any(walks.broken(constraints).values())
