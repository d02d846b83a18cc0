"""Store piece records in Parquet shards, and load them with a check of every row.

A row holds the tokens, what the grammar needs to follow them (metre, bars, transposition), and what
is known of the piece. Needs pyarrow, which the extra ``train`` installs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bicinium.atomic_write import PART
from bicinium.data.batched import batched
from bicinium.data.piece_record import PieceRecord, Rejection, RejectReason
from bicinium.errors import BiciniumError, CorpusError
from bicinium.grammar import MusicalGrammarValidator
from bicinium.music.key import REFERENCE_KEYS
from bicinium.music.score import Meter
from bicinium.tokenizer.vocabulary import KINDS, PITCHES, VOCAB_SIZE, Kind

SHARDS = "pieces-*.parquet"
_REPLACING = ".replacing"  # there while shards replace others
_PIECES_PER_SHARD = 1000
_MAX_BARS = 10_000  # A row with more is damaged; the limit for music files is the same.
_SPLITS = ("train", "validation")
_COLUMNS = {  # and their types in Arrow
    "name": "string", "composer": "string", "title": "string", "licence": "string",
    "credit": "string", "cluster": "string", "style": "string", "split": "string",
    "meter": "string", "mode": "string", "transposition": "int64", "bars": "int64",
    "notes": "int64", "tokens": "list<item: int16>", "anacrusis_ticks": "int64",
    "grammar_score": "double", "quality_score": "double",
}  # fmt: skip


def subsample(pieces: Sequence[PieceRecord], max_tokens: int) -> list[PieceRecord]:
    """Return every k-th piece, so that together they have about ``max_tokens`` tokens."""
    step = max(1, sum(len(piece.tokens) for piece in pieces) // max_tokens)
    return list(pieces[::step])


def write_shards(folder: Path, pieces: Iterable[PieceRecord]) -> list[Path]:
    """Write the pieces, a thousand to a file, and delete all other shards of the folder.

    The folder changes only when all pieces are written. The pieces of one file are in memory.
    """
    with staged_shards(folder, pieces) as staged:
        return [folder / path.name for path in staged]


@contextmanager
def staged_shards(folder: Path, pieces: Iterable[PieceRecord]) -> Iterator[list[Path]]:
    """Write the pieces as shards in a temporary folder, and yield their paths.

    At the end of the block they replace the shards of ``folder``, unless it raises. A process that
    is killed just then leaves a mark, and ``require_prepared`` refuses the mixture.
    """
    staged = []
    with tempfile.TemporaryDirectory(dir=folder, prefix="shards-", suffix=PART) as temporary:
        for index, rows in enumerate(batched(pieces, _PIECES_PER_SHARD)):
            path = Path(temporary) / SHARDS.replace("*", f"{index:03d}")
            _write_shard(path, rows)
            staged.append(path)
        yield staged
        (folder / _REPLACING).touch()
        for stale in set(folder.glob(SHARDS)) - {folder / path.name for path in staged}:
            stale.unlink()
        for path in staged:
            path.replace(folder / path.name)
        (folder / _REPLACING).unlink()


def _write_shard(path: Path, rows: Sequence[PieceRecord]) -> None:
    import pyarrow
    import pyarrow.parquet as parquet

    columns = {name: [getattr(row, name) for row in rows] for name in _COLUMNS}
    parquet.write_table(pyarrow.table(columns, _schema()), path, compression="zstd")


def _schema() -> Any:
    import pyarrow

    tokens = pyarrow.list_(pyarrow.int16())
    types = {"string": pyarrow.string(), "int64": pyarrow.int64(), "double": pyarrow.float64()}
    return pyarrow.schema([(name, types.get(kind, tokens)) for name, kind in _COLUMNS.items()])


def require_prepared(folder: Path) -> list[Path]:
    """Return the paths of all shards. Raises CorpusError if there are none, or not all."""
    if (folder / _REPLACING).is_file():
        raise CorpusError(
            f"{folder} was being replaced when its process ended, so it may hold old and new "
            "pieces. Run 'bicinium corpus prepare' again."
        )
    # pieces-1000 comes after pieces-999.
    paths = sorted(folder.glob(SHARDS), key=lambda path: (len(path.name), path.name))
    if not paths:
        raise CorpusError(
            f"There is no prepared corpus at {folder}. Make one with 'bicinium corpus prepare'."
        )
    return paths


def load_pieces(folder: Path) -> list[PieceRecord]:
    """Read all shards of a prepared corpus, without following the tokens.

    Raises CorpusError if there are none, or if one cannot be read or has a row that is no piece.
    """
    pieces = _read_all(folder)
    for piece in pieces:
        if fault := _fault_of_row(piece):
            raise CorpusError(
                f"{folder} has a piece that cannot be used, {piece.name!r:.80}: {fault}. "
                "Run 'bicinium corpus prepare' again."
            )
    return pieces


def _read_all(folder: Path) -> list[PieceRecord]:
    return [piece for path in require_prepared(folder) for piece in _read(path)]


def load_checked(
    folder: Path, min_grammar_score: float = 1.0
) -> tuple[list[PieceRecord], list[PieceRecord]]:
    """Read all shards and check every row, since a shard may come from elsewhere.

    Returns the pieces that are fit for training, and the others with a rejection: an invalid
    metre, a grammar score under the minimum, or numbers that contradict the tokens. Raises
    CorpusError if a shard cannot be read.
    """
    pieces = _read_all(folder)
    checked = [
        replace(piece, rejection=rejection)
        for piece, rejection in zip(pieces, _rejections(pieces, min_grammar_score), strict=True)
    ]
    return [piece for piece in checked if piece.kept], [p for p in checked if not p.kept]


def _rejections(
    pieces: Sequence[PieceRecord], min_grammar_score: float
) -> Iterator[Rejection | None]:
    faults = [_fault_of_row(piece) for piece in pieces]
    sound = [piece for piece, fault in zip(pieces, faults, strict=True) if not fault]
    results = MusicalGrammarValidator().validate_sequences(
        [piece.tokens for piece in sound],
        [Meter.parse(piece.meter) for piece in sound],
        [piece.bars for piece in sound],
        [piece.transposition for piece in sound],
    )
    for piece, fault in zip(pieces, faults, strict=True):
        if fault:
            yield Rejection(RejectReason.INVALID_ROW, fault)
            continue
        result = next(results)
        if result.grammar_score < min_grammar_score:
            detail = f"{result.grammar_score:.3f}: {result.violations[0].message}"
            yield Rejection(RejectReason.GRAMMAR, detail)
        elif result.notes != piece.notes:
            detail = f"the tokens hold {result.notes} notes, the row says {piece.notes}"
            yield Rejection(RejectReason.INVALID_ROW, detail)
        else:
            yield None


def _fault_of_row(piece: PieceRecord) -> str:
    """Return which value of a row is impossible, whatever its tokens mean; empty if none is."""
    tokens = piece.tokens
    try:
        meter = Meter.parse(piece.meter)
    except BiciniumError:
        return f"{piece.meter!r:.20} is not a metre"
    if not 0 <= piece.bars <= _MAX_BARS:
        return f"{piece.bars} bars are not possible"
    if not 0 <= piece.anacrusis_ticks < meter.bar_ticks:
        return f"an anacrusis of {piece.anacrusis_ticks} ticks is not possible"
    if piece.mode not in ("", *REFERENCE_KEYS):
        return f"{piece.mode!r:.20} is not a mode"
    if abs(piece.transposition) >= PITCHES:
        return f"transposition {piece.transposition} leads off the piano"
    if piece.split not in _SPLITS:
        return f"split {piece.split!r} is neither 'train' nor 'validation'"
    if ((tokens < 0) | (tokens >= VOCAB_SIZE)).any():
        return "it has tokens outside the vocabulary"
    if piece.notes < 1 or not (KINDS[tokens] == Kind.NOTE_ON).any():
        return "it has no notes"
    return ""


def _read(path: Path) -> list[PieceRecord]:
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        table = parquet.ParquetFile(path).read()
        table.validate(full=True)  # also that texts are UTF-8
    except (OSError, pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise CorpusError(f"{path} is damaged. Run 'bicinium corpus prepare' again.") from error
    if set(table.column_names) != set(_COLUMNS):
        raise CorpusError(
            f"{path} is from another version of bicinium. Run 'bicinium corpus prepare' again."
        )
    try:
        table = table.select(list(_COLUMNS)).cast(_schema())
    except (pyarrow.ArrowException, ValueError, TypeError) as error:
        raise CorpusError(
            f"{path} has a column of another type ({str(error).splitlines()[0]}). "
            "Run 'bicinium corpus prepare' again."
        ) from error
    empty = [name for name in _COLUMNS if table.column(name).null_count]
    if empty or table.column("tokens").combine_chunks().flatten().null_count:
        raise CorpusError(
            f"{path} has rows without {', '.join(empty) or 'a token'}. "
            "Run 'bicinium corpus prepare' again."
        )
    tokens = [np.array(row.values, np.int16) for row in table.column("tokens")]
    rows = table.drop_columns(["tokens"]).to_pylist()
    return [PieceRecord(**row, tokens=piece) for row, piece in zip(rows, tokens, strict=True)]
