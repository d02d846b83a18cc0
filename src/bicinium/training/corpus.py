"""The pieces of a run: loaded, filtered, split into training and validation sets."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bicinium.data.piece_record import PieceRecord
from bicinium.data.shards import load_checked, load_pieces, subsample
from bicinium.data.sources import KEYBOARD_STYLES, STYLES
from bicinium.errors import ConfigError
from bicinium.training.config import DataSection


@dataclass(frozen=True, slots=True)
class Corpus:
    """Pieces to train on, named sets of pieces to validate on, and pieces of poor grammar."""

    training: list[PieceRecord]
    validation: dict[str, list[PieceRecord]]
    rejected: list[PieceRecord]


def load_corpus(data: DataSection) -> Corpus:
    """Load a prepared corpus as the configuration asks.

    Raises CorpusError if there is none, ConfigError if it has no training or validation pieces.
    """
    rejected: list[PieceRecord] = []
    if data.validate_grammar:
        pieces, rejected = load_checked(data.prepared, data.min_grammar_score)
    if not (data.validate_grammar and data.filter_poor_grammar):
        pieces = load_pieces(data.prepared)
    of_corpus = {piece.style for piece in pieces + rejected}
    _check_styles("exclude_styles", data.exclude_styles, of_corpus)
    _check_styles("style_repeats", data.style_repeats, of_corpus)
    pieces = [piece for piece in pieces if piece.style not in data.exclude_styles]
    training = [piece for piece in pieces if piece.split == "train"]
    validation = validation_sets(pieces, data.validation_tokens)
    if not training or not validation:
        raise ConfigError(
            f"{data.prepared} has {len(training)} training pieces and "
            f"{len(pieces) - len(training)} validation pieces; both are needed. "
            "Prepare at least two different pieces."
        )
    return Corpus(training, validation, rejected)


def _check_styles(key: str, named: Iterable[str], of_corpus: set[str]) -> None:
    """Raise ConfigError for a style that neither the corpus nor any other can have."""
    known = sorted(of_corpus - {""} | set(STYLES))
    for name in named:
        if name not in known:
            (near,) = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            raise ConfigError(
                f"data.{key}: there is no style {name!r}; did you mean {near!r}? "
                f"The styles are {', '.join(known)}."
            )


def validation_sets(
    pieces: Sequence[PieceRecord], max_other_tokens: int
) -> dict[str, list[PieceRecord]]:
    """Return the validation pieces by set: all keyboard music, and a sample of other music.

    The first set decides which state of the model is best. Empty sets are left out.
    """
    held_out = [piece for piece in pieces if piece.split == "validation"]
    keyboard = [piece for piece in held_out if piece.style in KEYBOARD_STYLES]
    other = [piece for piece in held_out if piece.style not in KEYBOARD_STYLES]
    sets = {"keyboard": keyboard, "other": subsample(other, max_other_tokens)}
    return {name: chosen for name, chosen in sets.items() if chosen}


def piece_repeats(
    pieces: Sequence[PieceRecord], keyboard_repeats: int, of_styles: Mapping[str, int] | None = None
) -> NDArray[np.int64]:
    """Return (P,) how often an epoch shows each piece: keyboard music repeatedly, the rest once.

    of_styles: other numbers for some styles.
    """
    repeats = dict.fromkeys(KEYBOARD_STYLES, keyboard_repeats) | dict(of_styles or {})
    return np.array([repeats.get(piece.style, 1) for piece in pieces])
