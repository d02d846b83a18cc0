"""What counterpoint has a name for: hand-made examples, and the definitions restated slowly."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bicinium.music import counterpoint
from bicinium.music.counterpoint import NoteLocation, Parallel, TickRange
from bicinium.music.key import ALL_KEYS, Key
from bicinium.music.score import Meter, Note, Score, Voice

Q = 24  # ticks of a quarter note
_C_MAJOR, _A_MINOR = Key.parse("C major"), Key.parse("A minor")


def _line(*notes: tuple[int, int], start: int = 0) -> Voice:
    """(pitch, ticks)… one after the other; pitch 0 is a rest."""
    made, tick = [], start
    for pitch, ticks in notes:
        if pitch:
            made.append(Note(tick, pitch, ticks))
        tick += ticks
    return Voice(tuple(made))


def _score(upper: Voice, lower: Voice, meter: str = "4/4") -> Score:
    parsed = Meter.parse(meter)
    end = max(upper.end_tick, lower.end_tick, 1)
    return Score((upper, lower), -(-end // parsed.bar_ticks), parsed)


# ------------------------------------------------------------------ by hand


@pytest.mark.parametrize(
    ("meter", "tick"),
    [("4/4", 48), ("3/4", 24), ("2/4", 24), ("6/8", 36), ("9/8", 36), ("12/8", 72), ("5/4", 48)],
)
def test_the_deadline_is_the_middle_beat_of_the_last_bar(meter: str, tick: int) -> None:
    parsed = Meter.parse(meter)
    assert counterpoint.latest_final_onset_tick(parsed, 1) == tick
    assert counterpoint.latest_final_onset_tick(parsed, 5) == 4 * parsed.bar_ticks + tick


@pytest.mark.parametrize(
    ("upper", "lower", "rests"),
    [
        ([(74, 2 * Q), (72, 2 * Q)], [(43, 2 * Q), (48, 2 * Q)], True),
        ([(74, 4 * Q), (72, Q)], [(43, 4 * Q), (48, Q)], True),
        ([(74, 3 * Q), (72, Q)], [(43, 2 * Q), (48, 2 * Q)], False),  # the upper comes too late
        ([(74, 2 * Q), (72, 2 * Q)], [(43, 3 * Q), (48, Q)], False),
        ([(74, 2 * Q), (74, 2 * Q)], [(43, 2 * Q), (48, 2 * Q)], False),  # open
        ([], [(48, 4 * Q)], False),
    ],
)
def test_a_piece_rests_that_closes_and_has_no_more_to_say(
    upper: list, lower: list, rests: bool
) -> None:
    assert counterpoint.comes_to_rest(_score(_line(*upper), _line(*lower)), _C_MAJOR) == rests


@pytest.mark.parametrize(
    ("upper", "lower", "interval"),
    [
        ((72, 74), (48, 50), "octave"),
        ((60, 62), (60, 62), "octave"),  # unisons
        ((67, 69), (60, 62), "fifth"),
        ((79, 77), (48, 46), "fifth"),  # with octaves between
        ((72, 84), (48, 60), "octave"),  # a leap
        ((72, 76), (48, 64), "octave"),  # two octaves, then one
        ((60, 62), (67, 69), "fifth"),  # the voices have crossed
    ],
)
def test_parallels_are_found(upper: tuple, lower: tuple, interval: str) -> None:
    score = _score(_line(*((p, Q) for p in upper)), _line(*((p, Q) for p in lower)))
    assert counterpoint.parallels(score) == [Parallel(Q, interval)]


@pytest.mark.parametrize(
    ("upper", "lower"),
    [
        ([(72, Q), (72, Q)], [(48, Q), (48, Q)]),  # repeated
        ([(72, Q), (74, Q)], [(48, Q), (43, Q)]),  # to a fifth, in contrary motion
        ([(72, Q), (74, Q)], [(50, Q), (50, Q)]),  # oblique
        ([(72, Q), (60, Q)], [(48, Q), (60, Q)]),  # octaves in contrary motion
        ([(72, Q), (74, Q)], [(48, Q), (55, Q)]),  # an octave, then a fifth
        ([(76, Q), (77, Q)], [(72, Q), (74, Q)]),  # thirds
        ([(65, Q), (67, Q)], [(60, Q), (62, Q)]),  # fourths
        ([(72, Q), (0, Q), (74, Q)], [(48, Q), (0, Q), (50, Q)]),  # a rest between
        ([(72, 12), (0, 12), (74, Q)], [(48, Q), (50, Q)]),  # a rest in one voice
        ([(72, Q), (74, Q)], [(48, 18), (50, 30)]),  # one after the other
        ([(72, Q), (74, Q)], []),
    ],
)
def test_what_is_no_parallel(upper: list, lower: list) -> None:
    assert counterpoint.parallels(_score(_line(*upper), _line(*lower))) == []


def test_crossings_are_stretches_of_two_notes() -> None:
    upper = _line((60, 2 * Q), (64, Q), (0, Q), (60, Q))
    lower = _line((60, Q), (62, Q), (65, 2 * Q), (60, Q))
    assert counterpoint.voice_crossings(_score(upper, lower)) == [
        TickRange(Q, 2 * Q),
        TickRange(2 * Q, 3 * Q),
    ]


@pytest.mark.parametrize(
    ("meter", "ticks"),
    [
        ("4/4", (0, 48)),
        ("2/2", (0,)),
        ("4/8", (0, 24)),
        ("12/8", (0, 72)),
        ("3/4", (0,)),
        ("2/4", (0,)),
        ("6/8", (0,)),
        ("9/8", (0,)),
        ("5/4", (0,)),
    ],
)
def test_strong_ticks(meter: str, ticks: tuple[int, ...]) -> None:
    assert counterpoint.strong_beat_ticks(Meter.parse(meter)) == ticks


@pytest.mark.parametrize("semitones", range(25))
def test_consonances_are_unison_thirds_fifth_sixths_and_octave(semitones: int) -> None:
    consonant = semitones % 12 in (0, 3, 4, 7, 8, 9)
    for upper, lower in ((48 + semitones, 48), (48, 48 + semitones)):
        score = _score(_line((upper, Q)), _line((lower, Q)))
        assert counterpoint.strong_beat_dissonances(score) == ([] if consonant else [0])


def test_dissonances_count_on_strong_beats_only_and_after_all_events() -> None:
    upper = _line((72, 48), (74, 48), (77, 48), (0, 48))
    lower = _line((60, 24), (62, 24), (60, 96), (61, 48))
    score = _score(upper, lower)  # C-C, (C-D), D-C at 48, F-C at 96, nothing above at 144
    assert counterpoint.strong_beat_dissonances(score) == [48, 96]


def test_leaps_are_counted_over_rests() -> None:
    score = _score(_line((60, Q), (72, Q), (0, Q), (59, Q)), _line((48, Q), (35, Q)))
    assert counterpoint.large_leaps(score, 12) == [NoteLocation(0, 3 * Q), NoteLocation(1, Q)]
    assert counterpoint.large_leaps(score, 11) == [
        NoteLocation(0, Q),
        NoteLocation(0, 3 * Q),
        NoteLocation(1, Q),
    ]
    assert counterpoint.large_leaps(score, 13) == []


def test_minor_has_both_sixths_and_sevenths_and_closes_on_either_third() -> None:
    names = {"C": 0, "C#": 1, "D": 2, "Eb": 3, "E": 4, "F": 5, "F#": 6, "G": 7, "G#": 8, "A": 9}
    inside = {names[name] for name in ("A", "C", "D", "E", "F", "F#", "G", "G#")} | {11}
    assert counterpoint.scale_pitch_classes(_A_MINOR) == inside
    assert counterpoint.tonic_triad(_A_MINOR) == {9, 0, 1, 4}
    assert counterpoint.tonic_triad(Key.parse("D major")) == {2, 6, 9}


def test_notes_outside_the_key() -> None:
    score = _score(_line((60, Q), (61, Q), (68, Q)), _line((54, Q), (43, Q)))
    assert counterpoint.notes_outside_key(score, _C_MAJOR) == [
        NoteLocation(0, Q),
        NoteLocation(0, 2 * Q),
        NoteLocation(1, 0),
    ]
    assert counterpoint.notes_outside_key(score, _A_MINOR) == [NoteLocation(0, Q)]


def test_notes_outside_their_ranges() -> None:
    score = _score(_line((55, Q), (54, Q), (88, Q), (89, Q)), _line((33, Q), (68, Q)))
    outside = counterpoint.notes_outside_range(score, ((55, 88), (33, 67)))
    assert outside == [NoteLocation(0, Q), NoteLocation(0, 3 * Q), NoteLocation(1, Q)]


def test_a_hand_spans_what_begins_within_a_quarter() -> None:
    near = _line((60, 12), (65, 11), (77, Q))  # 23 ticks after the first
    far = _line((48, 12), (52, 12), (65, Q))  # 24 ticks after the first
    score = _score(near, far)
    assert counterpoint.wide_hand_spans(score, 16) == [NoteLocation(0, 23)]
    assert counterpoint.wide_hand_spans(score, 17) == []
    assert counterpoint.wide_hand_spans(score, 11) == [NoteLocation(0, 23), NoteLocation(1, 24)]


@pytest.mark.parametrize(
    ("upper", "lower", "key", "open_voices"),
    [
        ([(71, 96), (72, 96)], [(55, 96), (48, 96)], "C major", []),
        ([(71, 96), (76, 12)], [(55, 96), (48, 12)], "C major", []),  # rests at the end
        ([(79, 96)], [(55, 96), (48, 96)], "C major", []),  # the upper has stopped before
        ([(72, 192)], [(48, 97)], "C major", []),  # sounds into the last bar
        ([(72, 192)], [(48, 96)], "C major", [1]),  # but ends on its barline
        ([(72, 192)], [(55, 192)], "C major", [1]),
        ([(74, 192)], [(48, 192)], "C major", [0]),
        ([(75, 192)], [(48, 192)], "C major", [0]),
        ([(75, 192)], [(48, 192)], "C minor", []),
        ([(76, 192)], [(48, 192)], "C minor", []),
        ([(74, 192)], [], "C major", [0, 1]),
        ([], [(50, 192)], "D major", [0]),
    ],
)
def test_closing(upper: list, lower: list, key: str, open_voices: list[int]) -> None:
    score = _score(_line(*upper), _line(*lower))
    assert counterpoint.voices_off_tonic(score, Key.parse(key)) == open_voices
    assert counterpoint.ends_on_tonic(score, Key.parse(key)) == (not open_voices)


@pytest.mark.parametrize(
    ("lower", "key", "authentic"),
    [
        ([43, 48], "C major", True),
        ([43, 36, 48, 36], "C major", True),
        ([43, 31, 48], "C major", True),
        ([41, 48], "C major", False),
        ([43, 41, 48], "C major", False),
        ([48, 43], "C major", False),
        ([48], "C major", False),
        ([], "C major", False),
        ([40, 45], "A minor", True),
        ([40, 45], "A major", True),
        ([43, 48], "A minor", False),
    ],
)
def test_an_authentic_cadence_comes_from_the_dominant(
    lower: list[int], key: str, authentic: bool
) -> None:
    score = _score(_line((72, 96)), _line(*((pitch, 24) for pitch in lower)))
    assert counterpoint.has_authentic_bass(score, Key.parse(key)) == authentic


# ------------------------------------------------------------------ restated

_notes = st.tuples(
    st.sampled_from([0, 0, 0, 6, 12]),  # a rest before it
    st.integers(57, 69),
    st.sampled_from([1, 6, 12, 12, 24]),
)


@st.composite
def _voices(draw: st.DrawFn) -> Voice:
    notes, tick = [], 0
    for rest, pitch, ticks in draw(st.lists(_notes, max_size=16)):
        notes.append(Note(tick + rest, pitch, ticks))
        tick += rest + ticks
    return Voice(tuple(notes))


_scores = st.builds(_score, _voices(), _voices(), st.sampled_from(["4/4", "3/4", "2/4", "6/8"]))


def _at(voice: Voice, tick: int) -> int | None:
    """The pitch that sounds after all events of a tick."""
    sounding = [n.pitch for n in voice.notes if n.onset_tick <= tick < n.offset_tick]
    return sounding[0] if sounding else None


@given(_scores)
def test_parallels_restated(score: Score) -> None:
    upper, lower = score.voices
    found = []
    for u0, u1 in pairwise(upper.notes):
        for l0, l1 in pairwise(lower.notes):
            tick = u1.onset_tick
            if not tick == u0.offset_tick == l0.offset_tick == l1.onset_tick:
                continue
            directions = {
                (after > before) - (after < before)
                for before, after in ((u0.pitch, u1.pitch), (l0.pitch, l1.pitch))
            }
            before, after = abs(u0.pitch - l0.pitch) % 12, abs(u1.pitch - l1.pitch) % 12
            if directions in ({1}, {-1}) and before == after and after in (0, 7):
                found.append(Parallel(tick, "fifth" if after else "octave"))
    assert counterpoint.parallels(score) == found


@given(_scores)
def test_crossings_restated(score: Score) -> None:
    upper, lower = score.voices
    crossed = set()
    for tick in range(score.end_tick):
        above, below = _at(upper, tick), _at(lower, tick)
        if above is not None and below is not None and below > above:
            crossed.add(tick)
    stretches = counterpoint.voice_crossings(score)
    ticks = [tick for stretch in stretches for tick in range(*stretch)]
    assert len(ticks) == len(set(ticks))
    assert set(ticks) == crossed


@given(_scores)
def test_dissonances_restated(score: Score) -> None:
    strong = [
        bar * score.meter.bar_ticks + tick
        for bar in range(score.bars)
        for tick in counterpoint.strong_beat_ticks(score.meter)
    ]
    found = []
    for tick in strong:
        pair = [_at(voice, tick) for voice in score.voices]
        if None not in pair and abs(pair[0] - pair[1]) % 12 in (1, 2, 5, 6, 10, 11):
            found.append(tick)
    assert counterpoint.strong_beat_dissonances(score) == found


@given(_scores, st.integers(1, 12))
def test_what_is_asked_of_each_voice_restated(score: Score, most: int) -> None:
    leaps, wide = [], []
    for index, voice in enumerate(score.voices):
        for before, note in pairwise(voice.notes):
            if abs(note.pitch - before.pitch) > most:
                leaps.append(NoteLocation(index, note.onset_tick))
        for note in voice.notes:
            if any(
                0 < note.onset_tick - other.onset_tick < 24 and abs(note.pitch - other.pitch) > most
                for other in voice.notes
            ):
                wide.append(NoteLocation(index, note.onset_tick))
    assert counterpoint.large_leaps(score, most) == leaps
    assert counterpoint.wide_hand_spans(score, most) == wide


@given(_scores, st.sampled_from(ALL_KEYS), st.integers(-12, 12))
def test_all_move_with_the_key(score: Score, key: Key, semitones: int) -> None:
    """Transposed with its key, a score is judged alike."""
    moved, moved_key = score.transpose(semitones), key.transpose(semitones)
    for judge in (
        counterpoint.notes_outside_key,
        counterpoint.ends_on_tonic,
        counterpoint.voices_off_tonic,
    ):
        assert judge(moved, moved_key) == judge(score, key)
    for judge in (
        counterpoint.parallels, counterpoint.voice_crossings, counterpoint.strong_beat_dissonances,
    ):  # fmt: skip
        assert judge(moved) == judge(score)
