"""Pitch spelling: choose the letter and accidental of each note.

Spelled pitch classes are positions on the line of fifths (… Bb -2, F -1, C 0, G 1, … F# 6 …). A
pitch class corresponds to every twelfth position. Two passes choose among them, each by the
cheapest path through all notes (Viterbi):

1. The key at each note, a tonic on the line of fifths and a mode. Keys explain the sounding pitches
   (key profiles of D. Temperley, Music and Probability, 2007) and seldom change, starting from the
   signature. So a piece that modulates from F major by flats arrives in G flat major, not F sharp.
2. The spelling in each voice. A position close to the key is cheap, and so is a semitone between
   two letters rather than on one (as in E. Chew and Y.-C. Chen, and in Temperley). A chromatic
   semitone may lead into an altered note more cheaply than out of it. Each voice is spelled with
   regard to the other: one pitch class close in time has one spelling.

A note whose spelling the score knows keeps it, and the others are spelled to fit.

docs/log.md compares the accuracy with other spellers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from bicinium.music.key import STEP_SEMITONES, Key, Mode
from bicinium.music.score import TICKS_PER_QUARTER, Note, Score, note_array
from bicinium.music.signature import LETTERS, Spellings

# Share of segments that hold each degree, by semitones above the tonic: Temperley (2007), from the
# Kostka-Payne corpus.
_MAJOR_PROFILE = (
    0.748, 0.060, 0.488, 0.082, 0.670, 0.460, 0.096, 0.715, 0.104, 0.366, 0.057, 0.400,
)  # fmt: skip
_MINOR_PROFILE = (
    0.712, 0.084, 0.474, 0.618, 0.049, 0.460, 0.105, 0.747, 0.404, 0.067, 0.133, 0.330,
)  # fmt: skip

# Costs of the key at each note, found by coordinate search on some of the pieces (docs/log.md).
_MAX_FIFTHS_FROM_SIGNATURE = 9
_START_COST = 3.0  # for each fifth between the first key and the signature, up to six
_DISTANCE_COST = 0.02  # at each note, for each fifth from the signature
_MANY_ACCIDENTALS_COST = 0.3  # at each note, for each sharp or flat of the key beyond six
_RELATIVE_KEY_COST = 7.0  # for a change to the relative key
_KEY_CHANGE_COST = 3.0  # for a change to any other key
_KEY_CHANGE_FIFTH_COST = 0.5  # and for each fifth of that change

# Costs of the spelling in each voice, found in the same way.
_CENTRES = {"major": 2.5, "minor": 0.5}  # fifths above the tonic of the cheapest spelling
_FREE_FIFTHS = 4.5  # Spellings within this distance of the centre are free.
_FIFTH_COST = 3.0  # for each fifth beyond
_INTERVAL_FIFTH_COST = 0.5  # for each fifth between two notes of a voice
_INTO_ALTERED_COST = 8.0  # for a semitone on one letter that leads into the altered note
_OUT_OF_ALTERED_COST = 15.0  # for one that leads out of it
_RESPELLING_COST = 5.0  # for a repeated pitch with another spelling
_CLASH_COST = 40.0  # for each note of another voice near by that spells the same pitch otherwise
_NEAR_TICKS = 24  # between the end of a note and the start of another that is near by
_ROUNDS = 2  # in which each voice is spelled again, with regard to the others
_KNOWN_FIFTH_COST = 1.0  # of a key, for each fifth of a known note beyond the free ones


@dataclass(frozen=True, slots=True)
class Spelling:
    """A written pitch: letter, number of sharps (negative for flats), octave."""

    step: str
    alter: int
    octave: int

    @property
    def pitch(self) -> int:
        return 12 * (self.octave + 1) + STEP_SEMITONES[self.step] + self.alter

    @property
    def name(self) -> str:
        """The name with octave, such as ``F#4``."""
        return f"{self.step}{'#' * self.alter}{'b' * -self.alter}{self.octave}"


def spell(score: Score) -> list[tuple[Spelling, ...]]:
    """Return the spelling of every note, voice by voice."""
    signature = score.written_signature
    key = score.key or Key(0, "major")
    lines = line_of_fifths(
        [voice.notes for voice in score.voices],
        signature.fifths,
        key.mode if signature.fits(key) else None,
        score.spellings,
    )
    return [
        tuple(
            _spelling_at(note.pitch, int(position))
            for note, position in zip(voice.notes, line, strict=True)
        )
        for voice, line in zip(score.voices, lines, strict=True)
    ]


