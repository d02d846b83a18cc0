"""Rules on how an exercise begins and ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from bicinium.counterpoint.rule import Finding, Rule, Severity
from bicinium.counterpoint.sources import FUX_FIRST, KENNAN_TWO_VOICES
from bicinium.counterpoint.texture import VOICE_NAMES, LineNote, Texture
from bicinium.music.counterpoint import LOWER, UPPER, voices_off_tonic


@dataclass(frozen=True)
class Beginning(Rule):
    """An exercise that does not begin with a perfect consonance.

    Below a given voice it begins with an octave or a unison, so that the lowest note is the final.
    """

    name: ClassVar[str] = "beginning"
    reason: ClassVar[str] = (
        "Begin with a unison, fifth or octave; below the cantus with a unison or octave."
    )
    source: ClassVar[str] = FUX_FIRST

    def find(self, texture: Texture) -> Iterator[Finding]:
        first = texture.moments[0]
        interval = first.interval
        below = texture.cantus == UPPER
        if not (interval.is_perfect_octave or (interval.is_perfect_fifth and not below)):
            fact = f"it begins with {interval.phrase}: {first.lower.name}-{first.upper.name}"
            yield Finding(first.tick, first.notes, fact)


@dataclass(frozen=True)
class Ending(Rule):
    """An exercise that does not end with a unison or an octave."""

    name: ClassVar[str] = "ending"
    reason: ClassVar[str] = "Only a unison or an octave is a perfect ending in two voices."
    source: ClassVar[str] = FUX_FIRST

    def find(self, texture: Texture) -> Iterator[Finding]:
        last = texture.moments[-1]
        if not last.interval.is_perfect_octave:
            fact = f"it ends with {last.interval.phrase}: {last.lower.name}-{last.upper.name}"
            yield Finding(last.tick, last.notes, fact)


def _last_steps(texture: Texture) -> list[tuple[LineNote, LineNote]] | None:
    """Return the last two different notes of each voice; None if a voice has fewer."""
    pairs = []
    for line in texture.lines:
        final = line[-1]
        earlier = next((note for note in reversed(line) if note.pitch != final.pitch), None)
        if earlier is None:
            return None
        pairs.append((earlier, final))
    return pairs


@dataclass(frozen=True)
class CadenceFormula(Rule):
    """A cadence in which the voices do not reach the final by step from both sides.

    One voice falls by step to the final, the other rises by step to it. The rising step is a
    semitone, unless the falling one is (as in the Phrygian mode).
    """

    name: ClassVar[str] = "cadence"
    reason: ClassVar[str] = (
        "The cadence is a sixth that opens to the octave, or a third that closes to the unison."
    )
    source: ClassVar[str] = FUX_FIRST

    def find(self, texture: Texture) -> Iterator[Finding]:
        pairs = _last_steps(texture)
        if pairs is None:
            return
        finals = tuple(note for pair in pairs for note in pair)
        tick = min(earlier.onset_tick for earlier, _ in pairs)
        moves = sorted(
            (earlier.to(final) for earlier, final in pairs), key=lambda move: move.semitones
        )
        falls, rises = moves
        if not (falls.steps == -1 and rises.steps == 1):
            fact = "the voices do not reach the final by step from above and from below"
            yield Finding(tick, finals, fact)
        elif rises.semitones == 2 and falls.semitones == -2:
            leading = next(earlier for earlier, final in pairs if earlier.to(final).semitones == 2)
            fact = f"the leading note {leading.name} is not raised"
            yield Finding(leading.onset_tick, (leading,), fact)


@dataclass(frozen=True)
class TonicEnding(Rule):
    """A piece that does not end on its tonic chord, with the tonic in the bass."""

    name: ClassVar[str] = "tonic_ending"
    reason: ClassVar[str] = "The last chord is the tonic, with the tonic in the lower voice."
    source: ClassVar[str] = KENNAN_TWO_VOICES

    severity: Severity = Severity.WARNING

    def find(self, texture: Texture) -> Iterator[Finding]:
        for voice in voices_off_tonic(texture.score, texture.key):
            last = texture.lines[voice][-1]
            fact = f"the {VOICE_NAMES[voice]} ends on {last.name} in {texture.key}"
            yield Finding(last.onset_tick, (last,), fact)


@dataclass(frozen=True)
class LeadingNote(Rule):
    """A leading note at the end of a piece that does not rise to the tonic."""

    name: ClassVar[str] = "leading_note"
    reason: ClassVar[str] = "The leading note of the last cadence rises to the tonic."
    source: ClassVar[str] = KENNAN_TWO_VOICES

    severity: Severity = Severity.WARNING

    def find(self, texture: Texture) -> Iterator[Finding]:
        last_bar = texture.score.end_tick - texture.meter.bar_ticks
        for voice in (UPPER, LOWER):
            line = texture.lines[voice]
            final = line[-1]
            for note in line[-2:-1]:
                leads = (note.pitch + 1) % 12 == texture.key.tonic
                if leads and final.onset_tick >= last_bar and final.pitch != note.pitch + 1:
                    fact = f"the leading note {note.name} goes to {final.name}"
                    yield Finding(note.onset_tick, (note, final), fact)
