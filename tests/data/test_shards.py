"""Shards are read as they were written. Errors in them are found when they are loaded."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest

from bicinium.data.piece_record import PieceRecord, score_of
from bicinium.data.shards import (
    SHARDS,
    load_checked,
    load_pieces,
    staged_shards,
    write_shards,
)
from bicinium.errors import CorpusError
from bicinium.tokenizer.vocabulary import END, Kind, token_id

Refuses = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def pieces(prepared: Path) -> list[PieceRecord]:
    return load_pieces(prepared)


def test_many_pieces_are_many_shards_in_order(pieces: list[PieceRecord], tmp_path: Path) -> None:
    many = [replace(pieces[i % 8], name=f"piece {i}") for i in range(2001)]
    assert [path.name for path in write_shards(tmp_path, many)] == [
        "pieces-000.parquet",
        "pieces-001.parquet",
        "pieces-002.parquet",
    ]
    assert [piece.name for piece in load_pieces(tmp_path)] == [piece.name for piece in many]
    write_shards(tmp_path, many[:3])
    assert len(list(tmp_path.glob(SHARDS))) == 1
    assert len(load_pieces(tmp_path)) == 3


def test_what_prepare_wrote_passes(prepared: Path, pieces: list[PieceRecord]) -> None:
    good, refused = load_checked(prepared)
    assert [piece.name for piece in good] == [piece.name for piece in pieces]
    assert refused == []
    for piece in good:
        assert score_of(piece).note_count == piece.notes


def _spoil(piece: PieceRecord, **changes: object) -> PieceRecord:
    return replace(piece, **changes)


def test_a_shard_from_elsewhere_is_not_believed(pieces: list[PieceRecord], tmp_path: Path) -> None:
    """Of seven rows, six wrong in different ways, one is left."""
    good = pieces[0]
    on, off = token_id(Kind.NOTE_ON, 60), token_id(Kind.NOTE_OFF, 100)
    never_paired = np.array([0, 746, 716, on, 203, off, END], np.int16)
    write_shards(
        tmp_path,
        [
            good,
            _spoil(pieces[1], name="collapsed", tokens=never_paired),
            _spoil(pieces[1], name="no tokens", tokens=np.array([], np.int16)),
            _spoil(pieces[1], name="no ids", tokens=np.array([0, 30_000, -5, END], np.int16)),
            _spoil(pieces[1], name="metre", meter="0/0"),
            _spoil(pieces[1], name="bars", bars=pieces[1].bars + 1),
            _spoil(pieces[1], name="count", notes=3),
            _spoil(pieces[1], name="side", split="test"),
        ],
    )
    kept, refused = load_checked(tmp_path)
    assert [piece.name for piece in kept] == [good.name]
    reasons = {bad.name: bad.reason for bad in refused}
    assert list(reasons) == ["collapsed", "no tokens", "no ids", "metre", "bars", "count", "side"]
    assert "ends a note that is not sounding" in reasons["collapsed"]
    assert "last barline" in reasons["bars"]
    assert "'0/0' is not a metre" in reasons["metre"]
    assert f"{pieces[1].notes} notes, the row says 3" in reasons["count"]


def test_a_lower_grammar_score_may_be_let_in(pieces: list[PieceRecord], tmp_path: Path) -> None:
    tokens = pieces[0].tokens.copy()
    tokens[-2] += 1 if tokens[-2] < 600 else -1  # END falls beside the last barline
    write_shards(tmp_path, [replace(pieces[0], tokens=tokens)])
    assert len(load_checked(tmp_path)[1]) == 1
    assert len(load_checked(tmp_path, min_grammar_score=0.8)[0]) == 1


def test_what_is_loaded_without_the_grammar_is_music_all_the_same(
    pieces: list[PieceRecord], tmp_path: Path, refuses: Refuses
) -> None:
    only_start = np.array([0], np.int16)
    for changes, fault in (
        ({"tokens": only_start, "notes": 0}, "it has no notes"),
        ({"tokens": np.array([0, 30_000], np.int16)}, "it has tokens outside the vocabulary"),
        ({"bars": 2**40}, f"{2**40} bars are not possible"),
        ({"transposition": 99}, "transposition 99 leads off the piano"),
        ({"mode": "dorian"}, "'dorian' is not a mode"),
        ({"anacrusis_ticks": -1}, "an anacrusis of -1 ticks is not possible"),
    ):
        write_shards(tmp_path, [replace(pieces[0], name="odd", **changes)])
        with refuses(CorpusError, f"a piece that cannot be used, 'odd': {fault}"):
            load_pieces(tmp_path)
        assert load_checked(tmp_path)[1][0].reason == fault


def test_a_column_of_another_type_is_one_sentence(
    prepared: Path, tmp_path: Path, refuses: Refuses
) -> None:
    table = parquet.read_table(prepared / "pieces-000.parquet")
    for name, values in (("meter", [["3/4"]] * len(table)), ("bars", ["many"] * len(table))):
        column = table.column_names.index(name)
        parquet.write_table(
            table.set_column(column, name, [values]), tmp_path / "pieces-000.parquet"
        )
        with refuses(CorpusError, "has a column of another type"):
            load_pieces(tmp_path)
    empty = table.set_column(column, name, [[None] * len(table)])
    parquet.write_table(empty, tmp_path / "pieces-000.parquet")
    with refuses(CorpusError, "has rows without bars"):
        load_pieces(tmp_path)


def test_shards_change_all_or_not_at_all(
    pieces: list[PieceRecord], tmp_path: Path, refuses: Refuses
) -> None:
    write_shards(tmp_path, pieces[:3])
    with pytest.raises(KeyboardInterrupt), staged_shards(tmp_path, pieces[3:5]):
        raise KeyboardInterrupt
    assert [piece.name for piece in load_pieces(tmp_path)] == [piece.name for piece in pieces[:3]]
    (tmp_path / ".replacing").touch()  # as after a kill between two renamings
    with refuses(CorpusError, "may hold old and new pieces"):
        load_pieces(tmp_path)
    write_shards(tmp_path, pieces[3:5])
    assert len(load_pieces(tmp_path)) == 2


def test_no_prepared_corpus_is_one_sentence(tmp_path: Path, refuses: Refuses) -> None:
    with refuses(
        CorpusError, r"There is no prepared corpus at .*\. Make one with 'bicinium corpus prepare'"
    ):
        load_pieces(tmp_path)


def test_a_damaged_shard_is_one_sentence(prepared: Path, tmp_path: Path, refuses: Refuses) -> None:
    data = (prepared / "pieces-000.parquet").read_bytes()
    (tmp_path / "pieces-000.parquet").write_bytes(data[: len(data) // 2])
    with refuses(CorpusError, "is damaged. Run 'bicinium corpus prepare' again"):
        load_pieces(tmp_path)


def test_a_shard_with_other_columns_is_one_sentence(
    prepared: Path, tmp_path: Path, refuses: Refuses
) -> None:
    table = parquet.read_table(prepared / "pieces-000.parquet")
    parquet.write_table(table.drop_columns(["mode"]), tmp_path / "pieces-000.parquet")
    with refuses(CorpusError, "is from another version of bicinium"):
        load_pieces(tmp_path)
