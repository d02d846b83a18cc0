"""The grammar over the ids of a MidiTok tokenizer: MIDILike, TSD or REMI."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from math import lcm
from typing import Any

from bicinium.errors import RequestError
from bicinium.grammar.events import Event, EventKind, EventVocabulary
from bicinium.optional_imports import import_optional

_NAMES = ("MIDILike", "TSD", "REMI")
_INTERVALS = ("PitchIntervalTime", "PitchIntervalChord")
_NEVER_IN_MUSIC = ("PAD", "MASK")
_PARTS_OF_A_NOTE = ("NoteOff", "DrumOff", "Velocity", "Duration", "PedalOff")
_COMMON_TIME = (4, 4)  # where there are no TimeSig tokens

_KINDS = {
    "BOS": EventKind.START,
    "EOS": EventKind.END,
    "PAD": EventKind.PAD,
    "MASK": EventKind.PAD,
    "NoteOff": EventKind.NOTE_OFF,
    "DrumOff": EventKind.NOTE_OFF,
    "Pitch": EventKind.NOTE,
    "PitchDrum": EventKind.NOTE,
    "Duration": EventKind.DURATION,
    "TimeShift": EventKind.TIME_SHIFT,
    "Rest": EventKind.REST,
    "Bar": EventKind.BAR,
    "Position": EventKind.POSITION,
    "TimeSig": EventKind.METER,
    "Program": EventKind.VOICE,
}


class MidiTokVocabulary(EventVocabulary):
    """What the ids of a MidiTok tokenizer stand for.

    A tick is a fraction of a beat, as MidiTok counts it: of an eighth in 6/8, of a quarter in 4/4.

    tokenizer: MIDILike, TSD or REMI, with one or more programs.
    max_polyphony: notes of a program that may sound together; None for any number. 1 makes each
        program a voice.

    Raises MissingExtraError without MidiTok, and RequestError for a tokenizer that was trained (by
    BPE and the like), is of another class, or uses pitch intervals.
    """

    allow_overlaps = True  # MidiTok pairs the first on with the first off.

    def __init__(self, tokenizer: Any, max_polyphony: int | None = None) -> None:
        miditok = import_optional("miditok", "miditok", "The grammar over MidiTok's ids")
        classes = tuple(getattr(miditok, name) for name in _NAMES)
        if not isinstance(tokenizer, classes):
            raise RequestError(
                f"tokenizer must be a MidiTok tokenizer of the class {', '.join(_NAMES)} "
                f"(got {type(tokenizer).__name__})."
            )
        if tokenizer.is_trained:
            raise RequestError(
                "The tokenizer was trained, so that an id is several events. Use one without "
                "BPE, Unigram or WordPiece."
            )
        self.config = tokenizer.config
        if self.config.use_pitch_intervals:
            raise RequestError("Pitch intervals are not supported: set use_pitch_intervals=False.")
        self.tokenizer = tokenizer
        self.max_polyphony = max_polyphony
        self.allow_duplicates = not self.config.remove_duplicated_notes
        # Ticks of a beat, and of a whole note: all that MidiTok can say is a multiple of a tick.
        resolutions = {*self.config.beat_res.values(), *self.config.beat_res_rest.values()}
        self._beat = lcm(*resolutions)
        self._whole = lcm(*(denominator for _, denominator in tokenizer.time_signatures), 4)
        self.bar_ticks = _COMMON_TIME[0] * self._beat * (self._whole // _COMMON_TIME[1])
        longest = self.config.additional_params.get("max_duration")
        if longest is not None:
            self.max_note_ticks = self._ticks(
                longest if isinstance(longest, str) else ".".join(map(str, longest))
            )

    @cached_property
    def events(self) -> Sequence[Event]:
        """The event of each id."""
        names = sorted(self.tokenizer.vocab, key=self.tokenizer.vocab.__getitem__)
        return [self._event(name) for name in names]

    @cached_property
    def successors(self) -> Mapping[str, Collection[str]]:
        """MidiTok's graph of types. END stands only where a note is complete."""
        graph = self.tokenizer.tokens_types_graph
        moves = {"Bar", "TimeShift"}
        present = {event.type for event in self.events}
        found = {}
        for name in present:
            following = {other.split("_")[0] for other in graph.get(name, ())} & present
            if not following & moves:
                following.discard("EOS")
            found[name] = following if name in _NEVER_IN_MUSIC else following - {*_NEVER_IN_MUSIC}
        return found

    @property
    def first_types(self) -> Collection[str]:
        """BOS, and what may follow it. A REMI sequence begins with a bar."""
        if "Bar" in self.successors:
            return {"BOS", "Bar"} & set(self.successors)
        return set(self.successors) - {*_NEVER_IN_MUSIC, *_PARTS_OF_A_NOTE, "EOS"}

    def describe(self, token: int) -> str:
        """Return MidiTok's name of a token."""
        return str(self.tokenizer[token])

    def _event(self, name: str) -> Event:
        kind_name, _, value = name.partition("_")
        kind = _KINDS.get(kind_name, EventKind.OTHER)
        if kind_name in ("NoteOn", "DrumOn"):
            ends = self.config.using_note_duration_tokens
            kind = EventKind.NOTE_ON if ends else EventKind.NOTE
        elif name == "Bar_End":
            kind = EventKind.OTHER
        match kind:
            case EventKind.DURATION | EventKind.TIME_SHIFT | EventKind.REST:
                return Event(kind, self._ticks(value), kind_name)
            case EventKind.POSITION:
                ticks = int(value) * self._beat // self.config.max_num_pos_per_beat
                return Event(kind, ticks, kind_name)
            case EventKind.METER:
                beats, denominator = map(int, value.split("/"))
                return Event(kind, beats * self._beat, kind_name, self._whole // denominator)
            case EventKind.NOTE_ON | EventKind.NOTE | EventKind.NOTE_OFF | EventKind.VOICE:
                return Event(kind, int(value), kind_name)
        return Event(kind, type=kind_name)

    def _ticks(self, value: str) -> int:
        """Return the ticks of beats, positions and positions per beat, such as 1.2.8."""
        beats, positions, resolution = map(int, value.split("."))
        return (beats * resolution + positions) * self._beat // resolution
