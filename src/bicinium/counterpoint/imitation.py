"""Canons and invertible counterpoint: what one voice repeats of the other, and voices exchanged.

Notes move by letters within the key: C to F in C major is a fourth, F to B too. An octave is exact.
An accidental stays with its note unless that would reach another note of the scale.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction

from bicinium.counterpoint.interval import INTERVAL_NUMBERS
from bicinium.errors import RequestError
from bicinium.formats.spelling import signature_alterations
from bicinium.music.counterpoint import LOWER, UPPER
from bicinium.music.key import STEP_SEMITONES, Key
from bicinium.music.score import TICKS_PER_QUARTER, Meter, Note, Score, Voice

_LETTERS = 7  # in an octave
_NARROWEST = 1  # letters: a canon at the unison would cross all the time
_CANON = re.compile(
    r"(?P<count>\d+(?:\.\d+|/\d+)?) +(?P<unit>bars?|beats?) +at +the +(?P<number>[a-z]+) +"
    r"(?P<side>above|below)"
)
INVERSIONS = (8, 10, 12)


def move_in_key(pitch: int, letters: int, key: Key) -> int:
    """Return the pitch so many letters above, or below if negative, in the scale of a key."""
    scale = sorted(
        (STEP_SEMITONES[step] + alter) % 12
        for step, alter in signature_alterations(key.fifths).items()
    )
    octave, pitch_class = divmod(pitch, 12)
    if pitch_class < scale[0]:
        octave, pitch_class = octave - 1, pitch_class + 12
    place = max(index for index, one in enumerate(scale) if one <= pitch_class)
    raised = pitch_class - scale[place]
    octaves, target = divmod(place + letters, _LETTERS)
    moved = 12 * (octave + octaves) + scale[target]
    exact = letters % _LETTERS == 0
    return moved + (raised if exact or (moved + raised) % 12 not in scale else 0)


@dataclass(frozen=True, slots=True)
class Canon:
    """The follower repeats the leader ``delay_ticks`` later, ``letters`` above or below it."""

    delay_ticks: int
    letters: int

    @classmethod
    def parse(cls, text: str, meter: Meter) -> Canon:
        """Read ``1 bar at the octave below``, ``1/2 bar at the fifth above`` or ``3 beats at …``.

        Raises RequestError for another text, a distance off the grid, and the unison.
        """
        found = _CANON.fullmatch(text.strip().lower())
        if not found or found["number"] not in INTERVAL_NUMBERS:
            raise RequestError(
                f"A canon is written like '1 bar at the octave below' or '3 beats at the fifth "
                f"above' (got {text!r})."
            )
        letters = INTERVAL_NUMBERS.index(found["number"])
        if letters < _NARROWEST:
            raise RequestError(
                "A canon at the unison makes the voices cross all the time. Choose the octave."
            )
        unit = meter.bar_ticks if found["unit"].startswith("bar") else meter.beat_ticks
        delay = Fraction(found["count"]) * unit
        if delay < TICKS_PER_QUARTER or delay.denominator != 1:
            raise RequestError(
                f"The follower of a canon enters a quarter note later or more, on a tick (got "
                f"{text!r})."
            )
        return cls(int(delay), letters if found["side"] == "above" else -letters)

    @property
    def leader(self) -> int:
        """The voice that begins: the upper if the follower lies below."""
        return UPPER if self.letters < 0 else LOWER

    def follow(self, note: Note, key: Key) -> Note:
        """Return the note of the follower that repeats a note of the leader."""
        return replace(
            note,
            onset_tick=note.onset_tick + self.delay_ticks,
            pitch=move_in_key(note.pitch, self.letters, key),
        )


def invert(score: Score, interval: int) -> Score:
    """Return a score whose voices have changed places.

    interval: 8, 10 or 12. The lower voice goes up by octaves, and the upper goes down by the rest:
    by octaves, and at the tenth or the twelfth also by a third or a fifth within the key. Both move
    only so far that they do not cross. Raises ScoreError if a note leaves the keyboard.
    """
    key = score.key or score.estimated_key or Key(0, "major")
    down = interval - INVERSIONS[0]
    octaves = 1
    widest = _widest_letters(score)
    while _LETTERS * octaves + down < widest:
        octaves += 1
    up = _LETTERS * -(-octaves // 2)
    down += _LETTERS * (octaves // 2)
    upper, lower = score.voices
    return replace(score, voices=(_moved(lower, up, key), _moved(upper, -down, key)))


def _moved(voice: Voice, letters: int, key: Key) -> Voice:
    notes = [replace(note, pitch=move_in_key(note.pitch, letters, key)) for note in voice.notes]
    return Voice(tuple(notes))


def _widest_letters(score: Score) -> int:
    """Return the letters between the voices where they are farthest apart, rounded up."""
    widest = 0
    for high in score.voices[UPPER].notes:
        for low in score.voices[LOWER].notes:
            if low.onset_tick < high.offset_tick and high.onset_tick < low.offset_tick:
                widest = max(widest, high.pitch - low.pitch)
    return -(-widest * _LETTERS // 12)
