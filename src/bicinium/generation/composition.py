"""A finished piece: its score, how it was composed, and saving it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bicinium.atomic_write import atomic_write
from bicinium.counterpoint.imitation import invert
from bicinium.generation.conditions import Conditions
from bicinium.grammar import ValidationResult
from bicinium.music.score import Score
from bicinium.render.export import output_format, write_score

if TYPE_CHECKING:
    from bicinium.generation.rerank import ScoreSheet


@dataclass(frozen=True, slots=True)
class Composition:
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
