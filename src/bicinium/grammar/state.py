"""The state of one sequence: what has happened so far, and what a token changes.

Any token is taken, legal or not, and the last event wins: a NOTE_OFF of a silent pitch changes
nothing, a NOTE_ON of a sounding one begins it anew, after END nothing happens. Knows no rules.

Compiled when the package is built; the C types are in ``state.pxd``.
"""

from __future__ import annotations

from array import array

from bicinium.grammar.config import MusicalGrammarConfig
from bicinium.grammar.terms import (
    ARRIVED,
    BEFORE_START,
    BEFORE_TEMPO,
    END,
    ENDED,
    ENTERED,
    FAR,
    KIND_OF,
    LONG,
    MUSIC,
    NOTE_OFF,
    NOTE_ON,
    OFF,
    ON,
    PART,
    PEDAL,
    READY,
    SILENT,
    START,
    SUSTAIN_OFF,
    SUSTAIN_ON,
    TIME_SHIFT,
    VALUE_OF,
    VELOCITY,
)
from bicinium.tokenizer.vocabulary import MAX_SHIFT_TICKS, UNK, VOCAB_SIZE

LONGEST_SHIFT = MAX_SHIFT_TICKS
TOKENS = VOCAB_SIZE
UNKNOWN = UNK  # the id, not the kind
SCALARS = 16  # the fields before those of the parts, in a row of a table (see ``save``)
_kind_of = memoryview(array("i", KIND_OF))
_value_of = memoryview(array("i", VALUE_OF))


class Limits:
    """The numbers of a ``MusicalGrammarConfig``, for the compiled code."""

    def __init__(self, config: MusicalGrammarConfig) -> None:
        self.voices = config.voices
        self.max_polyphony = config.max_polyphony
        self.max_note_ticks = config.max_note_ticks
        self.lowest_velocity_bin = config.lowest_velocity_bin
        self.max_identical_tokens = config.max_identical_tokens
        self.sustain = config.sustain
        ranges = [config.range_of(part) for part in range(config.voices)]
        self.lowest_pitch = memoryview(array("i", [low for low, _ in ranges]))  # of each part
        self.highest_pitch = memoryview(array("i", [high for _, high in ranges]))


