"""Corruptions of real music: negative examples for a measure of quality.

Each corruption breaks one thing and leaves the rest as it was, so that no simple clue reveals it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from bicinium.music.key import Key
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, Note, Score, Voice

_SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}

Corruption = Callable[[Score, np.random.Generator], Score]


def shuffled_notes(score: Score, rng: np.random.Generator) -> Score:
    """Shuffle the pitches of each voice and keep the rhythm."""
    return _with_pitches(
        score, [rng.permutation([note.pitch for note in voice.notes]) for voice in score.voices]
    )


def reordered_notes(score: Score, rng: np.random.Generator) -> Score:
    """Shuffle the notes of each voice, each with its duration and the rest after it."""
    voices = []
    for voice in score.voices:
        ends = [note.onset_tick for note in voice.notes[1:]] + [score.end_tick]
        tick, notes = voice.notes[0].onset_tick if voice.notes else 0, []
        for index in rng.permutation(len(voice.notes)).tolist():
            notes.append(replace(voice.notes[index], onset_tick=tick))
            tick += ends[index] - voice.notes[index].onset_tick
        voices.append(Voice(tuple(notes)))
    return replace(score, voices=tuple(voices))


def random_pitches(score: Score, rng: np.random.Generator) -> Score:
    """Draw random pitches from the range of each voice and keep the rhythm."""
    pitches = []
    for voice in score.voices:
        own = [note.pitch for note in voice.notes] or [60]
        pitches.append(rng.integers(min(own), max(own) + 1, len(voice.notes)))
    return _with_pitches(score, pitches)


def random_in_key(score: Score, rng: np.random.Generator) -> Score:
    """Draw random pitches of the scale from the range of each voice and keep the rhythm."""
    key = score.key or Key(0, "major")
    scale = [(key.tonic + step) % 12 for step in _SCALES[key.mode]]
    pitches = []
    for voice in score.voices:
        own = [note.pitch for note in voice.notes] or [60]
        choice = [p for p in range(min(own) - 1, max(own) + 2) if p % 12 in scale]
        choice = [p for p in choice if LOWEST_PITCH <= p <= HIGHEST_PITCH]
        pitches.append(rng.choice(choice, len(voice.notes)))
    return _with_pitches(score, pitches)


def shuffled_bars(score: Score, rng: np.random.Generator) -> Score:
    """Shuffle the bars of both voices together. A note over a barline lasts until the next note."""
    order = rng.permutation(score.bars).tolist()
    return _bars(score, order)


def looped_bar(score: Score, rng: np.random.Generator) -> Score:
    """Repeat one bar in which both voices begin notes."""
    bar = score.meter.bar_ticks
    played = [{note.onset_tick // bar for note in voice.notes} for voice in score.voices]
    both = sorted(set.intersection(*played)) or sorted(set.union(*played))
    return _bars(score, [int(rng.choice(both))] * score.bars)


def other_lower_voice(score: Score, other: Score) -> Score:
    """Take the lower voice of another piece in the same metre, moved to this key and range.

    A voice that is too short is repeated.
    """
    bar, lower = score.meter.bar_ticks, other.voices[-1]
    period = max(1, -(-lower.end_tick // bar)) * bar
    shift = (score.key.tonic if score.key else 0) - (other.key.tonic if other.key else 0)
    mine = np.mean([note.pitch for note in score.voices[-1].notes])
    theirs = np.mean([note.pitch for note in lower.notes])
    shift += 12 * round((mine - theirs - shift) / 12)
    notes: list[Note] = []
    for start in range(0, score.end_tick, period):
        for note in lower.notes:
            onset, pitch = note.onset_tick + start, note.pitch + shift
            length = min(note.duration_ticks, score.end_tick - onset)
            if length > 0 and LOWEST_PITCH <= pitch <= HIGHEST_PITCH:
                notes.append(Note(onset, pitch, length, note.velocity))
    return replace(score, voices=(*score.voices[:-1], Voice(tuple(notes))))


def _with_pitches(score: Score, pitches: Sequence[np.ndarray]) -> Score:
    voices = [
        Voice(tuple(replace(note, pitch=int(p)) for note, p in zip(voice.notes, own, strict=True)))
        for voice, own in zip(score.voices, pitches, strict=True)
    ]
    return replace(score, voices=tuple(voices))


def _bars(score: Score, order: Sequence[int]) -> Score:
    """Return the score with its bars in this order, which may repeat or omit bars."""
    bar = score.meter.bar_ticks
    voices = []
    for voice in score.voices:
        by_bar: dict[int, list[Note]] = {}
        for note in voice.notes:
            by_bar.setdefault(note.onset_tick // bar, []).append(note)
        notes: list[Note] = []
        for place, source in enumerate(order):
            for note in by_bar.get(source, []):
                onset = note.onset_tick + (place - source) * bar
                if notes and notes[-1].offset_tick > onset:
                    notes[-1] = replace(notes[-1], duration_ticks=onset - notes[-1].onset_tick)
                length = min(note.duration_ticks, len(order) * bar - onset)
                notes.append(replace(note, onset_tick=onset, duration_ticks=length))
        voices.append(Voice(tuple(notes)))
    return replace(score, voices=tuple(voices), bars=len(order), anacrusis_ticks=0)


CORRUPTIONS: dict[str, Corruption] = {
    "notes shuffled": shuffled_notes,
    "notes reordered": reordered_notes,
    "bars shuffled": shuffled_bars,
    "pitches random": random_pitches,
    "pitches random in key": random_in_key,
    "one bar looped": looped_bar,
}
OTHER_LOWER_VOICE = "another composer's lower voice"
