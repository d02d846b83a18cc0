"""What the page asks to have composed, and the same as the Python interface takes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from bicinium.api import Asked
from bicinium.errors import RequestError
from bicinium.generation.conditions import MAX_BARS
from bicinium.generation.constraints.config import Constraints
from bicinium.music.score import Score, Voice
from bicinium.render.export import write_score
from bicinium.studio.score_json import Strict, WireScore

MOST_PIECES = 8
_MOST_SEED = 2**31

Use = Literal["upper", "lower", "continue_from", "rewrite"]


class WireGiven(Strict):
    """Music that a piece starts from. ``use`` is the name it has in ``Asked``."""

    use: Use
    score: WireScore
    rewrite_bars: list[int] | None = Field(None, min_length=2, max_length=2)

    def asked(self, folder: Path) -> Asked:
        """The same as a file, written to ``folder``, for the Python interface."""
        score = self.score.score()
        if self.use in ("upper", "lower"):
            kept = 0 if self.use == "upper" else 1
            if not score.voices[kept].notes:
                raise RequestError(f"there are no notes in the {self.use} voice that is given")
            score = _only(score, kept)
        path = folder / "given.musicxml"
        write_score(score, path)
        asked = Asked()
        asked[self.use] = str(path)
        if self.use == "rewrite":
            if self.rewrite_bars is None:
                raise RequestError("say which bars are to be rewritten")
            asked["rewrite_bars"] = (self.rewrite_bars[0], self.rewrite_bars[1])
        return asked


class Wish(Strict):
    """One press of *Compose*: ``n`` pieces, with the seeds from ``seed`` on."""

    n: int = Field(1, ge=1, le=MOST_PIECES)
    seed: int = Field(0, ge=0, le=_MOST_SEED)
    key: str | None = Field(None, max_length=20)
    meter: str | None = Field(None, max_length=10)
    bars: int | None = Field(None, ge=1, le=MAX_BARS)
    tempo: float | None = None  # quarter notes a minute
    style: str | None = Field(None, max_length=40)
    temperature: float | None = None
    top_p: float | None = None
    motif_strength: float | None = None
    subject: str | None = Field(None, max_length=2000)
    answer: Literal["octave", "fifth"] | None = None
    max_quote: int | None = Field(None, ge=0)  # bars
    constraints: dict[str, Any] | None = None  # what differs from the usual
    given: WireGiven | None = None

    def asked(self, folder: Path) -> Asked:
        """What the Python interface is asked for; files are written to ``folder``."""
        plain: Any = self.model_dump(
            exclude={"n", "seed", "constraints", "given"}, exclude_none=True
        )
        asked: Asked = plain
        asked["constraints"] = Constraints.from_names(self.constraints or {})
        if self.given:
            asked.update(self.given.asked(folder))
        return asked


def _only(score: Score, kept: int) -> Score:
    """The score with one voice; the other is silent."""
    voices = (v if part == kept else Voice() for part, v in enumerate(score.voices))
    return replace(score, voices=tuple(voices))
