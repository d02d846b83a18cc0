"""Bar-lag inputs: values computed by hand, a slow reference, and no knowledge of the future."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bicinium.grammar import MusicalGrammar, States
from bicinium.model.inputs.bar_lag import REFERENCES, SIZES, BarLag
from bicinium.model.inputs.motif_predictor import NO_PREDICTION, MotifPredictor
from bicinium.model.inputs.note_index import GrowingNoteIndex, NoteIndex, index_notes
from bicinium.music.score import VOICES, Note, note_array
from bicinium.tokenizer.vocabulary import END, START, VOCAB_SIZE, Kind, token_id

Line = list[Note]
Voices = tuple[Line, Line]

_LATEST = 300  # ticks


class Place(NamedTuple):
    """A place in a piece: at ``tick``, the first ``begun`` voices have begun their notes."""

    piece: int
    tick: int
    part: int
    begun: int = 0

    def has_heard(self, voice: int, note: Note) -> bool:
        return note.onset_tick < self.tick + (voice < self.begun)


def _stored(pieces: Sequence[Voices]) -> NoteIndex:
    return NoteIndex([[note_array(line) for line in piece] for piece in pieces])


def _state(pieces: Sequence[Voices], places: Sequence[Place], bar_ticks: int) -> States:
    """Such as the automaton would be in."""
    state = MusicalGrammar().initial_states(len(places), bar_ticks=bar_ticks)
    for row, place in enumerate(places):
        state.tick[row], state.part[row] = place.tick, place.part
        for voice, line in enumerate(pieces[place.piece]):
            heard = [note for note in line if place.has_heard(voice, note)][::-1]
            for back, note in enumerate(heard[:3]):
                state.recent_pitch[row, voice, back] = note.pitch
            for back, note in enumerate(heard[:2]):
                state.recent_onset[row, voice, back] = note.onset_tick
    return state


def _recalled(
    pieces: Sequence[Voices],
    places: Sequence[Place],
    bar_ticks: int,
    stored: NoteIndex | None = None,
) -> list[tuple[dict[str, int], list[int]]]:
    """Return columns by name and pitches of each place. ``stored``: the note index to use."""
    memory = BarLag(stored or _stored(pieces), np.array([place.piece for place in places]))
    columns, pitches = memory.encode(_state(pieces, places, bar_ticks))
    assert len(pitches) == REFERENCES
    return [
        (dict(zip(SIZES, of_place, strict=True)), of_pitches)
        for of_place, of_pitches in zip(
            np.stack(columns, axis=1).tolist(), np.stack(pitches, axis=1).tolist(), strict=True
        )
    ]


def _at(voices: Voices, tick: int, part: int = 0, begun: int = 0, bar_ticks: int = 96) -> (
    tuple[dict[str, int], list[int]]
):  # fmt: skip
    return _recalled([voices], [Place(0, tick, part, begun)], bar_ticks)[0]


def _some(recalled: dict[str, int], prefix: str) -> dict[str, int]:
    return {name: value for name, value in recalled.items() if name.startswith(prefix)}


# ------------------------------------------------------------------ by hand
#
# 4/4: G4 for a quarter and A4 for a half, a rest, then E4 for two bars; below, after a bar of
# silence, C3 for a bar and G2.

_G4, _A4, _E4, _C3, _G2 = 67, 69, 64, 48, 43
_LITTLE: Voices = (
    [Note(0, _G4, 24), Note(24, _A4, 48), Note(96, _E4, 192)],
    [Note(96, _C3, 96), Note(192, _G2, 24)],
)
_HELD = -19  # 0 is before the piece, 1 silence, 2 is A0


def test_what_was_a_bar_and_two_bars_ago_equals_what_one_counts_by_hand() -> None:
    """The place is in bar 3, after its first quarter.

    One bar earlier E4 and C3 had sounded for a quarter, and C3 ended after another 72 ticks. Two
    bars earlier A4 began, and ended after 48 ticks.
    """
    recalled, pitches = _at(_LITTLE, 216, begun=2)
    assert _some(recalled, "held_1") == {"held_1_0": _E4 + _HELD, "held_1_1": _C3 + _HELD}
    assert _some(recalled, "wait_1") == {"wait_1_0": 0, "wait_1_1": 63}  # 63 or more
    assert _some(recalled, "end_1") == {"end_1_0": 0, "end_1_1": 63}
    assert _some(recalled, "held_2") == {"held_2_0": _A4 + _HELD, "held_2_1": 1}
    assert _some(recalled, "wait_2") == {"wait_2_0": 63, "wait_2_1": 63}  # 72 both
    assert _some(recalled, "end_2") == {"end_2_0": 48, "end_2_1": 0}
    # E4 a bar ago, A4 two, C3 below a bar ago; from A4 to E4 it went down 5, and now from E4
    assert pitches[:4] == [_E4, _A4, _C3, _E4 - 5]
    # the lower had C3 a bar ago, with nothing before it, and the other E4
    assert _at(_LITTLE, 216, part=1, begun=2)[1][:4] == [_C3, 0, _E4, 0]


def test_what_is_due_is_what_the_line_of_the_voice_would_begin_at_this_tick() -> None:
    """The upper voice has C D F E C D F in eighths, and the lower has the same an eighth later.

    The prediction of F is surer in the lower voice, because the upper voice has had it twice.
    """
    figure = [60, 62, 65, 64, 60, 62, 65]
    voices: Voices = tuple(
        [Note(12 * i + later, pitch, 12) for i, pitch in enumerate(figure)] for later in (0, 12)
    )  # type: ignore[assignment]
    places = [Place(0, 84, 0), Place(0, 84, 1), Place(0, 96, 1), Place(0, 85, 0), Place(0, 0, 0)]
    due = BarLag(_stored([voices]), np.zeros(len(places), np.intp)).predicted_now(
        _state([voices], places, 96)
    )
    above, still_below, below, later, first = due.T.tolist()
    assert above == below == [3, -1, 12, 64]
    assert still_below == [5, 2, 12, 65]
    assert later == first == [0, 0, 0, 0]


@pytest.mark.parametrize(("tick", "held"), [(0, 0), (95, 0), (96, _G4 - 19), (97, _G4 - 19)])
def test_before_the_piece_was_nothing(tick: int, held: int) -> None:
    recalled, pitches = _at(_LITTLE, tick)
    assert recalled["held_1_0"] == held
    assert recalled["held_1_1"] == (1 if held else 0)  # a rest is something
    assert recalled["held_2_0"] == recalled["held_2_1"] == 0
    assert pitches[:3] == [_G4 if held else 0, 0, 0]
    if not held:
        assert not any(_some(recalled, "wait").values())
        assert not any(_some(recalled, "end").values())


@pytest.mark.parametrize(("tick", "ends"), [(143, 0), (144, 0), (145, 1)])
def test_the_end_of_a_note_is_told_once_it_is_past(tick: int, ends: int) -> None:
    """A note lies over a barline in 2/4. At its own end it may still be held."""
    long: Voices = ([Note(24, 60, 120)], [])
    recalled, pitches = _at(long, tick, bar_ticks=48)
    assert recalled["held_1_0"] == recalled["held_2_0"] == 60 + _HELD
    assert recalled["end_1_0"] == ends * 47
    assert recalled["end_2_0"] == ends * 63
    assert pitches[:2] == [60, 60]


@pytest.mark.parametrize(("tick", "wait"), [(95, 0), (96, 0), (97, 47), (98, 46)])
def test_the_next_onset_is_told_once_it_is_past(tick: int, wait: int) -> None:
    """Of the second note, half a bar after the first, in 2/4; not while it may begin."""
    after: Voices = ([Note(0, 60, 24), Note(96, 62, 24)], [])
    for begun in range(VOICES + 1):
        recalled, _ = _at(after, tick, begun=begun, bar_ticks=48)
        assert recalled["wait_1_0"] == wait
        assert recalled["held_1_0"] == 1


def test_without_a_metre_a_bar_is_four_quarters() -> None:
    assert _at(_LITTLE, 216, bar_ticks=0) == _at(_LITTLE, 216, bar_ticks=96)
    assert _at(_LITTLE, 216, bar_ticks=72) != _at(_LITTLE, 216, bar_ticks=96)


def test_a_step_beyond_the_piano_is_not_remembered() -> None:
    high: Voices = ([Note(0, 80, 24), Note(24, 100, 24), Note(96, 96, 24), Note(120, 60, 24)], [])
    assert _at(high, 120)[1] == [100, 0, 0, 0, 96]  # 96 and 20 more
    assert _at(high, 120, begun=1)[1][3] == 80


def test_what_is_expected_is_told_with_the_ticks_that_are_left() -> None:
    """C5 E5 D5, then A5 C6: a second down, twelve ticks after its onset at 48."""
    after = [Note(12 * index, pitch, 12) for index, pitch in enumerate((72, 76, 74, 81, 84))]
    for tick, wait in ((49, 11), (54, 6), (59, 1), (60, 0), (90, 0)):
        recalled, pitches = _at((after, []), tick)
        assert _some(recalled, "predicted") == {
            "predicted_step_0": -1 + 16,
            "predicted_confidence_0": 1,
            "predicted_wait_0": wait,
            "predicted_step_1": 0,
            "predicted_confidence_1": 0,
            "predicted_wait_1": 0,
        }
        assert pitches[4] == 83  # B5
        assert _at((after, []), tick, part=1)[1][4] == 0
    recalled, pitches = _at((after, []), 48)  # before the C6
    assert not any(_some(recalled, "predicted").values())
    assert pitches[4] == 81


def test_wide_steps_are_expected_as_fifteen_white_keys() -> None:
    for top, told in ((84, 14), (86, 15), (88, 15), (108, 15)):
        leaps = [60, top, 60, top, 60]
        line = [Note(24 * index, pitch, 24) for index, pitch in enumerate(leaps)]
        assert _at((line, []), 97)[0]["predicted_step_0"] == told + 16
        assert _at((line, []), 73)[0]["predicted_step_0"] == -told + 16
        assert _at((line, []), 97)[1][4] == top


@pytest.mark.parametrize("row", [0, 1, 2])
def test_a_piece_recalls_the_same_wherever_it_lies(row: int) -> None:
    """The lower voice enters in the second bar, so one bar ago it had no note."""
    others: list[Voices] = [([Note(5, 90, 300)], [Note(7, 30, 300)])] * 2
    pieces = [*others[:row], _LITTLE, *others[row:]]
    recalled, _ = _recalled(pieces, [Place(row, 144, 1)], 96)[0]
    assert recalled["held_1_1"] == 1
    assert recalled["wait_1_1"] == 48  # to C3
    for tick in range(0, _LATEST, 6):
        for part in range(VOICES):
            there = _recalled(pieces, [Place(row, tick, part)], 96)
            assert there == [_at(_LITTLE, tick, part)]


# ------------------------------------------------------------------ against a slow restatement


@st.composite
def _lines(draw: st.DrawFn, start: int = 0) -> Line:
    """Voices of at most twelve notes with rests, and few pitches, so that some are predictable."""
    pitches = st.sampled_from(draw(st.sampled_from([(60, 62, 64), (21, 60, 62, 108)])))
    steps = st.tuples(
        st.sampled_from([0, 0, 0, 12, 60]), st.sampled_from([12, 12, 24, 90]), pitches
    )
    notes, tick = [], start
    for rest, length, pitch in draw(st.lists(steps, max_size=12)):
        notes.append(Note(tick + rest, pitch, length))
        tick += rest + length
    return notes


_PIECES = st.lists(st.tuples(_lines(), _lines()), min_size=1, max_size=3)
_BARS = st.sampled_from([0, 36, 48, 96])


def _places(count: int) -> st.SearchStrategy[Place]:
    voices = st.integers(0, VOICES - 1)
    ticks = st.integers(0, _LATEST // 12).map(lambda dozens: 12 * dozens)
    return st.builds(
        Place, st.integers(0, count - 1), ticks | st.integers(0, _LATEST), voices,
        st.integers(0, VOICES),
    )  # fmt: skip


def _looked_up(voices: Voices, place: Place, bar_ticks: int) -> tuple[list[int], list[int]]:
    """The columns and the pitches, as one would find them in the score."""
    now, columns = place.tick, []
    begun: dict[tuple[int, int], list[int]] = {}  # by bars back and voice, the pitches up to then
    for bars in (1, 2):
        then = now - bars * (bar_ticks or 96)
        for voice, line in enumerate(voices):
            notes = [note for note in line if note.onset_tick <= then] if then >= 0 else []
            begun[bars, voice] = [note.pitch for note in notes]
            sounding = [note for note in notes if note.offset_tick > then]
            waits = [note.onset_tick - then for note in line if then < note.onset_tick < now]
            ends = [note.offset_tick - then for note in sounding if note.offset_tick < now]
            held = sounding[0].pitch - 19 if sounding else 1
            told = [held, *(min(ticks[0], 63) if ticks else 0 for ticks in (waits, ends))]
            columns += told if then >= 0 else [0, 0, 0]
    heard = [
        (note.onset_tick, voice, note.pitch)
        for voice, line in enumerate(voices)
        for note in line
        if place.has_heard(voice, note)
    ]
    predictor, expected = MotifPredictor(), [(NO_PREDICTION, 0, 0)] * VOICES
    for tick, voice, pitch in sorted(heard):
        expected[voice] = predictor.observe(voice, tick, pitch), tick, pitch
    for after, tick, _ in expected:
        wait = min(max(tick + after.ticks - now, 0), 63) if after.confidence else 0
        step = min(max(after.step, -15), 15) + 16 if after.confidence else 0
        columns += [step, after.confidence, wait]
    after, _, last = expected[place.part]
    own, other = begun[1, place.part], begun[1, 1 - place.part]
    moved = last + own[-1] - own[-2] if last and len(own) > 1 else 0
    return columns, [
        *[pitches[-1] if pitches else 0 for pitches in (own, begun[2, place.part], other)],
        moved if 21 <= moved <= 108 else 0,
        after.pitch if after.confidence else last,
    ]


@given(pieces=_PIECES, bar_ticks=_BARS, data=st.data())
def test_it_recalls_what_one_looks_up_in_the_score(
    pieces: list[Voices], bar_ticks: int, data: st.DataObject
) -> None:
    places = data.draw(st.lists(_places(len(pieces)), min_size=1, max_size=6))
    for place, (columns, pitches) in zip(places, _recalled(pieces, places, bar_ticks), strict=True):
        expected = _looked_up(pieces[place.piece], place, bar_ticks)
        assert (list(columns.values()), pitches) == expected


# ------------------------------------------------------------------ nothing of the future


@given(pieces=_PIECES, bar_ticks=_BARS, data=st.data())
def test_what_is_still_to_come_never_shows(
    pieces: list[Voices], bar_ticks: int, data: st.DataObject
) -> None:
    """Inputs stay the same if later notes, the ends of sounding notes or other pieces change."""
    place = data.draw(_places(len(pieces)))
    changed: list[Voices] = [(data.draw(_lines()), data.draw(_lines())) for _ in pieces]
    future: list[Line] = []
    for voice, line in enumerate(pieces[place.piece]):
        past = [note for note in line if place.has_heard(voice, note)]
        end = place.tick + (voice < place.begun)  # may come now, or later
        if past and past[-1].offset_tick >= end:
            last, end = past[-1], end + data.draw(st.integers(0, 40))
            past[-1] = Note(last.onset_tick, last.pitch, max(1, end - last.onset_tick))
        future.append([*past, *data.draw(_lines(max(end, place.tick + (voice < place.begun))))])
    changed[place.piece] = (future[0], future[1])
    before = _recalled(pieces, [place], bar_ticks)
    assert _recalled(pieces, [place], bar_ticks, _stored(changed)) == before


@pytest.mark.parametrize("slips", [0, 8])
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 3), bar_ticks=_BARS)
@settings(max_examples=10)
def test_what_is_recalled_while_writing_is_what_is_recalled_of_the_whole_piece(
    legal_walks: Callable[..., list[np.ndarray]], slips: int, seed: int, count: int, bar_ticks: int
) -> None:
    """Compared after every token of several pieces that are composed together, in any order, with
    and without illegal tokens.
    """
    grammar = MusicalGrammar()
    walks = legal_walks(count, seed, 100, bar_ticks=bar_ticks)
    rng = np.random.default_rng(seed)
    wrong = np.delete(np.arange(VOCAB_SIZE), END)
    walks = [
        np.insert(walk, rng.integers(1, len(walk), slips), rng.choice(wrong, slips))
        for walk in walks
    ]
    lengths = np.array([len(walk) for walk in walks])
    along = grammar.states_along(walks[::-1], bar_ticks=[bar_ticks] * count, spare_slots=3)
    whole = index_notes(np.concatenate(walks[::-1]), lengths[::-1], along)
    first = (np.cumsum(lengths[::-1] + 1) - lengths[::-1] - 1)[::-1]  # the state before each piece
    growing, rows = GrowingNoteIndex(count), np.arange(count)
    state = grammar.initial_states(count, bar_ticks=bar_ticks)
    for place in range(int(lengths.max())):
        going = np.flatnonzero(lengths[rows] > place)
        rows, state = rows[going], state.take(going)
        tokens = np.array([walks[row][place] for row in rows], np.int64)
        grammar.advance(state, tokens)
        growing.update(state, rows, tokens)
        told = BarLag(growing, rows).encode(state)
        known = BarLag(whole, count - 1 - rows).encode(along.take(first[rows] + place + 1))
        for one, other in zip(told, known, strict=True):
            np.testing.assert_array_equal(np.stack(one), np.stack(other))


def test_a_slip_in_the_last_token_is_not_known_before_it_comes() -> None:
    """The illegal token is a second note in the same tick, in the voice that has just begun one."""
    tokens = [START, token_id(Kind.TEMPO, 16), token_id(Kind.VELOCITY, 19)]
    for pitch in (60, 64, 62, 69, 62):
        tokens += [token_id(Kind.NOTE_ON, pitch), token_id(Kind.TIME_SHIFT, 12)]
        tokens.append(token_id(Kind.NOTE_OFF, pitch))
    tokens += [token_id(Kind.NOTE_ON, 65), token_id(Kind.NOTE_ON, 67)]
    grammar = MusicalGrammar()
    along = grammar.states_along([tokens], spare_slots=3)
    whole = index_notes(np.array(tokens), np.array([len(tokens)]), along)
    growing, only, state = GrowingNoteIndex(1), np.array([0]), grammar.initial_states(1)
    for place, token in enumerate(tokens[:-1]):
        grammar.advance(state, [token])
        growing.update(state, only, np.array([token]))
        told = BarLag(growing, only).encode(state)
        known = BarLag(whole, only).encode(along.take(np.array([place + 1])))
        assert np.array_equal(told[0], known[0])
        assert np.array_equal(told[1], known[1])
    assert told[1][4].tolist() == [64]  # after D F, as after C E, a second down
