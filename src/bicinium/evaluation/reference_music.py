"""Real music for an evaluation: held-out pieces and excerpts of them.

An excerpt is a whole piece, or 16 bars of a longer one: the last 16 bars first, then the 16 before.
A composed piece that is paired with an excerpt has as many bars as the real piece has from the
start of the excerpt. It is cut like the excerpt, so that both come from the same part of a piece.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bicinium.data.import_sources import import_sources
from bicinium.data.piece_record import PieceRecord, Rejection, RejectReason, score_of
from bicinium.data.select import select
from bicinium.data.shards import SHARDS, load_checked
from bicinium.data.sources import KEYBOARD_STYLES, find_sources
from bicinium.errors import CorpusError
from bicinium.generation.conditions import MAX_BARS, Conditions
from bicinium.model.config import ModelConfig
from bicinium.music.excerpts import EXCERPT_BARS, extract_bars
from bicinium.music.key import REFERENCE_KEYS
from bicinium.music.score import Score
from bicinium.optional_imports import require_extra

_MAX_BARS_TO_END = 4 * EXCERPT_BARS  # from the start of an excerpt to the end of its piece
_MAX_FILES_IN_PROCESS = 32  # more files are read by several processes


@dataclass(frozen=True, slots=True)
class EvaluationCorpus:
    """Held-out pieces, the training pieces if they are known, and the pieces left out."""

    pieces: list[PieceRecord]
    training_pieces: list[PieceRecord] = field(default_factory=list)
    excluded: list[PieceRecord] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Consecutive bars of a real piece, in its own key."""

    piece: PieceRecord
    score: Score
    first_bar: int  # from 0

    @property
    def work(self) -> str:
        """The work it belongs to; real music is split by works."""
        return self.piece.cluster or self.piece.name

    @property
    def description(self) -> str:
        """Composer, title and bars, with the credit that the licence asks for."""
        last_bar = self.first_bar + self.score.bars
        piece = self.piece
        title = ", ".join(filter(None, (piece.composer, piece.title))) or piece.name
        credit = ", ".join(filter(None, (piece.licence, piece.credit)))
        bars = f"{title}, bars {self.first_bar + 1} to {last_bar}"
        return f"{bars} ({credit})" if credit else bars

    def conditions(self, config: ModelConfig) -> Conditions:
        """Return the conditions of a paired piece: key, metre, bars to the end of the real piece,
        tempo, and the style if the model knows it.
        """
        assert self.score.key is not None
        return Conditions(
            key=self.score.key,
            meter=self.score.meter,
            bars=self.piece.bars - self.first_bar,
            tempo_qpm=self.score.tempo_qpm,
            style=self.piece.style if self.piece.style in config.styles else None,
        )

    def matching_bars(self, composed: Score) -> Score:
        """Return the bars of a piece composed to these conditions that match the excerpt."""
        return extract_bars(composed, 0, self.score.bars)


def load_evaluation_corpus(folder: Path, exclude_styles: Sequence[str] = ()) -> EvaluationCorpus:
    """Load the validation split of a prepared corpus, or all pieces of a folder of music files.

    exclude_styles: styles that the model was not trained on; their pieces are in ``excluded``.

    Files without a grammatical two-voice piece are in ``excluded`` with the reason. Raises
    CorpusError if there is no music.
    """
    if not folder.exists():
        raise CorpusError(
            f"There is nothing at {folder}. Name a prepared corpus or a folder of music files."
        )
    prepared = folder.is_dir() and any(folder.glob(SHARDS))
    corpus = _from_prepared(folder) if prepared else _from_files(folder)
    pieces, excluded = [], list(corpus.excluded)
    for piece in corpus.pieces:
        if piece.style in exclude_styles:
            reason = f"the style {piece.style} was excluded from training"
            rejection = Rejection(RejectReason.EXCLUDED_STYLE, reason)
            excluded.append(replace(piece, rejection=rejection))
        else:
            pieces.append(piece)
    if not pieces:
        raise CorpusError(
            f"{folder} has only styles that the model was not trained on: "
            f"{', '.join(sorted(set(exclude_styles)))}"
        )
    training = [piece for piece in corpus.training_pieces if piece.style not in exclude_styles]
    return EvaluationCorpus(pieces, training, excluded)


