"""A finished piece: its score, how it was composed, and saving it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bicinium.atomic_write import atomic_write
from bicinium.counterpoint.imitation import invert
from bicinium.errors import RequestError
from bicinium.generation.conditions import Conditions
from bicinium.grammar import ValidationResult
from bicinium.music.score import Score
from bicinium.render.export import output_format, write_score
from bicinium.upper_layers import NotebookDisplay

if TYPE_CHECKING:
    from bicinium.generation.rerank import ScoreSheet


class IncompleteError(RequestError):
    """A request of which some pieces could not be composed. ``pieces`` are the others."""

    def __init__(self, message: str, pieces: Sequence[Composition]) -> None:
        super().__init__(message)
        self.pieces = list(pieces)


@dataclass(frozen=True, slots=True)
class Composition(NotebookDisplay):
    """A finished piece. ``score`` is None for invalid tokens, which need the grammar off."""

    conditions: Conditions
    seed: int
    tokens: NDArray[np.int16]  # in C major or A minor
    result: ValidationResult
    score: Score | None
    draws: int  # attempts until it was acceptable
    model: str = ""
    candidates: int = 1  # of which it was chosen
    sheet: ScoreSheet | None = None
    outliers: tuple[str, ...] = ()  # names of the measures beyond their limits
    timed_out: bool = False  # whether the time limit came before an acceptable candidate

    @property
    def search_remarks(self) -> list[str]:
        """What the search for a better candidate did not reach, in words."""
        found = [f"the time limit came in attempt {self.draws}"] if self.timed_out else []
        if self.outliers:
            found.append(f"unusual after {self.draws} attempts: {', '.join(self.outliers)}")
        return found

    @property
    def about(self) -> dict[str, str]:
        """How the piece was composed, for the metadata of files."""
        asked = self.conditions
        return {
            "model": self.model,
            "seed": str(self.seed),
            "best of": str(self.candidates),
            "key": asked.key_name,
            "meter": str(asked.meter),
            "bars": str(asked.bars),
            "tempo": f"{asked.tempo_qpm:g}" if asked.tempo_qpm else "the model's choice",
            "style": asked.style or "none requested",
        }

    def inverted(self, interval: int) -> Composition:
        """Return the piece with its voices in each other's place; see ``invert``."""
        return replace(self, score=None if self.score is None else invert(self.score, interval))

    def save(self, path: str | Path, perform: bool = False) -> Path:
        """Write the piece in the format of the path's suffix (see ``render.export``).

        ``perform`` plays WAV and OGG with phrasing. A piece without a score is written as a token
        file. Returns the path written, which for tokens ends in ``.tokens.json``.
        """
        path = Path(path)
        if self.score is not None:
            write_score(self.score, path, self.about, perform)
            return path
        name = path.name.removesuffix(f".{output_format(path)}")
        path = path.with_name(f"{name}.tokens.json")
        about = {
            "tokens": self.tokens.tolist(),
            "meter": str(self.conditions.meter),
            "bars": self.conditions.bars,
            "transposition": -self.conditions.key.semitones_to_reference,
        }
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(about), encoding="utf-8")
        return path
