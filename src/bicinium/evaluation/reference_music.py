"""The real music that a model is measured against: what was held out, and excerpts of it.

An excerpt is a piece, or of a longer one sixteen bars from a barline on: the last, then those
before. A piece composed to answer an excerpt is asked to be as long as the real one is from there
on, and cut where the excerpt is, so that both end in the same part of a piece.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bicinium.data.import_piece import read_sources
from bicinium.data.piece_record import PieceRecord, score_of
from bicinium.data.prepare import choose
from bicinium.data.shards import SHARDS, RejectedPiece, load_checked
from bicinium.data.sources import KEYBOARD_STYLES, find_sources
from bicinium.errors import CorpusError
from bicinium.generation.conditions import MAX_BARS, Conditions
from bicinium.model.config import ModelConfig
from bicinium.music.excerpts import EXCERPT_BARS, extract_bars
from bicinium.music.key import REFERENCE_KEYS
from bicinium.music.score import Score
from bicinium.optional_imports import require_extra

_MOST_BARS_ON = 4 * EXCERPT_BARS  # from an excerpt's beginning to the end of its piece
_FEW_FILES = 32  # are read in this process


@dataclass(frozen=True, slots=True)
class Material:
    """Pieces that a model has not seen, what it was trained on, and what cannot be measured."""

    pieces: list[PieceRecord]
    trained_on: list[PieceRecord] = field(default_factory=list)
    left_out: list[RejectedPiece] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Some bars of a real piece, in its own key."""

    piece: PieceRecord
    score: Score
    first_bar: int  # from 0

    @property
    def work(self) -> str:
        """The work that it is from, by which real music is split."""
        return self.piece.cluster or self.piece.name

    def conditions(self, config: ModelConfig) -> Conditions:
        """What a piece is asked to be that answers this excerpt: key, metre, length to the end,
        tempo and, where the model has learned it, style.
        """
        assert self.score.key is not None
        return Conditions(
            key=self.score.key,
            meter=self.score.meter,
            bars=self.piece.bars - self.first_bar,
            tempo_qpm=self.score.tempo_qpm,
            style=self.piece.style if self.piece.style in config.styles else None,
        )

    def cut_alike(self, composed: Score) -> Score:
        """Of a piece composed to these conditions, the bars that answer the excerpt."""
        return extract_bars(composed, 0, self.score.bars)


def load_material(folder: Path, exclude_styles: Sequence[str] = ()) -> Material:
    """The validation side of a prepared corpus, or every piece of a folder of music files.

    Raises CorpusError where there is neither. A file that gives no grammatical two-voice piece is
    in ``left_out`` with the reason, and so are the styles that the model was not to learn.
    """
    if not folder.exists():
        raise CorpusError(
            f"there is nothing at {folder}: name a prepared corpus, or a folder of music"
        )
    prepared = folder.is_dir() and any(folder.glob(SHARDS))
    found = _prepared(folder) if prepared else _files(folder)
    pieces, left_out = [], list(found.left_out)
    for piece in found.pieces:
        if piece.style in exclude_styles:
            reason = f"left out of training, as all of the style {piece.style}"
            left_out.append(RejectedPiece(piece.name, reason))
        else:
            pieces.append(piece)
    if not pieces:
        raise CorpusError(
            f"{folder} holds only styles that the model has not learned: "
            f"{', '.join(sorted(set(exclude_styles)))}"
        )
    trained_on = [piece for piece in found.trained_on if piece.style not in exclude_styles]
    return Material(pieces, trained_on, left_out)


def _prepared(folder: Path) -> Material:
    with require_extra("train", "a prepared corpus"):
        pieces, refused = load_checked(folder)
    held_out = [piece for piece in pieces if piece.split == "validation"]
    if not held_out:
        raise CorpusError(
            f"{folder} holds out no pieces to evaluate on: prepare more music, or name a folder of "
            "files"
        )
    return Material(held_out, [piece for piece in pieces if piece.split == "train"], refused)


def _files(folder: Path) -> Material:
    sources = list(find_sources([folder]))
    readings = read_sources(sources, jobs=1 if len(sources) <= _FEW_FILES else -1)
    pieces, left_out = [], []
    for verdict in choose(sources, readings, min_grammar_score=1.0, min_quality_score=0.0):
        stretch, duplicate = verdict.stretch, verdict.reason.startswith("duplicate of ")
        if stretch is None or not (verdict.kept or duplicate):
            left_out.append(RejectedPiece(verdict.name, verdict.reason))
            continue
        pieces.append(verdict.piece(stretch, "validation"))
    if not pieces:
        reasons = sorted({refused.reason for refused in left_out})
        raise CorpusError(
            f"nothing below {folder} can be evaluated on: {'; '.join(reasons[:3]) or 'it is empty'}"
        )
    return Material(pieces, left_out=left_out)


def set_of(piece: PieceRecord) -> str:
    """Whether a piece is keyboard music, other music, or of a style that nobody has named."""
    if not piece.style:
        return "unknown style"
    return "keyboard" if piece.style in KEYBOARD_STYLES else "other"


# ------------------------------------------------------------------ excerpts


def excerpts(pieces: Sequence[PieceRecord], count: int, config: ModelConfig) -> list[Excerpt]:
    """At most ``count`` excerpts in metres that the model knows: of keyboard music all that there
    are, the ends of pieces first, then of other music evenly.

    They are in the order of style, metre, mode and work: what is alike stands side by side.
    """
    known = [piece for piece in pieces if piece.meter in config.meters and piece.bars <= MAX_BARS]
    keyboard = [piece for piece in known if set_of(piece) != "other"]
    others = [piece for piece in known if set_of(piece) == "other"]
    places = _places(keyboard)[:count]
    room = count - len(places)
    if room:
        places += _places(others[:: max(1, math.ceil(len(others) / room))])[:room]
    places.sort(key=lambda place: (set_of(place[0]) == "other", *_likeness(place[0]), place[1]))
    return [_excerpt(piece, first) for piece, first in places]


def _likeness(piece: PieceRecord) -> tuple[str, str, str, str]:
    return piece.style, piece.meter, piece.mode, piece.cluster


def _places(pieces: Sequence[PieceRecord]) -> list[tuple[PieceRecord, int]]:
    """Where excerpts begin: first the last of each piece, then the ones before, and so on."""
    found = []
    for piece in pieces:
        for rank, first in enumerate(_first_bars(piece)):
            found.append((rank, piece, first))
    found.sort(key=lambda place: place[0])
    return [(piece, first) for _, piece, first in found]


def _first_bars(piece: PieceRecord) -> Iterator[int]:
    if piece.bars <= EXCERPT_BARS:
        yield 0
        return
    least = max(0, piece.bars - _MOST_BARS_ON)
    yield from range(piece.bars - EXCERPT_BARS, least - 1, -EXCERPT_BARS)


def _excerpt(piece: PieceRecord, first_bar: int) -> Excerpt:
    whole = score_of(piece).transpose(piece.transposition)
    whole = replace(whole, key=REFERENCE_KEYS[piece.mode].transpose(piece.transposition))
    return Excerpt(piece, extract_bars(whole, first_bar, min(EXCERPT_BARS, piece.bars)), first_bar)
