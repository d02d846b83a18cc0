"""Convert score time to seconds: in strict time, or with expressive timing.

Expressive timing follows fixed rules, so equal scores give equal performances. Phrases of four bars
rise and fall in loudness. The tempo slows by a few per cent at their ends and broadens at the
close. Downbeats and the upper voice stand out, and notes are slightly detached. The kinds of rule
are those of A. Friberg, R. Bresin and J. Sundberg, Overview of the KTH rule system, 2006; the
amounts are ours. Only sound is performed: notation always shows the score.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from bicinium.music.score import TICKS_PER_QUARTER, Note, Score

_PHRASE_BARS = 4
_PHRASE_DYNAMICS = 0.16  # share of the velocity, from the ends of a phrase to its middle
_PHRASE_RUBATO = 0.05  # share of the tempo, from the middle of a phrase to its ends
_FINAL_RITARD = 0.4  # share of the tempo, at the last barline
_RITARD_BARS = 1.5
_DOWNBEAT_ACCENT, _BEAT_ACCENT = 6, 2  # velocity
_UPPER_ACCENT, _LOWER_ACCENT = 3, -5  # velocity
_SOUNDING_SHARE, _REPEATED_SOUNDING_SHARE = 0.94, 0.8  # of the length of a note


@dataclass(frozen=True, slots=True)
class TimedNote:
    """A note with its times in seconds."""

    part: int
    onset_seconds: float
    offset_seconds: float
    pitch: int
    velocity: int


@dataclass(frozen=True, slots=True)
class Performance:
    """The timed notes of a piece, and its length to the last barline."""

    notes: tuple[TimedNote, ...]
    seconds: float


def strict_performance(score: Score) -> Performance:
    """Return the score in strict time."""
    tick_seconds = 60 / (score.tempo_qpm * TICKS_PER_QUARTER)
    start = score.start_tick
    return Performance(
        tuple(
            TimedNote(
                part,
                (note.onset_tick - start) * tick_seconds,
                (note.offset_tick - start) * tick_seconds,
                note.pitch,
                note.velocity,
            )
            for part, voice in enumerate(score.voices)
            for note in voice.notes
        ),
        (score.end_tick - start) * tick_seconds,
    )


def expressive_performance(score: Score) -> Performance:
    """Return the score with expressive timing and dynamics."""
    tick_seconds = 60 / (score.tempo_qpm * TICKS_PER_QUARTER)
    ticks = range(score.start_tick, score.end_tick)
    clock = list(accumulate((tick_seconds * _stretch(score, tick) for tick in ticks), initial=0.0))
    sounds = []
    for part, voice in enumerate(score.voices):
        followers = [*voice.notes[1:], None]
        for note, following in zip(voice.notes, followers, strict=True):
            onset = clock[note.onset_tick - score.start_tick]
            offset = clock[note.offset_tick - score.start_tick]
            length = (offset - onset) * _sounding_share(note, following)
            velocity = _velocity(score, part, note)
            sounds.append(TimedNote(part, onset, onset + length, note.pitch, velocity))
    return Performance(tuple(sounds), clock[-1])


def _phrase_arch(score: Score, tick: int) -> float:
    """Return the position in the phrase as a parabola: 0 at its ends, 1 in its middle."""
    phrase = _PHRASE_BARS * score.meter.bar_ticks
    first = tick - tick % phrase
    position = (tick - first) / min(phrase, max(1, score.end_tick - first))
    return 1 - (2 * position - 1) ** 2


def _stretch(score: Score, tick: int) -> float:
    """Return the length of a tick relative to strict time."""
    left = (score.end_tick - tick) / (_RITARD_BARS * score.meter.bar_ticks)
    ritard = _FINAL_RITARD * max(0.0, 1 - left) ** 2
    return 1 + _PHRASE_RUBATO * (1 - _phrase_arch(score, tick)) + ritard


def _velocity(score: Score, part: int, note: Note) -> int:
    """Return the velocity of a note with its accent, its phrase and its voice."""
    accent = 0
    if note.onset_tick % score.meter.bar_ticks == 0:
        accent = _DOWNBEAT_ACCENT
    elif note.onset_tick % score.meter.beat_ticks == 0:
        accent = _BEAT_ACCENT
    dynamics = 1 - _PHRASE_DYNAMICS / 2 + _PHRASE_DYNAMICS * _phrase_arch(score, note.onset_tick)
    loudness = note.velocity * dynamics + accent + (_UPPER_ACCENT if part == 0 else _LOWER_ACCENT)
    return min(127, max(1, round(loudness)))


def _sounding_share(note: Note, following: Note | None) -> float:
    """Return the share of its length that a note sounds, less before a repeated pitch."""
    repeated = (
        following is not None
        and following.pitch == note.pitch
        and following.onset_tick == note.offset_tick
    )
    return _REPEATED_SOUNDING_SHARE if repeated else _SOUNDING_SHARE
