"""What all constraints share: a plan of the close, and the places that the model wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bicinium.generation.conditions import Conditions
from bicinium.generation.fixed_notes import ALL_TICKS
from bicinium.music.counterpoint import LOWER, UPPER, NoteLocation, PitchRange
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, VOICES

NO_PITCH = 0  # the pitch of a voice that is silent
PIANO: tuple[PitchRange, ...] = ((LOWEST_PITCH, HIGHEST_PITCH),) * VOICES


class CadencePlan(NamedTuple):
    """How a piece is to close."""

    on_downbeat: bool = False  # on the last downbeat; otherwise by the middle of the last bar
    from_dominant: bool = False  # the lower voice reaches the tonic from the dominant
    tonic_above: bool = False  # the upper voice ends on the tonic, not on another triad note
    dies_away: bool = False  # chord notes may follow until the middle of the last bar


ANY_CADENCE = CadencePlan()


class WrittenByModel:
    """Counts places in a finished piece, leaving out those that were fixed beforehand."""

    def __init__(self, conditions: Conditions) -> None:
        fixed_notes = conditions.fixed_notes
        self._fixed = fixed_notes.fixed if fixed_notes else ((),) * VOICES

    @property
    def only_voice(self) -> int | None:
        """The voice that the model wrote, if the other one is given as a whole."""
        whole = [spans == (ALL_TICKS,) for spans in self._fixed]
        return whole.index(False) if sum(whole) == 1 else None

    def __contains__(self, place: tuple[int, int]) -> bool:
        """Return whether the model wrote what a voice has at a tick."""
        voice, tick = place
        return not any(begin <= tick < until for begin, until in self._fixed[voice])

    def count_notes(self, places: Sequence[NoteLocation]) -> int:
        """Count the places (voice, tick) that the model wrote."""
        return sum(place in self for place in places)

    def count_ticks(self, ticks: Sequence[int]) -> int:
        """Count the ticks at which the model wrote at least one of the voices."""
        return sum(any((voice, tick) in self for voice in (UPPER, LOWER)) for tick in ticks)
