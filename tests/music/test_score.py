from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bicinium.errors import ScoreError
from bicinium.music.key import Key
from bicinium.music.score import Meter, Note, Score, Voice, pitch_name

QUARTER = 24


def voice(*notes: tuple[int, int, int]) -> Voice:
    """(onset, pitch, duration)…"""
    return Voice(tuple(Note(*note) for note in notes))


@pytest.mark.parametrize(
    ("pitch", "name"),
    [(21, "A0"), (60, "C4"), (61, "C#4"), (69, "A4"), (70, "Bb4"), (100, "E7"), (108, "C8")],
)
def test_pitches_are_named_in_scientific_notation(pitch: int, name: str) -> None:
    assert pitch_name(pitch) == name


def test_a_note_ends_after_its_duration() -> None:
    assert Note(12, 60, 24).offset_tick == 36


def test_notes_sort_by_onset_then_pitch() -> None:
    late, high, low = Note(24, 50, 1), Note(0, 72, 1), Note(0, 60, 99)
    assert sorted([late, high, low]) == [low, high, late]


class TestMeter:
    @pytest.mark.parametrize(
        ("text", "bar_ticks", "beat_ticks"),
        [
            ("4/4", 96, 24),
            ("2/2", 96, 48),
            ("3/4", 72, 24),
            ("2/4", 48, 24),
            ("5/8", 60, 12),
            ("3/8", 36, 12),
            ("6/8", 72, 36),
            ("9/8", 108, 36),
            ("12/8", 144, 36),
            ("6/16", 36, 18),
            ("6/4", 144, 24),
            ("1/32", 3, 3),
            ("4/1", 384, 96),
        ],
    )
    def test_bars_and_felt_beats_are_measured_in_ticks(
        self, text: str, bar_ticks: int, beat_ticks: int
    ) -> None:
        meter = Meter.parse(text)
        assert (meter.bar_ticks, meter.beat_ticks) == (bar_ticks, beat_ticks)

    @given(st.integers(1, 32), st.sampled_from([1, 2, 4, 8, 16, 32]))
    def test_every_metre_reads_back_from_its_name(self, numerator: int, denominator: int) -> None:
        meter = Meter(numerator, denominator)
        assert Meter.parse(f" {meter} ") == meter
        assert meter.bar_ticks % meter.beat_ticks == 0
        assert meter.bar_ticks * denominator == numerator * 4 * QUARTER

    @pytest.mark.parametrize("text", ["", "3", "3/", "/4", "3:4", "3/4/4", "-3/4", "3.5/4", "C"])
    def test_what_is_not_written_like_a_metre_is_refused(self, text: str, refuses) -> None:
        with refuses(ScoreError, "is not a metre. Write it like 3/4"):
            Meter.parse(text)

    @pytest.mark.parametrize("text", ["0/4", "33/4", "4/0", "4/3", "4/64"])
    def test_a_metre_that_notation_does_not_have_is_refused(self, text: str, refuses) -> None:
        with refuses(ScoreError, f"{text} is not a metre"):
            Meter.parse(text)


class TestVoice:
    def test_notes_may_touch_and_may_leave_rests(self) -> None:
        assert voice((0, 60, 24), (24, 62, 24), (72, 60, 1)).end_tick == 73

    def test_an_empty_voice_ends_where_it_begins(self) -> None:
        assert Voice().end_tick == 0

    @pytest.mark.parametrize(
        ("notes", "reason"),
        [
            ([(0, 60, 24), (23, 62, 24)], "overlap at tick 23: C4 and D4"),
            ([(0, 60, 24), (0, 64, 24)], "overlap at tick 0: C4 and E4"),
            ([(24, 60, 24), (0, 62, 24)], "overlap at tick 0"),
            ([(0, 60, 0)], "last at least one tick"),
            ([(0, 60, -3)], "last at least one tick"),
            ([(-1, 60, 24)], "start at tick 0 or later"),
            ([(0, 20, 24)], "pitch 20 at tick 0 is not on the piano"),
            ([(24, 109, 24)], "pitch 109 at tick 24 is not on the piano"),
            ([(0, 60, 24, 0)], "velocity 0 .* must be 1 to 127"),
            ([(0, 60, 24, 128)], "velocity 128 .* must be 1 to 127"),
        ],
    )
    def test_what_one_line_cannot_play_is_refused(
        self, notes: list[tuple[int, ...]], reason: str, refuses
    ) -> None:
        with refuses(ScoreError, reason):
            Voice(tuple(Note(*note) for note in notes))

    @pytest.mark.parametrize("pitch", [21, 108])
    def test_the_whole_piano_may_be_played(self, pitch: int) -> None:
        assert voice((0, pitch, 24)).notes[0].pitch == pitch

    def test_transposing_moves_pitches_and_nothing_else(self) -> None:
        line = Voice((Note(0, 60, 24, 50), Note(36, 67, 12, 90)))
        assert line.transpose(-2) == Voice((Note(0, 58, 24, 50), Note(36, 65, 12, 90)))

    def test_transposing_off_the_piano_is_refused(self, refuses) -> None:
        with refuses(ScoreError, "pitch 109 at tick 0 is not on the piano"):
            voice((0, 108, 24)).transpose(1)


