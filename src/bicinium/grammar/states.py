"""Many states, one in each row of a table of integers, with their columns as arrays.

To step through one sequence use ``State``. This is for batches, and for readers that work on whole
columns.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bicinium.grammar.state import Limits, State
from bicinium.grammar.terms import SILENT

Ints: TypeAlias = NDArray[np.int32]
Bools: TypeAlias = NDArray[np.bool_]

COLUMNS = (  # in the order of ``State.save``
    "bar_ticks",
    "end_tick",
    "tokens_left",
    "transposition",
    "stage",
    "moment",
    "tick",
    "part",
    "velocity",
    "notes",
    "last_on",
    "last_off",
    "last_token",
    "run",
    "sounding_notes",
    "first_due",
)


class _Column:
    """A scalar field of all states, (N,)."""

    def __set_name__(self, owner: type[States], name: str) -> None:
        self.index = COLUMNS.index(name)

    def __get__(self, states: States, owner: type[States]) -> Ints:
        return states.table[:, self.index]


class States:
    """N states: the table, and its columns by the names of ``State``. Columns are views."""

    bar_ticks, end_tick, tokens_left, transposition = _Column(), _Column(), _Column(), _Column()
    stage, moment, tick, part, velocity = _Column(), _Column(), _Column(), _Column(), _Column()
    notes, last_on, last_off = _Column(), _Column(), _Column()
    last_token, run, first_due = _Column(), _Column(), _Column()
    sounding_notes = _Column()  # how many, all parts together

    def __init__(self, limits: Limits, slots: int, table: Ints) -> None:
        self.limits, self.slots, self.table = limits, slots, table
        self.room = State(limits, slots)  # to work in
        self.rows = table.data  # its memory, for the compiled code

    @classmethod
    def empty(cls, limits: Limits, slots: int, count: int) -> States:
        """Room for ``count`` states, not yet filled."""
        width = len(COLUMNS) + limits.voices * (6 + 3 * slots)
        return cls(limits, slots, np.empty((count, width), np.int32))

    @classmethod
    def of(cls, state: State, count: int) -> States:
        """``count`` copies of a state."""
        states = cls.empty(state.limits, state.slots, count)
        if count:
            state.save(states.rows, 0)
            states.table[:] = states.table[0]
        return states

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, row: int) -> State:
        """A copy of one state."""
        state = State(self.limits, self.slots)
        state.load(self.rows, range(len(self))[row])
        return state

    def take(self, rows: NDArray[np.integer]) -> States:
        """A copy of these rows."""
        return States(self.limits, self.slots, self.table.take(rows, axis=0))

    def _of_parts(self, first: int, count: int) -> Ints:
        """Return (N, P, count): for each part, ``count`` consecutive fields from a given one on."""
        voices = self.limits.voices
        begin = len(COLUMNS) + voices * first
        return self.table[:, begin : begin + voices * count].reshape(len(self), voices, count)

    @property
    def pedal(self) -> Ints:
        """(N, P) 1 if the pedal is down."""
        return self._of_parts(0, 1)[:, :, 0]

    @property
    def recent_pitch(self) -> Ints:
        """(N, P, 3) of the last notes of each part, the latest first; 0 if none."""
        return self._of_parts(1, 3)

    @property
    def recent_onset(self) -> Ints:
        """(N, P, 2) likewise their onsets."""
        return self._of_parts(4, 2)

    @property
    def held_pitch(self) -> Ints:
        """(N, P, S) the sounding pitches, SILENT if none."""
        return self._of_parts(6, self.slots)

    @property
    def held_onset(self) -> Ints:
        """(N, P, S) when they began."""
        return self._of_parts(6 + self.slots, self.slots)

    @property
    def held_until(self) -> Ints:
        """(N, P, S) by when they must end, FAR if none sounds."""
        return self._of_parts(6 + 2 * self.slots, self.slots)

    @property
    def position(self) -> Ints:
        """(N,) ticks since the last barline; 0 if the metre is unknown."""
        return self.tick % np.maximum(self.bar_ticks, 1)

    @property
    def last_pitch(self) -> Ints:
        """(N, P) of the last note that began in each part, 0 before the first."""
        return self.recent_pitch[:, :, 0]

    @property
    def sounding(self) -> Bools:
        """(N, P, S) which slots hold a note."""
        return np.asarray(self.held_pitch != SILENT)