def _from_prepared(folder: Path) -> EvaluationCorpus:
    with require_extra("train", "a prepared corpus"):
        pieces, refused = load_checked(folder)
    held_out = [piece for piece in pieces if piece.split == "validation"]
    if not held_out:
        raise CorpusError(
            f"{folder} has no validation split. Prepare more music, or name a folder of files."
        )
    return EvaluationCorpus(
        held_out, [piece for piece in pieces if piece.split == "train"], refused
    )


def _from_files(folder: Path) -> EvaluationCorpus:
    sources = list(find_sources([folder]))
    records = import_sources(sources, jobs=1 if len(sources) <= _MAX_FILES_IN_PROCESS else -1)
    pieces, excluded = [], []
    for record in select(records, min_grammar_score=1.0, min_quality_score=0.0):
        rejection = record.rejection
        if rejection and rejection.reason is not RejectReason.DUPLICATE:
            excluded.append(record)
        else:
            pieces.append(replace(record, split="validation", rejection=None))
    if not pieces:
        reasons = sorted({refused.reason for refused in excluded})
        raise CorpusError(
            f"{folder} has no piece to evaluate on: {'; '.join(reasons[:3]) or 'it is empty'}"
        )
    return EvaluationCorpus(pieces, excluded=excluded)


def repertoire(piece: PieceRecord) -> str:
    """Return "keyboard", "other", or "unknown style"."""
    if not piece.style:
        return "unknown style"
    return "keyboard" if piece.style in KEYBOARD_STYLES else "other"


def choose_excerpts(
    pieces: Sequence[PieceRecord], count: int, config: ModelConfig
) -> list[Excerpt]:
    """Choose at most ``count`` excerpts in metres that the model knows.

    All keyboard music is taken first, the ends of pieces before earlier bars. The rest is an even
    sample of other music. The excerpts are sorted by style, metre, mode and work, so that similar
    music stands side by side.
    """
    known = [piece for piece in pieces if piece.meter in config.meters and piece.bars <= MAX_BARS]
    keyboard = [piece for piece in known if repertoire(piece) != "other"]
    others = [piece for piece in known if repertoire(piece) == "other"]
    places = _places(keyboard)[:count]
    missing = count - len(places)
    if missing:
        places += _places(others[:: max(1, math.ceil(len(others) / missing))])[:missing]
    places.sort(key=lambda place: (*_sort_key(place[0]), place[1]))
    return [_excerpt(piece, first_bar) for piece, first_bar in places]


def _sort_key(piece: PieceRecord) -> tuple[bool, str, str, str, str]:
    return repertoire(piece) == "other", piece.style, piece.meter, piece.mode, piece.cluster


def _places(pieces: Sequence[PieceRecord]) -> list[tuple[PieceRecord, int]]:
    """Return (piece, first bar) of all excerpts: the last of each piece, then the ones before."""
    ranked = [
        (rank, piece, first_bar)
        for piece in pieces
        for rank, first_bar in enumerate(_first_bars(piece))
    ]
    ranked.sort(key=lambda place: place[0])
    return [(piece, first_bar) for _, piece, first_bar in ranked]


def _first_bars(piece: PieceRecord) -> Iterator[int]:
    if piece.bars <= EXCERPT_BARS:
        yield 0
        return
    min_bar = max(0, piece.bars - _MAX_BARS_TO_END)
    yield from range(piece.bars - EXCERPT_BARS, min_bar - 1, -EXCERPT_BARS)


def _excerpt(piece: PieceRecord, first_bar: int) -> Excerpt:
    whole = score_of(piece).transpose(piece.transposition)
    whole = replace(whole, key=REFERENCE_KEYS[piece.mode].transpose(piece.transposition))
    return Excerpt(piece, extract_bars(whole, first_bar, min(EXCERPT_BARS, piece.bars)), first_bar)