class State:
    """What has happened in one sequence. Times are in ticks.

    The sounding notes of a part are in ``slots`` slots, the first of part p at ``p * slots``. Slots
    beyond ``max_polyphony`` keep track of notes that broke the rule ``voices``.
    """

    def __init__(self, limits: Limits, slots: int) -> None:
        voices = limits.voices
        self.limits = limits
        self.slots = slots
        # The request.
        self.bar_ticks = 0  # length of a bar; 0 if the metre is unknown
        self.end_tick = FAR  # the barline on which the piece must end; FAR if any will do
        self.tokens_left = FAR  # that may still be written, END included; FAR if unlimited
        self.transposition = 0  # semitones that will be added after decoding
        # What has happened.
        self.stage = BEFORE_START
        self.moment = LONG
        self.tick = 0
        self.part = 0
        self.velocity = -1  # bin; -1 before the first VELOCITY
        self.notes = 0  # begun so far
        self.last_on = 0  # pitch of the last NOTE_ON in this tick and part; 0 if none
        self.last_off = 0  # likewise of the last NOTE_OFF
        self.last_token = -1
        self.run = 0  # how many times in a row last_token has come
        # What follows from the sounding notes.
        self.sounding = 0  # number of sounding notes, all parts together
        self.first_due = FAR  # the tick by which the first of them must end
        # Of each part, in one block of memory.
        self.of_parts = memoryview(array("i", [0] * (voices * (6 + 3 * slots))))
        self.pedal = self.of_parts[:voices]  # 1 if the pedal is down
        self.recent_pitch = self.of_parts[voices : 4 * voices]  # last three notes, latest first
        self.recent_onset = self.of_parts[4 * voices : 6 * voices]  # onsets of the last two
        held = self.of_parts[6 * voices :]
        self.held_pitch = held[: voices * slots]  # the sounding pitches; SILENT if none
        self.held_onset = held[voices * slots : 2 * voices * slots]  # when they began
        self.held_until = held[2 * voices * slots :]  # by when they must end; FAR if none sounds
        for slot in range(voices * slots):
            self.held_pitch[slot] = SILENT
            self.held_until[slot] = FAR

    # ------------------------------------------------------------------ questions

    def has_part(self, part: int) -> bool:
        """Is this part in use?"""
        return 0 <= part < self.limits.voices

    def sounds(self, part: int, pitch: int) -> bool:
        """Does this pitch sound in this part?"""
        if not self.has_part(part):
            return False
        for slot in range(part * self.slots, (part + 1) * self.slots):
            if self.held_pitch[slot] == pitch:
                return True
        return False

    def sounding_in(self, part: int) -> int:
        """The number of notes that sound in this part."""
        count = 0
        if not self.has_part(part):
            return count
        for slot in range(part * self.slots, (part + 1) * self.slots):
            if self.held_pitch[slot] != SILENT:
                count += 1
        return count

    def is_open(self, part: int) -> bool:
        """Has this part a sounding note, or a pedal that is down?"""
        return self.has_part(part) and (self.pedal[part] == 1 or self.sounding_in(part) > 0)

    def last_pitch(self, part: int) -> int:
        """The pitch of the last note that began in this part; 0 before the first."""
        return self.recent_pitch[3 * part] if self.has_part(part) else 0

    def last_onset(self, part: int) -> int:
        """The tick at which the last note of this part began; 0 before the first."""
        return self.recent_onset[2 * part] if self.has_part(part) else 0

    def position_in_bar(self) -> int:
        """Ticks since the last barline; 0 if the metre is unknown."""
        return self.tick % self.bar_ticks if self.bar_ticks > 0 else 0

    def pitches(self) -> list[int]:
        """The sounding pitches of all parts, rising."""
        return sorted(pitch for pitch in self.held_pitch if pitch != SILENT)

    # ------------------------------------------------------------------ events

    def advance(self, token: int) -> None:
        """Move the state on by a token. An id that is not in the vocabulary counts as UNK."""
        if token < 0 or token >= TOKENS:
            token = UNKNOWN
        if token == self.last_token:
            self.run += 1
        else:
            self.run = 1
        self.last_token = token
        if self.tokens_left < FAR:
            self.tokens_left -= 1
        if self.stage == ENDED:
            return
        kind = _kind_of[token]
        value = _value_of[token]
        if kind == START:
            self.stage = max(self.stage, BEFORE_TEMPO)
            return
        self.stage = ENDED if kind == END else MUSIC
        self._apply(kind, value)

    def _apply(self, kind: int, value: int) -> None:
        """Apply an event of the music to the fields that it changes."""
        if kind == TIME_SHIFT:
            self.tick += value
            self.moment = LONG if value == LONGEST_SHIFT else ARRIVED
            self.last_on = self.last_off = 0
        elif kind == NOTE_ON:
            self._begin_note(value)
        elif kind == NOTE_OFF:
            self._end_note(value)
        elif kind == PART:
            if value < self.limits.voices:
                self.part = value
                self.moment = ENTERED
                self.last_on = self.last_off = 0
        elif kind == VELOCITY:
            self.velocity = value
            self.moment = READY
        elif kind in (SUSTAIN_ON, SUSTAIN_OFF):
            self.moment = PEDAL
            if self.limits.sustain:
                self.pedal[self.part] = 1 if kind == SUSTAIN_ON else 0

    def _begin_note(self, pitch: int) -> None:
        """Begin a note in the current part."""
        self.moment = ON
        self.last_on = pitch
        self.notes += 1
        slot = self._slot_for(pitch)
        self.held_pitch[slot] = pitch
        self.held_onset[slot] = self.tick
        until = self.tick + self.limits.max_note_ticks
        if self.tick < self.end_tick < until:
            until = self.end_tick
        self.held_until[slot] = until
        self._note_what_sounds()
        latest = 3 * self.part
        self.recent_pitch[latest + 2] = self.recent_pitch[latest + 1]
        self.recent_pitch[latest + 1] = self.recent_pitch[latest]
        self.recent_pitch[latest] = pitch
        latest = 2 * self.part
        self.recent_onset[latest + 1] = self.recent_onset[latest]
        self.recent_onset[latest] = self.tick

    def _end_note(self, pitch: int) -> None:
        """End a note in the current part, if it sounds."""
        self.moment = OFF
        self.last_off = pitch
        for slot in range(self.part * self.slots, (self.part + 1) * self.slots):
            if self.held_pitch[slot] == pitch:
                self.held_pitch[slot] = SILENT
                self.held_until[slot] = FAR
        self._note_what_sounds()

    def _slot_for(self, pitch: int) -> int:
        """The slot of the same pitch, else a free one, else that of the oldest note."""
        first = self.part * self.slots
        best = first
        free = -1
        for slot in range(first, first + self.slots):
            if self.held_pitch[slot] == pitch:
                return slot
            if self.held_pitch[slot] == SILENT:
                if free < 0:
                    free = slot
            elif self.held_onset[slot] < self.held_onset[best]:
                best = slot
        return best if free < 0 else free

    def _note_what_sounds(self) -> None:
        """Count the sounding notes, and find when the first of them must end."""
        self.sounding = 0
        self.first_due = FAR
        for slot in range(self.limits.voices * self.slots):
            if self.held_pitch[slot] != SILENT:
                self.sounding += 1
                self.first_due = min(self.first_due, self.held_until[slot])

    # ------------------------------------------------------------------ tables of many states

    def save(self, table: memoryview, row: int) -> None:
        """Write the state into a row of a table (see ``states.States``)."""
        table[row, 0] = self.bar_ticks
        table[row, 1] = self.end_tick
        table[row, 2] = self.tokens_left
        table[row, 3] = self.transposition
        table[row, 4] = self.stage
        table[row, 5] = self.moment
        table[row, 6] = self.tick
        table[row, 7] = self.part
        table[row, 8] = self.velocity
        table[row, 9] = self.notes
        table[row, 10] = self.last_on
        table[row, 11] = self.last_off
        table[row, 12] = self.last_token
        table[row, 13] = self.run
        table[row, 14] = self.sounding
        table[row, 15] = self.first_due
        for index in range(self.limits.voices * (6 + 3 * self.slots)):
            table[row, SCALARS + index] = self.of_parts[index]

    def load(self, table: memoryview, row: int) -> None:
        """Read the state from a row of a table."""
        self.bar_ticks = table[row, 0]
        self.end_tick = table[row, 1]
        self.tokens_left = table[row, 2]
        self.transposition = table[row, 3]
        self.stage = table[row, 4]
        self.moment = table[row, 5]
        self.tick = table[row, 6]
        self.part = table[row, 7]
        self.velocity = table[row, 8]
        self.notes = table[row, 9]
        self.last_on = table[row, 10]
        self.last_off = table[row, 11]
        self.last_token = table[row, 12]
        self.run = table[row, 13]
        self.sounding = table[row, 14]
        self.first_due = table[row, 15]
        for index in range(self.limits.voices * (6 + 3 * self.slots)):
            self.of_parts[index] = table[row, SCALARS + index]
