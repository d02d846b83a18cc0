"""From score time to seconds: exactly as written, or played a little as a pianist would.

The performance is a rule, not a model, and the same each time: phrases of four bars swell and give
way, tempo bends by a few per cent at their ends and broadens at the close, downbeats and the upper
voice stand out, notes are slightly detached (the kinds of rule that A. Friberg, R. Bresin and
J. Sundberg describe, Overview of the KTH rule system, 2006; the amounts are ours). It is for
listening only: no notation is ever written from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from bicinium.music.score import TICKS_PER_QUARTER, Note, Score

_PHRASE_BARS = 4
_SWELL = 0.16  # of the velocity, from the ends of a phrase to its middle
_BEND = 0.05  # slower at the ends of a phrase than in its middle
_LAST_RITARD = 0.4  # slower at the last barline
_RITARD_BARS = 1.5
_DOWNBEAT, _BEAT = 6, 2  # added velocity
_UPPER, _LOWER = 3, -5
_DETACHED, _REPEATED = 0.94, 0.8  # share of its length that a note sounds


@dataclass(frozen=True, slots=True)
class TimedNote:
    """One note in seconds."""

    part: int
    onset_s: float
    offset_s: float
    pitch: int
    velocity: int


@dataclass(frozen=True, slots=True)
class Performance:
    """A piece in seconds, up to its last barline."""

    notes: tuple[TimedNote, ...]
    seconds: float


def strict_performance(score: Score) -> Performance:
    """The score in strict time."""
    tick_s = 60 / (score.tempo_qpm * TICKS_PER_QUARTER)
    start = score.start_tick
    return Performance(
        tuple(
            TimedNote(
                part,
                (note.onset_tick - start) * tick_s,
                (note.offset_tick - start) * tick_s,
                note.pitch,
                note.velocity,
            )
            for part, voice in enumerate(score.voices)
            for note in voice.notes
        ),
        (score.end_tick - start) * tick_s,
    )


def expressive_performance(score: Score) -> Performance:
    """The score as it might be played."""
    tick_s = 60 / (score.tempo_qpm * TICKS_PER_QUARTER)
    ticks = range(score.start_tick, score.end_tick)
    clock = list(accumulate((tick_s * _slowness(score, tick) for tick in ticks), initial=0.0))
    sounds = []
    for part, voice in enumerate(score.voices):
        followers = [*voice.notes[1:], None]
        for note, following in zip(voice.notes, followers, strict=True):
            onset = clock[note.onset_tick - score.start_tick]
            offset = clock[note.offset_tick - score.start_tick]
            length = (offset - onset) * _share_that_sounds(note, following)
            velocity = _velocity(score, part, note)
            sounds.append(TimedNote(part, onset, onset + length, note.pitch, velocity))
    return Performance(tuple(sounds), clock[-1])


def _arch(score: Score, tick: int) -> float:
    """0 at the ends of a phrase, 1 in its middle."""
    phrase = _PHRASE_BARS * score.meter.bar_ticks
    first = tick - tick % phrase
    place = (tick - first) / min(phrase, max(1, score.end_tick - first))
    return 1 - (2 * place - 1) ** 2


def _slowness(score: Score, tick: int) -> float:
    """How much longer a tick lasts than in strict time."""
    left = (score.end_tick - tick) / (_RITARD_BARS * score.meter.bar_ticks)
    ritard = _LAST_RITARD * max(0.0, 1 - left) ** 2
    return 1 + _BEND * (1 - _arch(score, tick)) + ritard


def _velocity(score: Score, part: int, note: Note) -> int:
    accent = 0
    if note.onset_tick % score.meter.bar_ticks == 0:
        accent = _DOWNBEAT
    elif note.onset_tick % score.meter.beat_ticks == 0:
        accent = _BEAT
    swell = 1 - _SWELL / 2 + _SWELL * _arch(score, note.onset_tick)
    loudness = note.velocity * swell + accent + (_UPPER if part == 0 else _LOWER)
    return min(127, max(1, round(loudness)))


def _share_that_sounds(note: Note, following: Note | None) -> float:
    repeated = (
        following is not None
        and following.pitch == note.pitch
        and following.onset_tick == note.offset_tick
    )
    return _REPEATED if repeated else _DETACHED