class TestScore:
    @pytest.mark.parametrize(
        ("meter", "bars", "end_tick"), [("4/4", 2, 192), ("3/8", 5, 180), ("6/8", 1, 72)]
    )
    def test_ends_on_its_last_barline(self, meter: str, bars: int, end_tick: int) -> None:
        assert Score((), bars, Meter.parse(meter)).end_tick == end_tick

    def test_music_may_end_on_the_last_barline_but_not_after_it(self, refuses) -> None:
        assert Score((voice((0, 60, 96)),), bars=1).end_tick == 96
        with refuses(ScoreError, "ends at tick 97, after the last barline at tick 96"):
            Score((voice((0, 60, 97)),), bars=1)

    def test_the_voice_that_ends_last_counts(self, refuses) -> None:
        with refuses(ScoreError, "ends at tick 120"):
            Score((voice((0, 60, 96)), voice((24, 48, 96))), bars=1)

    def test_an_anacrusis_starts_late_in_the_first_bar(self) -> None:
        score = Score((voice((72, 60, 24)),), 2, Meter(4, 4), anacrusis_ticks=24)
        assert (score.start_tick, score.end_tick) == (72, 192)

    def test_a_full_first_bar_starts_at_tick_0(self) -> None:
        assert Score((voice((24, 60, 24)),), 1).start_tick == 0

    def test_a_note_before_the_anacrusis_is_refused(self, refuses) -> None:
        with refuses(ScoreError, "note at tick 71 comes before the anacrusis at tick 72"):
            Score((Voice(), voice((71, 60, 24))), 2, Meter(4, 4), anacrusis_ticks=24)

    @pytest.mark.parametrize("ticks", [-1, 72, 96])
    def test_an_anacrusis_is_shorter_than_a_bar(self, ticks: int, refuses) -> None:
        with refuses(ScoreError, f"anacrusis of {ticks} ticks is not shorter than a bar of 3/4"):
            Score((), 4, Meter(3, 4), anacrusis_ticks=ticks)

    def test_counts_the_notes_of_all_voices(self) -> None:
        assert Score((voice((0, 60, 1), (1, 62, 1)), voice((0, 50, 9)), Voice()), 1).note_count == 3

    def test_transposing_takes_the_key_along(self) -> None:
        score = Score((voice((0, 60, 24)), voice((0, 48, 24))), 1, key=Key(0, "major"))
        up = score.transpose(3)
        assert up.key == Key(3, "major")
        assert [line.notes[0].pitch for line in up.voices] == [63, 51]
        assert up.transpose(-3) == score

    def test_transposing_leaves_an_unknown_key_unknown(self) -> None:
        assert Score((voice((0, 60, 24)),), 1).transpose(5).key is None

    def test_title_and_composer_are_not_the_music(self) -> None:
        music = (voice((0, 60, 24)),)
        assert Score(music, 1, title="Inventio 1", composer="Bach") == Score(music, 1)
        assert Score(music, 1, tempo_qpm=60.0) != Score(music, 1)

    @pytest.mark.parametrize("value", [Note(0, 60, 24), Meter(4, 4), Voice(), Score((), 0)])
    def test_values_are_frozen_and_hashable(self, value: Note | Meter | Voice | Score) -> None:
        field = next(iter(value.__dataclass_fields__))
        with pytest.raises(FrozenInstanceError):
            setattr(value, field, None)
        assert len({value, value}) == 1


@pytest.mark.parametrize(
    ("meter", "beat", "mark"),
    [
        ("4/4", "quarter", "quarter = 120"),
        ("6/8", "dotted quarter", "dotted quarter = 80"),
        ("2/2", "half", "half = 60"),
        ("3/8", "eighth", "eighth = 240"),
        ("9/16", "dotted eighth", "dotted eighth = 160"),
        ("3/1", "whole", "whole = 30"),
    ],
)
def test_a_metre_names_its_beat(meter: str, beat: str, mark: str) -> None:
    assert Meter.parse(meter).beat_name == beat
    assert Meter.parse(meter).tempo_mark(120) == mark


@pytest.mark.parametrize(
    ("onset", "anacrusis"), [(0, 0), (6, 0), (42, 0), (48, 48), (72, 24), (90, 6), (94, 0), (96, 0)]
)
def test_music_that_begins_in_the_second_half_of_a_bar_is_an_upbeat(
    onset: int, anacrusis: int
) -> None:
    score = Score((Voice((Note(onset, 60, 24),)), Voice((Note(120, 48, 24),))), 2)
    assert score.with_anacrusis().anacrusis_ticks == anacrusis
