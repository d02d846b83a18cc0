"""Reduce keyboard music to two voices: the right hand's upper line, the left hand's lower line.

- Two staves are the two hands. Of more, the highest and the lowest are taken.
- One staff is split. Of notes that start together, the highest and the lowest go to the two voices.
  A single note goes to the voice whose last note is nearer.
- Within a hand, a new note ends the previous one. But a note that starts inside the hand (below a
  sounding upper note, above a sounding lower note) is an inner voice and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

import numpy as np

from bicinium.music.content import Content, Staff
from bicinium.music.losses import LossKind, losses_of
from bicinium.music.score import (
    Note,
    NoteArray,
    NoteSequence,
    Score,
    Voice,
    estimate_key_from_notes,
    note_array,
)
from bicinium.music.signature import shift_spellings

ReductionMethod = Literal["staves", "outer staves", "split"]
_UPPER_NAMES = r"right|rh|r\.h\.|m\.?d\.?|droite|destra|rechts|rechte|upper|treble"
_LOWER_NAMES = r"left|lh|l\.h\.|m\.?[gs]\.?|gauche|sinistra|links|linke|lower|bass"
_NO_NOTES: NoteArray = np.zeros((4, 0), np.int64)


@dataclass(frozen=True, slots=True)
class VoiceReduction:
    """A two-voice score, and the notes lost in the reduction to it."""

    score: Score
    method: ReductionMethod
    notes_dropped: int
    notes_shortened: int

    @property
    def dropped_share(self) -> float:
        """Return the share of the source's notes that are not in the score."""
        return self.notes_dropped / max(1, self.notes_dropped + self.score.note_count)


