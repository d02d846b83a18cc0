"""A folder of MIDI files becomes a training set: read, put on the grid, reduced to two voices,
moved to C major or A minor, encoded, checked, and written as one Parquet file.

Every file that was read stands in the table ``report.csv`` beside it, kept or with the reason why
not. The same input gives the same bytes.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from rich.progress import track

from bicinium.corpus.sources import SourceFile
from bicinium.errors import BiciniumError, CorpusError
from bicinium.grammar import MusicalGrammarValidator
from bicinium.score.midi import read_midi
from bicinium.score.notes import HIGHEST_PITCH, LOWEST_PITCH, Meter, Score
from bicinium.score.texture import two_voices
from bicinium.tokens.codec import decode, encode, snap
from bicinium.writing import whole_file

PREPARED_NAME = "pieces.parquet"
_CHUNK = 256  # files that one process takes at a time
_FEWEST_NOTES = 24
_FEWEST_BARS = 4
_LEAST_SOUNDING = 0.2  # of the bars, in each voice
_MOST_OFF_GRID = 0.05  # of the notes
_VALIDATION_SHARE = 0.06  # of the clusters


@dataclass(frozen=True, slots=True)
class Piece:
    """A training piece. ``tokens`` spell it in C major or A minor."""

    name: str
    composer: str
    title: str
    licence: str
    credit: str
    cluster: str
    style: str
    split: str  # "train" or "validation"
    meter: str
    mode: str
    transposition: int  # semitones that lead back to the source's key
    bars: int
    notes: int
    tokens: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one file, or of one stretch of it in one metre."""

    name: str
    kept: bool
    reason: str = ""
    method: str = ""
    notes: int = 0
    notes_dropped: int = 0
    notes_shortened: int = 0
    notes_off_grid: int = 0
    pieces: list[Piece] = field(default_factory=list, repr=False)


def prepare(
    sources: Iterable[SourceFile], out: Path, min_grammar_score: float = 1.0, jobs: int = -1
) -> list[Verdict]:
    """Write the training set to the folder ``out`` and say what became of every file.

    ``jobs`` processes share the work; -1 is one for each core.
    """
    sources = list(sources)
    chunks = [sources[i : i + _CHUNK] for i in range(0, len(sources), _CHUNK)]
    work = Parallel(n_jobs=jobs, return_as="generator")(
        delayed(_prepare_files)(chunk, min_grammar_score) for chunk in chunks
    )
    done = track(work, "preparing", total=len(chunks), transient=True)
    verdicts = [verdict for chunk in done for verdict in chunk]
    pieces = [piece for verdict in verdicts for piece in verdict.pieces]
    if not pieces:
        reasons = sorted({verdict.reason for verdict in verdicts})
        raise CorpusError(
            f"nothing could be kept of {len(sources)} files: {'; '.join(reasons[:3])}"
        )
    out.mkdir(parents=True, exist_ok=True)
    _write_pieces(out / PREPARED_NAME, pieces)
    _write_report(out / "report.csv", verdicts)
    return verdicts


def load_pieces(folder: Path) -> list[Piece]:
    """Read what ``prepare`` wrote."""
    import pyarrow
    import pyarrow.parquet as parquet

    path = folder / PREPARED_NAME
    if not path.is_file():
        raise CorpusError(f"there is no prepared corpus at {folder}; run 'bicinium corpus prepare'")
    try:
        table = parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise CorpusError(f"{path} is damaged; run 'bicinium corpus prepare' again") from error
    if set(table.column_names) != {field.name for field in fields(Piece)}:
        raise CorpusError(
            f"{path} is not of this version of bicinium; run 'bicinium corpus prepare' again"
        )
    columns = {
        name: table.column(name).to_pylist() for name in table.column_names if name != "tokens"
    }
    tokens = [np.array(row.values, np.int16) for row in table.column("tokens")]
    names = list(columns)
    rows = zip(*columns.values(), strict=True)
    return [
        Piece(**dict(zip(names, row, strict=True)), tokens=piece)
        for row, piece in zip(rows, tokens, strict=True)
    ]


def split_of(cluster: str) -> str:
    """A cluster of works goes to one side as a whole, by its name alone."""
    draw = int(hashlib.sha256(cluster.encode()).hexdigest()[:8], 16) / 16**8
    return "validation" if draw < _VALIDATION_SHARE else "train"


def at_home(score: Score) -> tuple[Score, int]:
    """The score in C major or A minor, and the semitones that lead back.

    An octave further where the nearest direction leaves the piano; ScoreError where both do.
    """
    shift = score.key.semitones_to_home if score.key else 0
    pitches = [note.pitch for voice in score.voices for note in voice.notes]
    for way in (shift, shift - 12 if shift > 0 else shift + 12):
        if min(pitches) + way >= LOWEST_PITCH and max(pitches) + way <= HIGHEST_PITCH:
            return score.transpose(way), -way
    return score.transpose(shift), -shift  # raises, naming the pitch


