"""What the grammar asks for: how many voices, how long a note may last, which rules hold."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from bicinium.errors import GrammarError
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH
from bicinium.tokenizer.codec import LOWEST_AUDIBLE_BIN
from bicinium.tokenizer.vocabulary import MAX_PARTS

RULE_NAMES = (
    "pairing",
    "duration",
    "time",
    "voices",
    "order",
    "velocity",
    "repetition",
    "range",
)


@dataclass(frozen=True)
class MusicalGrammarConfig:
    """The settings of the grammar. Immutable; ``config_hash`` identifies it."""

    voices: int = 2  # parts 0 to voices - 1 are in use
    max_polyphony: int = 1  # notes that may sound at once in a part
    max_note_ticks: int = 960  # ten bars of 4/4
    lowest_velocity_bin: int = LOWEST_AUDIBLE_BIN
    max_identical_tokens: int = 3  # in a row
    sustain: bool = False  # whether there is a pedal
    ranges: tuple[tuple[int, int], ...] = ()  # (low, high) of each part; () is the whole piano
    rules: tuple[str, ...] = RULE_NAMES

    def __post_init__(self) -> None:
        if not 1 <= self.voices <= MAX_PARTS:
            raise GrammarError(f"voices={self.voices} must be 1 to {MAX_PARTS}")
        if self.ranges and len(self.ranges) != self.voices:
            raise GrammarError(
                f"{len(self.ranges)} ranges for {self.voices} voices: give one (low, high) a voice"
            )
        for part, (low, high) in enumerate(self.ranges):
            if not LOWEST_PITCH <= low <= high <= HIGHEST_PITCH:
                raise GrammarError(
                    f"rule 'range' leaves part {part} no pitch: {low} to {high} is not a range "
                    f"within {LOWEST_PITCH} to {HIGHEST_PITCH}"
                )
        for name in ("max_polyphony", "max_note_ticks", "max_identical_tokens"):
            if getattr(self, name) < 1:
                raise GrammarError(f"{name}={getattr(self, name)} must be 1 or more")
        unknown = set(self.rules) - set(RULE_NAMES)
        if unknown:
            raise GrammarError(
                f"unknown rules {', '.join(sorted(unknown))}; there are {', '.join(RULE_NAMES)}"
            )

    @property
    def config_hash(self) -> str:
        """Sixteen hex digits that change with any field."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:16]

    def range_of(self, part: int) -> tuple[int, int]:
        """The lowest and the highest pitch of a part."""
        if not self.ranges:
            return LOWEST_PITCH, HIGHEST_PITCH
        return self.ranges[min(part, self.voices - 1)]
