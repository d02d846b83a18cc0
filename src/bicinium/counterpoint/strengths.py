"""What is good in two voices: contrary motion, independent rhythm, imitation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bicinium.counterpoint.texture import VOICE_NAMES, LineNote, Texture

_IMITATION_NOTES = 6  # that a voice takes up from the other
_MAX_BARS_APART = 4


@dataclass(frozen=True, slots=True)
class Imitation:
    """A voice that takes up what the other has just played."""

    leader: LineNote  # the first note of each
    follower: LineNote
    notes: int
    bars_apart: float

    @property
    def message(self) -> str:
        """Return one line for a person."""
        interval = self.leader.to(self.follower)
        way = "above" if interval.semitones > 0 else "below"
        at = "at the unison" if not interval.semitones else f"{interval.phrase} {way}"
        voice = VOICE_NAMES[self.follower.voice]
        return f"the {voice} imitates {self.notes} notes, {at}, {self.bars_apart:g} bars later"


@dataclass(frozen=True, slots=True)
class Strengths:
    """Shares are 0 to 1."""

    contrary_motion: float  # of the moves of both voices, those in opposite directions
    independent_rhythm: float  # of the onsets, those of one voice alone
    imitations: tuple[tuple[int, Imitation], ...]  # with the bar of the follower

    def as_json(self) -> dict[str, Any]:
        """Return the strengths as plain values."""
        return {
            "contrary_motion": round(self.contrary_motion, 3),
            "independent_rhythm": round(self.independent_rhythm, 3),
            "imitations": [
                {"bar": bar, "description": found.message} for bar, found in self.imitations
            ],
        }


def strengths(texture: Texture) -> Strengths:
    """Return what is good in a texture."""
    moves = [
        (after.upper.pitch - before.upper.pitch) * (after.lower.pitch - before.lower.pitch)
        for before, after in texture.moment_pairs
    ]
    together = [move for move in moves if move]
    onsets = [{note.onset_tick for note in line} for line in texture.lines]
    return Strengths(
        sum(move < 0 for move in together) / max(1, len(together)),
        len(onsets[0] ^ onsets[1]) / max(1, len(onsets[0] | onsets[1])),
        tuple((texture.bar(found.follower.onset_tick), found) for found in _imitations(texture)),
    )


def _imitations(texture: Texture) -> Iterator[Imitation]:
    """Yield where a voice repeats at least six notes of the other: their steps and rhythm."""
    bar = texture.meter.bar_ticks
    taken: set[tuple[int, int]] = set()
    for leader in range(2):
        first, second = texture.lines[leader], texture.lines[1 - leader]
        for start in first:
            for answer in second:
                apart = answer.onset_tick - start.onset_tick
                if not 0 < apart <= _MAX_BARS_APART * bar or (answer.voice, answer.index) in taken:
                    continue
                count = _alike(first[start.index :], second[answer.index :], apart)
                if count >= _IMITATION_NOTES:
                    taken |= {(answer.voice, answer.index + i) for i in range(count)}
                    yield Imitation(start, answer, count, round(apart / bar, 2))


def _alike(one: tuple[LineNote, ...], other: tuple[LineNote, ...], apart: int) -> int:
    """Return how many notes from the first on have the same steps and onsets."""
    steps = one[0].to(other[0]).steps
    count = 0
    for a, b in zip(one, other, strict=False):
        if b.onset_tick - a.onset_tick != apart or a.to(b).steps != steps:
            return count
        count += 1
    return count