def _prepare_files(sources: Sequence[SourceFile], min_grammar_score: float) -> list[Verdict]:
    """Prepare some files; their grammar is checked together, which is much faster."""
    verdicts = [verdict for source in sources for verdict in _prepare_file(source)]
    pieces = [piece for verdict in verdicts for piece in verdict.pieces]
    results = MusicalGrammarValidator().validate_sequences(
        [piece.tokens for piece in pieces],
        [Meter.parse(piece.meter) for piece in pieces],
        [piece.bars for piece in pieces],
    )

    def checked(verdict: Verdict) -> Verdict:
        for _ in verdict.pieces:
            result = next(results)
            if result.grammar_score < min_grammar_score:
                reason = f"grammar_score {result.grammar_score:.3f}: {result.violations[0].message}"
                return replace(verdict, kept=False, reason=reason, pieces=[])
        return verdict

    return [checked(verdict) for verdict in verdicts]


def _prepare_file(source: SourceFile) -> list[Verdict]:
    try:
        content = read_midi(source.path)
        stretches = two_voices(content)
    except BiciniumError as error:
        return [Verdict(source.name, False, str(error))]
    total = sum(len(staff.notes) for staff in content.staves)
    verdicts = []
    for index, stretch in enumerate(stretches):
        name = source.name if len(stretches) == 1 else f"{source.name}#{index + 1}"
        if content.notes_off_grid > _MOST_OFF_GRID * total:
            reason: str | None = f"{content.notes_off_grid} of {total} notes are off the grid"
        else:
            reason = _unfit(stretch.score)
        pieces: list[Piece] = []
        if reason is None:
            try:
                pieces.append(_piece(source, name, stretch.score))
            except BiciniumError as error:
                reason = str(error)
        verdicts.append(
            Verdict(
                name=name,
                kept=reason is None,
                reason=reason or "",
                method=stretch.method,
                notes=stretch.score.note_count,
                notes_dropped=stretch.notes_dropped,
                notes_shortened=stretch.notes_shortened,
                notes_off_grid=content.notes_off_grid if index == 0 else 0,
                pieces=pieces,
            )
        )
    return verdicts


def _unfit(score: Score) -> str | None:
    """Why a score is not two-voice music to learn from, if it is not."""
    if score.note_count < _FEWEST_NOTES or score.bars < _FEWEST_BARS:
        return f"too short: {score.note_count} notes in {score.bars} bars"
    for voice, name in zip(score.voices, ("upper", "lower"), strict=True):
        bars = {note.onset_tick // score.meter.bar_ticks for note in voice.notes}
        if len(bars) < _LEAST_SOUNDING * score.bars:
            return f"the {name} voice begins a note in only {len(bars)} of {score.bars} bars"
    return None


def _piece(source: SourceFile, name: str, score: Score) -> Piece:
    home, transposition = at_home(snap(score))
    tokens = encode(home)
    if decode(tokens, home.meter, home.key, home.anacrusis_ticks) != home:
        raise CorpusError("the round trip through tokens changed it")  # never seen; never silent
    return Piece(
        name=name,
        composer=source.composer,
        title=source.title,
        licence=source.licence,
        credit=source.credit,
        cluster=source.cluster,
        style=source.style,
        split=split_of(source.cluster),
        meter=str(home.meter),
        mode=home.key.mode if home.key else "",
        transposition=transposition,
        bars=home.bars,
        notes=home.note_count,
        tokens=tokens,
    )


def _write_pieces(path: Path, pieces: Sequence[Piece]) -> None:
    import pyarrow
    import pyarrow.parquet as parquet

    rows = [asdict(piece) for piece in pieces]
    table = pyarrow.table(
        {
            name: pyarrow.array(
                [row[name] for row in rows],
                type=pyarrow.list_(pyarrow.int16()) if name == "tokens" else None,
            )
            for name in rows[0]
        }
    )
    with whole_file(path) as temporary:
        parquet.write_table(table, temporary, compression="zstd")


def _write_report(path: Path, verdicts: Sequence[Verdict]) -> None:
    names = ("name", "kept", "reason", "method", "notes", "notes_dropped", "notes_shortened",
             "notes_off_grid")  # fmt: skip
    rows = [[getattr(verdict, name) for name in names] for verdict in verdicts]
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])


def dropped_share(verdicts: Sequence[Verdict]) -> float:
    """Share of the source's notes that no voice kept, over the pieces that were kept."""
    kept = [verdict for verdict in verdicts if verdict.kept]
    dropped = sum(verdict.notes_dropped for verdict in kept)
    return dropped / max(1, dropped + sum(verdict.notes for verdict in kept))
