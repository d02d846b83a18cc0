"""What the tokens of a vocabulary stand for: one event for each id.

Subclass ``EventVocabulary`` and write two properties: ``events``, which says what each id stands
for, and ``successors``, which says what may follow what:

    class MyVocabulary(EventVocabulary):
        bar_ticks = 16

        @property
        def events(self):
            return [
                Event(EventKind.START), Event(EventKind.END), Event(EventKind.BAR),
                *(Event(EventKind.POSITION, tick) for tick in range(16)),
                *(Event(EventKind.NOTE, pitch) for pitch in range(128)),
                *(Event(EventKind.DURATION, ticks) for ticks in range(1, 33)),
            ]

        @property
        def successors(self):
            return {
                "START": ["BAR"],
                "BAR": ["BAR", "POSITION", "END"],
                "POSITION": ["NOTE"],
                "NOTE": ["DURATION"],
                "DURATION": ["NOTE", "POSITION", "BAR", "END"],
            }
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto


class EventKind(Enum):
    """What an event does. The comment says what its value is."""

    START = auto()  # begins a sequence
    END = auto()  # ends it
    PAD = auto()  # fills a row of a batch after END
    NOTE_ON = auto()  # pitch; the note sounds until a NOTE_OFF
    NOTE_OFF = auto()  # pitch
    NOTE = auto()  # pitch; the note sounds for the DURATION that follows, if there are any
    DURATION = auto()  # ticks of the NOTE before it
    TIME_SHIFT = auto()  # ticks from now
    REST = auto()  # ticks from now, or from the end of the last NOTE if that is later
    BAR = auto()  # begins a bar
    POSITION = auto()  # ticks from the beginning of the bar
    METER = auto()  # ticks of a bar
    VOICE = auto()  # the voice (part, program) of the following notes; at first it is 0
    OTHER = auto()  # changes neither time nor notes: velocity, tempo, chord, pedal …


NOTES = (EventKind.NOTE_ON, EventKind.NOTE)


@dataclass(frozen=True, slots=True)
class Event:
    """The meaning of one token.

    ``type`` is its name in ``EventVocabulary.successors``, by default that of the kind. After a
    METER all ticks of the vocabulary count ``unit`` times, for vocabularies in which a beat is
    an eighth in one metre and a quarter in another.
    """

    kind: EventKind
    value: int = 0
    type: str = ""
    unit: int = 1

    def __post_init__(self) -> None:
        if not self.type:
            object.__setattr__(self, "type", self.kind.name)


class EventVocabulary(ABC):
    """Says what each token id stands for, and what may follow what.

    The other attributes have defaults, which a subclass may change.
    """

    bar_ticks: int = 0  # ticks of a bar before any METER; 0 if bars do not matter
    max_polyphony: int | None = None  # notes of a voice that sound together
    max_note_ticks: int | None = None  # length of a note
    allow_overlaps: bool = False  # a pitch may begin while it sounds in the same voice
    allow_duplicates: bool = False  # a pitch may begin twice at one time in the same voice

    @property
    @abstractmethod
    def events(self) -> Sequence[Event]:
        """The event of each id, in the order of the ids."""

    @property
    @abstractmethod
    def successors(self) -> Mapping[str, Collection[str]]:
        """The types that may follow each type. A type that is no key has no successors."""

    @property
    def first_types(self) -> Collection[str]:
        """The types that may begin a sequence.

        By default START and what may follow it, or any type with successors if there is no START.
        """
        start = EventKind.START.name
        if start not in self.successors:
            return list(self.successors)
        return [start, *self.successors[start]]

    def describe(self, token: int) -> str:
        """Return a token's type and value for messages."""
        event = self.events[token]
        return f"{event.type} {event.value}"
