"""Store piece records in Parquet shards, and load them with a check of every row.

A row holds the tokens, what the grammar needs to follow them (metre, bars, transposition), and what
is known of the piece. Needs pyarrow, which the extra ``train`` installs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bicinium.data.batched import batched
from bicinium.data.piece_record import PieceRecord, Rejection, RejectReason
from bicinium.errors import BiciniumError, CorpusError
from bicinium.grammar import MusicalGrammarValidator
from bicinium.music.score import Meter

SHARDS = "pieces-*.parquet"
_PIECES_PER_SHARD = 1000
_COLUMNS = (
    "name", "composer", "title", "licence", "credit", "cluster", "style", "split", "meter", "mode",
    "transposition", "bars", "notes", "tokens", "anacrusis_ticks", "grammar_score",
    "quality_score",
)  # fmt: skip


def subsample(pieces: Sequence[PieceRecord], max_tokens: int) -> list[PieceRecord]:
    """Return every k-th piece, so that together they have about ``max_tokens`` tokens."""
    step = max(1, sum(len(piece.tokens) for piece in pieces) // max_tokens)
    return list(pieces[::step])


def write_shards(folder: Path, pieces: Iterable[PieceRecord]) -> list[Path]:
    """Write the pieces, a thousand to a file, and delete all other shards of the folder.

    The folder changes only when all pieces are written. The pieces of one file are in memory.
    """
    paths = []
    with tempfile.TemporaryDirectory(dir=folder, prefix="shards-") as temporary:
        for index, rows in enumerate(batched(pieces, _PIECES_PER_SHARD)):
            path = Path(temporary) / SHARDS.replace("*", f"{index:03d}")
            _write_shard(path, rows)
            paths.append(path)
        for stale in set(folder.glob(SHARDS)) - {folder / path.name for path in paths}:
            stale.unlink()
        return [path.replace(folder / path.name) for path in paths]


def _write_shard(path: Path, rows: Sequence[PieceRecord]) -> None:
    import pyarrow
    import pyarrow.parquet as parquet

    table = pyarrow.table(
        {
            name: pyarrow.array([getattr(row, name) for row in rows], type=_arrow_type(name))
            for name in _COLUMNS
        }
    )
    parquet.write_table(table, path, compression="zstd")


def _arrow_type(name: str) -> Any:
    import pyarrow

    return pyarrow.list_(pyarrow.int16()) if name == "tokens" else None


def require_prepared(folder: Path) -> list[Path]:
    """Return the paths of all shards. Raises CorpusError if there are none."""
    # pieces-1000 comes after pieces-999.
    paths = sorted(folder.glob(SHARDS), key=lambda path: (len(path.name), path.name))
    if not paths:
        raise CorpusError(
            f"There is no prepared corpus at {folder}. Make one with 'bicinium corpus prepare'."
        )
    return paths


def load_pieces(folder: Path) -> list[PieceRecord]:
    """Read all shards of a prepared corpus, without checking the rows.

    Raises CorpusError if there are none, or if one cannot be read.
    """
    return [piece for path in require_prepared(folder) for piece in _read(path)]


def load_checked(
    folder: Path, min_grammar_score: float = 1.0
) -> tuple[list[PieceRecord], list[PieceRecord]]:
    """Read all shards and check every row, since a shard may come from elsewhere.

    Returns the pieces that are fit for training, and the others with a rejection: an invalid
    metre, a grammar score under the minimum, or numbers that contradict the tokens. Raises
    CorpusError if a shard cannot be read.
    """
    pieces = load_pieces(folder)
    checked = [
        replace(piece, rejection=rejection)
        for piece, rejection in zip(pieces, _rejections(pieces, min_grammar_score), strict=True)
    ]
    return [piece for piece in checked if piece.kept], [p for p in checked if not p.kept]


def _rejections(
    pieces: Sequence[PieceRecord], min_grammar_score: float
) -> Iterator[Rejection | None]:
    meters: list[Meter | None] = []
    for piece in pieces:
        try:
            meters.append(Meter.parse(piece.meter))
        except BiciniumError:
            meters.append(None)
    results = MusicalGrammarValidator().validate_sequences(
        [piece.tokens for piece in pieces],
        meters,
        [piece.bars for piece in pieces],
        [piece.transposition for piece in pieces],
    )
    for piece, meter, result in zip(pieces, meters, results, strict=True):
        if meter is None:
            detail = f"{piece.meter!r} is not a metre"
        elif result.grammar_score < min_grammar_score:
            fault = f"{result.grammar_score:.3f}: {result.violations[0].message}"
            yield Rejection(RejectReason.GRAMMAR, fault)
            continue
        elif result.notes != piece.notes:
            detail = f"the tokens hold {result.notes} notes, the row says {piece.notes}"
        elif piece.split not in ("train", "validation"):
            detail = f"split {piece.split!r} is neither 'train' nor 'validation'"
        else:
            yield None
            continue
        yield Rejection(RejectReason.INVALID_ROW, detail)


def _read(path: Path) -> list[PieceRecord]:
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        table = parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise CorpusError(f"{path} is damaged. Run 'bicinium corpus prepare' again.") from error
    if set(table.column_names) != set(_COLUMNS):
        raise CorpusError(
            f"{path} is from another version of bicinium. Run 'bicinium corpus prepare' again."
        )
    columns = {
        name: table.column(name).to_pylist() for name in table.column_names if name != "tokens"
    }
    try:
        tokens = [np.array(row.values, np.int16) for row in table.column("tokens")]
    except (TypeError, ValueError, OverflowError) as error:
        raise CorpusError(f"{path} holds tokens that are not numbers.") from error
    rows = zip(*columns.values(), strict=True)
    return [
        PieceRecord(**dict(zip(columns, row, strict=True)), tokens=piece)
        for row, piece in zip(rows, tokens, strict=True)
    ]
