"""Each metric on a few notes for which the value can be computed by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from bicinium.music.descriptors import (
    BINS,
    HISTOGRAMS,
    counterpoint_counts,
    describe,
    histogram,
    phrase_measures,
    self_similarity,
)
from bicinium.music.key import Key
from bicinium.music.score import Meter, Note, Score, Voice

Line = Sequence[tuple[int, int]]  # pitch (0 rests) and ticks

C_MAJOR = Key.parse("C major")


def voice(line: Line) -> Voice:
    notes, tick = [], 0
    for pitch, ticks in line:
        if pitch:
            notes.append(Note(tick, pitch, ticks))
        tick += ticks
    return Voice(tuple(notes))


def score(upper: Line, lower: Line, bars: int = 1, meter: str = "4/4") -> Score:
    return Score((voice(upper), voice(lower)), bars, Meter.parse(meter), C_MAJOR)


def counted(name: str, music: Score) -> dict[str, float]:
    """Return the bins of a histogram that are not empty, by name."""
    counts = histogram(music, name)
    assert len(counts) == len(BINS[name])
    return {bin_: n for bin_, n in zip(BINS[name], counts.tolist(), strict=True) if n}


_SCALE = score([(72, 24), (74, 24), (76, 24), (77, 24)], [(48, 48), (55, 24), (53, 12), (0, 12)])


def test_pitch_classes_are_counted_from_the_tonic() -> None:
    in_c = counted("pitch_class", (_SCALE))
    assert in_c == {"1": 2, "2": 1, "3": 1, "4": 2, "5": 1}
    in_g = counted("pitch_class", (replace(_SCALE, key=Key.parse("G major"))))
    assert in_g == {"1": 1, "4": 2, "5": 1, "6": 1, "♭7": 2}


def test_where_no_key_is_named_it_is_found() -> None:
    triad = score([(67, 24), (71, 24), (74, 24), (67, 24)], [(43, 96)])
    assert triad.estimated_key == Key.parse("G major")
    assert counted("pitch_class", (replace(triad, key=None))) == {
        "1": 3, "3": 1, "5": 1,
    }  # fmt: skip


def test_melodic_intervals_are_of_each_voice_and_wide_ones_together() -> None:
    found = counted("melodic_interval", (_SCALE))
    assert found == {"+2": 2, "+1": 1, "+7": 1, "-2": 1}
    wide = score([(60, 24), (72, 24), (86, 24), (60, 24)], [(48, 96)])
    assert counted("melodic_interval", (wide)) == {"+12": 1, ">+12": 1, "<-12": 1}


def test_durations_go_to_the_value_they_reach() -> None:
    assert counted("duration", (_SCALE)) == {"1/2": 1, "1/4": 5, "1/8": 1}
    odd = score([(72, 2), (72, 3), (72, 23), (72, 68)], [(48, 96)])
    assert counted("duration", (odd)) == {
        "<1/32": 1, "1/32": 1, "1/8.": 1, "1/2": 1, "1/1": 1,
    }  # fmt: skip


def test_onsets_are_told_by_the_sixteenth_in_their_bar() -> None:
    found = counted("onset_position", (_SCALE))
    assert found == {"1": 2, "5": 1, "9": 2, "13": 2}
    in_three = score([(0, 72), (72, 72)], [(48, 72), (48, 72)], 2, "3/4")
    assert counted("onset_position", (in_three)) == {"1": 3}


def test_harmonic_intervals_are_taken_at_attacks_where_both_sound() -> None:
    found = counted("harmonic_interval", (_SCALE))
    assert found == {"P1": 2, "M2": 1, "M6": 1}  # C-C, D-C, E-G, F-F
    crossed = score([(60, 96)], [(64, 96)])
    assert counted("harmonic_interval", (crossed)) == {"M3": 1}


def test_texture_counts_ticks_from_the_first_note_on() -> None:
    assert counted("texture", (_SCALE)) == {"both": 84, "one": 12}
    late = score([(0, 48), (72, 24)], [(0, 72), (48, 12)], 1)
    assert counted("texture", (late)) == {"one": 24 + 12, "none": 12}
    assert counted("texture", (score([], []))) == {}


def test_motions_are_told_apart() -> None:
    upper = [(72, 24), (74, 24), (76, 24), (79, 24), (79, 24), (77, 24), (72, 24), (72, 24)]
    lower = [(60, 24), (59, 24), (60, 24), (64, 24), (65, 24), (62, 24), (60, 24), (60, 24)]
    # +2/-1 contrary, +2/+1 parallel but for a semitone, +3/+4 too, 0/+1 oblique, -2/-3 parallel,
    # -5/-2 similar, 0/0 nothing
    assert counted("motion", (score(upper, lower, 2))) == {
        "contrary": 1, "parallel": 3, "oblique": 1, "similar": 1,
    }  # fmt: skip


@pytest.mark.parametrize("semitones", [-5, 3, 12])
def test_only_heights_change_with_transposition(
    semitones: int, made_up_score: Callable[..., Score]
) -> None:
    piece = made_up_score(5, 9, "3/4", "G major")
    moved = piece.transpose(semitones)
    for name in HISTOGRAMS:
        np.testing.assert_array_equal(histogram(piece, name), histogram(moved, name))
    assert counterpoint_counts(piece) == counterpoint_counts(moved)
    before, after = describe(piece), describe(moved)
    changed = {
        name
        for name in before
        if not math.isclose(before[name], after[name], abs_tol=1e-9)
        and not math.isnan(before[name])
    }
    assert changed == {"pitch/upper_mean", "pitch/lower_mean"}


# ------------------------------------------------------------------ phrases


_FILLED = [(72, 12)] * 24
_BASS = [(48, 96)] * 4


def test_phrases_that_come_to_rest_are_noticed() -> None:
    rests = [*_FILLED, (74, 24), (72, 72)]
    found = phrase_measures(score(rests * 2, _BASS * 2, 8))
    shares = {"phrases_end_long": 1.0, "phrases_thin_out": 1.0}
    assert found == {"ends_on_tonic": 1.0, "from_dominant": 0.0} | shares


def test_phrases_that_run_on_are_too() -> None:
    runs_on = [*_FILLED, *[(74, 12)] * 8]
    found = phrase_measures(score(runs_on * 2, [*(_BASS * 2)[:-1], (50, 96)], 8))
    assert math.isnan(found.pop("from_dominant"))  # does not come to the tonic at all
    assert found == {"ends_on_tonic": 0.0, "phrases_end_long": 0.0, "phrases_thin_out": 0.0}


def test_a_close_from_the_dominant_is_noticed() -> None:
    found = phrase_measures(score(_FILLED * 2, [*(_BASS * 2)[:-2], (43, 96), (48, 96)], 8))
    assert found["from_dominant"] == 1.0


def test_phrases_are_counted_from_the_first_full_bar() -> None:
    rests = [(0, 84), (72, 12), *_FILLED, (74, 24), (72, 72)]
    late = score(rests, [(0, 96), *_BASS], 5)
    with_anacrusis = replace(late, anacrusis_ticks=12)
    assert phrase_measures(with_anacrusis)["phrases_thin_out"] == 1.0
    assert phrase_measures(late)["phrases_thin_out"] == 0.0  # bars 1 to 4 do not


def test_a_piece_of_fewer_bars_has_no_phrases_but_an_end() -> None:
    found = phrase_measures(_SCALE)
    assert found["ends_on_tonic"] == 0.0
    assert math.isnan(found["phrases_end_long"])
    assert math.isnan(found["phrases_thin_out"])


# ------------------------------------------------------------------ motifs


def _bars(*roots: int) -> Line:
    """A figure of one bar on each root."""
    return [(root + step, 24) for root in roots for step in (0, 4, 7, 4)]


def test_a_figure_recurs_at_the_lag_at_which_it_was_put() -> None:
    other = [(60, 48), (65, 36), (64, 12)]
    line = [*_bars(60), *other, *_bars(62), *other]  # the figure in bars 1 and 3
    found = self_similarity(score(line, [], 4))
    assert found["rhythm_recurs_2"] == found["melody_recurs_2"] == 1.0
    # onsets 0, 24, 48, 72 against 0, 48, 84: two of five in common, moved by 0 and by -2
    assert found["rhythm_recurs_1"] == pytest.approx(2 / 5)
    assert found["melody_recurs_1"] == pytest.approx(1 / 5)
    assert math.isnan(found["melody_recurs_4"])


def test_the_same_rhythm_with_another_melody_is_half_a_motif() -> None:
    line = [*_bars(60), (60, 24), (59, 24), (65, 24), (50, 24)]
    found = self_similarity(score(line, [], 2))
    assert found["rhythm_recurs_1"] == 1.0
    assert found["melody_recurs_1"] == 0.25  # each note is moved by another interval


def test_silent_bars_say_nothing_and_half_filled_ones_are_unlike() -> None:
    assert math.isnan(self_similarity(score([], [], 4))["rhythm_recurs_1"])
    line = [*_bars(60), (0, 96)]
    assert self_similarity(score(line, [], 2))["rhythm_recurs_1"] == 0.0


# ------------------------------------------------------------------ features


def test_features_have_a_number_for_every_piece_and_nan_where_nothing_is_said() -> None:
    empty, full = describe(score([], [])), describe(_SCALE)
    assert empty.keys() == full.keys()
    assert all(isinstance(value, float) for value in (*empty.values(), *full.values()))
    assert not any(math.isinf(value) for value in (*empty.values(), *full.values()))
    assert full["rhythm/together"] == 3 / 4
    assert full["degree/tonic"] == pytest.approx(2 / 7)


def test_counterpoint_is_counted_by_its_definitions() -> None:
    upper, lower = ((67, 69, 71, 85), (60, 62, 64, 66))
    fifths = score([(pitch, 24) for pitch in upper], [(pitch, 24) for pitch in lower])
    assert counterpoint_counts(fifths) == {
        "parallel_octaves": 0,
        "parallel_fifths": 3,
        "crossings": 0,
        "strong_dissonances": 0,
        "leaps_over_an_octave": 1,
        "spans_over_a_tenth": 0,
        "outside_the_scale": 2,
    }
