"""A subject in text, its answer in the lower voice, and its returns."""

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
    Meter,
    Note,
    Score,
    Voice,
    note_array,
)

MIN_BARS_PER_SUBJECT_BAR = 6  # of a piece that leaves room for the returns
INTERVALS = {"octave": 0, "fifth": 7}  # of the answer: semitones above the subject, before octaves
_ANSWER_MEAN_PITCH = 52  # the answer moves by octaves to lie near this
_METERS = (Meter(4, 4), Meter(3, 4), Meter(2, 4))  # that a subject may be in, the first that fits
_WHOLE_NOTE_TICKS = 4 * TICKS_PER_QUARTER
_SHARE = r"(\d{1,4}(?:/[1-9]\d{0,3})?)$"  # of a whole note
_NOTE = re.compile(rf"([A-Ga-g])([#b♯♭]?)(-?\d):{_SHARE}|[rR]:{_SHARE}")


def parse_subject(text: str) -> tuple[Voice, int]:
    """Read ``D4:1/8 E4:1/8 F#4:1/4 r:1/8``: pitches (C4 is middle C) and shares of a whole note.

    Returns the notes, and the ticks of all notes and rests. Raises RequestError for an invalid
    word, a pitch off the keyboard or a duration off the grid of 24 ticks a quarter.
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
    return Voice(tuple(notes)), tick


def meter_of_subject(ticks: int, meter: Meter, is_requested: bool) -> Meter:
    """Return the metre in which a subject fills its bars, or ``meter`` if it fills those of none.

    Raises RequestError if another metre ``is_requested``. Half bars of an even metre are allowed.
    """
    own = next((own for own in _METERS if ticks % own.bar_ticks == 0), None)
    bar = meter.bar_ticks // 2 if meter.numerator % 2 == 0 else meter.bar_ticks
    if own is None or (is_requested and ticks % bar == 0):
        return meter
    if is_requested:
        quarters = Fraction(ticks, TICKS_PER_QUARTER)
        raise RequestError(
            f"The subject lasts {quarters} quarter notes, which are bars of {own} and not of "
            f"{meter}. Leave the metre out, or add rests to the subject."
        )
    return own


def fix_subject(subject: Voice, interval: str, empty: Score) -> FixedNotes:
    """Fix the subject in the upper voice and its answer in the lower, from the next barline on.

    If there is room, the answer at the octave returns in the middle of the piece, and the subject
    after three quarters of it.

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
    subject_bars = answer_tick // bar
    upper = lower = None
    if _has_room(empty.bars // 2, subject_bars, empty.bars):
        lower = _answer(subject, empty.bars // 2 * bar, INTERVALS["octave"])
    if _has_room(empty.bars * 3 // 4, subject_bars, empty.bars):
        upper = _moved(subject, empty.bars * 3 // 4 * bar, 0)
    return fix_entries(subject, answer, empty, answer_tick, (upper, lower))


def _has_room(first_bar: int, subject_bars: int, bars: int) -> bool:
    """Return whether a return leaves a free bar after the answer and one before the end."""
    return first_bar > 2 * subject_bars and first_bar + subject_bars < bars


def fix_entries(
    subject: Voice,
    answer: Voice,
    empty: Score,
    answer_tick: int,
    returns: tuple[Voice | None, Voice | None] = (None, None),
) -> FixedNotes:
    """Fix both entries, and a return in each voice. Between them a voice is the model's.

    The model knows the answer beforehand, from ``answer_tick`` on, and the return in the upper
    voice.
    """
    voices, fixed = [], []
    for entry, later in zip((subject, answer), returns, strict=True):
        spans = [(0, entry.end_tick)]
        if later:
            spans.append((later.notes[0].onset_tick, later.end_tick))
        voices.append(Voice((*entry.notes, *(later.notes if later else ()))))
        fixed.append(tuple(spans))
    known = fixed[0][1] if returns[0] else NO_TICKS
    return FixedNotes(
        replace(empty, voices=tuple(voices)),
        tuple(fixed),
        (known, (answer_tick, answer.end_tick)),
    )


def _answer(subject: Voice, later_ticks: int, semitones: int) -> Voice:
    """Return the subject later and transposed, in the octave nearest the lower voice's middle."""
    mean = float(note_array(subject.notes)[1].mean()) + semitones
    semitones -= 12 * max(1, round((mean - _ANSWER_MEAN_PITCH) / 12))
    if min(note.pitch for note in subject.notes) + semitones < LOWEST_PITCH:
        raise RequestError("The subject is too low for an answer in the lower voice.")
    return _moved(subject, later_ticks, semitones)


def _moved(line: Voice, later_ticks: int, semitones: int) -> Voice:
    """Return a line later and transposed."""
    return Voice(
        tuple(
            replace(n, onset_tick=n.onset_tick + later_ticks, pitch=n.pitch + semitones)
            for n in line.notes
        )
    )