def position_of(spelling: Spelling) -> int:
    """Return the position of a spelled pitch on the line of fifths; C is 0."""
    return LETTERS.index(spelling.step) - 1 + 7 * spelling.alter


def sounding_position(spelling: Spelling, pitch: int) -> int:
    """Return the position of a pitch that a transposing instrument writes as ``spelling``."""
    semitones = pitch - spelling.pitch
    return position_of(spelling) + written_fifths(semitones)


def written_fifths(semitones: int) -> int:
    """Return the fifths of a transposition, by the interval with the fewest signs.

    A minor third up is three fifths down, a whole tone up is two fifths up.
    """
    return 7 * semitones - 12 * round(7 * semitones / 12)


def signature_alterations(fifths: int) -> dict[str, int]:
    """Return the sharps of each letter in a signature: with 2 sharps, F and C are 1, others 0."""
    return {letter: (fifths + 6 - i) // 7 for i, letter in enumerate(LETTERS)}


def _spelling_at(pitch: int, position: int) -> Spelling:
    alter, letter = divmod(position + 1, 7)
    step = LETTERS[letter]
    return Spelling(step, alter, (pitch - alter - STEP_SEMITONES[step]) // 12 - 1)


def line_of_fifths(
    voices: Sequence[Sequence[Note]],
    fifths: int,
    mode: Mode | None = None,
    known: Spellings = MappingProxyType({}),
) -> list[NDArray[np.int64]]:
    """Return the position of each note of each voice on the line of fifths.

    ``fifths`` is the signature. ``mode`` tells which of its two keys the piece starts in. Notes
    with a ``known`` position have it.
    """
    notes = sorted(
        (note.onset_tick, part, note) for part, voice in enumerate(voices) for note in voice
    )
    if all((tick, note.pitch) in known for tick, _, note in notes):
        return [np.array([known[n.onset_tick, n.pitch] for n in v], np.int64) for v in voices]
    keys = _key_model(fifths, mode)
    centre = _key_centres([note for _, _, note in notes], keys, fifths, known)
    voice_of = np.array([part for _, part, _ in notes])
    lines = [_Line(voice, centre[voice_of == part], known) for part, voice in enumerate(voices)]
    for _ in range(_ROUNDS):
        for line in lines:
            line.spell([other for other in lines if other is not line])
    return [line.chosen for line in lines]


@dataclass(frozen=True, slots=True)
class _KeyModel:
    """The K candidate keys, relative to the signature: their positions and costs."""

    centres: NDArray[np.float64]  # (K,)
    surprise: NDArray[np.float64]  # (12, K) nats, by pitch class above the signature's tonic
    changes: NDArray[np.float64]  # (K, K) cost, from the key in the row to the one in the column
    start: NDArray[np.float64]  # (K,) cost at the first note
    distance: NDArray[np.float64]  # (K,) cost at each note


@cache
def _key_model(fifths: int, mode: Mode | None) -> _KeyModel:
    tonics = np.arange(-_MAX_FIFTHS_FROM_SIGNATURE, _MAX_FIFTHS_FROM_SIGNATURE + 4)
    signature = np.concatenate([tonics, tonics - 3])  # of the major keys, then the minor
    rows = []
    for profile in (_MAJOR_PROFILE, _MINOR_PROFILE):
        share = np.array(profile) / sum(profile)
        rows += [-np.log(share[(np.arange(12) - 7 * tonic) % 12]) for tonic in tonics]
    surprise = np.array(rows)
    away = np.abs(signature[:, None] - signature)
    changes = np.where(
        away == 0, _RELATIVE_KEY_COST, _KEY_CHANGE_COST + _KEY_CHANGE_FIFTH_COST * away
    )
    np.fill_diagonal(changes, 0)
    is_minor = np.arange(len(signature)) >= len(tonics)
    other_mode = _RELATIVE_KEY_COST * (mode is not None) * (is_minor != (mode == "minor"))
    return _KeyModel(
        np.concatenate([tonics + _CENTRES["major"], tonics + _CENTRES["minor"]]),
        (surprise - surprise.min()).T,
        changes,
        _START_COST * np.minimum(np.abs(signature), 6) + other_mode,
        _DISTANCE_COST * np.abs(signature)
        + _MANY_ACCIDENTALS_COST * np.maximum(0, np.abs(signature + fifths) - 6),
    )


def _key_centres(
    notes: Sequence[Note], keys: _KeyModel, fifths: int, known: Spellings
) -> NDArray[np.float64]:
    """Return (N,) the position on the line of fifths around which each note is spelled."""
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
        cost = cost + weight * (keys.surprise[(note.pitch - 7 * fifths) % 12] + keys.distance)
        if (position := known.get((note.onset_tick, note.pitch))) is not None:
            away = np.abs(keys.centres + fifths - position)
            cost += _KNOWN_FIFTH_COST * np.maximum(0, away - _FREE_FIFTHS)
    key = int(cost.argmin())
    path = []
    for best in reversed(came_from):
        path.append(key)
        key = int(best[key])
    return keys.centres[path[::-1]] + fifths


class _Line:
    """One voice, which is spelled with regard to the others.

    The candidates for each note are the position nearest to its centre and the two positions twelve
    fifths away. A known note has one candidate.
    """

    def __init__(
        self, notes: Sequence[Note], centre: NDArray[np.float64], known: Spellings
    ) -> None:
        self.onset, self.pitch, duration, _ = note_array(notes)
        self.offset = self.onset + duration
        lowest = np.floor(centre - 6).astype(np.int64)
        near = (7 * self.pitch - lowest) % 12 + lowest
        self._candidates = near[:, None] + np.array([-12, 0, 12])  # (N, 3)
        self.is_decided = np.zeros(len(near), np.bool_)
        for index, note in enumerate(notes):
            if (note.onset_tick, note.pitch) in known:
                self._candidates[index] = known[note.onset_tick, note.pitch]
                self.is_decided[index] = True
        self.chosen = self._candidates[:, 1]  # (N,) positions
        away = np.abs(self._candidates - centre[:, None])
        self._cost = _FIFTH_COST * np.maximum(0, away - _FREE_FIFTHS)
        self._moves = self._move_costs(away)

    def _move_costs(self, away: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N - 1, 3, 3) costs, from each candidate of a note to each one of the next."""
        fifths = np.abs(self._candidates[1:, None, :] - self._candidates[:-1, :, None])
        step = np.abs(np.diff(self.pitch))[:, None, None]
        altered = np.where(
            away[:-1, :, None] > away[1:, None, :], _OUT_OF_ALTERED_COST, _INTO_ALTERED_COST
        )
        return np.asarray(
            _INTERVAL_FIFTH_COST * fifths
            + np.where((step == 1) & (fifths == 7), altered, 0)
            + np.where((step == 0) & (fifths > 0), _RESPELLING_COST, 0)
        )

    def spell(self, others: Sequence[_Line]) -> None:
        """Choose the positions with the least cost, given what is decided of the others."""
        if not len(self.pitch):
            return
        cost = self._cost + sum(self._costs_beside(other) for other in others)
        total = cost[0]
        came_from = []
        for move, here in zip(self._moves, cost[1:], strict=True):
            through = total[:, None] + move
            best = through.argmin(axis=0)
            came_from.append(best)
            total = through[best, (0, 1, 2)] + here
        chosen = int(total.argmin())
        path = [chosen]
        for best in reversed(came_from):
            chosen = int(best[chosen])
            path.append(chosen)
        self.chosen = self._candidates[np.arange(len(path)), path[::-1]]
        self.is_decided[:] = True

    def _costs_beside(self, other: _Line) -> NDArray[np.float64]:
        """Return (N, 3) the cost of each candidate beside the notes of another voice."""
        costs = np.zeros(self._candidates.shape)
        first = np.searchsorted(other.offset, self.onset - _NEAR_TICKS, side="right")
        last = np.searchsorted(other.onset, self.offset + _NEAR_TICKS, side="left")
        for ahead in range(int((last - first).max(initial=0))):
            beside = np.minimum(first + ahead, len(other.onset) - 1)
            counts = (first + ahead < last) & other.is_decided[beside]
            fifths = np.abs(self._candidates - other.chosen[beside, None])
            costs += _CLASH_COST * (counts[:, None] & (fifths == 12))
        return costs
