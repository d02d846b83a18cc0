"""Keyboard music to two voices: the upper line of the right hand, the lower line of the left.

Two staves are the two hands; of more, the highest and the lowest are taken. One staff is split:
of notes that start together the highest and the lowest go to the two voices, a single note goes to
the voice whose last note is nearer. Within a hand, a new note ends the one before, unless it starts
inside the hand (below a sounding upper note, above a sounding lower one): that is an inner voice
and left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from bicinium.score.content import Content, Staff
from bicinium.score.keys import Key, find_key
from bicinium.score.notes import Note, Score, Voice

Method = Literal["staves", "outer staves", "split"]


@dataclass(frozen=True, slots=True)
class TwoVoices:
    """A two-voice score and what was lost on the way to it."""

    score: Score
    method: Method
    notes_dropped: int
    notes_shortened: int

    @property
    def dropped_share(self) -> float:
        """Share of the source's notes that are not in the score."""
        return self.notes_dropped / max(1, self.notes_dropped + self.score.note_count)


def two_voices(content: Content) -> list[TwoVoices]:
    """One two-voice score for each stretch of ``content`` in one metre.

    A note that sounds across a change of metre ends there. Stretches without notes are left out.
    """
    upper, lower, neither, method = _hands(content.staves)
    ends = [tick for tick, _ in content.meters[1:]] + [_end_tick(upper, lower, neither)]
    pieces = []
    for index, ((start, meter), end) in enumerate(zip(content.meters, ends, strict=True)):
        lines = [
            _line(_between(upper, start, end), highest=True),
            _line(_between(lower, start, end), highest=False),
        ]
        if not any(line.notes for line in lines):
            continue
        last = max(line.notes[-1].offset_tick for line in lines if line.notes)
        if content.end_tick is not None and index == len(ends) - 1:
            last = max(last, content.end_tick - start)
        score = Score(
            voices=tuple(Voice(line.notes) for line in lines),
            bars=-(-last // meter.bar_ticks),
            meter=meter,
            tempo_qpm=content.tempo_qpm,
            anacrusis_ticks=content.anacrusis_ticks if index == 0 else 0,
            title=content.title,
            composer=content.composer,
        )
        pieces.append(
            TwoVoices(
                score=replace(score, key=content.key or _found_key(score, content.fifths)),
                method=method,
                notes_dropped=sum(line.dropped for line in lines)
                + len(_between(neither, start, end)),
                notes_shortened=sum(line.shortened for line in lines),
            )
        )
    return pieces


def _hands(
    staves: Sequence[Staff],
) -> tuple[Sequence[Note], Sequence[Note], Sequence[Note], Method]:
    """Notes of the upper hand, of the lower, of neither, and how they were told apart."""
    if len(staves) == 1:
        return *_split(staves[0].notes), "split"
    by_height = sorted(staves, key=lambda staff: -_mean_pitch(staff))
    named = {staff.name.strip().lower(): staff for staff in staves}
    if len(staves) == 2 and {"right", "left"} <= named.keys():
        by_height = [named["right"], named["left"]]
    neither = [note for staff in by_height[1:-1] for note in staff.notes]
    method: Method = "staves" if len(staves) == 2 else "outer staves"
    return by_height[0].notes, by_height[-1].notes, neither, method


def _mean_pitch(staff: Staff) -> float:
    return sum(note.pitch for note in staff.notes) / len(staff.notes)


def _end_tick(*hands: Iterable[Note]) -> int:
    return max(note.offset_tick for hand in hands for note in hand)


def _between(notes: Iterable[Note], start: int, end: int) -> list[Note]:
    """The notes that begin in [start, end), cut at ``end`` and counted from ``start``."""
    return [
        replace(
            note,
            onset_tick=note.onset_tick - start,
            duration_ticks=min(note.offset_tick, end) - note.onset_tick,
        )
        for note in notes
        if start <= note.onset_tick < end
    ]


@dataclass(frozen=True, slots=True)
class _Line:
    notes: tuple[Note, ...]
    dropped: int
    shortened: int


def _line(notes: Iterable[Note], highest: bool) -> _Line:
    """The outer line of one hand."""
    outward = 1 if highest else -1
    line: list[Note] = []
    dropped = shortened = 0
    for onset, group in groupby(sorted(notes), key=lambda note: note.onset_tick):
        chord = list(group)
        outer = max(chord, key=lambda note: outward * note.pitch)
        dropped += len(chord) - 1
        if line and line[-1].offset_tick > onset:
            if outward * (outer.pitch - line[-1].pitch) < 0:
                dropped += 1
                continue
            line[-1] = replace(line[-1], duration_ticks=onset - line[-1].onset_tick)
            shortened += 1
        line.append(outer)
    return _Line(tuple(line), dropped, shortened)


def _split(notes: Sequence[Note]) -> tuple[list[Note], list[Note], list[Note]]:
    """Divide one staff between two hands; the third list holds what neither could take."""
    upper: list[Note] = []
    lower: list[Note] = []
    neither: list[Note] = []
    middle = sum(note.pitch for note in notes) / len(notes)
    for _, group in groupby(sorted(notes), key=lambda note: note.onset_tick):
        chord = list(group)
        if len(chord) > 1:
            lower.append(chord[0])
            upper.append(chord[-1])
            neither += chord[1:-1]
            continue
        note = chord[0]
        to_upper = abs(note.pitch - (upper[-1].pitch if upper else middle + 6))
        to_lower = abs(note.pitch - (lower[-1].pitch if lower else middle - 6))
        (upper if to_upper <= to_lower else lower).append(note)
    return upper, lower, neither


def _found_key(score: Score, fifths: int | None) -> Key:
    ticks = [0.0] * 12
    for voice in score.voices:
        for note in voice.notes:
            ticks[note.pitch % 12] += note.duration_ticks
    bass = score.voices[-1].notes or score.voices[0].notes
    return find_key(ticks, final_bass=bass[-1].pitch, fifths=fifths)
