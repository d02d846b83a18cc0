"""Check a folder as training data and write nothing: music files, or a prepared corpus.

Also the quality score of a single file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bicinium.data.import_sources import imported_records
from bicinium.data.piece_record import PieceRecord
from bicinium.data.select import MIN_QUALITY_SCORE, low_quality, select
from bicinium.data.shards import SHARDS, load_checked
from bicinium.data.sources import find_sources
from bicinium.errors import BiciniumError, CorpusError
from bicinium.formats.registry import read_music
from bicinium.music.quality import quality
from bicinium.music.score import COMMON_TIME, Score
from bicinium.music.voice_reduction import reduce_to_two_voices
from bicinium.reports.token_file import TOKEN_SUFFIXES, read_token_file
from bicinium.tokenizer.codec import decode


def validate_corpus(
    folder: Path,
    min_grammar_score: float = 1.0,
    min_quality_score: float = MIN_QUALITY_SCORE,
    jobs: int = -1,
    *,
    quantize: bool = False,
    unfold: bool = False,
) -> list[PieceRecord]:
    """Return the record of every piece, with a rejection if it is not fit for training.

    The pieces are those of a prepared corpus, or those that ``prepare`` would make of the files
    below the folder; see ``read_music`` for ``quantize`` and ``unfold``.

    Raises CorpusError if there is nothing at ``folder``.
    """
    if not folder.exists():
        raise CorpusError(f"There is no file or folder at {folder}.")
    if folder.is_dir() and any(folder.glob(SHARDS)):
        pieces, rejected = load_checked(folder, min_grammar_score)
        checked = [replace(p, rejection=low_quality(p, min_quality_score)) for p in pieces]
        return [*rejected, *checked]
    sources = find_sources([folder], quantize=quantize, unfold=unfold)
    with imported_records(sources, jobs) as records:
        return list(select(records, min_grammar_score, min_quality_score))


def quality_of_file(path: Path) -> float | None:
    """Return the quality score of a music or token file; None if it has none.

    A file in several metres gives several scores; the result is their mean, weighted by notes.
    """
    try:
        return _mean_quality(_scores(path))
    except BiciniumError:
        return None


def _scores(path: Path) -> list[Score]:
    if path.suffix.lower() in TOKEN_SUFFIXES:
        file = read_token_file(path)
        return [decode(file.tokens, file.meter or COMMON_TIME).transpose(file.transposition)]
    return [reduced.score for reduced in reduce_to_two_voices(read_music(path))]


def _mean_quality(scores: Sequence[Score]) -> float | None:
    measured = [(score.note_count, quality(score)) for score in scores]
    known = [(notes, found.score) for notes, found in measured if found]
    total = sum(notes for notes, _ in known)
    return sum(notes * score for notes, score in known) / total if total else None
