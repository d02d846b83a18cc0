"""Judging a folder as training data, without writing any: raw music, or a prepared set of shards.

Also the quality of a single file, for those who judge files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bicinium.data.import_piece import read_sources
from bicinium.data.prepare import MIN_QUALITY_SCORE, choose
from bicinium.data.shards import SHARDS, load_checked
from bicinium.data.sources import find_sources
from bicinium.errors import BiciniumError, CorpusError
from bicinium.formats.registry import read_music
from bicinium.music.quality import quality
from bicinium.music.score import COMMON_TIME, Score
from bicinium.music.voice_reduction import reduce_to_two_voices
from bicinium.reports.verdicts import TOKEN_SUFFIXES, read_token_file
from bicinium.tokenizer.codec import decode


@dataclass(frozen=True, slots=True)
class Checked:
    """One piece as training data: fit, or the reason why not."""

    name: str
    fit: bool
    grammar_score: float
    quality_score: float
    notes: int
    reason: str


def check_folder(
    folder: Path,
    min_grammar_score: float = 1.0,
    min_quality_score: float = MIN_QUALITY_SCORE,
    jobs: int = -1,
) -> list[Checked]:
    """Judge every piece of a prepared set, or every file of a folder as ``prepare`` would."""
    if not folder.exists():
        raise CorpusError(f"there is nothing at {folder}")
    if folder.is_dir() and any(folder.glob(SHARDS)):
        return _check_prepared(folder, min_grammar_score, min_quality_score)
    sources = list(find_sources([folder]))
    verdicts = choose(sources, read_sources(sources, jobs), min_grammar_score, min_quality_score)
    return [
        Checked(
            name=verdict.name,
            fit=verdict.kept,
            grammar_score=verdict.stretch.grammar_score if verdict.stretch else 0.0,
            quality_score=verdict.stretch.quality_score if verdict.stretch else 0.0,
            notes=verdict.notes,
            reason=verdict.reason,
        )
        for verdict in verdicts
    ]


def _check_prepared(
    folder: Path, min_grammar_score: float, min_quality_score: float
) -> list[Checked]:
    pieces, refused = load_checked(folder, min_grammar_score)
    rows = [Checked(bad.name, False, 0.0, 0.0, 0, bad.reason) for bad in refused]
    for piece in pieces:
        poor = piece.quality_score < min_quality_score
        reason = f"quality_score {piece.quality_score:.3f} is under {min_quality_score:g}"
        rows.append(
            Checked(
                name=piece.name,
                fit=not poor,
                grammar_score=piece.grammar_score,
                quality_score=piece.quality_score,
                notes=piece.notes,
                reason=reason if poor else "",
            )
        )
    return rows


def quality_of_file(path: Path) -> float | None:
    """The quality of a music or token file, reduced to two voices; None where it cannot be judged.

    Of a file in several metres, the mean over its stretches, each by its notes.
    """
    try:
        return _mean_quality(_scores(path))
    except BiciniumError:
        return None


def _scores(path: Path) -> list[Score]:
    if path.suffix.lower() in TOKEN_SUFFIXES:
        said = read_token_file(path)
        return [decode(said.tokens, said.meter or COMMON_TIME).transpose(said.transposition)]
    return [stretch.score for stretch in reduce_to_two_voices(read_music(path))]


def _mean_quality(scores: Sequence[Score]) -> float | None:
    judged = [(score.note_count, quality(score)) for score in scores]
    known = [(notes, found.score) for notes, found in judged if found]
    total = sum(notes for notes, _ in known)
    return sum(notes * score for notes, score in known) / total if total else None
