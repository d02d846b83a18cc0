"""The note index of many pieces is the same for whole pieces and for one note at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bicinium.grammar import MusicalGrammar, States
from bicinium.model.inputs.motif_predictor import MotifPredictor
from bicinium.model.inputs.note_index import SPAN, GrowingNoteIndex, NoteIndex, index_notes
from bicinium.music.score import COMMON_TIME, VOICES, Note, Score, note_array
from bicinium.tokenizer.codec import decode, encode
from bicinium.tokenizer.vocabulary import START, Kind, token_id

Stored = tuple[int, int, int, list[int]]  # onset, offset, pitch, what was expected
Pieces = Sequence[np.ndarray]  # of tokens


def _whole(pieces: Pieces) -> NoteIndex:
    lengths = np.array([len(tokens) for tokens in pieces])
    return index_notes(np.concatenate(pieces), lengths, MusicalGrammar().states_along(pieces))


def _notes(lines: NoteIndex, piece: int, voice: int) -> list[Stored]:
    """Return the notes of one voice in ticks of the piece, without those that are left out."""
    onset, offset = lines.onset[voice], lines.offset[voice]
    stored = np.flatnonzero((onset // SPAN == piece) & (lines.pitch[voice] > 0))
    return [
        (int(onset[i] % SPAN), int(offset[i] - piece * SPAN), int(lines.pitch[voice][i]),
         lines.predictions[voice][i].tolist())
        for i in stored
    ]  # fmt: skip


def _written(pieces: Pieces) -> Iterator[tuple[GrowingNoteIndex, States, np.ndarray]]:
    """Compose pieces together. Return after each step their notes, the state and the remaining
    rows.

    Finished pieces are dropped, and the order of the others changes.
    """
    grammar, lines = MusicalGrammar(), GrowingNoteIndex(len(pieces))
    rows, state = np.arange(len(pieces)), grammar.initial_states(len(pieces))
    for place in range(max(map(len, pieces))):
        going = np.flatnonzero([place < len(pieces[row]) for row in rows])
        if len(going) < len(rows):
            going = going[::-1]
        rows, state = rows[going], state.take(going)
        tokens = np.array([pieces[row][place] for row in rows], np.int64)
        grammar.advance(state, tokens)
        lines.update(state, rows, tokens)
        yield lines, state, rows


def _check_growing(pieces: Pieces) -> None:
    """Check each step: a piece has exactly the notes that have begun, and those that still sound
    end later. At the end it has all notes.
    """
    whole = _whole(pieces)
    expected = [[_notes(whole, p, v) for v in range(VOICES)] for p in range(len(pieces))]
    for lines, state, rows in _written(pieces):
        for row in range(0, len(rows), 1 + len(rows) // 2):
            piece, tick = int(rows[row]), int(state.tick[row])
            for voice in range(VOICES):
                growing, in_the_end = _notes(lines, piece, voice), expected[piece][voice]
                begun = sum(onset < tick for onset, *_ in in_the_end)
                assert begun <= len(growing) <= len(in_the_end)
                for now, then in zip(growing, in_the_end, strict=False):
                    assert now[0] == then[0] <= tick
                    assert now[1] == then[1] or now[1] > tick <= then[1]
                    assert now[2:] == then[2:]
    for piece in range(len(pieces)):
        for voice in range(VOICES):
            assert _notes(lines, piece, voice) == expected[piece][voice]


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 4))
@settings(max_examples=12)
def test_notes_that_come_one_by_one_are_those_of_the_whole_piece(
    legal_walks: Callable[..., list[np.ndarray]], seed: int, count: int
) -> None:
    _check_growing(legal_walks(count, seed, 80, bar_ticks=96))


@pytest.mark.parametrize("bars", [(14,), (3, 40, 12), (40, 14, 14, 14)], ids=str)
def test_there_is_room_for_any_number_of_notes(
    made_up_score: Callable[..., Score], bars: tuple[int, ...]
) -> None:
    pieces = [encode(made_up_score(seed, count)) for seed, count in enumerate(bars)]
    whole = _whole(pieces)
    longest = int(np.argmax(bars))
    assert all(len(_notes(whole, longest, voice)) > 64 for voice in range(VOICES))
    *_, (lines, _, _) = _written(pieces)
    for piece, tokens in enumerate(pieces):
        for voice, line in enumerate(_score(tokens)):
            notes = _notes(lines, piece, voice)
            assert notes == _notes(whole, piece, voice)
            assert [note[:3] for note in notes] == [
                (n.onset_tick, n.offset_tick, n.pitch) for n in line
            ]


def _score(tokens: np.ndarray) -> list[list[Note]]:
    return [list(voice.notes) for voice in decode(tokens, COMMON_TIME).voices]


def test_what_is_expected_is_what_the_piece_alone_leads_one_to_expect(
    made_up_score: Callable[..., Score],
) -> None:
    pieces = [encode(made_up_score(seed, 6)) for seed in range(3)]
    whole = _whole(pieces)
    for piece, tokens in enumerate(pieces):
        predictor, heard = MotifPredictor(), []
        lines = enumerate(_score(tokens))
        notes = sorted((n.onset_tick, v, n.pitch) for v, line in lines for n in line)
        for tick, voice, pitch in notes:
            heard.append((voice, list(predictor.observe(voice, tick, pitch))))
        for voice in range(VOICES):
            expected = [expected for _, _, _, expected in _notes(whole, piece, voice)]
            assert expected == [after for of, after in heard if of == voice]
            assert any(map(any, expected))


def test_the_notes_of_a_piece_count_from_its_beginning_and_are_its_own() -> None:
    """The same piece twice, with C5 and a rest over a held C3, and a piece without notes."""
    one = [note_array([Note(0, 72, 24)]), note_array([Note(0, 48, 96)])]
    none = [note_array([]), note_array([])]
    lines = NoteIndex([one, none, one])
    nothing = [0, 0, 0, 0]
    for piece in (0, 2):
        assert _notes(lines, piece, 0) == [(0, 24, 72, nothing)]
        assert _notes(lines, piece, 1) == [(0, 96, 48, nothing)]
    assert _notes(lines, 1, 0) == _notes(lines, 1, 1) == []


@given(
    notes=st.lists(st.lists(st.integers(0, 20), unique=True, max_size=4).map(sorted), min_size=1,
                   max_size=3),
    data=st.data(),
)  # fmt: skip
def test_the_last_note_to_begin_is_looked_up_in_its_piece_alone(
    notes: list[list[int]], data: st.DataObject
) -> None:
    lines = NoteIndex([[note_array([Note(t, 60, 1) for t in line])] * VOICES for line in notes])
    piece, tick = data.draw(st.integers(0, len(notes) - 1)), data.draw(st.integers(0, 25))
    note, found = lines.last_onset(1, np.array([piece * SPAN + tick]))
    begun = [t for t in notes[piece] if t <= tick]
    assert found.tolist() == [bool(begun)]
    if begun:
        assert lines.onset[1][note].tolist() == [piece * SPAN + begun[-1]]


@pytest.mark.parametrize("notes", [1, 3])
def test_a_piece_that_was_broken_off_keeps_its_notes(notes: int) -> None:
    """A piece that is cut off by its token budget may end with a NOTE_ON. That note must not
    appear in the next piece.
    """

    def held(pitch: int) -> list[int]:
        ends = token_id(Kind.TIME_SHIFT, 24), token_id(Kind.NOTE_OFF, pitch)
        return [token_id(Kind.NOTE_ON, pitch), *ends]

    header = [START, token_id(Kind.TEMPO, 16), token_id(Kind.VELOCITY, 19)]
    broken_off = np.array([*header, *held(60) * notes, token_id(Kind.NOTE_ON, 62)])
    other = np.array([*header, *held(72)])
    lines = _whole([broken_off, other, broken_off])
    assert [note[:3] for note in _notes(lines, 1, 0)] == [(0, 24, 72)]
    for piece in (0, 2):
        assert [note[:3] for note in _notes(lines, piece, 0)][:notes] == [
            (24 * i, 24 * i + 24, 60) for i in range(notes)
        ]
    for voice in range(VOICES):
        assert (np.diff(lines.onset[voice]) >= 0).all()