def as_single_voice(content: Content, part: int) -> Score | None:
    """Return a score whose voice ``part`` is all of ``content`` and whose other voice is silent.

    The result is None if the content has more than one line or changes its metre.
    """
    if len(content.staves) > 1 or len(content.meters) > 1:
        return None
    notes = note_array(content.staves[0].notes)
    if (notes[0, 1:] < (notes[0] + notes[2])[:-1]).any():
        return None
    meter, end = content.meters[0][1], max(_end_tick(notes), content.end_tick or 0)
    line, silence = Voice(NoteSequence(notes)), Voice(())
    key = content.key or estimate_key_from_notes([notes], content.fifths)
    return Score(
        voices=(line, silence) if part == 0 else (silence, line),
        bars=-(-end // meter.bar_ticks),
        meter=meter,
        key=key,
        tempo_qpm=content.tempo_qpm,
        anacrusis_ticks=content.anacrusis_ticks,
        title=content.title,
        composer=content.composer,
        losses=content.losses,
        signature=content.written_signature(key),
        spellings=content.spellings,
    )


def reduce_to_two_voices(content: Content) -> list[VoiceReduction]:
    """Return one two-voice score for each section of ``content`` in one metre.

    A note that sounds across a change of metre ends there. Sections without notes are left out.
    """
    upper, lower, neither, method = _hands(content.staves)
    last_end = max(_end_tick(hand) for hand in (upper, lower, neither))
    ends = [tick for tick, _ in content.meters[1:]] + [last_end]
    pieces = []
    for index, ((start, meter), end) in enumerate(zip(content.meters, ends, strict=True)):
        lines = [
            _line(_between(upper, start, end), highest=True),
            _line(_between(lower, start, end), highest=False),
        ]
        if not any(line.notes.size for line in lines):
            continue
        last = max(_end_tick(line.notes) for line in lines)
        if content.end_tick is not None and index == len(ends) - 1:
            last = max(last, content.end_tick - start)
        key = content.key or estimate_key_from_notes([line.notes for line in lines], content.fifths)
        score = Score(
            voices=tuple(Voice(NoteSequence(line.notes)) for line in lines),
            bars=-(-last // meter.bar_ticks),
            meter=meter,
            key=key,
            tempo_qpm=content.tempo_qpm,
            anacrusis_ticks=content.anacrusis_ticks if index == 0 else 0,
            title=content.title,
            composer=content.composer,
            signature=content.written_signature(key),
            spellings=shift_spellings(content.spellings, start, end),
        )
        dropped = sum(line.dropped for line in lines) + _between(neither, start, end).shape[1]
        shortened = sum(line.shortened for line in lines)
        own = losses_of({LossKind.INNER_VOICES: dropped, LossKind.SHORTENED: shortened})
        score = replace(score, losses=(*content.losses, *own))
        pieces.append(VoiceReduction(score, method, dropped, shortened))
    return pieces


def _hands(staves: Sequence[Staff]) -> tuple[NoteArray, NoteArray, NoteArray, ReductionMethod]:
    """Return the notes of the upper hand, the lower hand and neither, and the method."""
    if len(staves) == 1:
        upper, lower, neither = _split(staves[0].notes)
        return note_array(upper), note_array(lower), note_array(neither), "split"
    by_height = _named_hands(staves) or sorted(
        staves, key=lambda staff: -note_array(staff.notes)[1].mean()
    )
    columns = [note_array(staff.notes) for staff in by_height]
    neither_hand = np.concatenate(columns[1:-1], axis=1) if len(staves) > 2 else _NO_NOTES
    method: ReductionMethod = "staves" if len(staves) == 2 else "outer staves"
    return columns[0], columns[-1], neither_hand, method


def _named_hands(staves: Sequence[Staff]) -> list[Staff] | None:
    """Return two staves in the order that their names state, such as "RH" or "Piano 1"; or None."""
    if len(staves) != 2:
        return None
    first, second = (staff.name.strip().lower() for staff in staves)

    def is_named(name: str, names: str) -> bool:
        return re.search(rf"(?<![a-z])(?:{names})(?![a-z])", name) is not None

    for upper, lower, order in ((first, second, 1), (second, first, -1)):
        numbered = upper[:-1] == lower[:-1] != "" and (upper[-1:], lower[-1:]) == ("1", "2")
        hands = is_named(upper, _UPPER_NAMES) and is_named(lower, _LOWER_NAMES)
        if hands or numbered:
            return list(staves)[::order]
    return None


def _end_tick(notes: NoteArray) -> int:
    return int((notes[0] + notes[2]).max()) if notes.size else 0


def _between(notes: NoteArray, start: int, end: int) -> NoteArray:
    """Return the notes that start in [start, end), cut at ``end`` and counted from ``start``."""
    if start == 0 and _end_tick(notes) <= end:
        return notes
    onset = notes[0]
    chosen = notes[:, (onset >= start) & (onset < end)]
    chosen[2] = np.minimum(chosen[2], end - chosen[0])
    chosen[0] -= start
    return chosen


@dataclass(frozen=True, slots=True)
class _Line:
    notes: NoteArray
    dropped: int
    shortened: int


def _line(notes: NoteArray, highest: bool) -> _Line:
    """Return the outer line of one hand. ``notes`` are ordered by onset, then pitch."""
    onset = notes[0]
    changes = onset[1:] != onset[:-1]
    if (changes & (onset[1:] >= (onset + notes[2])[:-1])).all():  # no chords, no overlaps
        return _Line(notes, 0, 0)
    outer = np.append(changes, True) if highest else np.append(True, changes)  # of each chord
    line = notes[:, outer[: onset.size]]  # a copy, which is changed below
    dropped = onset.size - line.shape[1]
    onset, pitch, duration, _ = line
    overlaps = onset[:-1] + duration[:-1] > onset[1:]
    if not overlaps.any():
        return _Line(line, dropped, 0)
    rises = pitch[1:] - pitch[:-1]
    inside = rises < 0 if highest else rises > 0
    if not (overlaps & inside).any():
        duration[:-1][overlaps] = (onset[1:] - onset[:-1])[overlaps]
        return _Line(line, dropped, int(overlaps.sum()))
    outward = 1 if highest else -1
    stays, lengths = _without_inner(onset.tolist(), pitch.tolist(), duration.tolist(), outward)
    shortened = int((np.array(lengths) != duration[stays]).sum())
    line = line[:, stays]
    line[2] = lengths
    return _Line(line, dropped + onset.size - len(stays), shortened)


def _without_inner(
    onsets: list[int], pitches: list[int], durations: list[int], outward: int
) -> tuple[list[int], list[int]]:
    """Return the indices of the notes to keep, and their new durations.

    A note that starts on the inner side of a sounding note is an inner voice. Any other note ends
    the sounding one. ``outward`` is 1 if the outer side is above, else -1.
    """
    stays: list[int] = []
    lengths: list[int] = []
    for index, (onset, pitch) in enumerate(zip(onsets, pitches, strict=True)):
        if stays and onsets[stays[-1]] + lengths[-1] > onset:
            if outward * (pitch - pitches[stays[-1]]) < 0:
                continue
            lengths[-1] = onset - onsets[stays[-1]]
        stays.append(index)
        lengths.append(durations[index])
    return stays, lengths


def _split(notes: Sequence[Note]) -> tuple[list[Note], list[Note], list[Note]]:
    """Divide one staff between two hands. The third list holds the notes of neither."""
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
