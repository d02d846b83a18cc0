"""What a rule of counterpoint is, and what it finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import ClassVar

from bicinium.counterpoint.texture import LineNote, Texture


class Severity(StrEnum):
    """How serious a fault is."""

    ERROR = "error"
    WARNING = "warning"
    HINT = "hint"


@dataclass(frozen=True, slots=True)
class Finding:
    """Notes that break a rule, the first of them at ``tick``, and the fact in words."""

    tick: int
    notes: tuple[LineNote, ...]
    fact: str


@dataclass(frozen=True, slots=True)
class Fault:
    """A finding with its rule and its place. Bars and beats count from 1."""

    rule: str
    severity: Severity
    tick: int
    bar: int
    beat: float
    notes: tuple[LineNote, ...]
    fact: str
    reason: str
    source: str

    @property
    def message(self) -> str:
        """Return one line for a person: place, fact and reason."""
        return f"bar {self.bar}, beat {self.beat:g}: {self.fact}. {self.reason}"


@dataclass(frozen=True)
class Rule:
    """Base class. A subclass is a frozen dataclass: its fields are the options of the rule.

    ``find`` yields what breaks the rule. ``reason`` says why it is a fault, ``source`` where it is
    taught.
    """

    name: ClassVar[str]
    reason: ClassVar[str]
    source: ClassVar[str]

    severity: Severity = Severity.ERROR

    def find(self, texture: Texture) -> Iterator[Finding]:
        """Yield the findings in a texture, in any order."""
        raise NotImplementedError

    def faults(self, texture: Texture) -> Iterator[Fault]:
        """Yield the findings as faults, with their places."""
        for found in self.find(texture):
            yield Fault(
                rule=self.name,
                severity=self.severity,
                tick=found.tick,
                bar=texture.bar(found.tick),
                beat=texture.beat(found.tick),
                notes=found.notes,
                fact=found.fact,
                reason=self.reason,
                source=self.source,
            )

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """Return the names of the options."""
        return tuple(field.name for field in fields(cls))
