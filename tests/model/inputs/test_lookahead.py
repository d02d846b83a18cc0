"""Look-ahead inputs equal a slow reference, and reveal nothing else of the music to come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bicinium.model.inputs.layout import LOOKAHEAD_SIZES
from bicinium.model.inputs.lookahead import Lookahead
from bicinium.model.inputs.row import Row
from bicinium.model.inputs.voice_notes import VoiceNotes, voice_of
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, Note

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


_PIECES = st.tuples(_lines(), _lines())
_STRETCHES = st.tuples(
    st.integers(0, _END), st.sampled_from([0, 1, 24, 100, _FAR])
).map(lambda drawn: (drawn[0], min(_FAR, sum(drawn))))  # fmt: skip


def _stored(piece: Sequence[Line]) -> list[VoiceNotes]:
    return [voice_of((n.onset_tick, n.pitch, n.duration_ticks) for n in line) for line in piece]


def _uncrossed(voice: VoiceNotes, stretch: Stretch) -> Stretch:
    return voice.uncrossed(stretch[0]), voice.uncrossed(stretch[1])


def _columns(
    voices: Sequence[VoiceNotes], known: Sequence[Stretch], ticks: Sequence[int]
) -> list[list[int]]:
    """What the model sees at these ticks."""
    table = np.full((len(ticks), len(LOOKAHEAD_SIZES)), -1, np.int32)
    row = Row(table.data, np.zeros(table.shape[1], np.int32).data)
    for index, tick in enumerate(ticks):
        row.begin(index)
        Lookahead(voices, known).put_columns(tick, row)
    return table.tolist()


def _tick_class(ticks: int) -> int:
    """1 for none, exact to four quarters, then by the quarter."""
    return min(ticks + 1 if ticks < 96 else ticks // 24 + 93, 127)


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
    pairs = [(n.pitch - 19, _tick_class(n.onset_tick - tick)) for n in coming]
    pairs += [(0, 0)] * (2 - len(coming))
    beat = tick // 24 * 24
    return [held(tick), *pairs[0], *pairs[1], held(beat + 24), held(beat + 48), held(beat + 96)]


@given(piece=_PIECES, data=st.data())
def test_the_columns_are_what_one_looks_up_in_the_score(
    piece: tuple[Line, Line], data: st.DataObject
) -> None:
    voices = _stored(piece)
    known = [_uncrossed(voice, data.draw(_STRETCHES)) for voice in voices]
    ticks = data.draw(st.lists(st.integers(0, _END + 200), min_size=1, max_size=6))
    for row, tick in zip(_columns(voices, known, ticks), ticks, strict=True):
        assert row == [x for v in range(2) for x in _told(piece[v], known[v], tick)]


@given(line=_lines(), stretch=_STRETCHES)
def test_no_note_lies_across_the_ends_of_an_uncrossed_stretch(line: Line, stretch: Stretch) -> None:
    (voice,) = _stored([line])
    moved = _uncrossed(voice, stretch)
    for asked, tick in zip(stretch, moved, strict=True):
        crossed = [n.offset_tick for n in line if n.onset_tick < asked < n.offset_tick]
        assert [tick] == (crossed or [asked])
        assert not any(n.onset_tick < tick < n.offset_tick for n in line)
    assert moved[0] <= moved[1]
    assert _uncrossed(voice, moved) == moved


@given(piece=_PIECES, begin=st.integers(0, _END), ticks=st.lists(st.integers(0, _END), min_size=1))
def test_nothing_known_gives_zeros(piece: tuple[Line, Line], begin: int, ticks: list[int]) -> None:
    columns = _columns(_stored(piece), ((begin, begin), (0, 0)), ticks)
    assert not np.any(columns)


def _outside(line: Line, known: Stretch) -> Line:
    begin, until = known
    return [n for n in line if n.offset_tick <= begin or n.onset_tick >= until]


@given(piece=_PIECES, other=_PIECES, stretches=st.tuples(_STRETCHES, _STRETCHES))
def test_what_is_not_known_never_shows(
    piece: tuple[Line, Line], other: tuple[Line, Line], stretches: tuple[Stretch, Stretch]
) -> None:
    """Other notes before and after the known stretches: the columns stay."""
    voices = _stored(piece)
    known = [_uncrossed(voice, stretch) for voice, stretch in zip(voices, stretches, strict=True)]
    changed = [
        sorted(
            _outside(other[v], known[v])
            + [n for n in piece[v] if n not in _outside(piece[v], known[v])]
        )
        if known[v][0] < known[v][1]
        else other[v]
        for v in range(2)
    ]
    ticks = range(0, _END, 5)
    assert _columns(voices, known, ticks) == _columns(_stored(changed), known, ticks)


def test_a_given_note_with_nothing_after_it() -> None:
    """C4 now, no more to come, silence on the beats; of the lower voice nothing is known."""
    voices = _stored(([Note(0, 60, 24)], [Note(0, 40, 96)]))
    assert _columns(voices, ((0, _FAR), (0, 0)), [0]) == [[41, 0, 0, 0, 0, 1, 1, 1] + [0] * 8]
