from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bicinium.errors import TokenError
from bicinium.formats.midi import read_midi
from bicinium.music.key import ALL_KEYS, Key
from bicinium.music.score import Meter, Note, Score, Voice
from bicinium.music.voice_reduction import reduce_to_two_voices
from bicinium.tokenizer.codec import LOWEST_AUDIBLE_BIN, decode, encode, snap
from bicinium.tokenizer.vocabulary import (
    KINDS,
    START,
    VALUES,
    Kind,
    bin_tempo_qpm,
    token_id,
)

COMMON_TIME = Meter(4, 4)


def spelled(text: str) -> list[int]:
    """The tokens of ``START, NOTE_ON 60, TIME_SHIFT 24``: kinds and their values, not ids."""
    words = [part.split() for part in text.replace("\n", " ").split(",")]
    return [token_id(Kind[kind], int(value[0]) if value else 0) for kind, *value in words]


def score(upper: Sequence[Note], lower: Sequence[Note] = (), bars: int = 1, **changes) -> Score:
    return Score((Voice(tuple(upper)), Voice(tuple(lower))), bars, **changes)


def round_trip(piece: Score) -> Score:
    return decode(
        encode(piece), piece.meter, piece.key, piece.anacrusis_ticks, parts=len(piece.voices)
    )


class TestSpelling:
    def test_one_note_token_by_token(self) -> None:
        piece = score([Note(0, 60, 96, 79)], tempo_qpm=30.0)
        assert encode(piece).tolist() == [
            0,  # START
            726,  # TEMPO, the slowest
            711,  # VELOCITY, bin 19: 79
            43,  # NOTE_ON C4
            275,  # TIME_SHIFT, 96 ticks
            131,  # NOTE_OFF C4
            1,  # END
        ]

    def test_two_voices_in_canonical_order(self) -> None:
        piece = score(
            [Note(0, 72, 24, 79), Note(24, 72, 24, 79), Note(48, 74, 12, 79)],
            [Note(0, 48, 48, 79), Note(48, 47, 24, 59)],
            meter=Meter(4, 4),
            tempo_qpm=240.0,
        )
        assert encode(piece).tolist() == spelled(
            """START, TEMPO 31,
            VELOCITY 19, NOTE_ON 72, PART 1, NOTE_ON 48,
            TIME_SHIFT 24, PART 0, NOTE_OFF 72, NOTE_ON 72,
            TIME_SHIFT 24, NOTE_OFF 72, NOTE_ON 74, PART 1, NOTE_OFF 48, VELOCITY 14, NOTE_ON 47,
            TIME_SHIFT 12, PART 0, NOTE_OFF 74,
            TIME_SHIFT 12, PART 1, NOTE_OFF 47,
            TIME_SHIFT 24, END"""
        )

    def test_the_lower_voice_may_begin(self) -> None:
        piece = score([Note(48, 72, 48, 79)], [Note(0, 48, 96, 79)], tempo_qpm=30.0)
        assert encode(piece).tolist() == spelled(
            """START, TEMPO 0, PART 1, VELOCITY 19, NOTE_ON 48,
            TIME_SHIFT 48, PART 0, NOTE_ON 72,
            TIME_SHIFT 48, NOTE_OFF 72, PART 1, NOTE_OFF 48, END"""
        )

    def test_velocity_is_said_again_only_when_another_was_said_between(self) -> None:
        loud, soft = 99, 51
        piece = score([Note(0, 72, 48, loud), Note(48, 74, 48, loud)], [Note(24, 48, 24, soft)])
        velocities = [VALUES[t] for t in encode(piece) if KINDS[t] == Kind.VELOCITY]
        assert velocities == [24, 12, 24]

    def test_an_anacrusis_is_silence_before_its_first_note(self) -> None:
        piece = score([Note(72, 60, 24, 79)], bars=2, anacrusis_ticks=24, tempo_qpm=30.0)
        assert encode(piece).tolist() == spelled(
            """START, TEMPO 0, TIME_SHIFT 72, VELOCITY 19, NOTE_ON 60,
            TIME_SHIFT 24, NOTE_OFF 60, TIME_SHIFT 96, END"""
        )

    def test_silence_is_spelled_too(self) -> None:
        assert encode(score([], bars=2, tempo_qpm=30.0)).tolist() == spelled(
            "START, TEMPO 0, TIME_SHIFT 192, END"
        )

    @pytest.mark.parametrize(
        ("ticks", "shifts"),
        [
            (1, [1]),
            (511, [511]),
            (512, [512]),
            (513, [512, 1]),
            (1024, [512, 512]),
            (1100, [512, 512, 76]),
        ],
    )
    def test_long_stretches_take_as_few_shifts_as_there_can_be(
        self, ticks: int, shifts: list[int]
    ) -> None:
        bars = 20
        rest = score([Note(ticks, 60, bars * 96 - ticks, 79)], bars=bars)
        held = score([Note(0, 60, ticks, 79), Note(ticks, 62, bars * 96 - ticks, 79)], bars=bars)
        for piece in (rest, held):
            said = [int(VALUES[t]) for t in encode(piece) if KINDS[t] == Kind.TIME_SHIFT]
            assert said[: len(shifts)] == shifts
            assert sum(said) == bars * 96
            assert round_trip(piece) == snap(piece)

    def test_tokens_are_one_row_of_small_integers(self) -> None:
        tokens = encode(score([Note(0, 60, 24)]))
        assert tokens.ndim == 1
        assert tokens.dtype == np.int16

    def test_sixteen_voices_are_the_most(self, refuses) -> None:
        voices = tuple(Voice((Note(0, 30 + part, 96, 79),)) for part in range(17))
        most = Score(voices[:16], 1, tempo_qpm=bin_tempo_qpm(20))
        assert round_trip(most) == most
        with refuses(TokenError, "at most 16 voices \\(got 17"):
            encode(Score(voices, 1))


