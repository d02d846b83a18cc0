"""Canons and invertible counterpoint: the follower repeats the leader, and nothing is a fault."""

from __future__ import annotations

from typing import Any

import pytest

import bicinium
from bicinium.api import load_composer
from bicinium.counterpoint.imitation import Canon
from bicinium.errors import CancelledError, RequestError
from bicinium.generation.composition import Composition
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import DEFAULT_CONFIG
from bicinium.generation.piecewise import InvertiblePlan, PiecewiseSearch
from bicinium.generation.rerank import Selection
from bicinium.music.key import Key
from bicinium.music.score import Meter, Score


def faults(score: Score | None) -> list[str]:
    assert score is not None
    return [one.rule for one in bicinium.check(score, "bach").faults if one.severity != "hint"]


def assert_repeats(piece: Composition, text: str) -> None:
    """Up to the last bar the follower has the leader's notes and no others."""
    score, conditions = piece.score, piece.conditions
    assert score is not None
    canon = Canon.parse(text, conditions.meter)
    close = score.end_tick - conditions.meter.bar_ticks
    follower = [n for n in score.voices[1 - canon.leader].notes if n.onset_tick < close]
    leader = [canon.follow(n, conditions.key) for n in score.voices[canon.leader].notes]
    expected = [n for n in leader if n.onset_tick < close]
    assert [(n.onset_tick, n.pitch) for n in follower] == [
        (n.onset_tick, n.pitch) for n in expected
    ]
    whole = [n for n in expected if n.offset_tick < close]
    assert whole
    lengths = [n.duration_ticks for n in follower]
    assert lengths[: len(whole)] == [n.duration_ticks for n in whole]


def test_the_follower_repeats_the_leader() -> None:
    text = "1 bar at the octave below"
    piece = bicinium.compose(canon=text, bars=5, meter="3/4", key="G major", best_of=6, seed=1)
    assert_repeats(piece, text)
    assert faults(piece.score) == []
    assert piece.result.valid


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    ["1/2 bar at the octave above", "2 bars at the fifth below", "3 beats at the sixth below"],
)
def test_canons_at_other_distances_and_intervals(text: str) -> None:
    piece = bicinium.compose(canon=text, bars=8, meter="4/4", key="D minor", seed=2)
    assert_repeats(piece, text)
    assert faults(piece.score) == []


def test_voices_may_change_places() -> None:
    piece = bicinium.compose(invertible=8, bars=4, meter="2/4", key="C major", best_of=6, seed=1)
    inversion = piece.inverted(8).score
    assert faults(piece.score) == faults(inversion) == []
    assert piece.score is not None
    assert inversion is not None
    rhythm = [[n.onset_tick for n in voice.notes] for voice in piece.score.voices]
    assert [[n.onset_tick for n in voice.notes] for voice in inversion.voices] == rhythm[::-1]


@pytest.mark.slow
@pytest.mark.parametrize("interval", [10, 12])
def test_voices_may_change_places_at_the_tenth_and_the_twelfth(interval: int) -> None:
    piece = bicinium.compose(invertible=interval, bars=6, key="A minor", seed=2)
    assert faults(piece.score) == []
    assert set(faults(piece.inverted(interval).score)) <= {"tonic_ending", "leading_note"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"canon": "at the octave"}, "A canon is written like"),
        ({"invertible": 9}, r"8, 10 or 12 \(got 9\)"),
        ({"canon": "1 bar at the octave below", "invertible": 8}, "cannot be combined"),
        ({"canon": "1 bar at the octave below", "use_grammar": False}, "need the grammar"),
        ({"canon": "4 bars at the octave below", "bars": 4}, "4 bars are too short"),
    ],
)
def test_what_cannot_be_composed_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        bicinium.compose(**options)


@pytest.mark.slow
def test_a_piece_that_is_never_without_faults_ends_with_an_error_that_names_the_bar() -> None:
    conditions = Conditions(Key.parse("C major"), Meter.parse("2/4"), bars=1)
    search = PiecewiseSearch(
        load_composer(),
        conditions,
        seed=1,
        plan=InvertiblePlan(8, conditions),
        config=DEFAULT_CONFIG,
        selection=Selection(accept=lambda piece: False),
    )
    with pytest.raises(RequestError, match="60 failed rounds none passes bar 1"):
        search.run()


def test_a_stream_takes_no_note_back() -> None:
    with pytest.raises(RequestError, match="takes no note back"):
        next(iter(bicinium.stream(invertible=8)))


def test_composing_a_canon_can_be_cancelled() -> None:
    with pytest.raises(CancelledError):
        bicinium.compose_many(1, canon="1 bar at the octave below", cancelled=lambda: True)
