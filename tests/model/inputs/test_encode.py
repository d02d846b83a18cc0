"""Model inputs: values computed by hand, and every value within its embedding table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bicinium.grammar import MusicalGrammar, MusicalGrammarConfig
from bicinium.model.config import COMMON_METERS, ModelConfig
from bicinium.model.inputs.encode import UNKNOWN, PieceConditions, encode_along
from bicinium.model.inputs.layout import AT_REST, BAR_LAG_SIZES, REFERENCES, input_sizes
from bicinium.model.inputs.lookahead import Lookahead
from bicinium.model.inputs.voice_notes import voice_of
from bicinium.music.score import Meter
from bicinium.tokenizer.vocabulary import (
    END,
    KINDS,
    PITCHES,
    START,
    UNK,
    VOCAB_SIZE,
    Kind,
    token_id,
)

_CONFIG = ModelConfig(styles=("bach", "classical"))
_SWITCHES = ("state_embedding", "relative_pitch", "bar_lag", "lookahead")


def _told(
    meter: str | None = "3/4", mode: str | None = "minor",
    style: str | None = "classical", bars: int | None = 2, ending: str | None = AT_REST,
    config: ModelConfig = _CONFIG,
) -> PieceConditions:  # fmt: skip
    return PieceConditions.of(config, [meter], [mode], [style], [bars], [ending])


def _columns(rows: np.ndarray, config: ModelConfig = _CONFIG) -> dict[str, list[int]]:
    """Return the values of each feature at each token, counted from 0."""
    sizes = input_sizes(config)
    first = np.concatenate([[0], np.cumsum(list(sizes.values()))[:-1]])
    return {name: (rows[:, i] - first[i]).tolist() for i, name in enumerate(sizes)}


@pytest.fixture(scope="session")
def along(shown_along: Callable[..., np.ndarray]) -> Callable[..., dict[str, list[int]]]:
    """(tokens, conditions, what initial_state takes) → feature name → its value at each token."""

    def show(tokens: list[int], told: PieceConditions, **asked: int) -> dict[str, list[int]]:
        return _columns(shown_along(_CONFIG, tokens, told, **asked))

    return show


_C5, _A4, _C3 = 72, 69, 48
# Two bars of 3/4 (72 ticks each): C5 for a quarter, A4 from there to the second barline, C3 below
# from the start until 36 ticks into the second bar, rests to the end.
_PIECE = [
    START,
    token_id(Kind.TEMPO, 16),
    token_id(Kind.VELOCITY, 19),
    token_id(Kind.NOTE_ON, _C5),
    token_id(Kind.PART, 1),
    token_id(Kind.NOTE_ON, _C3),
    token_id(Kind.TIME_SHIFT, 24),
    token_id(Kind.PART, 0),
    token_id(Kind.NOTE_OFF, _C5),
    token_id(Kind.NOTE_ON, _A4),
    token_id(Kind.TIME_SHIFT, 48),
    token_id(Kind.NOTE_OFF, _A4),
    token_id(Kind.TIME_SHIFT, 36),
    token_id(Kind.PART, 1),
    token_id(Kind.NOTE_OFF, _C3),
    token_id(Kind.TIME_SHIFT, 36),
    END,
]
_ON_C5, _ON_A4, _ON_C3 = _C5 - 20, _A4 - 20, _C3 - 20  # 0 is none, 1 is A0 (21)
# 0 is not known, or before the piece; 1 silence; 2 is A0
_SEEN_C5, _SEEN_A4, _SEEN_C3 = _C5 - 19, _A4 - 19, _C3 - 19
_COUNTED = {
    "token": _PIECE,
    "position": [0] * 6 + [24] * 4 + [0] * 2 + [36] * 3 + [0] * 2,
    "pulse": [0] * 12 + [12] * 3 + [0] * 2,
    "part": [0] * 4 + [1] * 3 + [0] * 6 + [1] * 4,
    "velocity": [0] * 2 + [20] * 15,
    "pitch_0": [0] * 3 + [_ON_C5] * 6 + [_ON_A4] * 8,
    # the age of a sounding note in ticks, plus 1; 0 where the voice is silent; from four quarters
    # (96 ticks) on the age is in quarters, so that 108 ticks are still 96
    "age_0": [0] * 3 + [1] * 3 + [25] * 2 + [0] + [1] + [49] + [0] * 6,
    "pitch_1": [0] * 5 + [_ON_C3] * 12,
    "age_1": [0] * 5 + [1] + [25] * 4 + [73] * 2 + [97] * 2 + [0] * 3,
    # while both sound: the upper above the lower, plus 37
    "interval": [0] * 5 + [24 + 37] * 3 + [0] + [21 + 37] * 2 + [0] * 6,
    "bars_left": [2] * 10 + [1] * 5 + [0] * 2,
    # in the same classes as ages: 144 and 120 ticks are six and five quarters
    "ticks_left": [99] * 6 + [98] * 4 + [73] * 2 + [37] * 3 + [1] * 2,
    # C is the first class; from onset to onset 24 ticks, in the classes of ages; C5 to A4 goes down
    # three, and 25 is no step at all
    "class_0": [0] * 3 + [1] * 6 + [10] * 8,
    "gap_0": [0] * 9 + [25] * 8,
    "step_0_0": [0] * 9 + [22] * 8,
    "step_0_1": [0] * 17,
    "class_1": [0] * 5 + [1] * 12,
    "gap_1": [0] * 17,
    "step_1_0": [0] * 17,
    "step_1_1": [0] * 17,
    # a bar before the ticks 72, 108 and 144, that is at 0, 36 and 72: what was held, the ticks
    # until the next note, and until the end of the one that was held, where that is past by now
    "held_1_0": [0] * 10 + [_SEEN_C5] * 2 + [_SEEN_A4] * 3 + [1] * 2,
    "wait_1_0": [0] * 10 + [24] * 2 + [0] * 5,
    "end_1_0": [0] * 10 + [24] * 2 + [36] * 3 + [0] * 2,
    "held_1_1": [0] * 10 + [_SEEN_C3] * 7,
    "wait_1_1": [0] * 17,
    "end_1_1": [0] * 15 + [36] * 2,
    # two bars before the end, at the beginning; 63 is for longer waits, here for 108 ticks
    "held_2_0": [0] * 15 + [_SEEN_C5] * 2,
    "wait_2_0": [0] * 15 + [24] * 2,
    "end_2_0": [0] * 15 + [24] * 2,
    "held_2_1": [0] * 15 + [_SEEN_C3] * 2,
    "wait_2_1": [0] * 17,
    "end_2_1": [0] * 15 + [63] * 2,
    # nothing comes twice, so nothing is expected
    **{name: [0] * 17 for name in BAR_LAG_SIZES if name.startswith("predicted")},
    "meter": [COMMON_METERS.index("3/4") + 1] * 17,
    "mode": [2] * 17,
    "style": [2] * 17,
    "bars": [2] * 17,
    "ending": [2] * 17,
}


@pytest.mark.parametrize("name", _COUNTED)
def test_features_equal_what_one_counts_by_hand(
    along: Callable[..., dict[str, list[int]]], name: str
) -> None:
    seen = along(_PIECE, _told(), bar_ticks=72, bars=2)
    assert seen[name] == _COUNTED[name]


# Of each token: the last two pitches of the part that is written and the last of the other; what
# the part held a bar ago, and two, and the other a bar ago; the last pitch, moved as the part moved
# a bar ago (from C5 to A4 it did); and where nothing is expected again the last.
_NONE = 60
_MEASURED_FROM = [
    *[[_NONE] * 8] * 3,
    [_C5, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _C5],
    [_NONE, _NONE, _C5, _NONE, _NONE, _NONE, _NONE, _NONE],
    *[[_C3, _NONE, _C5, _NONE, _NONE, _NONE, _NONE, _C3]] * 2,
    *[[_C5, _NONE, _C3, _NONE, _NONE, _NONE, _NONE, _C5]] * 2,
    [_A4, _C5, _C3, _NONE, _NONE, _NONE, _NONE, _A4],
    *[[_A4, _C5, _C3, _C5, _NONE, _C3, _NONE, _A4]] * 2,
    [_A4, _C5, _C3, _A4, _NONE, _C3, _A4 - 3, _A4],
    *[[_C3, _NONE, _A4, _C3, _NONE, _A4, _NONE, _C3]] * 2,
    *[[_C3, _NONE, _A4, _C3, _C3, _A4, _NONE, _C3]] * 2,
]


def _references(rows: np.ndarray) -> np.ndarray:
    """(T, REFERENCES) pitches, counted from the lowest of the piano."""
    return rows[:, -REFERENCES - 1 : -1]


def test_the_pitches_to_measure_from_equal_what_one_counts_by_hand(
    shown_along: Callable[..., np.ndarray],
) -> None:
    rows = shown_along(_CONFIG, _PIECE, _told(), bar_ticks=72, bars=2)
    assert (_references(rows) + 21).tolist() == _MEASURED_FROM


def test_without_memory_nothing_is_remembered_to_measure_from(
    shown_along: Callable[..., np.ndarray],
) -> None:
    config = _CONFIG.model_copy(update={"bar_lag": False})
    rows = shown_along(config, _PIECE, _told(config=config), bar_ticks=72, bars=2)
    forgetful = [[*pitches[:3], *[_NONE] * 5] for pitches in _MEASURED_FROM]
    assert (_references(rows) + 21).tolist() == forgetful


@pytest.mark.parametrize(
    ("switch", "absent"),
    [
        ("relative_pitch", ("class_", "gap_", "step_")),
        ("bar_lag", tuple(BAR_LAG_SIZES)),
    ],
)
def test_what_is_switched_off_is_not_shown_and_the_rest_stays(
    along: Callable[..., dict[str, list[int]]],
    shown_along: Callable[..., np.ndarray],
    switch: str,
    absent: tuple[str, ...],
) -> None:
    config = _CONFIG.model_copy(update={switch: False})
    rows = shown_along(config, _PIECE, _told(config=config), bar_ticks=72, bars=2)
    whole = along(_PIECE, _told(), bar_ticks=72, bars=2)
    assert any(name.startswith(absent) for name in whole)
    assert _columns(rows, config) == {
        name: values for name, values in whole.items() if not name.startswith(absent)
    }
    assert rows.shape[1] == len(input_sizes(config)) + REFERENCES + 1


_TICKS = [0] * 6 + [24] * 4 + [72] * 2 + [108] * 3 + [144] * 2
# The same piece, all of its lower voice known beforehand, its upper from the second beat to the
# end. By tick: 0, 24, 72, 108, 144.
_FORESEEN = {
    "known_0": [0, _SEEN_A4, 1, 1, 0],
    "next_0_0": [_SEEN_A4, 0, 0, 0, 0],
    "until_0_0": [24 + 1, 0, 0, 0, 0],
    "next_0_1": [0, 0, 0, 0, 0],
    "until_0_1": [0, 0, 0, 0, 0],
    "beat_0_1": [_SEEN_A4, _SEEN_A4, 1, 1, 0],
    "beat_0_2": [_SEEN_A4, 1, 1, 0, 0],
    "beat_0_4": [1, 1, 0, 0, 0],
    "known_1": [_SEEN_C3, _SEEN_C3, _SEEN_C3, 1, 1],
    "next_1_0": [0, 0, 0, 0, 0],
    "until_1_0": [0, 0, 0, 0, 0],
    "next_1_1": [0, 0, 0, 0, 0],
    "until_1_1": [0, 0, 0, 0, 0],
    "beat_1_1": [_SEEN_C3, _SEEN_C3, _SEEN_C3, 1, 1],
    "beat_1_2": [_SEEN_C3, _SEEN_C3, 1, 1, 1],
    "beat_1_4": [_SEEN_C3, 1, 1, 1, 1],
}


@pytest.fixture(scope="module")
def foreseen_rows(shown_along: Callable[..., np.ndarray]) -> np.ndarray:
    """The rows of ``_PIECE`` with that foresight."""
    voices = [voice_of([(0, _C5, 24), (24, _A4, 48)]), voice_of([(0, _C3, 108)])]
    known = Lookahead(voices, [(24, 144), (0, 2**30)])
    return shown_along(_CONFIG, _PIECE, _told(), known, bar_ticks=72, bars=2)


@pytest.mark.parametrize("name", _FORESEEN)
def test_what_is_known_to_come_equals_what_one_counts_by_hand(
    name: str, foreseen_rows: np.ndarray
) -> None:
    by_tick = dict(zip([0, 24, 72, 108, 144], _FORESEEN[name], strict=True))
    assert _columns(foreseen_rows)[name] == [by_tick[tick] for tick in _TICKS]


def test_what_is_known_to_come_changes_nothing_else(
    along: Callable[..., dict[str, list[int]]], foreseen_rows: np.ndarray
) -> None:
    foreseen = _columns(foreseen_rows)
    blind = along(_PIECE, _told(), bar_ticks=72, bars=2)
    assert all(foreseen[name] == blind[name] for name in _COUNTED)
    assert all(set(blind[name]) == {UNKNOWN} for name in _FORESEEN)
    assert (_references(foreseen_rows) + 21).tolist() == _MEASURED_FROM


def test_the_last_column_is_the_tick(
    shown_along: Callable[..., np.ndarray], foreseen_rows: np.ndarray
) -> None:
    rows = shown_along(_CONFIG, _PIECE, _told(), bar_ticks=72, bars=2)
    assert rows[:, -1].tolist() == foreseen_rows[:, -1].tolist() == _TICKS
    assert rows.shape[1] == len(input_sizes(_CONFIG)) + REFERENCES + 1


def test_the_counted_tables_have_every_feature() -> None:
    assert [*_COUNTED, *_FORESEEN] == list(input_sizes(_CONFIG))
    blind = _CONFIG.model_copy(update={"lookahead": False})
    assert list(_COUNTED) == list(input_sizes(blind))


def test_long_notes_and_long_pieces_are_told_in_coarser_classes(
    along: Callable[..., dict[str, list[int]]],
) -> None:
    """Ages are exact below 96 ticks, then in quarters. Bars are exact to 64, then in eight classes
    to the doubling. Classes never fall, and they end at the last of the table.
    """
    hold = [
        START,
        token_id(Kind.TEMPO, 0),
        token_id(Kind.VELOCITY, 19),
        token_id(Kind.NOTE_ON, _C5),
        *[token_id(Kind.TIME_SHIFT, 1)] * 900,
    ]
    seen = along(hold, _told(bars=250), bar_ticks=72, bars=250)
    ages = seen["age_0"][3:]
    assert ages[:96] == list(range(1, 97))
    assert ages[96] == ages[119] == 97
    assert ages[120] == 98
    assert ages[-1] == 127  # of 128
    assert sorted(ages) == ages
    sizes = input_sizes(_CONFIG)
    bars = [along(hold[:1], _told(bars=n), bar_ticks=72, bars=n)["bars"][0] for n in
            range(1, 257)]  # fmt: skip
    assert bars[:64] == list(range(1, 65))
    assert sorted(bars) == bars
    assert bars[127] - bars[63] == 8
    assert bars[-1] < sizes["bars"]


def test_wide_steps_and_long_gaps_are_told_in_classes(
    along: Callable[..., dict[str, list[int]]],
) -> None:
    """Steps beyond two octaves count as two octaves. Gaps of 62 ticks or more are one class."""
    leaps = [START, token_id(Kind.TEMPO, 0), token_id(Kind.VELOCITY, 19)]
    for pitch, ticks in ((36, 200), (84, 1), (83, 61), (30, 62), (31, 12)):
        leaps += [token_id(Kind.NOTE_ON, pitch), token_id(Kind.TIME_SHIFT, ticks)]
        leaps += [token_id(Kind.NOTE_OFF, pitch)]
    seen = along(leaps, _told(bars=None), bar_ticks=72)
    told = {name: seen[name][3::3] for name in ("step_0_0", "step_0_1", "gap_0")}
    assert told["step_0_0"] == [0, 24 + 25, -1 + 25, -24 + 25, 1 + 25]
    assert told["step_0_1"] == [0, 0, 24 + 25, -1 + 25, -24 + 25]
    assert told["gap_0"] == [0, 63, 2, 62, 63]


@given(
    seed=st.integers(0, 2**32 - 1),
    meter=st.sampled_from(COMMON_METERS),
    bars=st.integers(1, 80),
    style=st.sampled_from([None, "bach", "someone else"]),
    shape=st.fixed_dictionaries(dict.fromkeys(_SWITCHES, st.booleans())),
)
@settings(max_examples=40, deadline=None)
def test_every_feature_of_every_legal_walk_lies_in_its_range(
    legal_walks: Callable[..., list[np.ndarray]],
    shown_along: Callable[..., np.ndarray],
    seed: int,
    meter: str,
    bars: int,
    style: str | None,
    shape: dict[str, bool],
) -> None:
    config = _CONFIG.model_copy(update=shape)
    asked = {"bar_ticks": Meter.parse(meter).bar_ticks, "bars": bars}
    (walk,) = legal_walks(1, seed, **asked)
    told = _told(meter, "major", style, bars, config)
    rows = shown_along(config, walk, told, **asked)
    for name, values in _columns(rows, config).items():
        assert min(values) >= 0, name
        assert max(values) < input_sizes(config)[name], name
    assert _on_the_piano(_references(rows))
    assert rows[:, 0].tolist() == walk.tolist()


def _on_the_piano(pitches: np.ndarray) -> bool:
    """Counted from the lowest."""
    return bool((pitches >= 0).all() and (pitches < PITCHES).all())


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_even_noise_keeps_every_feature_in_its_range(
    shown_along: Callable[..., np.ndarray], seed: int
) -> None:
    """Without the grammar a model may say anything at all."""
    tokens = np.random.default_rng(seed).integers(0, VOCAB_SIZE, 400).tolist()
    rows = shown_along(_CONFIG, tokens, _told(), bar_ticks=72, bars=2)
    assert _on_the_piano(_references(rows))
    for name, values in _columns(rows).items():
        assert min(values) >= 0, name
        assert max(values) < input_sizes(_CONFIG)[name], name


def test_after_a_slip_the_model_sees_the_last_note_that_still_sounds(
    shown_along: Callable[..., np.ndarray],
) -> None:
    """C5 is not ended, which is an error. A4 begins beside it and ends, and then C5 ends."""
    tokens = [
        START,
        token_id(Kind.TEMPO, 16),
        token_id(Kind.VELOCITY, 19),
        token_id(Kind.NOTE_ON, _C5),
        token_id(Kind.TIME_SHIFT, 12),
        token_id(Kind.NOTE_OFF, _C3),
        token_id(Kind.NOTE_ON, _A4),
        token_id(Kind.TIME_SHIFT, 12),
        token_id(Kind.NOTE_OFF, _A4),
        token_id(Kind.TIME_SHIFT, 12),
        token_id(Kind.NOTE_OFF, _C5),
    ]
    rows = shown_along(_CONFIG, tokens, _told(), bar_ticks=72, bars=2)
    seen = _columns(rows)
    assert seen["pitch_0"][3:] == [_ON_C5] * 3 + [_ON_A4] * 2 + [_ON_C5] * 2 + [_ON_A4]
    assert seen["age_0"][3:] == [1, 13, 13, 1, 13, 25, 37, 0]
    assert _references(rows)[3:, 0].tolist() == [pitch - 1 for pitch in seen["pitch_0"][3:]]


def test_features_of_a_token_do_not_know_what_follows(
    along: Callable[..., dict[str, list[int]]],
) -> None:
    other = [*_PIECE[:8], token_id(Kind.NOTE_OFF, _C5), token_id(Kind.TIME_SHIFT, 48), END]
    told = _told()
    whole = along(_PIECE, told, bar_ticks=72, bars=2)
    changed = along(other, told, bar_ticks=72, bars=2)
    for name in whole:
        assert whole[name][:9] == changed[name][:9], name
    assert whole["token"][9] != changed["token"][9]


def test_unknown_conditions_are_zero_and_hide_the_bars_left(
    along: Callable[..., dict[str, list[int]]],
) -> None:
    told = _told(None, None, None, None, None)
    seen = along(_PIECE, told, bar_ticks=72, bars=2)
    for name in ("meter", "mode", "style", "bars", "ending", "bars_left", "ticks_left"):
        assert set(seen[name]) == {UNKNOWN}, name
    assert set(seen["position"]) != {0}  # the automaton still counts


def test_a_style_the_model_was_not_trained_on_counts_as_unknown() -> None:
    assert PieceConditions.of(_CONFIG, ["4/4"], ["major"], ["salieri"], [4]).style.tolist() == [0]
    assert PieceConditions.of(_CONFIG, ["4/4"], ["major"], ["bach"], [4]).style.tolist() == [1]


def test_with_all_switched_off_only_token_and_conditions_are_shown(
    shown_along: Callable[..., np.ndarray],
) -> None:
    config = _CONFIG.model_copy(update=dict.fromkeys(_SWITCHES, False))
    assert list(input_sizes(config)) == ["token", "meter", "mode", "style", "bars", "ending"]
    rows = shown_along(config, _PIECE, _told(config=config), bar_ticks=72, bars=2)
    assert rows.shape == (len(_PIECE), 6 + REFERENCES + 1)


def test_a_row_of_conditions_is_that_of_one_piece() -> None:
    told = PieceConditions.of(
        _CONFIG, ["2/4", "3/4"], ["major", "minor"], ["bach", None], [8, 16],
        [None, "open"])  # fmt: skip
    assert told.rows() == [(1, 1, 1, 8, 0), (2, 2, 0, 16, 1)]


def _with_slips(walks: list[np.ndarray], slips: int, seed: int) -> list[np.ndarray]:
    """The walks with tokens in them that do not belong there."""
    rng, wrong = np.random.default_rng(seed), np.delete(np.arange(VOCAB_SIZE), END)
    return [
        np.insert(walk, rng.integers(1, len(walk), slips), rng.choice(wrong, slips))
        for walk in walks
    ]


@pytest.mark.parametrize("slips", [0, 8])
@given(seed=st.integers(0, 2**32 - 1), start=st.integers(0, 40), ahead=st.booleans())
@settings(max_examples=20)
def test_a_whole_piece_reads_as_it_does_token_by_token(
    legal_walks: Callable[..., list[np.ndarray]],
    shown_along: Callable[..., np.ndarray],
    slips: int,
    seed: int,
    start: int,
    ahead: bool,
) -> None:
    (walk,) = _with_slips(legal_walks(1, seed, 100, bar_ticks=96), slips, seed)
    voices = [voice_of([(0, 60, 24), (30, 62, 400)]), voice_of([(24, 40, 20)])]
    lookahead = Lookahead(voices, [(0, 2**30), (24, 48)]) if ahead else None
    told = PieceConditions.of(_CONFIG, ["4/4"], ["minor"], ["bach"], [seed % 5])
    written = shown_along(_CONFIG, walk, told, lookahead, bar_ticks=96)
    along = MusicalGrammar().states_along([walk], bar_ticks=[96])
    after = along.take(np.arange(1, len(along)))
    read = encode_along(_CONFIG, after, walk, told.rows()[0], lookahead, start)
    np.testing.assert_array_equal(read, written[start:])


def test_an_id_outside_the_vocabulary_is_read_as_unknown(
    shown_along: Callable[..., np.ndarray],
) -> None:
    rows = shown_along(_CONFIG, [START, VOCAB_SIZE, -1, 10**6], _told(), bar_ticks=72, bars=2)
    assert rows[:, 0].tolist() == [START, UNK, UNK, UNK]


@pytest.mark.parametrize(("tokens", "count"), [([START], 2), ([START] * 2, 1), ([], 1)])
def test_as_many_states_as_tokens_are_needed(tokens: list[int], count: int) -> None:
    states = MusicalGrammar().initial_states(count)
    with pytest.raises(ValueError, match=f"where {count} are needed"):
        encode_along(_CONFIG, states, tokens, _told().rows()[0])


def test_a_grammar_of_one_voice_is_refused() -> None:
    states = MusicalGrammar(MusicalGrammarConfig(voices=1)).initial_states(1)
    with pytest.raises(ValueError, match=r"must have 2 voices \(got 1\)"):
        encode_along(_CONFIG, states, [START], _told().rows()[0])


def test_the_walks_of_these_tests_are_full_of_notes(
    legal_walks: Callable[..., list[np.ndarray]],
) -> None:
    walks = legal_walks(4, 1, bar_ticks=96, bars=8)
    kinds = np.bincount(KINDS[np.concatenate(walks)], minlength=len(Kind))
    assert kinds[Kind.NOTE_ON] > 20
    assert kinds[Kind.END] == 4
