"""Canons and inversions: notes moved within a key, and voices exchanged."""

from __future__ import annotations

import pytest

from bicinium.counterpoint import check_score, load_rule_set
from bicinium.counterpoint.imitation import Canon, invert, move_in_key
from bicinium.errors import RequestError
from bicinium.music.key import Key
from bicinium.music.score import COMMON_TIME, Meter, Note


@pytest.mark.parametrize(
    ("key", "pitch", "letters", "moved"),
    [
        ("C major", 60, 7, 72),
        ("C major", 66, -7, 54),  # an octave keeps every accidental
        ("C major", 60, -4, 53),  # C4, F3
        ("C major", 71, 4, 77),  # B4, F5: a diminished fifth
        ("C major", 66, 4, 73),  # F#4, C#5
        ("C major", 66, -5, 58),  # F#4, A#3
        ("D major", 61, 2, 64),  # C#4, E4
        ("D minor", 61, -7, 49),  # C#4, C#3
        ("Eb major", 58, 1, 60),  # Bb3, C4
        ("A minor", 57, -1, 55),  # A3, G3
    ],
)
def test_a_note_moves_by_letters_within_the_key(key, pitch, letters, moved):
    assert move_in_key(pitch, letters, Key.parse(key)) == moved


def test_an_accidental_that_would_reach_another_scale_note_is_dropped():
    """In A minor G sharp a third lower is E, not E sharp, which is F."""
    assert move_in_key(68, -2, Key.parse("A minor")) == 64


@pytest.mark.parametrize(
    ("text", "meter", "delay", "letters"),
    [
        ("1 bar at the octave below", "4/4", 96, -7),
        ("2 bars at the fifth above", "3/4", 144, 4),
        ("1/2 bar at the fourth below", "4/4", 48, -3),
        ("1.5 bars at the ninth below", "4/4", 144, -8),
        ("3 beats at the sixth below", "4/4", 72, -5),
        ("1 beat at the third above", "6/8", 36, 2),
    ],
)
def test_a_canon_is_read(text, meter, delay, letters):
    canon = Canon.parse(text, Meter.parse(meter))
    assert (canon.delay_ticks, canon.letters) == (delay, letters)
    assert canon.leader == (0 if letters < 0 else 1)
    follower = canon.follow(Note(24, 72, 12, 70), Key.parse("C major"))
    assert (follower.onset_tick, follower.duration_ticks) == (24 + delay, 12)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a bar at the octave", "written like"),
        ("1 bar at the octet below", "written like"),
        ("1 bar at the unison below", "cross all the time"),
        ("1/7 bar at the octave below", "on a tick"),
        ("1/4 beat at the octave below", "a quarter note later"),
    ],
)
def test_what_is_not_a_canon_is_refused(text, said):
    with pytest.raises(RequestError, match=said):
        Canon.parse(text, COMMON_TIME)


def test_intervals_change_as_they_should(exercise):
    """At the octave a third becomes a sixth, at the tenth an octave, at the twelfth a tenth."""
    score = exercise("E4 F4 G4", "C4 D4 E4")
    semitones = {8: [8, 9, 9], 10: [12, 12, 12], 12: [15, 15, 16]}
    for interval, expected in semitones.items():
        upper, lower = invert(score, interval).voices
        pairs = zip(upper.notes, lower.notes, strict=True)
        assert [high.pitch - low.pitch for high, low in pairs] == expected


def test_the_voices_of_an_inversion_do_not_cross(exercise):
    """Two octaves apart they move two octaves or more towards each other."""
    for interval in (8, 10, 12):
        upper, lower = invert(exercise("C6 D6", "C4 G4"), interval).voices
        assert all(a.pitch >= b.pitch for a, b in zip(upper.notes, lower.notes, strict=True))


def test_parallel_fourths_are_a_fault_of_the_inversion_only(exercise):
    score = exercise("F4 G4 C5", "C4 D4 E4")
    rules = load_rule_set("bach")
    parallel = "consecutive_perfects"
    assert parallel not in [one.rule for one in check_score(score, rules).faults]
    assert parallel in [one.rule for one in check_score(invert(score, 8), rules).faults]
