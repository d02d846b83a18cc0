"""Notes that a piece must have: a voice to write against, an opening, the bars around a gap.

In each voice some spans of ticks are fixed: there it has exactly the given notes, to the tick.
Everywhere else it is the model's. Which tokens that forbids is in ``fixed_notes_table``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bicinium.errors import RequestError
from bicinium.grammar.config import MusicalGrammarConfig
from bicinium.grammar.terms import FAR
from bicinium.music.score import VOICES, Score, Voice, note_array
from bicinium.tokenizer.vocabulary import (
    BLOCKS,
    MAX_SHIFT_TICKS,
    Kind,
    token_id,
)

TickSpan: TypeAlias = tuple[int, int]  # ticks: from, until
ALL_TICKS: TickSpan = (0, FAR)
NO_TICKS: TickSpan = (0, 0)

_SHIFTS = BLOCKS[Kind.TIME_SHIFT].values.astype(np.int64)
_NOTE_OFF, _NOTE_ON, _TIME_SHIFT, _VELOCITY = (
    BLOCKS[kind].ids for kind in (Kind.NOTE_OFF, Kind.NOTE_ON, Kind.TIME_SHIFT, Kind.VELOCITY)
)
_LONGEST = token_id(Kind.TIME_SHIFT, MAX_SHIFT_TICKS)
_MOST_IN_A_ROW = MusicalGrammarConfig.max_identical_tokens
_PARTS = np.array([token_id(Kind.PART, part) for part in range(VOICES)])


@dataclass(frozen=True, slots=True)
class FixedNotes:
    """The notes and rests of a piece of ``score.bars`` bars that the model may not change.

    fixed: for each voice, spans in which it has exactly the notes of the score. Every note of
        ``score`` lies entirely inside one of these spans.
    known: for each voice, the span that the model sees beforehand.
    """

    score: Score
    fixed: tuple[tuple[TickSpan, ...], ...]
    known: tuple[TickSpan, ...]

    @property
    def leaves_a_voice_free(self) -> bool:
        """Whether one voice is the model's, at least from the second bar on."""
        bar = self.score.meter.bar_ticks
        return any(all(until <= bar for _, until in spans) for spans in self.fixed)

    @property
    def given_voice(self) -> int | None:
        """The voice that is fixed as a whole, if it is one alone: 0 upper, 1 lower."""
        given = [part for part, spans in enumerate(self.fixed) if spans == (ALL_TICKS,)]
        return given[0] if len(given) == 1 else None

    def composed_onsets(self, score: Score) -> NDArray[np.int64]:
        """Return the onsets of the notes that are not fixed, first of the upper voice."""
        onsets = []
        for line, fixed_notes in zip(score.voices, self.score.voices, strict=True):
            known = set(fixed_notes.notes)
            onsets.append(note_array([note for note in line.notes if note not in known])[0])
        return np.concatenate(onsets)


def fix_voice(voice: Voice, part: int, like: Score) -> FixedNotes:
    """Fix one voice as a whole. ``like`` has the metre, the key and the bars."""
    voices = tuple(voice if part == index else Voice(()) for index in range(VOICES))
    beginning = _before_anacrusis(like)
    return FixedNotes(
        replace(like, voices=voices),
        tuple((ALL_TICKS,) if part == index else beginning for index in range(VOICES)),
        tuple(ALL_TICKS if part == index else NO_TICKS for index in range(VOICES)),
    )


def fix_opening(score: Score, bars: int) -> FixedNotes:
    """Fix all of ``score`` as the beginning of a piece of ``bars`` bars.

    A note that is held to the last barline of the score keeps its length.
    """
    if bars <= score.bars:
        raise RequestError(
            f"A piece of {bars} bars cannot continue {score.bars} bars. Choose more bars."
        )
    fixed = ((0, score.end_tick),)
    return FixedNotes(replace(score, bars=bars), (fixed,) * VOICES, (NO_TICKS,) * VOICES)


def fix_around_gap(score: Score, first_bar: int, last_bar: int) -> FixedNotes:
    """Fix all of ``score`` except the notes that begin in bars ``first_bar`` to ``last_bar``.

    Bars count from 1. If a note is held into these bars or out of them, the gap of its voice begins
    or ends with the note's offset.
    """
    if not 1 <= first_bar <= last_bar <= score.bars:
        raise RequestError(
            f"Bars {first_bar} to {last_bar} cannot be rewritten. The piece has bars 1 to "
            f"{score.bars}."
        )
    bar = score.meter.bar_ticks
    begin = max((first_bar - 1) * bar, score.start_tick)
    voices, fixed, known = [], [], []
    for voice in score.voices:
        columns = note_array(voice.notes)
        onset, offset = columns[0], columns[0] + columns[2]
        stays = (onset < begin) | (onset >= last_bar * bar)
        limits = []
        for tick in (begin, last_bar * bar):
            held = (onset < tick) & (offset > tick)
            limits.append(int(offset[held].max(initial=tick)))
        voices.append(Voice(tuple(n for n, stay in zip(voice.notes, stays, strict=True) if stay)))
        fixed.append(((0, limits[0]), (limits[1], FAR)))
        known.append((limits[1], FAR) if last_bar < score.bars else NO_TICKS)
    return FixedNotes(replace(score, voices=tuple(voices)), tuple(fixed), tuple(known))


def _before_anacrusis(score: Score) -> tuple[TickSpan, ...]:
    return ((0, score.start_tick),) if score.start_tick else ()
