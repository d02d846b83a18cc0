"""A subject in text, and its answer in the lower voice."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

from bicinium.errors import RequestError
from bicinium.generation.fixed_notes import NO_TICKS, FixedNotes
from bicinium.music.key import ACCIDENTAL_SEMITONES, STEP_SEMITONES
from bicinium.music.score import (
    HIGHEST_PITCH,
    LOWEST_PITCH,
    TICKS_PER_QUARTER,
    Note,
    Score,
    Voice,
    note_array,
)

INTERVALS = {"octave": 0, "fifth": 7}  # of the answer: semitones above the subject, before octaves
_ANSWER_MEAN_PITCH = 52  # the answer moves by octaves to lie near this
_WHOLE_NOTE_TICKS = 4 * TICKS_PER_QUARTER
_SHARE = r"(\d{1,4}(?:/[1-9]\d{0,3})?)$"  # of a whole note
_NOTE = re.compile(rf"([A-Ga-g])([#b♯♭]?)(-?\d):{_SHARE}|[rR]:{_SHARE}")


def parse_subject(text: str) -> Voice:
    """Read ``D4:1/8 E4:1/8 F#4:1/4 r:1/8``: pitches (C4 is middle C) and shares of a whole note.

    Rests at the end do not count. Raises RequestError for an invalid word, a pitch off the keyboard
    or a duration off the grid of 24 ticks a quarter.
    """
    notes: list[Note] = []
    tick = 0
    for word in text.split():
        found = _NOTE.match(word)
        if not found:
            raise RequestError(
                f"{word!r} in the subject is not a note. Write a note like D4:1/8 and a rest like "
                "r:1/8."
            )
        ticks = Fraction(found[4] or found[5]) * _WHOLE_NOTE_TICKS
        if ticks.denominator != 1 or ticks < 1:
            raise RequestError(
                f"{word!r} in the subject is off the grid of {_WHOLE_NOTE_TICKS} to a whole note."
            )
        if found[1]:
            step = STEP_SEMITONES[found[1].upper()] + ACCIDENTAL_SEMITONES[found[2]]
            pitch = 12 * (int(found[3]) + 1) + step
            if not LOWEST_PITCH <= pitch <= HIGHEST_PITCH:
                raise RequestError(f"{word!r} in the subject is off the keyboard, A0 to C8.")
            notes.append(Note(tick, pitch, int(ticks)))
        tick += int(ticks)
    if not notes:
        raise RequestError("The subject has no notes. Write them like 'D4:1/8 E4:1/8'.")
    return Voice(tuple(notes))


def fix_subject(subject: Voice, interval: str, empty: Score) -> FixedNotes:
    """Fix the subject in the upper voice and its answer in the lower, from the next barline on.

    ``empty`` has the metre, the key and the number of bars. Raises RequestError if the answer does
    not fit.
    """
    bar = empty.meter.bar_ticks
    answer_tick = -(-subject.end_tick // bar) * bar
    answer = _answer(subject, answer_tick, INTERVALS[interval])
    if answer.end_tick >= empty.end_tick:
        raise RequestError(
            f"{empty.bars} bars leave no room after the subject and its answer. Choose "
            f"{answer.end_tick // bar + 1} bars or more."
        )
    return fix_entries(subject, answer, empty, answer_tick)


def fix_entries(subject: Voice, answer: Voice, empty: Score, answer_tick: int) -> FixedNotes:
    """Fix both entries. Each voice is the model's as soon as its notes are over.

    The model knows the answer beforehand, from ``answer_tick`` on.
    """
    return FixedNotes(
        replace(empty, voices=(subject, answer)),
        (((0, subject.end_tick),), ((0, answer.end_tick),)),
        (NO_TICKS, (answer_tick, answer.end_tick)),
    )


def _answer(subject: Voice, later_ticks: int, semitones: int) -> Voice:
    """Return the subject later and transposed, in the octave nearest the lower voice's middle."""
    mean = float(note_array(subject.notes)[1].mean()) + semitones
    semitones -= 12 * max(1, round((mean - _ANSWER_MEAN_PITCH) / 12))
    notes = [
        Note(n.onset_tick + later_ticks, n.pitch + semitones, n.duration_ticks, n.velocity)
        for n in subject.notes
    ]
    if min(note.pitch for note in notes) < LOWEST_PITCH:
        raise RequestError("The subject is too low for an answer in the lower voice.")
    return Voice(tuple(notes))
