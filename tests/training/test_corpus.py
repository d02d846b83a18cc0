"""Validation sets of a corpus."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bicinium.data.piece_record import PieceRecord
from bicinium.data.shards import load_pieces
from bicinium.training.corpus import validation_sets


@pytest.fixture(scope="module")
def pieces(prepared: Path) -> list[PieceRecord]:
    return load_pieces(prepared)


def test_validation_sets_are_held_out_and_split_by_kind(pieces: list[PieceRecord]) -> None:
    sets = validation_sets(pieces, 80_000)
    assert set(sets) == {"keyboard"}  # all of the made-up music counts as keyboard music
    assert {piece.name for piece in sets["keyboard"]} == {
        piece.name for piece in pieces if piece.split == "validation"
    }
    assert len(sets["keyboard"]) == 2


def test_the_set_of_other_music_is_limited_in_tokens(pieces: list[PieceRecord]) -> None:
    songs = [
        replace(pieces[0], style="song", split="validation", name=f"song {index}")
        for index in range(40)
    ]
    few = validation_sets([*pieces, *songs], 5 * len(pieces[0].tokens))
    assert 5 <= len(few["other"]) <= 8
    assert len(few["keyboard"]) == 2
    assert len(validation_sets(songs, 10**9)["other"]) == 40
