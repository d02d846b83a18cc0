"""The same piece twice is found; what only resembles it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bicinium.data.corruptions import shuffled_bars, shuffled_notes
from bicinium.data.duplicates import find_duplicates, fingerprint
from bicinium.music.score import Note, Score, Voice

MakeScore = Callable[..., Score]


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
        assert find_duplicates([fingerprint(piece), fingerprint(other)]) == {1: 0}


def test_other_pieces_and_pieces_with_one_voice_in_common_are_not(
    made_up_score: MakeScore,
) -> None:
    rng = np.random.default_rng(0)
    piece, other = made_up_score(1, 32), made_up_score(2, 32)
    same_bass = replace(piece, voices=(other.voices[0], piece.voices[1]))
    same_tune = replace(piece, voices=(piece.voices[0], other.voices[1]))
    shuffled = shuffled_notes(piece, rng), shuffled_bars(piece, rng)
    music = [piece, other, same_bass, same_tune, *shuffled]
    assert find_duplicates([fingerprint(m) for m in music]) == {}


def test_of_several_the_first_stays(made_up_score: MakeScore) -> None:
    pieces = [made_up_score(seed, 16) for seed in (1, 2, 1, 1, 2)]
    assert find_duplicates([fingerprint(piece) for piece in pieces]) == {2: 0, 3: 0, 4: 1}
    assert find_duplicates([]) == {}