class TestSnap:
    @pytest.mark.parametrize(
        ("velocity", "snapped"),
        [(1, 19), (16, 19), (17, 19), (20, 19), (21, 23), (80, 79), (90, 91), (127, 127)],
    )
    def test_velocities_go_to_their_bins_and_stay_audible(
        self, velocity: int, snapped: int
    ) -> None:
        assert snap(score([Note(0, 60, 24, velocity)])).voices[0].notes[0].velocity == snapped

    @pytest.mark.parametrize(
        ("tempo_qpm", "bin_index"), [(10.0, 0), (30.0, 0), (120.0, 21), (240.0, 31), (500.0, 31)]
    )
    def test_the_tempo_goes_to_its_bin(self, tempo_qpm: float, bin_index: int) -> None:
        assert snap(score([], tempo_qpm=tempo_qpm)).tempo_qpm == bin_tempo_qpm(bin_index)

    def test_nothing_else_moves(self) -> None:
        piece = score(
            [Note(60, 60, 13, 77), Note(73, 61, 7, 3)], bars=3, meter=Meter(3, 4),
            key=Key.parse("E minor"), anacrusis_ticks=12, title="Inventio", composer="Bach",
        )  # fmt: skip
        snapped = snap(piece)
        assert (snapped.title, snapped.composer) == ("Inventio", "Bach")
        back = replace(snapped, tempo_qpm=piece.tempo_qpm, voices=piece.voices)
        assert back == piece
        assert [replace(note, velocity=1) for note in snapped.voices[0].notes] == [
            replace(note, velocity=1) for note in piece.voices[0].notes
        ]


