"""Inputs of whole pieces, from their first token to their last.

Loops around ``SequenceInputs``, and nothing else. A table (N, W) has a state in each row, the one
after a token; see ``grammar.states.States`` for its columns. ``state`` is room to work in.

Compiled when the package is built; the C types are in ``scan.pxd``.
"""

from __future__ import annotations

from bicinium.grammar.state import State
from bicinium.model.inputs.bar_lag import BarLag
from bicinium.model.inputs.row import Row
from bicinium.model.inputs.sequence import SequenceInputs
from bicinium.model.inputs.voice_notes import VoiceNotes


def write_along(
    sequence: SequenceInputs,
    state: State,
    table: memoryview,
    tokens: memoryview,
    start: int,
    row: Row,
) -> None:
    """Write the inputs of a piece's tokens from ``start`` on, each into one row."""
    for index in range(len(tokens)):
        state.load(table, index)
        sequence.observe(state, tokens[index])
        if index >= start:
            row.begin(index - start)
            sequence.write(state, tokens[index], row)


def notes_along(state: State, table: memoryview, tokens: memoryview) -> list[VoiceNotes]:
    """The notes of each voice of a piece. What still sounds at the last token ends with it."""
    past = BarLag()
    for index in range(len(tokens)):
        state.load(table, index)
        past.observe(state, tokens[index])
    for voice in past.voices:
        voice.end(state.tick)
    return past.voices
