"""Compose cantus firmi: a random walk through a mode, kept if the rules of melody find no fault."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from bicinium.counterpoint import melody
from bicinium.counterpoint.modal_speller import ModalSpeller
from bicinium.counterpoint.texture import Texture
from bicinium.errors import RequestError
from bicinium.music.counterpoint import LOWER
from bicinium.music.key import Key
from bicinium.music.score import COMMON_TIME, Note, Score, Voice

FINALS = {"d": 62, "e": 64, "f": 65, "g": 55, "a": 57, "c": 60}
MIN_BARS, MAX_BARS = 7, 16
_BARS_DRAWN = (9, 14)  # if their number is open
_WALKS = 20_000  # one in about 100 is kept
_NATURAL = frozenset((0, 2, 4, 5, 7, 9, 11))
_BELOW, _ABOVE = 5, 12  # semitones around the final
_STEP_WEIGHTS = {1: 6.0, 2: 2.5, 3: 1.5, 4: 0.8, 5: 0.3}  # by letters: steps before leaps
_RULES = (
    melody.MelodicInterval(), melody.LeapRecovery(), melody.TwoLeaps(), melody.TritoneOutline(),
    melody.RepeatedNotes(most=0), melody.Climax(), melody.Range(),
)  # fmt: skip


def compose_cantus(final: str, bars: int | None = None, seed: int = 0) -> Score:
    """Return a new cantus firmus as the upper voice.

    final: a letter of ``FINALS``. bars: None draws them. Raises RequestError for another final or
    too few or too many bars.
    """
    if final not in FINALS:
        raise RequestError(f"A cantus firmus ends on {', '.join(FINALS)} (got {final!r}).")
    if bars is not None and not MIN_BARS <= bars <= MAX_BARS:
        raise RequestError(
            f"A new cantus firmus has between {MIN_BARS} and {MAX_BARS} bars (got {bars})."
        )
    rng = np.random.default_rng([seed, FINALS[final]])
    length = bars or int(rng.integers(*_BARS_DRAWN, endpoint=True))
    for _ in range(_WALKS):
        pitches = _walk(FINALS[final], length, rng)
        if _is_varied(pitches) and _keeps_rules(score := whole_notes(pitches)):
            return score
    raise RequestError(f"No cantus firmus of {length} bars was found. Choose another seed.")


def whole_notes(pitches: Sequence[int]) -> Score:
    """Return a score with a melody of whole notes in its upper voice.

    Its key signature has a flat if the melody has B flats.
    """
    bar = COMMON_TIME.bar_ticks
    notes = tuple(Note(index * bar, pitch, bar) for index, pitch in enumerate(pitches))
    key = Key.parse("F major" if any(pitch % 12 == 10 for pitch in pitches) else "C major")
    return Score((Voice(notes), Voice(())), len(notes), COMMON_TIME, key)


def _walk(final: int, length: int, rng: np.random.Generator) -> list[int]:
    """Return pitches from the final to the final, the last but one a step above it."""
    scale = [p for p in range(final - _BELOW, final + _ABOVE + 1) if p % 12 in _NATURAL]
    home = scale.index(final)
    places = [home]
    for _ in range(length - 3):
        steps = [step for step in range(-5, 6) if step and 0 <= places[-1] + step < len(scale)]
        weights = np.array([_STEP_WEIGHTS[abs(step)] for step in steps])
        places.append(places[-1] + int(rng.choice(steps, p=weights / weights.sum())))
    return [scale[place] for place in (*places, home + 1, home)]


def _is_varied(pitches: Sequence[int]) -> bool:
    """Return whether a melody has leaps and steps, rises enough, and repeats no figure."""
    moves = [after - before for before, after in pairwise(pitches)]
    leaps = sum(abs(move) > 2 for move in moves)
    width = max(pitches) - min(pitches)
    figures = list(pairwise(pitches))
    return (
        2 <= leaps <= 0.4 * len(moves)
        and 7 <= width <= 12
        and max(pitches) - pitches[0] >= 5
        and abs(moves[-2]) <= 2
        and max(pitches.count(pitch) for pitch in pitches) <= max(3, len(pitches) // 4)
        and all(one != other for one, other in zip(figures, figures[2:], strict=False))
    )


def _keeps_rules(score: Score) -> bool:
    line = score.voices[0]
    speller = ModalSpeller(score.written_signature.fifths, line.notes[-1].pitch)
    texture = Texture(Score((line, line), score.bars, key=score.key), LOWER, speller)
    return not any(True for rule in _RULES for _ in rule.find(texture))
