"""The grid of 24 ticks to the quarter note: snap notes to it, and quantise recordings.

Many programs end a note one tick of their file early, or round triplets to their ticks. A note that
is at most one tick of its file and a 96th of a quarter note away from the grid is snapped. If it
ends one tick before another note of its staff begins, the end of the one and the beginning of the
other are one place. Other notes are rounded and counted as off the grid.

A recording is quantised on request. In each quarter, the onsets go to sixteenths or to triplet
eighths, whichever are nearer. A rest shorter than a sixteenth after a note is closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from bicinium.music.content import Content, Staff, without_restrikes
from bicinium.music.losses import Loss, LossKind
from bicinium.music.score import TICKS_PER_QUARTER, NoteArray, NoteSequence, note_array

MAX_SNAP = Fraction(1, 96)  # of a quarter note
_STEPS = (6, 8)  # ticks of a sixteenth and of a triplet eighth
_TRIPLET_PENALTY = 2.5  # squared ticks: a quarter is straight unless triplets are clearly nearer
_MAX_IRREGULAR = 0.05  # share of notes on neither 32nds nor triplet sixteenths in exact music


@dataclass(slots=True)
class GridCount:
    """How the notes of a file lie: moved to the grid, off the grid, and the longest move."""

    snapped: int = 0
    off_grid: int = 0
    longest_move: Fraction = Fraction(0)  # quarters

    def losses(self) -> tuple[Loss, ...]:
        """Return what is to be said of the notes that moved."""
        found = []
        if self.snapped:
            moved = f"1/{int(1 / self.longest_move)} of it"
            found.append(Loss(LossKind.SNAPPED, self.snapped, moved))
        if self.off_grid:
            found.append(Loss(LossKind.ROUNDED, self.off_grid))
        return tuple(found)


def to_grid(
    times: NDArray[np.int64], ticks_per_quarter: int, count: GridCount
) -> NDArray[np.int64]:
    """Return (2, N) grid ticks of onsets and ends, (2, N) in ticks of a file. Adds to ``count``."""
    ticks, moves = _nearest_ticks(times, ticks_per_quarter)
    if moves.any():
        limit = min(TICKS_PER_QUARTER, ticks_per_quarter * TICKS_PER_QUARTER * MAX_SNAP)
        early = (moves[1] > limit) & np.isin(times[1] + 1, times[0])
        if early.any() and limit == TICKS_PER_QUARTER:
            later, moves_later = _nearest_ticks(times[1] + 1, ticks_per_quarter)
            moves[1] = np.where(early & (later == ticks[1]), moves_later, moves[1])
        move = moves.max(axis=0)
        near = move <= limit
        count.snapped += int((near & (move > 0)).sum())
        count.off_grid += int((~near).sum())
        longest = int(move[near].max(initial=0))
        quarters = Fraction(longest, TICKS_PER_QUARTER * ticks_per_quarter)
        count.longest_move = max(count.longest_move, quarters)
    return ticks


def _nearest_ticks(
    times: NDArray[np.int64], ticks_per_quarter: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the nearest grid ticks, and how far they are, in 1/24 of a tick of the file."""
    scaled = times * TICKS_PER_QUARTER
    ticks = (2 * scaled + ticks_per_quarter) // (2 * ticks_per_quarter)
    return ticks, np.abs(scaled - ticks * ticks_per_quarter)


def is_irregular(content: Content) -> bool:
    """Return whether the music lies beside the grid, or on it only by chance."""
    if content.notes_off_grid:
        return True
    onsets = np.concatenate([note_array(staff.notes)[0] for staff in content.staves])
    return bool(((onsets % 3 > 0) & (onsets % 4 > 0)).mean() > _MAX_IRREGULAR)


def quantize(content: Content) -> Content:
    """Return a recording on sixteenths and triplet eighths; exact music unchanged."""
    if not is_irregular(content):
        return content
    columns = [note_array(staff.notes) for staff in content.staves]
    straight = _straight_quarters(np.concatenate([notes[0] for notes in columns]))
    moved = 0
    staves = []
    for staff, notes in zip(content.staves, columns, strict=True):
        quantized = _quantized(notes, straight)
        moved += int((quantized[[0, 2]] != notes[[0, 2]]).any(axis=0).sum())
        staves.append(Staff(staff.name, NoteSequence(without_restrikes(quantized))))
    kept = [loss for loss in content.losses if loss.kind is not LossKind.ROUNDED]
    moved = max(moved, content.notes_off_grid)
    losses = (*kept, Loss(LossKind.QUANTIZED, moved)) if moved else tuple(kept)
    return replace(content, staves=tuple(staves), notes_off_grid=0, losses=losses)


def _straight_quarters(onsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for each quarter whether its onsets are nearer to sixteenths than to triplets."""
    # An onset just before a quarter belongs to that quarter, where both grids agree.
    quarter = onsets // TICKS_PER_QUARTER
    costs = []
    for step in _STEPS:
        distance = onsets - (onsets + step // 2) // step * step
        costs.append(np.bincount(quarter, weights=distance.astype(float) ** 2))
    penalty = _TRIPLET_PENALTY if costs[0].sum() <= 2 * costs[1].sum() + 1 else 0.0
    return np.asarray(costs[0] <= costs[1] + penalty)


def _nearest(times: NDArray[np.int64], straight: NDArray[np.bool_]) -> NDArray[np.int64]:
    quarter = np.minimum(times // TICKS_PER_QUARTER, len(straight) - 1)
    step = np.where(straight[quarter], *_STEPS)
    return (times + step // 2) // step * step


def _quantized(notes: NoteArray, straight: NDArray[np.bool_]) -> NoteArray:
    """Return the notes of one staff on the grid of each quarter."""
    notes = notes.copy()
    ends = _nearest(notes[0] + notes[2], straight)
    exact_ends = notes[0] + notes[2]
    onsets = _nearest(notes[0], straight)
    step = _STEPS[0]
    starts: Sequence[int] = np.unique(onsets).tolist()
    # A note that ends shortly before a beat is held to it.
    beats = -(-exact_ends // TICKS_PER_QUARTER) * TICKS_PER_QUARTER
    ends = np.where(beats - exact_ends < step, beats, ends)
    following = np.searchsorted(starts, onsets, side="right")
    for index, position in enumerate(following):
        if position < len(starts):
            later = starts[position]
            if abs(later - int(exact_ends[index])) < step:
                ends[index] = later
    notes[0], notes[2] = onsets, np.maximum(ends - onsets, step)
    return notes[:, np.lexsort((notes[1], notes[0]))]
