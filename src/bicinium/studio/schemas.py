"""What the page sends to have music composed, and how it becomes a ``ComposeRequest``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_type_hints

from pydantic import Field, create_model

from bicinium.errors import RequestError
from bicinium.generation.conditions import MAX_BARS
from bicinium.generation.constraints import Constraints
from bicinium.generation.sampling import Sampling
from bicinium.music.score import Score, Voice
from bicinium.render.export import write_score
from bicinium.request import ComposeRequest
from bicinium.studio.score_json import Strict, WireScore

MAX_PIECES = 8
_MAX_SEED = 2**31

# Fields of the request that the page may set as they are. It never names files on this machine.
_FROM_PAGE = ("key", "meter", "tempo", "style", "subject", "answer", "max_quote")


class SourceMusic(Strict):
    """Music that a piece starts from. ``use`` is the name of its field in ``ComposeRequest``."""

    use: Literal["upper", "lower", "continue_from", "rewrite"]
    score: WireScore
    rewrite_bars: list[int] | None = Field(None, min_length=2, max_length=2)

    def options(self, folder: Path) -> dict[str, Any]:
        """Write the music to a file in ``folder``, and return the options that name it."""
        score = self.score.score()
        if self.use in ("upper", "lower"):
            part = 0 if self.use == "upper" else 1
            if not score.voices[part].notes:
                raise RequestError(f"The {self.use} voice has no notes.")
            score = _only(score, part)
        path = folder / "given.musicxml"
        write_score(score, path)
        if self.use != "rewrite":
            return {self.use: path}
        if self.rewrite_bars is None:
            raise RequestError("The bars to rewrite are missing.")
        return {self.use: path, "rewrite_bars": (self.rewrite_bars[0], self.rewrite_bars[1])}


class ComposeMessageBase(Strict):
    """One press of *Compose*, without the options that ``ComposeMessage`` adds."""

    n: int = Field(1, ge=1, le=MAX_PIECES)
    seed: int = Field(0, ge=0, le=_MAX_SEED)
    bars: int | None = Field(None, ge=1, le=MAX_BARS)
    constraints: dict[str, Any] | None = None  # those that differ from the defaults
    given: SourceMusic | None = None

    def request(self, folder: Path, model: Path) -> ComposeRequest:
        """Return the request. Files are written to ``folder``."""
        options = self.model_dump(exclude={"constraints", "given"}, exclude_none=True)
        if self.given:
            options |= self.given.options(folder)
        return ComposeRequest.from_options(
            **options, model=model, constraints=Constraints.from_names(self.constraints or {})
        )


def _options() -> dict[str, Any]:
    """Return the type and default of each option, taken from the request and the sampling."""
    hints = get_type_hints(ComposeRequest)
    hints = {name: hints[name] for name in _FROM_PAGE} | get_type_hints(Sampling)
    return {name: (hint | None, None) for name, hint in hints.items()}


ComposeMessage = create_model("ComposeMessage", __base__=ComposeMessageBase, **_options())


def _only(score: Score, part: int) -> Score:
    """Return the score with one voice; the other is silent."""
    voices = (v if part == index else Voice() for index, v in enumerate(score.voices))
    return replace(score, voices=tuple(voices))