class TestDecode:
    def test_a_score_is_told_what_tokens_do_not_say(self) -> None:
        tokens = spelled("START, TEMPO 8, TIME_SHIFT 48, VELOCITY 19, NOTE_ON 60, TIME_SHIFT 96,"
                         "NOTE_OFF 60, END")  # fmt: skip
        piece = decode(tokens, Meter(3, 4), Key.parse("G major"), anacrusis_ticks=24)
        assert piece == score(
            [Note(48, 60, 96, 79)], bars=2, meter=Meter(3, 4), key=Key.parse("G major"),
            tempo_qpm=bin_tempo_qpm(8), anacrusis_ticks=24,
        )  # fmt: skip

    @pytest.mark.parametrize(("ticks", "bars"), [(1, 1), (96, 1), (97, 2), (480, 5)])
    def test_the_last_bar_is_filled_up(self, ticks: int, bars: int) -> None:
        tokens = spelled(f"START, NOTE_ON 60, TIME_SHIFT {ticks}, NOTE_OFF 60")
        assert decode(tokens, COMMON_TIME).bars == bars

    def test_tokens_may_stop_before_end(self) -> None:
        whole = spelled("START, TEMPO 8, VELOCITY 19, NOTE_ON 60, TIME_SHIFT 96, NOTE_OFF 60, END")
        assert decode(whole[:-1], COMMON_TIME) == decode(whole, COMMON_TIME)
        assert decode([START], COMMON_TIME).note_count == 0

    def test_what_follows_end_is_not_music(self) -> None:
        whole = spelled("START, NOTE_ON 60, TIME_SHIFT 96, NOTE_OFF 60, END")
        after = spelled("PAD, PAD, NOTE_ON 62")
        assert decode(whole + after, COMMON_TIME) == decode(whole, COMMON_TIME)

    def test_any_iterable_of_integers_will_do(self) -> None:
        tokens = encode(score([Note(0, 60, 96)]))
        expected = decode(tokens, COMMON_TIME)
        assert decode(tokens.tolist(), COMMON_TIME) == expected
        assert decode(iter(tokens.astype(np.int64)), COMMON_TIME) == expected

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (
                "START, NOTE_ON 60, NOTE_OFF 100, END",
                r"NOTE_OFF 171 \(E7\) at index 2 ends no sounding note",
            ),
            ("START, NOTE_OFF 60", r"NOTE_OFF 131 \(C4\) at index 1 ends no sounding note"),
            (
                "START, NOTE_ON 60, TIME_SHIFT 1, NOTE_OFF 60, NOTE_OFF 60",
                r"NOTE_OFF 131 \(C4\) at index 4 ends no sounding note",
            ),
            (
                "START, NOTE_ON 60, TIME_SHIFT 1, PART 1, NOTE_OFF 60",
                r"NOTE_OFF 131 \(C4\) at index 4 ends no sounding note",
            ),
            (
                "START, NOTE_ON 60, TIME_SHIFT 1, NOTE_ON 60",
                r"NOTE_ON 43 \(C4\) at index 3 starts a sounding note",
            ),
            ("START, NOTE_ON 60, TIME_SHIFT 9, END", "1 notes still sound when the tokens end"),
            ("START, NOTE_ON 60, PART 1, NOTE_ON 48", "2 notes still sound when the tokens end"),
            (
                "START, NOTE_ON 60, NOTE_OFF 60, END",
                "do not form a score: .* last at least one tick",
            ),
            (
                "NOTE_ON 60, TIME_SHIFT 9, NOTE_ON 64, TIME_SHIFT 9, NOTE_OFF 60, NOTE_OFF 64",
                "do not form a score: two notes of one voice overlap at tick 9: C4 and E4",
            ),
            ("START, PART 2", r"PART 760 \(part 2\) at index 1: parts go to 1"),
        ],
    )
    def test_what_does_not_pair_is_refused_and_never_repaired(
        self, text: str, reason: str, refuses
    ) -> None:
        with refuses(TokenError, reason):
            decode(spelled(text), COMMON_TIME)

    @pytest.mark.parametrize("token", [774, -1, 10_000])
    def test_what_is_not_a_token_is_refused(self, token: int, refuses) -> None:
        with refuses(TokenError, f"Token {token} at index 1 is not in the vocabulary of 774"):
            decode([START, token], COMMON_TIME)

    def test_two_parts_may_hold_the_same_pitch(self) -> None:
        tokens = spelled(
            """START, NOTE_ON 60, PART 1, NOTE_ON 60, TIME_SHIFT 24, PART 0, NOTE_OFF 60,
            TIME_SHIFT 24, PART 1, NOTE_OFF 60, END"""
        )
        durations = [voice.notes[0].duration_ticks for voice in decode(tokens, COMMON_TIME).voices]
        assert durations == [24, 48]


@st.composite
def lines(draw: st.DrawFn, start_tick: int) -> Voice:
    """Voices with rests (also beyond the longest shift), repeated notes and no gaps; some are
    empty.
    """
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from([0, 0, 0, 1, 5, 12, 512, 513, 1500]),
                st.integers(1, 50) | st.sampled_from([511, 512, 513, 1024, 2000]),
                st.integers(21, 108),
                st.integers(1, 127),
            ),
            max_size=15,
        )
    )
    tick, notes = start_tick, []
    for rest, length, pitch, velocity in steps:
        notes.append(Note(tick + rest, pitch, length, velocity))
        tick = notes[-1].offset_tick
    return Voice(tuple(notes))


