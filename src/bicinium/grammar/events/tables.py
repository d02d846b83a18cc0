"""Arrays and sets that follow from a vocabulary, computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bicinium.errors import GrammarError
from bicinium.grammar.events.vocabulary import NOTES, Event, EventKind, EventVocabulary

Ids = NDArray[np.int64]
Bools = NDArray[np.bool_]

_TIME = (EventKind.TIME_SHIFT, EventKind.REST, EventKind.POSITION, EventKind.BAR)
_ALWAYS_POSSIBLE = (EventKind.TIME_SHIFT, EventKind.REST, EventKind.BAR, EventKind.END)


class Need(NamedTuple):
    """Whether a token leads nowhere unless a note begins or ends after it, and which will do.

    ``begin`` and ``end`` are for the current voice. The other two come after another VOICE.
    """

    begin: bool = False
    end: bool = False
    begin_elsewhere: bool = False
    end_elsewhere: bool = False


class Needing:
    """The tokens that need a note, as arrays with one row for each."""

    def __init__(self, events: Sequence[Event], need_of: Mapping[str, Need]) -> None:
        found = [index for index, event in enumerate(events) if any(need_of[event.type])]
        self.ids: Ids = np.array(found, np.int64)
        self.values: Ids = np.array([events[i].value for i in found], np.int64)
        self.at_position: Bools = np.array(
            [events[i].kind is EventKind.POSITION for i in found], np.bool_
        )
        self.of_voice: Bools = np.array(
            [events[i].kind is EventKind.VOICE for i in found], np.bool_
        )
        needs = np.array([need_of[events[i].type] for i in found], np.bool_).reshape(-1, 4)
        self.begin, self.end, self.begin_elsewhere, self.end_elsewhere = needs.T


class EventTables:
    """Tables of a vocabulary. Raises GrammarError if it contradicts itself."""

    def __init__(self, vocabulary: EventVocabulary) -> None:
        self.events = tuple(vocabulary.events)
        self.successors = {t: set(names) for t, names in vocabulary.successors.items()}
        self.kinds_of_type: dict[str, set[EventKind]] = {}
        for event in self.events:
            self.kinds_of_type.setdefault(event.type, set()).add(event.kind)
        self.types = sorted(self.kinds_of_type)
        self.type_of: Ids = np.array([self.types.index(event.type) for event in self.events])
        self._check(vocabulary)
        names = np.array([event.type for event in self.events])
        self.follows: Bools = np.array(
            [np.isin(names, sorted(self.successors.get(name, ()))) for name in self.types]
        )
        self.first: Bools = np.isin(names, sorted(vocabulary.first_types))
        self.ids = {kind: _ids_of(kind, self.events) for kind in EventKind}
        self.begins: Ids = np.concatenate([self.ids[kind] for kind in NOTES])
        self.moves: Ids = np.concatenate([self.ids[kind] for kind in _TIME])
        self.begins_pitch = self._by_value(self.begins)
        self.ends_pitch = self._by_value(self.ids[EventKind.NOTE_OFF])
        self.values: Ids = np.array([event.value for event in self.events])
        self.units: Ids = np.array([event.unit for event in self.events])
        self.voices = sorted({self.events[i].value for i in self.ids[EventKind.VOICE]})
        need_of = {name: self._need(name) for name in self.types}
        self.needing = Needing(self.events, need_of)
        self.reaches_note_off: Bools = np.array(
            [self._leads_to(event.type, EventKind.NOTE_OFF) for event in self.events]
        )

    def has(self, kind: EventKind) -> bool:
        """Whether some token is of this kind."""
        return len(self.ids[kind]) > 0

    def only_id(self, kind: EventKind) -> int | None:
        """Return the first id of a kind, None if there is none."""
        return int(self.ids[kind][0]) if self.has(kind) else None

    def _check(self, vocabulary: EventVocabulary) -> None:
        named = {name for names in self.successors.values() for name in names}
        for name in sorted({*self.successors, *named, *vocabulary.first_types}):
            if name not in self.types:
                raise GrammarError(
                    f"successors names the type {name!r}, but no token has it. "
                    f"The types are {', '.join(self.types)}."
                )
        if not named:
            raise GrammarError("successors is empty: say what may follow each type.")
        kinds = {event.kind for event in self.events}
        if not kinds & set(NOTES):
            raise GrammarError("No token begins a note: give NOTE_ON or NOTE events.")
        if EventKind.BAR in kinds and vocabulary.bar_ticks < 1:
            raise GrammarError(
                f"bar_ticks must be 1 or more in a vocabulary with BAR (got {vocabulary.bar_ticks})"
            )
        for index, event in enumerate(self.events):
            if event.kind in (EventKind.VOICE, EventKind.OTHER):
                continue
            least = 1 if event.kind in (EventKind.TIME_SHIFT, EventKind.DURATION) else 0
            if event.value < least or event.unit < 1:
                raise GrammarError(
                    f"token {index}, {event.type}: value must be {least} or more and unit 1 or "
                    f"more (got {event.value} and {event.unit})"
                )

    def _by_value(self, ids: Ids) -> Mapping[int, list[int]]:
        found: dict[int, list[int]] = {}
        for index in ids.tolist():
            found.setdefault(self.events[index].value, []).append(index)
        return found

    def _reach(self, name: str, stops: Callable[[set[EventKind]], bool]) -> set[str]:
        """Return the types that can follow ``name`` at once or after others, up to ``stops``."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            for following in self.successors.get(waiting.pop(), ()):
                if following not in found:
                    found.add(following)
                    if not stops(self.kinds_of_type[following]):
                        waiting.append(following)
        return found

    def _leads_to(self, name: str, kind: EventKind) -> bool:
        """Whether a token of ``kind`` can follow a type before time moves."""
        reached = self._reach(name, lambda kinds: bool(kinds & set(_TIME)))
        return any(kind in self.kinds_of_type[other] for other in reached)

    def _need(self, name: str) -> Need:
        notes = {*NOTES, EventKind.NOTE_OFF}
        if self.kinds_of_type[name] & {*_ALWAYS_POSSIBLE, *notes, EventKind.PAD}:
            return Need()

        def at_notes(kinds: set[EventKind]) -> bool:
            return bool(kinds & notes)

        def at_notes_and_voices(kinds: set[EventKind]) -> bool:
            return bool(kinds & {*notes, EventKind.VOICE})

        reached = self._reach(name, at_notes)
        here = self._reach(name, at_notes_and_voices)
        kinds = {kind for other in reached for kind in self.kinds_of_type[other]}
        kinds_here = {kind for other in here for kind in self.kinds_of_type[other]}
        if kinds & set(_ALWAYS_POSSIBLE):
            return Need()
        elsewhere = EventKind.VOICE in kinds_here
        begins, ends = bool(kinds & set(NOTES)), EventKind.NOTE_OFF in kinds
        return Need(
            begin=bool(kinds_here & set(NOTES)),
            end=EventKind.NOTE_OFF in kinds_here,
            begin_elsewhere=elsewhere and begins,
            end_elsewhere=elsewhere and ends,
        )


def _ids_of(kind: EventKind, events: Sequence[Event]) -> Ids:
    return np.array([index for index, event in enumerate(events) if event.kind is kind], np.int64)
