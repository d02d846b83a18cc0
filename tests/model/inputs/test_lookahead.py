"""Look-ahead inputs equal a slow reference, and reveal nothing else of the music to come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bicinium.model.inputs.lookahead import IS_TICKS, Lookahead
from bicinium.model.inputs.note_index import NoteIndex
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, Note, note_array

_END, _FAR = 400, 2**30  # ticks
Line = list[Note]
Stretch = tuple[int, int]


@st.composite
def _lines(draw: st.DrawFn) -> Line:
    """A voice of at most eight notes, with rests."""
    steps = st.tuples(
        st.sampled_from([0, 0, 1, 12, 60]),
        st.sampled_from([1, 12, 24, 90]),
        st.integers(LOWEST_PITCH, HIGHEST_PITCH),
    )
    notes, tick = [], 0
    for rest, length, pitch in draw(st.lists(steps, max_size=8)):
        notes.append(Note(tick + rest, pitch, length))
        tick += rest + length
    return notes


_PIECES = st.lists(st.tuples(_lines(), _lines()), min_size=1, max_size=3)
_STRETCHES = st.tuples(
    st.integers(0, _END), st.sampled_from([0, 1, 24, 100, _FAR])
).map(lambda drawn: (drawn[0], min(_FAR, sum(drawn))))  # fmt: skip


def _stored(pieces: Sequence[Sequence[Line]]) -> NoteIndex:
    return NoteIndex([[note_array(line) for line in piece] for piece in pieces])


def _foresight(lines: NoteIndex, places: Sequence[tuple[int, Sequence[Stretch]]]) -> Lookahead:
    known = np.array([stretches for _, stretches in places])
    return Lookahead(lines, np.array([p for p, _ in places]), known[..., 0], known[..., 1])


def _told(line: Line, known: Stretch, tick: int) -> list[int]:
    """The columns of one voice, as one would look them up in the score."""
    begin, until = known
    if begin >= until:
        return [0] * 8

    def held(at: int) -> int:
        if not begin <= at < until:
            return 0
        return next((n.pitch - 19 for n in line if n.onset_tick <= at < n.offset_tick), 1)

    coming = [n for n in line if n.onset_tick > tick and begin <= n.onset_tick < until][:2]
    pairs = [(n.pitch - 19, n.onset_tick - tick) for n in coming] + [(0, 0)] * (2 - len(coming))
    beat = tick // 24 * 24
    return [held(tick), *pairs[0], *pairs[1], held(beat + 24), held(beat + 48), held(beat + 96)]


@given(pieces=_PIECES, data=st.data())
def test_the_columns_are_what_one_looks_up_in_the_score(
    pieces: list[tuple[Line, Line]], data: st.DataObject
) -> None:
    lines = _stored(pieces)
    places, ticks = [], []
    for _ in range(data.draw(st.integers(1, 6))):
        piece = data.draw(st.integers(0, len(pieces) - 1))
        known = [lines.note_bounds(piece, v, data.draw(_STRETCHES)) for v in range(2)]
        places.append((piece, known))
        ticks.append(data.draw(st.integers(0, _END + 200)))
    columns = _foresight(lines, places).columns(np.array(ticks, np.int32))
    assert columns.shape == (len(places), len(IS_TICKS))
    for row, (piece, known), tick in zip(columns.tolist(), places, ticks, strict=True):
        assert row == [x for v in range(2) for x in _told(pieces[piece][v], known[v], tick)]


@given(pieces=_PIECES, stretch=_STRETCHES, data=st.data())
def test_no_note_lies_across_the_ends_of_an_uncrossed_stretch(
    pieces: list[tuple[Line, Line]], stretch: Stretch, data: st.DataObject
) -> None:
    piece, voice = data.draw(st.integers(0, len(pieces) - 1)), data.draw(st.integers(0, 1))
    lines, line = _stored(pieces), pieces[piece][voice]
    moved = lines.note_bounds(piece, voice, stretch)
    for asked, tick in zip(stretch, moved, strict=True):
        crossed = [n.offset_tick for n in line if n.onset_tick < asked < n.offset_tick]
        assert [tick] == (crossed or [asked])
        assert not any(n.onset_tick < tick < n.offset_tick for n in line)
    assert moved[0] <= moved[1]
    assert lines.note_bounds(piece, voice, moved) == moved


@given(pieces=_PIECES, begin=st.integers(0, _END), ticks=st.lists(st.integers(0, _END)))
def test_nothing_known_gives_zeros(
    pieces: list[tuple[Line, Line]], begin: int, ticks: list[int]
) -> None:
    nothing = ((begin, begin), (0, 0))
    places = [(0, nothing)] * len(ticks) or [(0, nothing)]
    columns = _foresight(_stored(pieces), places).columns(np.array(ticks or [0]))
    assert not columns.any()


def _outside(line: Line, known: Stretch) -> Line:
    begin, until = known
    return [n for n in line if n.offset_tick <= begin or n.onset_tick >= until]


@given(
    pieces=_PIECES,
    others=st.lists(st.tuples(_lines(), _lines()), min_size=3, max_size=3),
    stretches=st.tuples(_STRETCHES, _STRETCHES),
    data=st.data(),
)
def test_what_is_not_known_never_shows(
    pieces: list[tuple[Line, Line]],
    others: list[tuple[Line, Line]],
    stretches: tuple[Stretch, Stretch],
    data: st.DataObject,
) -> None:
    """Other notes before and after the known stretches, and other pieces: the columns stay."""
    piece = data.draw(st.integers(0, len(pieces) - 1))
    lines = _stored(pieces)
    known = [lines.note_bounds(piece, v, stretches[v]) for v in range(2)]
    changed: list[Sequence[Line]] = list(others[: len(pieces)])
    changed[piece] = [
        sorted(
            _outside(others[piece][v], known[v])
            + [n for n in pieces[piece][v] if n not in _outside(pieces[piece][v], known[v])]
        )
        if known[v][0] < known[v][1]
        else others[piece][v]
        for v in range(2)
    ]
    ticks = np.arange(0, _END, 5)
    one, other = (
        _foresight(stored, [(piece, known)] * len(ticks)).columns(ticks)
        for stored in (lines, _stored(changed))
    )
    np.testing.assert_array_equal(one, other)


def test_places_that_are_taken_keep_their_piece_and_stretch() -> None:
    lines = _stored([([Note(0, 60, 24)], []), ([Note(24, 72, 24)], [Note(0, 40, 96)])])
    ever, never = (0, _FAR), (0, 0)
    foresight = _foresight(lines, [(0, (ever, never)), (1, (ever, ever)), (1, (never, ever))])
    ticks = np.array([0, 12, 30])
    rows = np.array([2, 0])
    np.testing.assert_array_equal(
        foresight.take(rows).columns(ticks[rows]), foresight.columns(ticks)[rows]
    )
    # C4 now, no more to come, silence on the beats; of the lower voice nothing is known
    assert foresight.columns(ticks)[0].tolist() == [41, 0, 0, 0, 0, 1, 1, 1] + [0] * 8
