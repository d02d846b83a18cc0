import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bicinium.tokenizer import vocabulary
from bicinium.tokenizer.vocabulary import (
    BLOCKS,
    END,
    KINDS,
    PAD,
    START,
    UNK,
    VALUES,
    VOCAB_SIZE,
    Kind,
    bin_tempo_qpm,
    bin_velocity,
    describe,
    tempo_bin,
    token_id,
    velocity_bin,
    vocabulary_hash,
)

TABLE = [  # as the design has it: kind, first id, first value, last id, last value
    (Kind.START, 0, 0, 0, 0),
    (Kind.END, 1, 0, 1, 0),
    (Kind.PAD, 2, 0, 2, 0),
    (Kind.UNK, 3, 0, 3, 0),
    (Kind.NOTE_ON, 4, 21, 91, 108),
    (Kind.NOTE_OFF, 92, 21, 179, 108),
    (Kind.TIME_SHIFT, 180, 1, 691, 512),
    (Kind.VELOCITY, 692, 0, 723, 31),
    (Kind.SUSTAIN_ON, 724, 0, 724, 0),
    (Kind.SUSTAIN_OFF, 725, 0, 725, 0),
    (Kind.TEMPO, 726, 0, 757, 31),
    (Kind.PART, 758, 0, 773, 15),
]


def test_there_are_774_tokens() -> None:
    assert VOCAB_SIZE == len(KINDS) == len(VALUES) == 774


def test_the_special_tokens_come_first() -> None:
    assert (START, END, PAD, UNK) == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("kind", "first_id", "first_value", "last_id", "last_value"),
    TABLE,
    ids=[row[0].name for row in TABLE],
)
def test_ids_are_those_of_the_table(
    kind: Kind, first_id: int, first_value: int, last_id: int, last_value: int
) -> None:
    assert token_id(kind, first_value) == first_id
    assert token_id(kind, last_value) == last_id
    assert last_id - first_id == last_value - first_value
    assert (KINDS[first_id : last_id + 1] == kind).all()
    assert BLOCKS[kind].ids == slice(first_id, last_id + 1)
    for outside in (first_value - 1, last_value + 1):
        with pytest.raises(ValueError, match=rf"{kind.name} must be .* \(got {outside}\)"):
            token_id(kind, outside)


def test_the_table_leaves_no_id_out() -> None:
    assert [kind for kind, *_ in TABLE] == list(Kind)
    assert all(later[1] == earlier[3] + 1 for earlier, later in pairwise(TABLE))
    assert TABLE[-1][3] == VOCAB_SIZE - 1


def test_the_pair_of_the_failure_that_began_it_all_does_not_pair() -> None:
    assert (KINDS[43], VALUES[43]) == (Kind.NOTE_ON, 60)
    assert (KINDS[171], VALUES[171]) == (Kind.NOTE_OFF, 100)
    assert token_id(Kind.NOTE_ON, 60) == 43
    assert token_id(Kind.NOTE_OFF, 100) == 171


def test_a_token_is_its_kind_and_value() -> None:
    pairs = [(Kind(kind), int(value)) for kind, value in zip(KINDS, VALUES, strict=True)]
    assert [token_id(kind, value) for kind, value in pairs] == list(range(VOCAB_SIZE))


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (0, "START"),
        (1, "END"),
        (2, "PAD"),
        (3, "UNK"),
        (43, "NOTE_ON 43 (C4)"),
        (171, "NOTE_OFF 171 (E7)"),
        (180, "TIME_SHIFT 180 (1 tick)"),
        (203, "TIME_SHIFT 203 (24 ticks)"),
        (692, "VELOCITY 692 (velocity 3)"),
        (724, "SUSTAIN_ON"),
        (725, "SUSTAIN_OFF"),
        (726, "TEMPO 726 (30 quarter notes a minute)"),
        (757, "TEMPO 757 (240 quarter notes a minute)"),
        (759, "PART 759 (part 1)"),
        (774, "token 774 (not in the vocabulary)"),
        (-1, "token -1 (not in the vocabulary)"),
    ],
)
def test_a_token_is_described_in_words(token: int, words: str) -> None:
    assert describe(token) == words


def test_no_two_tokens_have_the_same_words() -> None:
    assert len({describe(token) for token in range(VOCAB_SIZE)}) == VOCAB_SIZE


def test_words_name_the_token_they_describe() -> None:
    for token in range(VOCAB_SIZE):
        named = re.fullmatch(r"([A-Z_]+)(?: (\d+) \(.+\))?", describe(token))
        assert named
        assert Kind[named[1]] == KINDS[token]
        assert named[2] in (None, str(token))


class TestVelocity:
    def test_every_velocity_is_within_two_of_its_bin(self) -> None:
        for velocity in range(1, 128):
            assert 0 <= velocity_bin(velocity) < 32
            assert abs(bin_velocity(velocity_bin(velocity)) - velocity) <= 2

    def test_bins_rise_with_velocity_and_all_are_used(self) -> None:
        bins = [velocity_bin(velocity) for velocity in range(1, 128)]
        assert bins == sorted(bins)
        assert set(bins) == set(range(32))

    @pytest.mark.parametrize("index", range(32))
    def test_a_bin_stands_for_a_velocity_that_falls_into_it(self, index: int) -> None:
        assert 1 <= bin_velocity(index) <= 127
        assert velocity_bin(bin_velocity(index)) == index


class TestTempo:
    @pytest.mark.parametrize(("tempo_qpm", "index"), [(30, 0), (240, 31), (1, 0), (1000, 31)])
    def test_the_scale_ends_at_30_and_240(self, tempo_qpm: float, index: int) -> None:
        assert tempo_bin(tempo_qpm) == index

    @pytest.mark.parametrize("index", range(32))
    def test_a_bin_stands_for_a_tempo_that_falls_into_it(self, index: int) -> None:
        assert tempo_bin(bin_tempo_qpm(index)) == index

    def test_steps_are_equal_in_ratio(self) -> None:
        tempi = [bin_tempo_qpm(index) for index in range(32)]
        assert tempi[0] == 30
        assert tempi[-1] == pytest.approx(240)
        ratios = [later / earlier for earlier, later in pairwise(tempi)]
        assert ratios == pytest.approx([8 ** (1 / 31)] * 31)

    @given(st.floats(30, 240))
    def test_a_tempo_goes_to_the_nearest_bin(self, tempo_qpm: float) -> None:
        ratios = [abs(np.log(bin_tempo_qpm(index) / tempo_qpm)) for index in range(32)]
        assert ratios[tempo_bin(tempo_qpm)] == pytest.approx(min(ratios))


class TestHash:
    def test_is_the_one_that_checkpoints_carry(self) -> None:
        """A change here makes every checkpoint so far unreadable: be sure that you want that."""
        assert vocabulary_hash() == "1263da17d6ffb186"

    @pytest.mark.parametrize(
        ("scale", "other"),
        [
            ("bin_velocity", lambda index: 4 * index + 1),
            ("bin_tempo_qpm", lambda index: 20.0 + index),
        ],
    )
    def test_changes_with_the_meaning_of_a_bin(
        self, scale: str, other: object, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = vocabulary_hash()
        monkeypatch.setattr(vocabulary, scale, other)
        assert vocabulary_hash() != before

    def test_changes_with_the_layout(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = vocabulary_hash()
        swapped = (*BLOCKS[:4], BLOCKS[5], BLOCKS[4], *BLOCKS[6:])
        monkeypatch.setattr(vocabulary, "BLOCKS", swapped)
        assert vocabulary_hash() != before
