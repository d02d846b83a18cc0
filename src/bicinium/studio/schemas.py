"""Request bodies of the page, and their conversion to a ``ComposeRequest``."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_type_hints

from pydantic import AliasChoices, Field, create_model

from bicinium.counterpoint import RULE_SETS, load_rule_set
from bicinium.counterpoint.rule_sets import RuleSet
from bicinium.errors import RequestError
from bicinium.generation.conditions import MAX_BARS
from bicinium.generation.constraints import Constraints
from bicinium.generation.sampling import Sampling
from bicinium.music.score import Score, Voice
from bicinium.render.export import write_score
from bicinium.request import ComposeRequest
from bicinium.studio.score_json import ScoreSchema, StrictSchema

MAX_PIECES = 8
MAX_CANDIDATES = 48  # of each piece
SOURCE_NAME = "source.musicxml"  # of the file with the music that a piece starts from
_MAX_SEED = 2**31
_MAX_RULES_LENGTH = 100_000  # of a rule set of the user's own

ExportFormat = Literal["mid", "musicxml", "pdf", "wav", "svg"]

# Fields of the request that the page may set as they are. It never names files on this machine.
_FROM_PAGE = (
    "key", "meter", "tempo", "style", "subject", "answer", "manner", "max_quote", "time_limit",
)  # fmt: skip


class SourceSchema(StrictSchema):
    """Music that a piece starts from. ``use`` is the name of its field in ``ComposeRequest``."""

    use: Literal["upper", "lower", "continue_from", "rewrite"]
    score: ScoreSchema
    rewrite_bars: list[int] | None = Field(None, min_length=2, max_length=2)

    def to_options(self, folder: Path) -> dict[str, Any]:
        """Write the music to a file in ``folder`` and return the options that name it."""
        score = self.score.to_score()
        if self.use in ("upper", "lower"):
            part = 0 if self.use == "upper" else 1
            if not score.voices[part].notes:
                raise RequestError(f"The {self.use} voice has no notes.")
            score = _single_voice(score, part)
        path = folder / SOURCE_NAME
        write_score(score, path)
        if self.use != "rewrite":
            return {self.use: path}
        if self.rewrite_bars is None:
            raise RequestError("The bars to rewrite are missing.")
        upbeat = int(score.anacrusis_ticks > 0)  # The page counts it as bar 1, print as bar 0.
        first, last = self.rewrite_bars
        return {self.use: path, "rewrite_bars": (first - upbeat, last - upbeat)}


class ComposeSchemaBase(StrictSchema):
    """A request for ``n`` pieces, without the options that ``ComposeSchema`` adds."""

    n: int = Field(1, ge=1, le=MAX_PIECES)
    best_of: int | None = Field(None, ge=1, le=MAX_CANDIDATES)  # as on the command line
    seed: int = Field(0, ge=0, le=_MAX_SEED)
    bars: int | None = Field(None, ge=1, le=MAX_BARS)
    constraints: dict[str, Any] | None = None  # those that differ from the defaults
    source: SourceSchema | None = Field(None, validation_alias=AliasChoices("source", "given"))

    def to_request(self, folder: Path, model: Path) -> ComposeRequest:
        """Return the request. Files are written to ``folder``."""
        options = self.model_dump(exclude={"constraints", "source"}, exclude_none=True)
        if self.source:
            options |= self.source.to_options(folder)
        return ComposeRequest.from_options(
            **options, model=model, constraints=Constraints.from_names(self.constraints or {})
        )


def _options() -> dict[str, Any]:
    """Return the type and default of each option, taken from the request and the sampling."""
    hints = get_type_hints(ComposeRequest)
    hints = {name: hints[name] for name in _FROM_PAGE} | get_type_hints(Sampling)
    return {name: (hint | None, None) for name, hint in hints.items()}


ComposeSchema = create_model("ComposeSchema", __base__=ComposeSchemaBase, **_options())


class EngraveSchema(StrictSchema):
    """A score to engrave, ``width`` pixels wide."""

    score: ScoreSchema
    width: int


class ExportSchema(StrictSchema):
    """A score to export. ``about`` becomes metadata of a MusicXML file."""

    score: ScoreSchema
    format: ExportFormat
    perform: bool = False
    about: dict[str, str] = Field(default_factory=dict, max_length=20)


class RulesFileSchema(StrictSchema):
    """A rule set of the user's own: a YAML file as for ``load_rule_set``."""

    name: str = Field(pattern=r"^[\w .,()+-]{1,60}\.[yY][aA]?[mM][lL]$")
    text: str = Field(max_length=_MAX_RULES_LENGTH)

    def rule_set(self) -> RuleSet:
        """Return the rule set. Raises RequestError for a mistake in the file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, self.name)
            path.write_text(self.text, encoding="utf-8")
            try:
                return load_rule_set(path)
            except RequestError as error:
                raise RequestError(str(error).replace(f"{folder}/", "")) from error


class CheckSchema(StrictSchema):
    """A score whose counterpoint is checked by a set of rules.

    cantus: the voice that is given (0 upper, 1 lower); None: it is found if the rules need one.
    """

    score: ScoreSchema
    rules: Literal[tuple(RULE_SETS)] | RulesFileSchema  # type: ignore[valid-type]
    cantus: int | None = Field(None, ge=0, le=1)  # a Literal would take false for 0

    def rule_set(self) -> RuleSet:
        """Return the rules. Raises RequestError for a mistake in a file of the user's own."""
        rules: str | RulesFileSchema = self.rules
        return rules.rule_set() if isinstance(rules, RulesFileSchema) else load_rule_set(rules)


class ProposalsSchema(CheckSchema):
    """The same, and the fault for which repairs are proposed, by its place in the report."""

    fault: int = Field(ge=0)


class AnalyseSchema(StrictSchema):
    """A score to analyse with the model, conditioned on a style or none."""

    score: ScoreSchema
    style: str | None = Field(None, max_length=40)


def _single_voice(score: Score, part: int) -> Score:
    voices = (voice if index == part else Voice() for index, voice in enumerate(score.voices))
    return replace(score, voices=tuple(voices))
