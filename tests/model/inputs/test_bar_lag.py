"""Bar-lag inputs: values computed by hand, and a slow reference."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bicinium.grammar import MusicalGrammar
from bicinium.grammar.state import State
from bicinium.model.inputs.bar_lag import BarLag
from bicinium.model.inputs.layout import BAR_LAG_SIZES, LAGGED_REFERENCES
from bicinium.model.inputs.motif_predictor import NO_PREDICTION, MotifPredictor
from bicinium.model.inputs.row import Row
from bicinium.music.score import VOICES, Note
from bicinium.tokenizer.vocabulary import END, Kind, token_id

Line = list[Note]
Voices = tuple[Line, Line]

_LATEST = 300  # ticks


class Place(NamedTuple):
    """A place in a piece: at ``tick``, the events of the first ``begun`` voices have happened."""

    tick: int
    part: int
    begun: int = 0

    def is_past(self, voice: int, tick: int) -> bool:
        return tick < self.tick + (voice < self.begun)


def _remembered(voices: Voices, place: Place, bar_ticks: int = 96) -> tuple[State, BarLag]:
    """The state, and what is remembered, when all tokens up to a place have been read."""
    state, past = MusicalGrammar().initial_state(bar_ticks=bar_ticks), BarLag()

    def read(kind: Kind, value: int) -> None:
        state.advance(token_id(kind, value))
        past.observe(state, token_id(kind, value))

    events = [
        event
        for voice, line in enumerate(voices)
        for note in line
        for event in (
            (note.onset_tick, voice, Kind.NOTE_ON, note.pitch),
            (note.offset_tick, voice, Kind.NOTE_OFF, note.pitch),
        )
        if place.is_past(voice, event[0])
    ]
    for tick, voice, kind, pitch in sorted(events, key=lambda e: (*e[:2], e[2] == Kind.NOTE_ON)):
        if tick > state.tick:
            read(Kind.TIME_SHIFT, tick - state.tick)
        read(Kind.PART, voice)
        read(kind, pitch)
    if place.tick > state.tick:
        read(Kind.TIME_SHIFT, place.tick - state.tick)
    read(Kind.PART, place.part)
    return state, past


def _recalled(
    voices: Voices, place: Place, bar_ticks: int = 96
) -> tuple[dict[str, int], list[int]]:
    """The columns by name, and the pitches."""
    state, past = _remembered(voices, place, bar_ticks)
    table = np.full((1, len(BAR_LAG_SIZES)), -1, np.int32)
    past.put_columns(state, Row(table.data, np.zeros(table.shape[1], np.int32).data))
    pitches = [past.reference(which, state) for which in range(LAGGED_REFERENCES)]
    return dict(zip(BAR_LAG_SIZES, table[0].tolist(), strict=True)), pitches


def _at(voices: Voices, tick: int, part: int = 0, begun: int = 0, bar_ticks: int = 96) -> (
    tuple[dict[str, int], list[int]]
):  # fmt: skip
    return _recalled(voices, Place(tick, part, begun), bar_ticks)


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
    due = []
    for place in (Place(84, 0), Place(84, 1), Place(96, 1), Place(85, 0), Place(0, 0)):
        state, past = _remembered(voices, place)
        said = past.predicted_now(state)
        due.append([said.confidence, said.step, said.ticks, said.pitch])
    above, still_below, below, later, first = due
    assert above == below == [3, -1, 12, 64]
    assert still_below == [5, 2, 12, 65]
    assert later == first == [0, 0, 0, 0]


def test_of_several_notes_at_one_tick_the_first_predicts() -> None:
    """C5 E5 D5 A5 C6, and in the tick of the C6, illegally, C5 and D3. The C6 predicted B5."""
    after = [Note(12 * index, pitch, 12) for index, pitch in enumerate((72, 76, 74, 81, 84))]
    state, past = _remembered((after, []), Place(48, 0, 1))
    for pitch in (72, 50):
        state.advance(token_id(Kind.NOTE_ON, pitch))
        past.observe(state, token_id(Kind.NOTE_ON, pitch))
    state.advance(token_id(Kind.TIME_SHIFT, 12))
    assert past.predicted_now(state).pitch == 83


def test_nothing_happens_after_the_end() -> None:
    state, past = _remembered(_LITTLE, Place(216, 0, 2))
    for token in (END, token_id(Kind.NOTE_ON, 90), token_id(Kind.NOTE_OFF, 64)):
        state.advance(token)
        past.observe(state, token)
    assert [voice.count for voice in past.voices] == [3, 2]
    assert past.voices[0].held_class(216) == _E4 + _HELD


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


_TICKS = st.integers(0, _LATEST // 12).map(lambda dozens: 12 * dozens) | st.integers(0, _LATEST)
_PLACES = st.builds(Place, _TICKS, st.integers(0, VOICES - 1), st.integers(0, VOICES))


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
        if place.is_past(voice, note.onset_tick)
    ]
    predictor = MotifPredictor()
    expected = [(NO_PREDICTION, 0, 0)] * VOICES
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


@given(
    voices=st.tuples(_lines(), _lines()),
    bar_ticks=st.sampled_from([0, 36, 48, 96]),
    places=st.lists(_PLACES, min_size=1, max_size=6),
)
def test_it_recalls_what_one_looks_up_in_the_score(
    voices: Voices, bar_ticks: int, places: list[Place]
) -> None:
    for place in places:
        columns, pitches = _recalled(voices, place, bar_ticks)
        assert (list(columns.values()), pitches) == _looked_up(voices, place, bar_ticks)
