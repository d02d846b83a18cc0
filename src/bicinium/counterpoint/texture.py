"""Two voices as a checker sees them: written notes, and the moments at which one of them begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TypeAlias

from bicinium.counterpoint.interval import Interval
from bicinium.errors import ScoreError
from bicinium.formats.spelling import Spelling, spell
from bicinium.music.counterpoint import LOWER, UPPER, strong_beat_ticks
from bicinium.music.key import Key
from bicinium.music.score import TICKS_PER_QUARTER, VOICES, Score

Speller: TypeAlias = Callable[[Score], Sequence[Sequence[Spelling]]]

VOICE_NAMES = ("upper voice", "lower voice")
DOWNBEAT, STRONG_BEAT, BEAT, OFFBEAT, SUBDIVISION = 4, 3, 2, 1, 0  # weights of ticks in a bar


@dataclass(frozen=True, slots=True)
class LineNote:
    """A note of a voice: its place in the line, its ticks and how it is written."""

    voice: int
    index: int
    onset_tick: int
    offset_tick: int
    spelling: Spelling

    @property
    def pitch(self) -> int:
        return self.spelling.pitch

    @property
    def ticks(self) -> int:
        return self.offset_tick - self.onset_tick

    @property
    def name(self) -> str:
        """Return the name with octave, such as ``F#4``."""
        return self.spelling.name

    def to(self, other: LineNote) -> Interval:
        """Return the interval to another note; it falls if the other is lower."""
        return Interval.between(self.spelling, other.spelling)


@dataclass(frozen=True, slots=True)
class Moment:
    """A tick at which a voice begins a note, and the note that each voice holds then."""

    tick: int
    upper: LineNote
    lower: LineNote

    @property
    def notes(self) -> tuple[LineNote, LineNote]:
        return self.upper, self.lower

    @property
    def interval(self) -> Interval:
        """Return the interval between the voices, upwards, whichever is on top."""
        return self.lower.to(self.upper).size

    def begins(self, voice: int) -> bool:
        """Return whether the note of a voice begins here."""
        return self.notes[voice].onset_tick == self.tick

    @property
    def both_begin(self) -> bool:
        return self.begins(UPPER) and self.begins(LOWER)


class Texture:
    """A score of two voices, written out. Raises ScoreError if a voice has no notes.

    cantus: the voice that is given and not judged, or None. speller: returns the spelling of every
    note, voice by voice.
    """

    def __init__(self, score: Score, cantus: int | None = None, speller: Speller = spell) -> None:
        if len(score.voices) != VOICES or not all(voice.notes for voice in score.voices):
            raise ScoreError("Counterpoint needs two voices, and both must have notes.")
        self.score, self.meter, self.cantus = score, score.meter, cantus
        self.key = score.key or score.estimated_key or Key(0, "major")
        self.lines: tuple[tuple[LineNote, ...], ...] = tuple(
            tuple(
                LineNote(part, index, note.onset_tick, note.offset_tick, spelling)
                for index, (note, spelling) in enumerate(zip(voice.notes, spellings, strict=True))
            )
            for part, (voice, spellings) in enumerate(
                zip(score.voices, speller(score), strict=True)
            )
        )

    @property
    def judged_voices(self) -> tuple[int, ...]:
        """Return the voices that are not given."""
        return tuple(voice for voice in (UPPER, LOWER) if voice != self.cantus)

    @property
    def judged_lines(self) -> Iterator[tuple[LineNote, ...]]:
        """Yield the lines of the voices that are not given."""
        for voice in self.judged_voices:
            yield self.lines[voice]

    @cached_property
    def moments(self) -> tuple[Moment, ...]:
        """The moments at which both voices sound and at least one begins a note."""
        ticks = sorted({note.onset_tick for line in self.lines for note in line})
        pairs = ((tick, self.at(UPPER, tick), self.at(LOWER, tick)) for tick in ticks)
        return tuple(Moment(tick, upper, lower) for tick, upper, lower in pairs if upper and lower)

    @cached_property
    def moment_pairs(self) -> tuple[tuple[Moment, Moment], ...]:
        """Neighbouring moments between which no voice rests."""
        return tuple(
            (before, after)
            for before, after in pairwise(self.moments)
            if all(
                one is other or one.offset_tick == other.onset_tick
                for one, other in zip(before.notes, after.notes, strict=True)
            )
        )

    @cached_property
    def _note_at(self) -> tuple[dict[int, LineNote], ...]:
        sounding: tuple[dict[int, LineNote], ...] = ({}, {})
        onsets = sorted({note.onset_tick for line in self.lines for note in line})
        for line, found in zip(self.lines, sounding, strict=True):
            notes = iter(line)
            current: LineNote | None = None
            following = next(notes, None)
            for tick in onsets:
                while following and following.onset_tick <= tick:
                    current, following = following, next(notes, None)
                if current and current.offset_tick > tick:
                    found[tick] = current
        return sounding

    def at(self, voice: int, tick: int) -> LineNote | None:
        """Return the note that a voice holds at the onset of any note; None if it rests."""
        return self._note_at[voice].get(tick)

    def before(self, note: LineNote) -> LineNote | None:
        """Return the note that leads to this one without a rest; None if there is none."""
        if note.index == 0:
            return None
        earlier = self.lines[note.voice][note.index - 1]
        return earlier if earlier.offset_tick == note.onset_tick else None

    def after(self, note: LineNote) -> LineNote | None:
        """Return the note that follows without a rest; None if there is none."""
        line = self.lines[note.voice]
        if note.index + 1 == len(line):
            return None
        later = line[note.index + 1]
        return later if later.onset_tick == note.offset_tick else None

    def bar(self, tick: int) -> int:
        """Return the number of the bar as it is printed."""
        return self.score.bar_number(tick)

    def beat(self, tick: int) -> float:
        """Return the place in the bar, from 1, in units of the metre's lower number."""
        unit = TICKS_PER_QUARTER * 4 / self.meter.denominator
        return round(tick % self.meter.bar_ticks / unit + 1, 2)

    def weight(self, tick: int) -> int:
        """Return how strong a tick is: DOWNBEAT, STRONG_BEAT, BEAT, OFFBEAT or SUBDIVISION."""
        place = tick % self.meter.bar_ticks
        if place == 0:
            return DOWNBEAT
        if place in strong_beat_ticks(self.meter):
            return STRONG_BEAT
        if place % self.meter.beat_ticks == 0:
            return BEAT
        half = self.meter.beat_ticks // (3 if self.meter.beat_ticks % 36 == 0 else 2)
        return OFFBEAT if half and place % half == 0 else SUBDIVISION
