"""Measures of two-voice counterpoint: parallels, crossings, dissonances, cadences.

These are pure functions over a ``Score`` of two voices, the upper (0) and the lower (1). Each
definition stands here once: evaluation and ranking count by it, and ``generation.constraints``
prevents what it counts. An interval is the distance of two pitches, whichever voice is on top.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bicinium.music.key import Key
from bicinium.music.score import TICKS_PER_QUARTER, Meter, NoteArray, Score, note_array

Bools: TypeAlias = NDArray[np.bool_]
Pitches: TypeAlias = NDArray[np.integer[Any]]
PitchRange: TypeAlias = tuple[int, int]  # the lowest and the highest pitch

UPPER, LOWER = 0, 1
OCTAVE, FIFTH = 0, 7  # interval classes; a unison counts as an octave
SPAN_TICKS = TICKS_PER_QUARTER  # One hand plays notes that start closer together than this.
_ONSET, _PITCH, _DURATION = 0, 1, 2  # rows of ``Columns``
_SILENT = 0  # the pitch of a voice that does not sound

# Unison, thirds, fifth, sixths, octave. The fourth is a dissonance, as it is against a bass.
IS_CONSONANT = np.isin(np.arange(12), (0, 3, 4, 7, 8, 9))
_MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
_MINOR_SCALE = (0, 2, 3, 5, 7, 8, 9, 10, 11)  # natural minor with the raised sixth and seventh
_MAJOR_TRIAD, _MINOR_TRIAD = (0, 4, 7), (0, 3, 4, 7)  # A piece in minor may close in major.


class NoteLocation(NamedTuple):
    """A note, identified by its voice and its onset."""

    voice: int
    tick: int


class Parallel(NamedTuple):
    """A parallel octave or fifth, between the notes that start at ``tick`` and those before."""

    tick: int
    interval: Literal["octave", "fifth"]


class TickRange(NamedTuple):
    """The ticks from ``start_tick`` to ``end_tick``, exclusive."""

    start_tick: int
    end_tick: int


# ------------------------------------------------------------------ intervals and scales


def interval_class(one: Pitches, other: Pitches) -> Pitches:
    """Return the distance of two pitches in semitones, modulo the octave: 0 to 11."""
    return np.abs(np.subtract(one, other, dtype=np.int64)) % 12


def are_dissonant(one: Pitches, other: Pitches) -> Bools:
    """Return where the interval is a second, fourth, tritone or seventh, or a compound of one."""
    return np.asarray(~IS_CONSONANT[interval_class(one, other)])


def are_parallel(
    upper_before: Pitches, upper: Pitches, lower_before: Pitches, lower: Pitches
) -> Bools:
    """Return where two voices make parallel octaves (or unisons) or fifths.

    Both move in the same direction between intervals of one perfect class. The arguments may have
    any shapes that broadcast.
    """
    before, after = interval_class(upper_before, lower_before), interval_class(upper, lower)
    up = np.subtract(upper, upper_before, dtype=np.int64)
    return are_parallel_moves(before, after, up, np.subtract(lower, lower_before, dtype=np.int64))


def are_parallel_moves(before: Pitches, after: Pitches, up: Pitches, down: Pitches) -> Bools:
    """Return where two voices that move by ``up`` and ``down`` semitones, in one direction, keep a
    perfect interval class: octave (or unison) or fifth.
    """
    perfect = (after == OCTAVE) | (after == FIFTH)
    together = (up != 0) & (np.sign(up) == np.sign(down))
    return np.asarray(perfect & (before == after) & together)


def scale_pitch_classes(key: Key) -> frozenset[int]:
    """Return the pitch classes of a key. Minor has the natural and the raised sixth and seventh."""
    steps = _MINOR_SCALE if key.mode == "minor" else _MAJOR_SCALE
    return frozenset((key.tonic + step) % 12 for step in steps)


def tonic_triad(key: Key) -> frozenset[int]:
    """Return the pitch classes of the final chord in a key. Minor allows either third."""
    steps = _MINOR_TRIAD if key.mode == "minor" else _MAJOR_TRIAD
    return frozenset((key.tonic + step) % 12 for step in steps)


def strong_beat_ticks(meter: Meter) -> tuple[int, ...]:
    """Return the strong beats of a bar: the downbeat, and the middle of four beats (4/4, 12/8)."""
    four_beats = meter.bar_ticks == 4 * meter.beat_ticks
    return (0, meter.bar_ticks // 2) if four_beats else (0,)


# ------------------------------------------------------------------ two voices


def parallels(score: Score) -> list[Parallel]:
    """Return the parallel octaves (with unisons) and fifths.

    Both voices move at the same tick without a rest, each from a note that ends there to one of
    another pitch that starts there. For direction and intervals see ``are_parallel``.
    """
    upper, lower = _lines(score)
    ticks, i, j = np.intersect1d(
        upper[_ONSET], lower[_ONSET], assume_unique=True, return_indices=True
    )
    i, j, ticks = (values[(i > 0) & (j > 0)] for values in (i, j, ticks))
    found = (_offset(upper)[i - 1] == ticks) & (_offset(lower)[j - 1] == ticks)
    (upper_before, u), (lower_before, low) = (
        (line[_PITCH][at - 1], line[_PITCH][at]) for line, at in ((upper, i), (lower, j))
    )
    found &= are_parallel(upper_before, u, lower_before, low)
    fifths = (interval_class(u, low) == FIFTH)[found].tolist()
    return [
        Parallel(tick, "fifth" if fifth else "octave")
        for tick, fifth in zip(ticks[found].tolist(), fifths, strict=True)
    ]


def voice_crossings(score: Score) -> list[TickRange]:
    """Return where the lower voice sounds above the upper, one range for each pair of notes.

    A unison is not a crossing.
    """
    upper, lower = _lines(score)
    edges = np.unique(
        np.concatenate([upper[_ONSET], _offset(upper), lower[_ONSET], _offset(lower)])
    )
    u, low = (pitches_at(line, edges) for line in (upper, lower))
    crossed = np.flatnonzero((u != _SILENT) & (low > u))
    return [
        TickRange(*pair)
        for pair in zip(edges[crossed].tolist(), edges[crossed + 1].tolist(), strict=True)
    ]


def strong_beat_dissonances(score: Score) -> list[int]:
    """Return the ticks of the strong beats on which both voices sound and are dissonant.

    Notes that start at a tick sound there. Notes that end at a tick do not.
    """
    bars = np.arange(score.bars)[:, None] * score.meter.bar_ticks
    ticks = (bars + strong_beat_ticks(score.meter)).ravel()
    upper, lower = (pitches_at(line, ticks) for line in _lines(score))
    both = (upper != _SILENT) & (lower != _SILENT)
    return ticks[both & are_dissonant(upper, lower)].tolist()


# ------------------------------------------------------------------ one voice


def large_leaps(score: Score, max_semitones: int) -> list[NoteLocation]:
    """Return notes more than ``max_semitones`` from the previous note, with or without a rest."""
    return _places(
        score, (np.abs(_changes(notes[_PITCH])) > max_semitones for notes in _lines(score))
    )


def notes_outside_key(score: Score, key: Key) -> list[NoteLocation]:
    """Return notes outside the scale of a key (see ``scale_pitch_classes``)."""
    inside = list(scale_pitch_classes(key))
    return _places(score, (~np.isin(notes[_PITCH] % 12, inside) for notes in _lines(score)))


def notes_outside_range(score: Score, ranges: Sequence[PitchRange]) -> list[NoteLocation]:
    """Return notes below or above the range of their voice."""
    return _places(
        score,
        (
            (notes[_PITCH] < low) | (notes[_PITCH] > high)
            for notes, (low, high) in zip(_lines(score), ranges, strict=True)
        ),
    )


def wide_hand_spans(score: Score, max_semitones: int) -> list[NoteLocation]:
    """Return notes that a hand cannot reach together with a recent note.

    They lie more than ``max_semitones`` from a note of their voice that starts less than a quarter
    note earlier.
    """
    return _places(score, (_are_wide(notes, max_semitones) for notes in _lines(score)))


def _are_wide(notes: NoteArray, max_semitones: int) -> Bools:
    wide = np.zeros(notes.shape[1], np.bool_)
    for back in range(1, min(SPAN_TICKS, notes.shape[1])):
        change = notes[:, back:] - notes[:, :-back]
        near = change[_ONSET] < SPAN_TICKS
        if not near.any():
            break
        wide[back:] |= near & (np.abs(change[_PITCH]) > max_semitones)
    return wide


def voices_off_tonic(score: Score, key: Key) -> list[int]:
    """Return the voices that do not end on the tonic chord.

    The lower voice must end on the tonic and sound in the last bar. The upper voice must end on a
    note of the tonic triad (see ``tonic_triad``). A voice without notes does not end on it.
    """
    upper, lower = (score.voices[voice].notes for voice in (UPPER, LOWER))
    last_bar = score.end_tick - score.meter.bar_ticks
    closed = (
        len(upper) > 0 and upper[-1].pitch % 12 in tonic_triad(key),
        len(lower) > 0 and lower[-1].pitch % 12 == key.tonic and lower[-1].offset_tick > last_bar,
    )
    return [voice for voice in (UPPER, LOWER) if not closed[voice]]


def ends_on_tonic(score: Score, key: Key) -> bool:
    """Return whether both voices end on the tonic chord (see ``voices_off_tonic``)."""
    return not voices_off_tonic(score, key)


def dominant(key: Key) -> int:
    """Return the pitch class of the fifth degree."""
    return (key.tonic + 7) % 12


def dominant_seventh(key: Key) -> set[int]:
    """Return the pitch classes of the dominant seventh chord, with the leading note in minor."""
    return {(key.tonic + degree) % 12 for degree in (7, 11, 2, 5)}


def has_authentic_bass(score: Score, key: Key) -> bool:
    """Return whether the lower voice ends with the dominant and the tonic.

    This is the bass of an authentic cadence. Repeated tonics, in any octave, count as one.
    """
    classes = [note.pitch % 12 for note in score.voices[LOWER].notes]
    penultimate = next((each for each in reversed(classes) if each != key.tonic), None)
    return classes[-1:] == [key.tonic] and penultimate == dominant(key)


def latest_final_onset_tick(meter: Meter, bars: int) -> int:
    """Return the middle beat of the last bar, by which the final notes must start.

    It is the second beat of three.
    """
    beats = meter.bar_ticks // meter.beat_ticks
    return (bars - 1) * meter.bar_ticks + beats // 2 * meter.beat_ticks


def voices_not_at_rest(score: Score, key: Key) -> list[int]:
    """Return the voices that end off the tonic chord, or start a note after the middle beat.

    The middle beat is that of the last bar (see ``latest_final_onset_tick``).
    """
    last, still_open = (
        latest_final_onset_tick(score.meter, score.bars),
        voices_off_tonic(score, key),
    )
    return [
        voice
        for voice in (UPPER, LOWER)
        if voice in still_open or score.voices[voice].notes[-1].onset_tick > last
    ]


def comes_to_rest(score: Score, key: Key) -> bool:
    """Return whether both voices reach their final note by the middle of the last bar."""
    return not voices_not_at_rest(score, key)


# ------------------------------------------------------------------ helpers


def pitches_at(notes: NoteArray, ticks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the pitch of a voice at each tick, 0 if it rests.

    A note that starts at the tick sounds there. One that ends there does not.
    """
    if not notes.shape[1]:
        return np.zeros(len(ticks), np.int64)
    latest = np.searchsorted(notes[_ONSET], ticks, side="right") - 1
    sounds = (latest >= 0) & (_offset(notes)[latest] > ticks)
    return np.where(sounds, notes[_PITCH][latest], _SILENT)


def _lines(score: Score) -> tuple[NoteArray, NoteArray]:
    return note_array(score.voices[UPPER].notes), note_array(score.voices[LOWER].notes)


def _offset(notes: NoteArray) -> NDArray[np.int64]:
    return notes[_ONSET] + notes[_DURATION]


def _changes(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the difference of each value to the previous one, 0 for the first."""
    return np.diff(values, prepend=values[:1])


def _places(score: Score, marked: Iterable[Bools]) -> list[NoteLocation]:
    """Return the marked notes. ``marked`` has one mask for each voice."""
    return [
        NoteLocation(voice, tick)
        for voice, (notes, where) in enumerate(zip(_lines(score), marked, strict=True))
        for tick in notes[_ONSET][where].tolist()
    ]
