"""Check two voices by a set of rules, and say what is good in them too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bicinium.counterpoint.dissonance import Dissonance, dissonances
from bicinium.counterpoint.rule import Fault, Severity
from bicinium.counterpoint.rule_sets import RuleSet
from bicinium.counterpoint.species import find_cantus
from bicinium.counterpoint.strengths import Strengths, strengths
from bicinium.counterpoint.texture import VOICE_NAMES, Texture
from bicinium.errors import RequestError
from bicinium.music.score import Score
from bicinium.upper_layers import NotebookDisplay


@dataclass(frozen=True, slots=True)
class CounterpointReport(NotebookDisplay):
    """What a check found, in the order of time."""

    rule_set: str
    score: Score
    cantus: int | None
    faults: tuple[Fault, ...]
    dissonances: tuple[Dissonance, ...]
    strengths: Strengths

    @property
    def passed(self) -> bool:
        """Whether there is no error; warnings and hints may remain."""
        return not any(fault.severity is Severity.ERROR for fault in self.faults)

    def count(self, severity: Severity) -> int:
        """Return the number of faults of a severity."""
        return sum(fault.severity is severity for fault in self.faults)

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "rules": self.rule_set,
            "passed": self.passed,
            "cantus": None if self.cantus is None else VOICE_NAMES[self.cantus],
            "faults": [
                {
                    "rule": fault.rule,
                    "severity": str(fault.severity),
                    "bar": fault.bar,
                    "beat": fault.beat,
                    "tick": fault.tick,
                    "notes": [
                        {"voice": note.voice, "tick": note.onset_tick, "name": note.name}
                        for note in fault.notes
                    ],
                    "fact": fault.fact,
                    "reason": fault.reason,
                    "source": fault.source,
                }
                for fault in self.faults
            ],
            "dissonances": [
                {
                    "tick": found.moment.tick,
                    "note": found.note.name,
                    "interval": found.moment.interval.name,
                    "figure": None if found.figure is None else str(found.figure),
                }
                for found in self.dissonances
            ],
            "strengths": self.strengths.as_json(),
        }


def find_faults(score: Score, rule_set: RuleSet, cantus: int | None = None) -> tuple[Fault, ...]:
    """Return the faults of a score in the order of time; see ``check_score``."""
    return _faults(_texture(score, rule_set, cantus), rule_set)


def check_score(score: Score, rule_set: RuleSet, cantus: int | None = None) -> CounterpointReport:
    """Check a score by a rule set.

    cantus: the voice that is given and not judged (0 upper, 1 lower); None: for a set that needs
    one, the voice with one note in each bar.

    Raises RequestError if such a set finds no cantus firmus, ScoreError without two voices.
    """
    texture = _texture(score, rule_set, cantus)
    return CounterpointReport(
        rule_set=rule_set.name,
        score=score,
        cantus=texture.cantus,
        faults=_faults(texture, rule_set),
        dissonances=tuple(dissonances(texture)),
        strengths=strengths(texture),
    )


def _texture(score: Score, rule_set: RuleSet, cantus: int | None) -> Texture:
    texture = Texture(score, cantus)
    if rule_set.needs_cantus or (cantus is None and rule_set.name.startswith("species")):
        cantus = find_cantus(texture) if cantus is None else cantus
        if cantus is None and rule_set.needs_cantus:
            raise RequestError(
                f"The rules {rule_set.name} need a cantus firmus, and neither voice alone has one "
                "note in each bar. Name it with --cantus upper or --cantus lower."
            )
        texture = Texture(score, cantus)
    return texture


def _faults(texture: Texture, rule_set: RuleSet) -> tuple[Fault, ...]:
    faults = [fault for rule in rule_set.rules for fault in rule.faults(texture)]
    return tuple(sorted(faults, key=lambda fault: (fault.tick, fault.rule)))
