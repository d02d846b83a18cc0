"""Pitch spelling: with which letter and accidental a pitch is written.

Spelled pitch classes are places on the line of fifths (… Bb -2, F -1, C 0, G 1, … F# 6 …); a pitch
class is every twelfth of them. Two passes choose among them, each the cheapest path through all
notes (Viterbi):

1. the key at every note, a tonic on the line of fifths and a mode: keys explain the pitches that
   sound (by the key profiles of D. Temperley, Music and Probability, 2007) and change seldom,
   beginning at the signature. A piece that modulates from F major by flats to G flat major so
   arrives there, and not in F sharp;
2. the spelling in each voice: near the key's place on the line; a semitone is two letters rather
   than one (E. Chew and Y.-C. Chen, and before them Temperley, prefer the same), and where a
   chromatic step must be, the step leads into the altered note and not out of it.

How well this spells, and how well others do, stands in docs/log.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bicinium.music.key import STEP_SEMITONES, Key, Mode
from bicinium.music.score import TICKS_PER_QUARTER, Note, Score

_LETTERS = "FCGDAEB"  # in the order of fifths; F is at -1

# How much each degree belongs to a key, by semitones above the tonic: Temperley (2007), from the
# Kostka-Payne corpus.
_MAJOR_PROFILE = (
    0.748,
    0.060,
    0.488,
    0.082,
    0.670,
    0.460,
    0.096,
    0.715,
    0.104,
    0.366,
    0.057,
    0.400,
)
_MINOR_PROFILE = (
    0.712,
    0.084,
    0.474,
    0.618,
    0.049,
    0.460,
    0.105,
    0.747,
    0.404,
    0.067,
    0.133,
    0.330,
)

# Costs, found by coordinate search on a part of the pieces (see docs/log.md).
_REACH = 9  # fifths that a piece may move away from its signature
_START = 3.0  # of beginning away from the signature, for each fifth, up to six
_PULL = 0.02  # of being away from the signature, for each fifth, all the time
_MANY_SIGNS = 0.3  # of each sharp or flat in a signature beyond six, all the time
_RELATIVE = 7.0  # of changing to the relative key
_CHANGE, _CHANGE_FIFTH = 3.0, 0.5  # of changing to another key, and of each fifth on the way
_CENTRES = {"major": 2.5, "minor": 0.5}  # fifths above the tonic that are spelled most easily
_FREE_FIFTHS = 4.5  # around the centre
_FIFTH = 3.0  # of each fifth beyond
_LEAP_FIFTH = 0.5  # of each fifth between two notes of a voice
_INTO, _OUT_OF = 8.0, 15.0  # of a semitone on one letter, into and out of the altered note
_RESPELLED = 5.0  # of repeating a pitch in another spelling


@dataclass(frozen=True, slots=True)
class Spelling:
    """A pitch as it is written: the letter, sharps (flats where negative), the octave."""

    step: str
    alter: int
    octave: int

    @property
    def pitch(self) -> int:
        return 12 * (self.octave + 1) + STEP_SEMITONES[self.step] + self.alter


def spell(score: Score) -> list[tuple[Spelling, ...]]:
    """The spelling of every note, voice by voice."""
    key = score.key or Key(0, "major")
    lines = line_of_fifths([voice.notes for voice in score.voices], key.fifths, key.mode)
    return [
        tuple(
            _on_line(note.pitch, int(place)) for note, place in zip(voice.notes, line, strict=True)
        )
        for voice, line in zip(score.voices, lines, strict=True)
    ]


def signature_alterations(fifths: int) -> dict[str, int]:
    """What a signature does to each letter: 2 sharps make F and C 1, the others 0."""
    return {letter: (fifths + 6 - i) // 7 for i, letter in enumerate(_LETTERS)}


def _on_line(pitch: int, place: int) -> Spelling:
    alter, letter = divmod(place + 1, 7)
    step = _LETTERS[letter]
    return Spelling(step, alter, (pitch - alter - STEP_SEMITONES[step]) // 12 - 1)


def line_of_fifths(
    voices: Sequence[Sequence[Note]], fifths: int, mode: Mode | None = None
) -> list[NDArray[np.int64]]:
    """For each note of each voice its place on the line of fifths.

    ``fifths`` is the signature; ``mode`` says which of its keys the piece is in, where it is known.
    """
    notes = sorted(
        (note.onset_tick, part, note) for part, voice in enumerate(voices) for note in voice
    )
    if not notes:
        return [np.zeros(0, np.int64) for _ in voices]
    centre = _centres([note for _, _, note in notes], _keys(fifths, mode), fifths)
    part_of = np.array([part for _, part, _ in notes])
    return [
        _spell_voice(np.array([note.pitch for note in voice]), centre[part_of == part])
        for part, voice in enumerate(voices)
    ]


@dataclass(frozen=True, slots=True)
class _Keys:
    """All keys in reach, seen from the signature: where on the line they lie, what they cost."""

    centres: NDArray[np.float64]  # (K,)
    surprise: NDArray[np.float64]  # (12, K) of a pitch class above the signature's tonic
    changes: NDArray[np.float64]  # (K, K)
    start: NDArray[np.float64]  # (K,)
    pull: NDArray[np.float64]  # (K,)


@cache
def _keys(fifths: int, mode: Mode | None) -> _Keys:
    tonics = np.arange(-_REACH, _REACH + 4)
    signature = np.concatenate([tonics, tonics - 3])  # of the major keys, then of the minor ones
    rows = []
    for profile in (_MAJOR_PROFILE, _MINOR_PROFILE):
        share = np.array(profile) / sum(profile)
        rows += [-np.log(share[(np.arange(12) - 7 * tonic) % 12]) for tonic in tonics]
    surprise = np.array(rows)
    away = np.abs(signature[:, None] - signature)
    changes = np.where(away == 0, _RELATIVE, _CHANGE + _CHANGE_FIFTH * away)
    np.fill_diagonal(changes, 0)
    is_minor = np.arange(len(signature)) >= len(tonics)
    other_mode = _RELATIVE * (mode is not None) * (is_minor != (mode == "minor"))
    return _Keys(
        np.concatenate([tonics + _CENTRES["major"], tonics + _CENTRES["minor"]]),
        (surprise - surprise.min()).T,
        changes,
        _START * np.minimum(np.abs(signature), 6) + other_mode,
        _PULL * np.abs(signature) + _MANY_SIGNS * np.maximum(0, np.abs(signature + fifths) - 6),
    )


def _centres(notes: Sequence[Note], keys: _Keys, fifths: int) -> NDArray[np.float64]:
    """(N,) the place on the line of fifths around which each note is spelled."""
    cost = keys.start
    stay = np.arange(len(cost))
    came_from = []
    before = notes[0].onset_tick
    for note in notes:
        if note.onset_tick > before:
            through = cost[:, None] + keys.changes
            best = through.argmin(axis=0)
            cost = through[best, stay]
            before = note.onset_tick
        else:
            best = stay
        came_from.append(best)
        weight = min(4.0, max(0.1, note.duration_ticks / TICKS_PER_QUARTER)) ** 0.75
        cost = cost + weight * (keys.surprise[(note.pitch - 7 * fifths) % 12] + keys.pull)
    key = int(cost.argmin())
    path = []
    for best in reversed(came_from):
        path.append(key)
        key = int(best[key])
    return keys.centres[path[::-1]] + fifths


def _spell_voice(pitches: NDArray[np.int64], centre: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N,) places on the line of fifths: for each note the nearest to its centre or one of the two
    that are twelve fifths away.
    """
    if not len(pitches):
        return np.zeros(0, np.int64)
    lowest = np.floor(centre - 6).astype(np.int64)
    near = (7 * pitches - lowest) % 12 + lowest
    places = near[:, None] + np.array([-12, 0, 12])  # (N, 3)
    away = np.abs(places - centre[:, None])
    cost = _FIFTH * np.maximum(0, away - _FREE_FIFTHS)
    fifths = np.abs(places[1:, None, :] - places[:-1, :, None])  # (N - 1, 3 before, 3 after)
    step = np.abs(np.diff(pitches))[:, None, None]
    altered = np.where(away[:-1, :, None] > away[1:, None, :], _OUT_OF, _INTO)
    moves = (
        _LEAP_FIFTH * fifths
        + np.where((step == 1) & (fifths == 7), altered, 0)
        + np.where((step == 0) & (fifths > 0), _RESPELLED, 0)
    )
    total = cost[0]
    came_from = []
    for move, here in zip(moves, cost[1:], strict=True):
        through = total[:, None] + move
        best = through.argmin(axis=0)
        came_from.append(best)
        total = through[best, (0, 1, 2)] + here
    chosen = int(total.argmin())
    path = [chosen]
    for best in reversed(came_from):
        chosen = int(best[chosen])
        path.append(chosen)
    return places[np.arange(len(pitches)), path[::-1]]
