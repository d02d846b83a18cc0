"""The plan of a second voice: what it may begin and hold at each tick of a given voice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bicinium.grammar.states import Bools
from bicinium.music.counterpoint import IS_CONSONANT, PitchRange, scale_pitch_classes
from bicinium.music.harmonize import Chord, GivenVoice, harmonize, phrase_ends
from bicinium.music.key import Key
from bicinium.music.score import HIGHEST_PITCH

_OCTAVE = 12
_CLASSES = np.arange(_OCTAVE)
_BASS_TONES = 2  # of a chord, the root and the third
_TRIAD_TONES = 3
_APART, _HALF_RANGE = 19, 14  # semitones between the middles of the voices, and of a range
_LOWEST, _HIGHEST_BASS = 33, 65
_DOTTED = 36  # ticks of a dotted quarter


@dataclass(frozen=True, slots=True)
class ChordPlan:
    """What a second voice may do at each tick. Arrays are (T, 12) by pitch class, or (T,).

    begins: with which pitch classes it may begin a note. by_step: those that it may reach by step.
    stays: which it may hold into the tick. sounds: whether it must sound.
    """

    begins: Bools
    by_step: Bools
    otherwise: Bools  # with which it may begin if all others would make parallels
    stays: Bools
    sounds: Bools
    dissonant: Bools
    between: Bools  # (T,) where a short note would end
    given: NDArray[np.integer[Any]]  # (T,) the pitch that is given, 0 for none
    range: PitchRange


def plan_chords(given: GivenVoice) -> ChordPlan:
    """Return the plan of a voice against a given one."""
    chords = harmonize(given)
    scale, consonant = _scale_by_tick(given, chords), _consonant(given)
    plan = ChordPlan(
        begins=scale & consonant,
        otherwise=scale & consonant,
        by_step=scale,
        stays=np.ones_like(scale),
        sounds=np.zeros(len(scale), np.bool_),
        dissonant=~consonant,
        between=_between_divisions(given),
        given=given.held,
        range=_range(given),
    )
    closing, leading = _cadences(given, chords)
    for beat, chord in enumerate(chords):
        tick = beat * given.beat
        possible = scale[tick] & consonant[tick]
        if not possible.any():
            possible = consonant[tick]
        changes = beat == 0 or chord != chords[beat - 1]
        triad = _tones(chord, given, _TRIAD_TONES)
        if tick % given.strong == 0 or changes or beat in leading:
            begins = _bass_or_top(given, chord, tick, possible, beat in closing | leading)
            plan.begins[tick] = plan.by_step[tick] = begins
        else:
            plan.begins[tick] = _first_possible(possible, triad)
            plan.by_step[tick] = possible
        if beat in leading:
            within = slice(tick + 1, tick + given.beat)
            narrow = plan.begins[within] & plan.begins[tick]
            narrow = np.where(narrow.any(axis=1)[:, None], narrow, plan.begins[within])
            plan.begins[within] = plan.by_step[within] = narrow
        if tick % given.strong == 0:
            held = plan.begins[tick] if beat in closing else possible & triad
            plan.stays[tick] = held if held.any() else plan.begins[tick]
        elif changes:
            plan.stays[tick] = consonant[tick]
        if tick % given.bar == 0 and given.first_onset <= tick <= given.last_onset:
            plan.sounds[tick] = True
    _close(plan, given, chords)
    return plan


def _cadences(given: GivenVoice, chords: Sequence[Chord]) -> tuple[set[int], set[int]]:
    """Return the beats at which chords arrive that end a phrase, and the beats before these."""
    closing, leading = set(), set()
    for tick in phrase_ends(given):
        beat = arrival = tick // given.beat
        while arrival and chords[arrival - 1] == chords[beat]:
            arrival -= 1
        if (beat - arrival) * given.beat <= given.bar:
            closing |= {arrival, beat}
            leading.add(arrival - 1)
    return closing, leading - closing


def _close(plan: ChordPlan, given: GivenVoice, chords: Sequence[Chord]) -> None:
    """Let the voice close with the last given note: on the root, or above a bass on the chord."""
    final, consonant = given.last_onset, ~plan.dissonant[given.last_onset]
    tonic = consonant & (given.tonic == _CLASSES)
    chord = chords[final // given.beat]
    closes = tonic if tonic.any() else _bass_or_top(given, chord, final, consonant, closes=True)
    plan.begins[final] = plan.by_step[final] = plan.stays[final] = closes
    plan.begins[final + 1 :] = plan.by_step[final + 1 :] = closes
    plan.otherwise[final:] = closes
    plan.sounds[final] = True


def _bass_or_top(
    given: GivenVoice, chord: Chord, tick: int, possible: Bools, closes: bool
) -> Bools:
    """Return (12,) with which notes of a chord the voice may begin on a strong beat."""
    root, bass, triad = (_tones(chord, given, count) for count in (1, _BASS_TONES, _TRIAD_TONES))
    if given.is_bass:
        return _first_possible(possible, *([root] if closes else []), triad)
    bass_alone = bass & ~_doubled(given, chord, tick)
    return _first_possible(possible, *([root] if closes else []), bass_alone, bass, triad)


def _between_divisions(given: GivenVoice) -> Bools:
    """Return (T,) the ticks at which no division of a beat and no given note begins."""
    division = given.beat // (3 if given.beat % _DOTTED == 0 else 2)
    return np.asarray((np.arange(len(given.held)) % division > 0) & ~given.begins)


def _range(given: GivenVoice) -> PitchRange:
    """Return the lowest and the highest pitch of a voice beside the given one."""
    mean = round(float(given.held[given.begins].mean()))
    centre = mean + (_APART if given.is_bass else -_APART)
    lowest = min(max(centre - _HALF_RANGE, _LOWEST), HIGHEST_PITCH - _OCTAVE)
    highest = HIGHEST_PITCH if given.is_bass else _HIGHEST_BASS
    return lowest, min(max(min(centre + _HALF_RANGE, highest), lowest + _OCTAVE), HIGHEST_PITCH)


def _tones(chord: Chord, given: GivenVoice, count: int) -> Bools:
    """Return (12,) the first tones of a chord: root, third, fifth, seventh."""
    return np.isin(_CLASSES, [(step + given.tonic) % _OCTAVE for step in chord.steps[:count]])


def _doubled(given: GivenVoice, chord: Chord, tick: int) -> Bools:
    """Return (12,) what the given voice has, unless it is the root."""
    root = (chord.root + given.tonic) % _OCTAVE
    return (given.held[tick] % _OCTAVE == _CLASSES) & (root != _CLASSES) & (given.held[tick] > 0)


def _first_possible(possible: Bools, *wanted: Bools) -> Bools:
    """Return the first of the wanted sets of which something is possible; else all possible."""
    return next((found for one in wanted if (found := possible & one).any()), possible)


def _consonant(given: GivenVoice) -> Bools:
    """Return (T, 12) the pitch classes that are consonant with the given voice."""
    held = given.held[:, None]
    apart = (_CLASSES - held if given.is_bass else held - _CLASSES) % _OCTAVE
    return np.asarray(IS_CONSONANT[apart] | (held == 0))


def _scale_by_tick(given: GivenVoice, chords: Sequence[Chord]) -> Bools:
    """Return (T, 12) the scale at each tick.

    A chromatic note of the given voice replaces its neighbour in the bar. In minor the sixth and
    seventh are raised over chords that have them raised.
    """
    key = Key(given.tonic, "minor" if given.minor else "major")
    scale = np.isin(_CLASSES, list(scale_pitch_classes(key)))
    if given.minor:
        scale &= ~np.isin(_CLASSES, [(given.tonic + 9) % _OCTAVE, (given.tonic + 11) % _OCTAVE])
    by_tick = np.tile(scale, (len(given.held), 1))
    for bar in range(0, len(given.held), given.bar):
        classes = {int(pitch) % _OCTAVE for pitch in given.held[bar : bar + given.bar] if pitch}
        for chromatic in classes - set(np.flatnonzero(scale).tolist()):
            for neighbour in ((chromatic - 1) % _OCTAVE, (chromatic + 1) % _OCTAVE):
                if scale[neighbour] and neighbour not in classes:
                    by_tick[bar : bar + given.bar, neighbour] = False
            by_tick[bar : bar + given.bar, chromatic] = True
    if given.minor:
        raised = (given.tonic + 11) % _OCTAVE
        for beat, chord in enumerate(chords):
            if 11 in chord.steps:
                here = slice(beat * given.beat, (beat + 1) * given.beat)
                by_tick[here, raised] = True
                by_tick[here, (raised - 1) % _OCTAVE] = False
    return by_tick
