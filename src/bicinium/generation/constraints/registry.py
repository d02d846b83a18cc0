"""List the constraints by the names of their settings, and count violations in pieces."""

from __future__ import annotations

from bicinium.generation.conditions import Conditions
from bicinium.generation.constraints.base import Constraint
from bicinium.generation.constraints.cadence import Cadence
from bicinium.generation.constraints.chords import Chords
from bicinium.generation.constraints.config import Constraints
from bicinium.generation.constraints.harmony import Consonance, InKey
from bicinium.generation.constraints.range import HandSpan, InRange
from bicinium.generation.constraints.terms import WrittenByModel
from bicinium.generation.constraints.voice_leading import Crossing, Leap, Parallels
from bicinium.music.score import Score

CONSTRAINTS: dict[str, type[Constraint]] = {
    "close": Cadence,
    "in_key": InKey,
    "range": InRange,
    "hand_span": HandSpan,
    "parallels": Parallels,
    "crossing": Crossing,
    "consonance": Consonance,
    "leap": Leap,
    "chords": Chords,
}


def count_violations(score: Score, conditions: Conditions, settings: Constraints) -> dict[str, int]:
    """Return how often a finished piece breaks each constraint that is on.

    Fixed notes do not count. A relation between the voices counts if the model wrote one of them.
    """
    written = WrittenByModel(conditions)
    return {
        name: CONSTRAINTS[name].count_violations(score, conditions, settings, written)
        for name in settings.strengths
    }
