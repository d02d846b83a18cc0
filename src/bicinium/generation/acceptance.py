"""Why a finished piece is drawn again.

Some reasons forbid it; the others are a pity, and where no draw is better, such a piece is kept.
The limits are those of real keyboard music (docs/decisions.md).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from bicinium.data.sources import KEYBOARD_STYLES
from bicinium.generation.composition import Composition
from bicinium.generation.conditions import Conditions
from bicinium.generation.constraints.config import Constraints, broken
from bicinium.music.descriptors import self_similarity
from bicinium.music.score import TICKS_PER_QUARTER, Score, note_array

NOTHING_FOLLOWS = "grammar, constraints and given notes together left nothing that could follow"
OTHER_KEY = "another key is heard"  # the least of what is a pity
TOO_FAST = "no hand plays so fast"
TOO_SILENT = "one voice hardly plays, or rests too long"
NOT_BEGUN = "nothing sounds in its first bar"
OUT_OF_PLACE = "one voice lies as high or as low as none does"
STUCK = "a bar comes again and again"
RECURRENCE = "its melodies come again as seldom or as often as none do"
PITIES = (TOO_SILENT, NOT_BEGUN, OUT_OF_PLACE, RECURRENCE, STUCK, TOO_FAST, OTHER_KEY)

_PITCH = 1  # the row of ``Columns``
_LEAST_PLAYED = 0.5  # of the bars, by each voice
_LONGEST_REST = 5  # bars running that a voice is silent; 98 % of keyboard excerpts have no longer
_MOST_ALIKE = 2  # bars running that are the same; 99 % of keyboard excerpts have no more
_UPPER, _A_FIGURE = 0, 4  # nor, in the upper voice, bars of so many notes
_PLACES = ((59, 86), (33, 65))  # mean pitch of each voice, as it sounds; 99 % of excerpts (log.md)
# How alike the melodies of bars are, by the bars they are apart (``descriptors.self_similarity``):
# 98 % of excerpts lie between (log.md). That says nothing of less than eight bars, nor where there
# are fewer such pairs than they are apart.
_KEYBOARD_RECURS = {1: (0.16, 0.72), 2: (0.12, 0.72), 4: (0.11, 0.78), 8: (0.08, 0.95)}
_OTHER_RECURS = {1: (0.18, 0.77), 2: (0.14, 0.77), 4: (0.10, 0.68), 8: (0.05, 0.71)}
_FEWEST_TO_RECUR = 8
_FASTEST = 12.0  # notes a second, of a voice in its fullest bar; 98 % of keyboard pieces have fewer


def why_drawn_again(
    piece: Composition,
    constraints: Constraints | None,
    accept: Callable[[Score, Conditions], str] | None,
) -> str:
    """The reason; nothing where there is none. See ``Composer.attempt``."""
    asked, score = piece.conditions, piece.score
    if score is None:
        return NOTHING_FOLLOWS
    if constraints:
        faults = broken(score, asked, constraints)
        if at_fault := [name for name in faults if faults[name] and constraints.forbids(name)]:
            return f"it breaks {', '.join(at_fault)}"
    if accept and (why := accept(score, asked)):
        return why
    if asked.fixed_notes:
        return ""
    if not _both_play(score):
        return TOO_SILENT
    if all(0 not in bars_played(score, part) for part in range(len(score.voices))):
        return NOT_BEGUN
    if max(most_bars_alike(score), most_bars_alike(score, _UPPER, _A_FIGURE)) > _MOST_ALIKE:
        return STUCK
    under_constraints = constraints is not None and any(constraints.strengths.values())
    if not under_constraints:
        return ""
    if any(
        not low <= float(np.mean(note_array(voice.notes)[_PITCH])) <= high
        for voice, (low, high) in zip(score.voices, _PLACES, strict=True)
    ):
        return OUT_OF_PLACE
    if not _recurs(score, asked.style in KEYBOARD_STYLES):
        return RECURRENCE
    if asked.tempo_qpm is None and notes_a_second(score) > _FASTEST:
        return TOO_FAST
    return OTHER_KEY if score.profile_key != asked.key else ""


def _both_play(score: Score) -> bool:
    return all(
        len(bars_played(score, part)) >= _LEAST_PLAYED * score.bars
        and longest_rest(score, part) <= _LONGEST_REST
        for part in range(len(score.voices))
    )


def _recurs(score: Score, keyboard: bool) -> bool:
    """Whether its melodies come again neither more seldom nor more often than in real music."""
    if score.bars < _FEWEST_TO_RECUR:
        return True
    found = self_similarity(score)
    limits = _KEYBOARD_RECURS if keyboard else _OTHER_RECURS
    return all(
        low <= found[f"melody_recurs_{lag}"] <= high
        for lag, (low, high) in limits.items()
        if 2 * lag <= score.bars
    )


def bars_played(score: Score, part: int) -> set[int]:
    """The bars, from 0, in which a note of the part sounds."""
    bar = score.meter.bar_ticks
    return {
        index
        for note in score.voices[part].notes
        for index in range(note.onset_tick // bar, -(-note.offset_tick // bar))
    }


def longest_rest(score: Score, part: int) -> int:
    """In how many bars running no note of the part sounds, at most."""
    played = sorted(bars_played(score, part) | {-1, score.bars})
    return max(later - earlier - 1 for earlier, later in pairwise(played))


def most_bars_alike(score: Score, part: int | None = None, fewest: int = 1) -> int:
    """How many bars running have the same notes, at most: in every voice, or in one; bars in which
    begin fewer than so many notes do not count.
    """
    bar = score.meter.bar_ticks
    held: list[list[tuple[int, int, int, int]]] = [[] for _ in range(score.bars)]
    for index, voice in enumerate(score.voices):
        for note in voice.notes if part in (None, index) else ():
            number, position = divmod(note.onset_tick, bar)
            held[number].append((index, position, note.pitch, note.duration_ticks))
    most = running = 0
    for number, notes in enumerate(held):
        same = number > 0 and notes == held[number - 1]
        running = running + 1 if same else 1
        most = max(most, running if len(notes) >= fewest else 0)
    return most


def notes_a_second(score: Score) -> float:
    """Of the voice and the bar that have most, at the score's tempo; 0 where there are none."""
    bar = score.meter.bar_ticks
    fullest = max(
        np.bincount(note_array(voice.notes)[0] // bar, minlength=1).max() for voice in score.voices
    )
    return float(fullest) * score.tempo_qpm * TICKS_PER_QUARTER / (60 * bar)
