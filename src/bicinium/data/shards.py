"""Training pieces on disk: Parquet shards, and the loader that trusts none of them.

A row holds the tokens, what rebuilds the automaton's states along them (metre, bars, transposition)
and what is known of the piece. Reading needs pyarrow, which the extra ``train`` brings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from bicinium.atomic_write import atomic_write
from bicinium.data.piece_record import PieceRecord
from bicinium.errors import BiciniumError, CorpusError
from bicinium.grammar import MusicalGrammarValidator
from bicinium.music.score import Meter

SHARDS = "pieces-*.parquet"
_PIECES_A_SHARD = 1000


@dataclass(frozen=True, slots=True)
class RejectedPiece:
    """A row of a shard that is not to be trained on, and why."""

    name: str
    reason: str


def subsample(pieces: Sequence[PieceRecord], most_tokens: int) -> list[PieceRecord]:
    """Every so many of the pieces, so that they have about so many tokens."""
    step = max(1, sum(len(piece.tokens) for piece in pieces) // most_tokens)
    return list(pieces[::step])


def write_shards(folder: Path, pieces: Sequence[PieceRecord]) -> list[Path]:
    """Write the pieces, a thousand to a file, in place of all shards that the folder holds."""
    import pyarrow
    import pyarrow.parquet as parquet

    paths = []
    for index, first in enumerate(range(0, len(pieces), _PIECES_A_SHARD)):
        rows = pieces[first : first + _PIECES_A_SHARD]
        table = pyarrow.table(
            {
                column.name: pyarrow.array(
                    [getattr(row, column.name) for row in rows], type=_arrow_type(column.name)
                )
                for column in fields(PieceRecord)
            }
        )
        path = folder / SHARDS.replace("*", f"{index:03d}")
        with atomic_write(path) as temporary:
            parquet.write_table(table, temporary, compression="zstd")
        paths.append(path)
    for stale in set(folder.glob(SHARDS)) - set(paths):
        stale.unlink()
    return paths


def _arrow_type(name: str) -> Any:
    import pyarrow

    return pyarrow.list_(pyarrow.int16()) if name == "tokens" else None


def load_pieces(folder: Path) -> list[PieceRecord]:
    """Read all shards of a prepared corpus, as they are."""
    paths = sorted(folder.glob(SHARDS))
    if not paths:
        raise CorpusError(f"there is no prepared corpus at {folder}; run 'bicinium corpus prepare'")
    return [piece for path in paths for piece in _read(path)]


def load_checked(
    folder: Path, min_grammar_score: float = 1.0
) -> tuple[list[PieceRecord], list[RejectedPiece]]:
    """Read all shards and judge every piece again: a shard may come from elsewhere.

    Returns the pieces that may be trained on, and those that may not, each with its reason: tokens
    that are none, a metre that is none, numbers that contradict the tokens, a grammar score under
    ``min_grammar_score``. Raises CorpusError where a shard cannot be read at all.
    """
    pieces = load_pieces(folder)
    reasons = dict(enumerate(_reasons(pieces, min_grammar_score)))
    good = [piece for index, piece in enumerate(pieces) if not reasons[index]]
    bad = [RejectedPiece(piece.name, reasons[i]) for i, piece in enumerate(pieces) if reasons[i]]
    return good, bad


def _reasons(pieces: Sequence[PieceRecord], min_grammar_score: float) -> Iterator[str]:
    """Why each piece is refused; empty where it is not."""
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
            yield f"{piece.meter!r} is not a metre"
        elif result.grammar_score < min_grammar_score:
            yield f"grammar_score {result.grammar_score:.3f}: {result.violations[0].message}"
        elif result.notes != piece.notes:
            yield f"the tokens hold {result.notes} notes, the row says {piece.notes}"
        elif piece.split not in ("train", "validation"):
            yield f"split {piece.split!r} is neither 'train' nor 'validation'"
        else:
            yield ""


def _read(path: Path) -> list[PieceRecord]:
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        table = parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise CorpusError(f"{path} is damaged; run 'bicinium corpus prepare' again") from error
    if set(table.column_names) != {field.name for field in fields(PieceRecord)}:
        raise CorpusError(
            f"{path} is not of this version of bicinium; run 'bicinium corpus prepare' again"
        )
    columns = {
        name: table.column(name).to_pylist() for name in table.column_names if name != "tokens"
    }
    try:
        tokens = [np.array(row.values, np.int16) for row in table.column("tokens")]
    except (TypeError, ValueError, OverflowError) as error:
        raise CorpusError(f"{path} holds tokens that are no numbers") from error
    rows = zip(*columns.values(), strict=True)
    return [
        PieceRecord(**dict(zip(columns, row, strict=True)), tokens=piece)
        for row, piece in zip(rows, tokens, strict=True)
    ]
