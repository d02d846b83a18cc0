"""The same piece twice is found; what only resembles it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bicinium.data.corruptions import shuffled_bars, shuffled_notes
from bicinium.data.duplicates import DuplicateIndex, Fingerprint, fingerprint
from bicinium.music.score import Note, Score, Voice

MakeScore = Callable[..., Score]


def _duplicates(fingerprints: Iterable[Fingerprint]) -> dict[int, int]:
    """Return, for each piece that duplicates an earlier one, the index of the earlier one."""
    with closing(DuplicateIndex()) as index:
        found = {piece: index.add(piece, figures) for piece, figures in enumerate(fingerprints)}
    return {piece: original for piece, original in found.items() if original is not None}


def _doubled(score: Score) -> Score:
    """Every note value twice as long."""
    voices = tuple(
        Voice(tuple(Note(2 * n.onset_tick, n.pitch, 2 * n.duration_ticks) for n in voice.notes))
        for voice in score.voices
    )
    return replace(score, voices=voices, bars=2 * score.bars)


def _edited(score: Score, every: int) -> Score:
    """Another edition: one note in so many is a step higher."""
    voices = tuple(
        Voice(
            tuple(
                replace(note, pitch=note.pitch + (index % every == every - 1))
                for index, note in enumerate(voice.notes)
            )
        )
        for voice in score.voices
    )
    return replace(score, voices=voices)


def test_another_key_tempo_note_value_or_edition_is_the_same_piece(
    made_up_score: MakeScore,
) -> None:
    piece = made_up_score(1, 32)
    others = [piece.transpose(5), replace(piece, tempo_qpm=40.0), _doubled(piece),
              _edited(piece, 60)]  # fmt: skip
    for other in others:
        assert _duplicates([fingerprint(piece), fingerprint(other)]) == {1: 0}


def test_other_pieces_and_pieces_with_one_voice_in_common_are_not(
    made_up_score: MakeScore,
) -> None:
    rng = np.random.default_rng(0)
    piece, other = made_up_score(1, 32), made_up_score(2, 32)
    same_bass = replace(piece, voices=(other.voices[0], piece.voices[1]))
    same_tune = replace(piece, voices=(piece.voices[0], other.voices[1]))
    shuffled = shuffled_notes(piece, rng), shuffled_bars(piece, rng)
    music = [piece, other, same_bass, same_tune, *shuffled]
    assert _duplicates([fingerprint(m) for m in music]) == {}


def test_of_several_the_first_stays(made_up_score: MakeScore) -> None:
    pieces = [made_up_score(seed, 16) for seed in (1, 2, 1, 1, 2)]
    assert _duplicates([fingerprint(piece) for piece in pieces]) == {2: 0, 3: 0, 4: 1}
    assert _duplicates([]) == {}


# ------------------------------------------------------------------ against every pair


def _similarity(one: Sequence[int], other: Sequence[int]) -> float:
    lowest = sorted({*one, *other})[:48]
    return sum(figure in one and figure in other for figure in lowest) / len(lowest)


def _by_comparing_all(fingerprints: Sequence[Fingerprint]) -> dict[int, int]:
    duplicates: dict[int, int] = {}
    for index, (upper, lower) in enumerate(fingerprints):
        similar = [
            (-len({*upper} & {*fingerprints[other][0]}), other)
            for other in range(index)
            if other not in duplicates
            and _similarity(upper, fingerprints[other][0]) >= 0.5
            and _similarity(lower, fingerprints[other][1]) >= 0.5
        ]
        if similar:
            duplicates[index] = min(similar)[1]
    return duplicates


# Of few figures, so that many are common and many pieces similar.
_VOICES = st.sets(st.integers(0, 9) | st.integers(0, 80), min_size=1, max_size=48).map(
    lambda figures: tuple(sorted(figures))
)


@given(st.lists(st.tuples(_VOICES, _VOICES | st.just((1, 2))), max_size=30))
@settings(max_examples=200, deadline=None)
def test_the_index_finds_what_comparing_all_pairs_finds(music: list[Fingerprint]) -> None:
    assert _duplicates(music) == _by_comparing_all(music)
