"""Score time in seconds: exactly, or with phrasing."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from bicinium.render.performance import expressive_performance, strict_performance


@pytest.mark.parametrize("anacrusis", [0, 24])
def test_as_written_is_strict(made_up_score, anacrusis):
    score = made_up_score(1, bars=4)
    if anacrusis:
        voices = tuple(
            replace(v, notes=tuple(n for n in v.notes if n.onset_tick >= 96)) for v in score.voices
        )
        score = replace(score, voices=voices, anacrusis_ticks=anacrusis)
    sounds = strict_performance(score)
    bars = 3 + anacrusis / 96 if anacrusis else 4
    assert sounds.seconds == pytest.approx(bars * 4 * 60 / score.tempo_qpm)
    written = [n for v in score.voices for n in v.notes]
    for sound, note in zip(sounds.notes, written, strict=True):
        ticks = (sound.offset_seconds - sound.onset_seconds) * score.tempo_qpm * 24 / 60
        assert ticks == pytest.approx(note.duration_ticks)
        assert (sound.pitch, sound.velocity) == (note.pitch, note.velocity)


def test_a_performance_bends_time_but_keeps_order_and_notes(made_up_score):
    score = made_up_score(2, bars=8)
    strict, played = strict_performance(score), expressive_performance(score)
    assert [n.pitch for n in played.notes] == [n.pitch for n in strict.notes]
    assert 1 < played.seconds / strict.seconds < 1.1
    for part in (0, 1):
        line = [n for n in played.notes if n.part == part]
        assert all(a.offset_seconds <= b.onset_seconds for a, b in pairwise(line))
    together = {n.onset_seconds for n in strict.notes if n.part == 0} & {
        n.onset_seconds for n in strict.notes if n.part == 1
    }
    both = {n.onset_seconds for n in played.notes if n.part == 0} & {
        n.onset_seconds for n in played.notes if n.part == 1
    }
    assert len(together) == len(both)


def test_a_performance_slows_down_at_the_end_and_swells_in_the_middle(made_up_score):
    score = made_up_score(3, bars=8)
    played = expressive_performance(score)
    pairs = list(zip(played.notes, strict_performance(score).notes, strict=True))
    bar_s = [
        min(
            p.onset_seconds
            for p, w in pairs
            if w.onset_seconds >= bar * 240 / score.tempo_qpm - 1e-9
        )
        for bar in range(8)
    ]
    lengths = [b - a for a, b in pairwise([*bar_s, played.seconds])]
    assert max(lengths) == lengths[-1] > 1.1 * min(lengths)
    voice = [n for n in played.notes if n.part == 0]
    middle = [n.velocity for n in voice if bar_s[1] < n.onset_seconds < bar_s[3]]
    edge = [n.velocity for n in voice if bar_s[3] + lengths[3] / 2 < n.onset_seconds < bar_s[4]]
    assert sum(middle) / len(middle) > sum(edge) / len(edge)


def test_the_same_score_is_played_the_same_way(made_up_score):
    assert expressive_performance(made_up_score(4)) == expressive_performance(made_up_score(4))
