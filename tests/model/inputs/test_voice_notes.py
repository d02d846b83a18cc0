"""The notes of a voice: against plain lists, however many; and those of a piece of tokens."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bicinium.grammar import MusicalGrammar
from bicinium.model.inputs.encode import notes_along
from bicinium.model.inputs.voice_notes import VoiceNotes, voice_of
from bicinium.music.score import COMMON_TIME, Score
from bicinium.tokenizer.codec import decode, encode
from bicinium.tokenizer.vocabulary import END, START, Kind, token_id

Stored = tuple[int, int, int]  # onset, offset, pitch


def _notes(voice: VoiceNotes) -> list[Stored]:
    columns = zip(voice.onset, voice.offset, voice.pitch, strict=True)
    return list(columns)[: voice.count]


def _along(tokens: list[int]) -> list[list[Stored]]:
    """The notes of each voice of a piece."""
    states = MusicalGrammar().states_along([tokens])
    after = states.take(np.arange(1, len(states)))
    return [_notes(voice) for voice in notes_along(after, tokens)]


@st.composite
def _lines(draw: st.DrawFn) -> list[Stored]:
    steps = st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(21, 108))
    notes, tick = [], 0
    for rest, length, pitch in draw(st.lists(steps, max_size=30)):
        notes.append((tick + rest, tick + rest + length, pitch))
        tick += rest + length
    return notes


@given(line=_lines(), tick=st.integers(0, 120), earlier=st.integers(0, 2))
def test_questions_are_answered_as_one_finds_in_the_list(
    line: list[Stored], tick: int, earlier: int
) -> None:
    voice = voice_of((onset, pitch, offset - onset) for onset, offset, pitch in line)
    assert _notes(voice) == line
    begun = [note for note in line if note[0] <= tick]
    assert voice.first_after(tick) == len(begun)
    assert voice.pitch_begun(tick, earlier) == (
        begun[-1 - earlier][2] if len(begun) > earlier else 0
    )
    held = [pitch for onset, offset, pitch in line if onset <= tick < offset]
    assert voice.held_class(tick) == (held[0] - 19 if held else 1)
    crossing = [offset for onset, offset, _ in line if onset < tick < offset]
    assert [voice.uncrossed(tick)] == (crossing or [tick])


@pytest.mark.parametrize("count", [63, 64, 65, 1000])
def test_there_is_room_for_any_number_of_notes(count: int) -> None:
    voice = VoiceNotes()
    for note in range(count):
        voice.begin(2 * note, 21 + note % 88)
        voice.end(2 * note + 1)
    assert _notes(voice) == [(2 * n, 2 * n + 1, 21 + n % 88) for n in range(count)]


def test_after_a_slip_several_notes_end_at_once() -> None:
    voice = VoiceNotes()
    for tick, pitch in ((0, 60), (3, 62), (3, 64)):
        voice.begin(tick, pitch)
    assert voice.held_class(10**6) == 64 - 19
    voice.end(5)
    voice.end(7)
    assert _notes(voice) == [(0, 5, 60), (3, 5, 62), (3, 5, 64)]


def test_the_notes_of_a_piece_are_those_of_its_score(made_up_score: Callable[..., Score]) -> None:
    tokens = encode(made_up_score(1, 40))
    voices = decode(tokens, COMMON_TIME).voices
    assert _along(tokens.tolist()) == [
        [(n.onset_tick, n.offset_tick, n.pitch) for n in voice.notes] for voice in voices
    ]


def test_what_still_sounds_at_the_last_token_ends_with_the_piece() -> None:
    on, off = token_id(Kind.NOTE_ON, 60), token_id(Kind.NOTE_OFF, 60)
    wait = token_id(Kind.TIME_SHIFT, 24)
    assert _along([START, on, wait, off, on, wait, wait]) == [[(0, 24, 60), (24, 72, 60)], []]
    assert _along([START, on, wait, off, END, on]) == [[(0, 24, 60)], []]
    assert _along([]) == [[], []]