@st.composite
def scores(draw: st.DrawFn) -> Score:
    meter = Meter(draw(st.integers(1, 12)), draw(st.sampled_from([2, 4, 8, 16])))
    anacrusis = draw(st.just(0) | st.integers(0, meter.bar_ticks - 1))
    start = meter.bar_ticks - anacrusis if anacrusis else 0
    voices = (draw(lines(start)), draw(lines(start)))
    bars = -(-max(voice.end_tick for voice in voices) // meter.bar_ticks)
    return Score(
        voices=voices,
        bars=bars + draw(st.integers(0, 3)),
        meter=meter,
        key=draw(st.none() | st.sampled_from(ALL_KEYS)),
        tempo_qpm=draw(st.floats(20, 300)),
        anacrusis_ticks=anacrusis,
    )


@given(scores().map(snap))
def test_a_snapped_score_comes_back_exactly(piece: Score) -> None:
    assert round_trip(piece) == piece


@given(scores())
def test_any_score_comes_back_as_snap_says(piece: Score) -> None:
    assert round_trip(piece) == snap(piece)
    assert encode(piece).tolist() == encode(snap(piece)).tolist()
    assert snap(snap(piece)) == snap(piece)


@given(scores())
def test_every_score_is_spelled_in_the_canonical_order(piece: Score) -> None:
    tokens = encode(piece)
    kinds = [Kind(kind) for kind in KINDS[tokens]]
    values = VALUES[tokens].tolist()
    assert kinds[:2] == [Kind.START, Kind.TEMPO]
    assert kinds[-1] == Kind.END
    assert not set(kinds[2:-1]) & {Kind.START, Kind.END, Kind.PAD, Kind.UNK, Kind.TEMPO}
    assert not {Kind.SUSTAIN_ON, Kind.SUSTAIN_OFF} & set(kinds)
    assert sum(v for k, v in zip(kinds, values, strict=True) if k == Kind.TIME_SHIFT) == (
        piece.end_tick
    )
    for (kind, value), (next_kind, _) in pairwise(zip(kinds, values, strict=True)):
        if kind == Kind.TIME_SHIFT and next_kind == Kind.TIME_SHIFT:
            assert value == 512
        if kind == Kind.VELOCITY:
            assert value >= LOWEST_AUDIBLE_BIN
            assert next_kind == Kind.NOTE_ON
        if kind == Kind.PART:
            assert next_kind in (Kind.NOTE_ON, Kind.NOTE_OFF, Kind.VELOCITY)
    for repeated in (Kind.PART, Kind.VELOCITY):
        said = [v for k, v in zip(kinds, values, strict=True) if k == repeated]
        assert all(later != earlier for earlier, later in pairwise(said))
    part, places = 0, []  # (part, on after off, pitch) of the notes since the last shift
    for kind, value in zip(kinds, values, strict=True):
        if kind == Kind.TIME_SHIFT:
            places = []
        elif kind == Kind.PART:
            part = value
        elif kind in (Kind.NOTE_ON, Kind.NOTE_OFF):
            places.append((part, kind == Kind.NOTE_ON, value))
            assert places == sorted(set(places))


def check_file(path: Path) -> tuple[int, int, list[str]]:
    """Scores and notes of a file, and what does not come back."""
    pieces = [piece.score for piece in reduce_to_two_voices(read_midi(path))]
    failures = [
        f"{path.name}, {piece.meter}" for piece in pieces if round_trip(piece) != snap(piece)
    ]
    return len(pieces), sum(piece.note_count for piece in pieces), failures


def test_keyboard_music_comes_back_exactly(shared_corpus: Path) -> None:
    paths = sorted(shared_corpus.rglob("*.mid"))[::13]
    assert len(paths) >= 20
    for path in paths:
        pieces, notes, failures = check_file(path)
        assert failures == []
        assert pieces > 0
        assert notes > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["corpus", "corpus_openscore"])
def test_all_the_music_there_is_comes_back_exactly(name: str, shared_corpus: Path) -> None:
    folder = shared_corpus.parent / name
    paths = sorted(folder.rglob("*.mid"))
    if not paths:
        pytest.skip(f"{name} is not beside this repository")
    scores_, notes, failures = 0, 0, []
    for path in paths:
        in_file, notes_in_file, failed = check_file(path)
        scores_, notes, failures = scores_ + in_file, notes + notes_in_file, failures + failed
    print(f"{name}: {len(paths)} files, {scores_} scores, {notes} notes, {len(failures)} failures")
    assert failures == []
    assert scores_ >= len(paths)


def test_an_unfinished_piece_ends_its_notes_where_its_tokens_end() -> None:
    tokens = [START, token_id(Kind.VELOCITY, 20), token_id(Kind.NOTE_ON, 60)]
    tokens += [token_id(Kind.TIME_SHIFT, 96), token_id(Kind.NOTE_OFF, 60)]
    tokens += [token_id(Kind.NOTE_ON, 62), token_id(Kind.TIME_SHIFT, 30)]
    just_begun = [token_id(Kind.PART, 1), token_id(Kind.NOTE_ON, 48)]
    for ending in ([], just_begun):
        score = decode([*tokens, *ending], Meter(4, 4), unfinished=True)
        upper, lower = (
            [(n.onset_tick, n.pitch, n.duration_ticks) for n in v.notes] for v in score.voices
        )
        assert upper == [(0, 60, 96), (96, 62, 30)]
        assert lower == []
        assert score.bars == 2
