"""The form of a two-voice piece: which bars return, and where phrases close.

Every bar of every voice gets a label: it is new, or it is like an earlier bar, literally, moved on
the scale, or varied. Every bar has a close, if a phrase ends in it. ``form_of`` finds both in the
notes; composing follows a form that is given.

A label is found like this. Bars in which fewer than three notes begin are SILENT or SPARSE. Of the
bars of both voices before it, a bar looks for one with the same onsets and, all by the same number
of scale steps (or all by the same number of semitones), the same pitches. Of several, the bar after
the one that the bar before referred to comes first; then LITERAL ones before TRANSPOSED ones, the
own voice before the other, and later ones before earlier ones. If there is none, it looks at the
bar after the last reference and at those 1, 2, 4 and 8 bars ago of both voices, for the one that
shares most notes (onset and scale degree, moved by any one step). If these are at least two thirds
of the notes, it is VARIED, else NEW. Scale steps are counted on the white keys, so pieces must be
in C major or A minor.

A phrase closes where, on a strong beat, both voices begin a note, the interval is consonant, and
one of them then rests: it begins no other note for a beat, and for twice its usual distance between
onsets. The close is FULL if the lower voice comes to the tonic from the dominant, the leading note
or the second degree; HALF if it comes to the dominant; OTHER if it falls a fifth (or rises a
fourth) to another degree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from itertools import pairwise
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bicinium.music.counterpoint import IS_CONSONANT, strong_beat_ticks
from bicinium.music.key import Key
from bicinium.music.score import VOICES, Meter, Score, note_array

MIN_NOTES = 3  # of a bar that returns or may be returned to
MAX_STEP = 28  # white keys: four octaves
MIN_SHARED = 2 / 3  # of the notes of a varied bar
_DISTANCES = (1, 2, 4, 8)  # bars ago, of varied bars
WHITE_KEY_BELOW = (0, 0, 1, 1, 2, 3, 3, 4, 4, 5, 5, 6)  # of each pitch class, on the white keys


class BarKind(IntEnum):
    """What a bar of a voice is, beside those before it."""

    UNKNOWN = 0
    SILENT = 1  # No note begins.
    SPARSE = 2  # One or two notes begin.
    NEW = 3
    LITERAL = 4
    TRANSPOSED = 5
    VARIED = 6


class Close(IntEnum):
    """What ends in a bar."""

    UNKNOWN = 0
    NONE = 1
    OTHER = 2
    HALF = 3
    FULL = 4


RETURNS = (BarKind.LITERAL, BarKind.TRANSPOSED, BarKind.VARIED)


class BarLabel(NamedTuple):
    """The label of a bar of a voice. The rest counts only if ``kind`` is one of RETURNS."""

    kind: BarKind
    back: int = 0  # bars from the bar that it is like
    other: bool = False  # whether that is in the other voice
    step: int = 0  # scale steps from its notes to those of this bar


@cache
def bar_label(kind: BarKind, back: int = 0, other: bool = False, step: int = 0) -> BarLabel:
    """Return a label; equal ones are the same object, which saves memory."""
    return BarLabel(kind, back, other, step)


@dataclass(frozen=True, slots=True)
class Form:
    """``labels`` of each voice, each (bars,), and ``closes`` (bars,)."""

    labels: tuple[tuple[BarLabel, ...], ...]
    closes: tuple[Close, ...]

    @property
    def bars(self) -> int:
        return len(self.closes)

    def with_unknown(self, labels: NDArray[np.bool_], closes: NDArray[np.bool_]) -> Form:
        """Return a copy in which some labels (voices, bars) and closes (bars,) are unknown."""
        kept = zip(self.labels, labels.tolist(), strict=True)
        unknown = bar_label(BarKind.UNKNOWN)
        return Form(
            tuple(
                tuple(unknown if hide else label for label, hide in zip(*voice, strict=True))
                for voice in kept
            ),
            tuple(
                Close.UNKNOWN if hide else close
                for close, hide in zip(self.closes, closes.tolist(), strict=True)
            ),
        )

    def completed(self, other: Form) -> Form:
        """Return a copy in which what is unknown is as in the other form of as many bars."""
        return Form(
            tuple(
                tuple(
                    also if label.kind == BarKind.UNKNOWN else label
                    for label, also in zip(*voices, strict=True)
                )
                for voices in zip(self.labels, other.labels, strict=True)
            ),
            tuple(
                also if close == Close.UNKNOWN else close
                for close, also in zip(self.closes, other.closes, strict=True)
            ),
        )

    def cut(self, bars: int) -> Form:
        """Return the form of the first bars."""
        return Form(tuple(voice[:bars] for voice in self.labels), self.closes[:bars])


def degree_of(pitch: int) -> int:
    """Return the number of the white key; for a black key, that of the white key below it."""
    return pitch // 12 * 7 + WHITE_KEY_BELOW[pitch % 12]


def form_of(voices: Sequence[Sequence[tuple[int, int]]], meter: Meter, bars: int, key: Key) -> Form:
    """Find the form of a piece in C major or A minor.

    voices: (onset in ticks, pitch) of the notes of each voice, in order. ``key`` is that of these
    notes.
    """
    split = [_split(voice, meter.bar_ticks, bars) for voice in voices]
    finder = _Finder(split)
    for bar in range(bars):
        for voice in range(len(voices)):
            finder.label(voice, bar)
    labels = tuple(tuple(of_voice) for of_voice in finder.labels)
    return Form(labels, _closes(voices, meter, bars, key))


def form_of_score(score: Score) -> Form:
    """Find the form of a score in C major or A minor; see ``form_of``."""
    notes = [note_array(voice.notes) for voice in score.voices]
    voices = [list(zip(*columns[:2].tolist(), strict=True)) for columns in notes]
    key = score.key or score.estimated_key or Key(0, "major")
    return form_of(voices, score.meter, score.bars, key)


class _Bar:
    """The notes that begin in a bar of a voice, with onsets counted from the barline."""

    def __init__(self, onsets: tuple[int, ...], pitches: tuple[int, ...]) -> None:
        self.onsets, self.pitches = onsets, pitches
        self.degrees = tuple(map(degree_of, pitches))

    def shapes(self) -> tuple[tuple[object, ...], tuple[object, ...]]:
        """Return what transposed bars share: on the scale, and by semitones."""
        degree, pitch = self.degrees[0], self.pitches[0]
        return (
            (True, self.onsets, tuple(d - degree for d in self.degrees)),
            (False, self.onsets, tuple(p - pitch for p in self.pitches)),
        )


def _split(voice: Sequence[tuple[int, int]], bar_ticks: int, bars: int) -> list[_Bar]:
    notes: list[list[tuple[int, int]]] = [[] for _ in range(bars)]
    for onset, pitch in voice:
        bar, place = divmod(onset, bar_ticks)
        if bar < bars:
            notes[bar].append((place, pitch))
    return [_Bar(tuple(n[0] for n in bar), tuple(n[1] for n in bar)) for bar in notes]


class _Finder:
    """Labels the bars of a piece in the order of time."""

    def __init__(self, voices: Sequence[list[_Bar]]) -> None:
        self.voices = voices
        self.labels: list[list[BarLabel]] = [[] for _ in voices]
        self.seen: dict[tuple[object, ...], list[tuple[int, int]]] = {}  # shape → (bar, voice)
        self.waiting: list[tuple[tuple[object, ...], tuple[int, int]]] = []

    def label(self, voice: int, bar: int) -> None:
        """Label the next bar of a voice. Voices of one bar do not refer to each other."""
        if voice == 0:
            for shape, place in self.waiting:
                self.seen.setdefault(shape, []).append(place)
            self.waiting = []
        notes = self.voices[voice][bar]
        self.labels[voice].append(self._label(notes, voice, bar))
        if len(notes.pitches) >= MIN_NOTES:
            self.waiting += [(shape, (bar, voice)) for shape in notes.shapes()]

    def _label(self, notes: _Bar, voice: int, bar: int) -> BarLabel:
        if len(notes.pitches) < MIN_NOTES:
            return bar_label(BarKind.SPARSE if notes.pitches else BarKind.SILENT)
        expected = self._expected(voice, bar)
        found = {place for shape in notes.shapes() for place in self.seen.get(shape, ())}
        if found:
            return self._best_return(notes, voice, bar, found, expected)
        return self._varied(notes, voice, bar, expected)

    def _expected(self, voice: int, bar: int) -> tuple[int, int] | None:
        """Return the bar after the one that the bar before referred to."""
        last = self.labels[voice][-1] if bar else bar_label(BarKind.NEW)
        if last.kind not in RETURNS:
            return None
        return bar - last.back, 1 - voice if last.other else voice

    def _best_return(
        self,
        notes: _Bar,
        voice: int,
        bar: int,
        found: set[tuple[int, int]],
        expected: tuple[int, int] | None,
    ) -> BarLabel:
        def rank(place: tuple[int, int]) -> tuple[bool, bool, bool, int]:
            literal = self.voices[place[1]][place[0]].pitches == notes.pitches
            return place == expected, literal, place[1] == voice, place[0]

        source_bar, source_voice = max(found, key=rank)
        source = self.voices[source_voice][source_bar]
        step = notes.degrees[0] - source.degrees[0]
        if abs(step) > MAX_STEP:
            return bar_label(BarKind.NEW)
        literal = source.pitches == notes.pitches
        kind = BarKind.LITERAL if literal else BarKind.TRANSPOSED if step else BarKind.VARIED
        return bar_label(kind, bar - source_bar, source_voice != voice, step)

    def _varied(
        self, notes: _Bar, voice: int, bar: int, expected: tuple[int, int] | None
    ) -> BarLabel:
        places = [expected] if expected else []
        for source_voice in (voice, 1 - voice):
            places += [(bar - back, source_voice) for back in _DISTANCES if back <= bar]
        best, shared = bar_label(BarKind.NEW), MIN_SHARED
        for source_bar, source_voice in places:
            source = self.voices[source_voice][source_bar]
            share, step = _shared(source, notes)
            if abs(step) <= MAX_STEP and (share > shared or (share == shared and not best.back)):
                best = bar_label(BarKind.VARIED, bar - source_bar, source_voice != voice, step)
                shared = share
        return best


def _shared(source: _Bar, notes: _Bar) -> tuple[float, int]:
    """Return the share of notes that two bars share, moved by one step, and that step."""
    longest = max(len(source.degrees), len(notes.degrees))
    if min(len(source.degrees), len(notes.degrees)) < MIN_SHARED * longest:
        return 0.0, 0
    degrees = dict(zip(source.onsets, source.degrees, strict=True))
    steps = [
        degree - degrees[onset]
        for onset, degree in zip(notes.onsets, notes.degrees, strict=True)
        if onset in degrees
    ]
    if not steps:
        return 0.0, 0
    step = max(steps, key=lambda one: (steps.count(one), -abs(one)))
    return steps.count(step) / longest, step


def _closes(
    voices: Sequence[Sequence[tuple[int, int]]], meter: Meter, bars: int, key: Key
) -> tuple[Close, ...]:
    closes = [Close.NONE] * bars
    if len(voices) != VOICES or not all(voices):
        return tuple(closes)
    strong = strong_beat_ticks(meter)
    resting = [_resting(voice, meter.beat_ticks) for voice in voices]
    upper = dict(voices[0])
    previous = 0
    for onset, pitch in voices[1]:
        bar, place = divmod(onset, meter.bar_ticks)
        if bar < bars and place in strong and onset in upper and previous:
            rests = onset in resting[0] or onset in resting[1]
            if rests and IS_CONSONANT[abs(upper[onset] - pitch) % 12]:
                closes[bar] = max(closes[bar], _close(previous, pitch, key))
        previous = pitch
    return tuple(closes)


def _resting(voice: Sequence[tuple[int, int]], beat_ticks: int) -> set[int]:
    """Return the onsets after which a voice rests."""
    onsets = [onset for onset, _ in voice]
    gaps = [later - earlier for earlier, later in pairwise(onsets)]
    if not gaps:
        return set(onsets)
    least = max(beat_ticks, 2 * median(gaps))
    return {onset for onset, gap in zip(onsets, gaps, strict=False) if gap >= least} | {onsets[-1]}


def _close(before: int, pitch: int, key: Key) -> Close:
    """Return the close of a step of the lower voice."""
    degree, moved = (pitch - key.tonic) % 12, (pitch - before) % 12
    if degree == 0 and (before - key.tonic) % 12 in (7, 11, 10, 2):
        return Close.FULL
    if degree == 7 and moved:
        return Close.HALF
    return Close.OTHER if moved == 5 else Close.NONE
