"""A grammar of musical events for vocabularies other than the one of this package."""

from bicinium.grammar.events.automaton import EventGrammar
from bicinium.grammar.events.state import EventState, EventStates
from bicinium.grammar.events.validate import EventValidator
from bicinium.grammar.events.vocabulary import Event, EventKind, EventVocabulary

__all__ = [
    "Event",
    "EventGrammar",
    "EventKind",
    "EventState",
    "EventStates",
    "EventValidator",
    "EventVocabulary",
]
