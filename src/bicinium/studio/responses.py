"""The responses of the interface, for its description in ``openapi``.

The handlers answer with plain values. The tests compare what they answer with these schemas.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from bicinium.counterpoint.rule import Severity
from bicinium.generation.candidates import Progress
from bicinium.grammar.validate import Violation
from bicinium.studio.score_json import ScoreSchema


class Response(BaseModel):
    """An object with these fields at least. Later releases may add fields."""


class Error(Response):
    """What is wrong, in one or two sentences."""

    error: str


class KeyName(Response):
    """A key as requests name it, and as it is printed."""

    name: str
    printed: str


class Limits(Response):
    """The largest values of a request."""

    bars: int
    pieces: int
    candidates: int
    bytes: int


class ConstraintDescription(Response):
    """A constraint that a request to compose may set."""

    name: str
    label: str
    default: Any
    is_strength: bool


class RuleSetDescription(Response):
    """A set of counterpoint rules."""

    name: str
    description: str


class Piano(Response):
    """The samples in ``piano.wav``: one of each pitch, each of this length."""

    pitches: list[int]
    seconds: float


class Capabilities(Response):
    """What can be requested."""

    version: str
    model: str
    meters: list[str]
    styles: list[str]
    manners: list[str] = Field(description="Manners of a second voice.")
    keys: list[KeyName]
    limits: Limits
    tempo: list[float] = Field(description="Lowest and highest, in quarter notes per minute.")
    constraints: list[ConstraintDescription]
    rule_sets: list[RuleSetDescription]
    default_ranges: Any
    formats: list[str]
    engraving: bool
    piano: Piano | None
    pitches: list[int] = Field(description="Lowest and highest MIDI pitch.")
    quotations: bool
    runs: bool
    uploads: list[str]


class Sheet(Response):
    """How good a piece is. Every number is from 0 to 1, except ``quoted_bars``."""

    grammar_score: float
    quality_score: float
    checks: dict[str, bool]
    quoted_bars: int | None
    quoted_from: str
    realism: float | None
    adherence: float
    originality: float
    total: float


class Piece(Response):
    """A composed piece."""

    score: ScoreSchema
    seed: int
    style: str | None
    about: dict[str, Any] = Field(description="How the piece was made.")
    valid: bool
    remarks: list[str]
    draws: int
    sheet: Sheet | None
    unmet: dict[str, str] = Field(description="Why a check of the sheet does not hold.")


class CandidatePiece(Piece):
    """One of the candidates of a piece."""

    is_best: bool = Field(description="Whether it is the best of its piece so far.")


class ComposeLine(Response):
    """One line of the response to ``compose``. It has one of these fields (an error has two)."""

    waiting: int | None = Field(None, description="Heartbeat: requests that wait for a composer.")
    started: bool | None = None
    progress: Progress | None = None
    candidate: CandidatePiece | None = None
    piece: Piece | None = None
    done: bool | None = Field(None, description="The last line of a complete response.")
    error: str | None = Field(None, description="The last line of a response that failed.")
    status: int | None = Field(None, description="The HTTP status that the error would have.")


class Engraving(Response):
    """An engraved score."""

    pages: list[str] = Field(description="SVG documents.")
    notes: list[list[str | int]] = Field(description="Rows of id, voice, onset and offset tick.")
    clefs: list[list[str]] = Field(description="Signs on both staves, for each bar.")
    fifths: int


class Verdict(Response):
    """The validation of a file, as by ``bicinium validate``."""

    valid: bool
    grammar_score: float
    notes: int
    judged_as: str
    meter: str
    violations: list[Violation]
    more: int = Field(description="Violations beyond those that are listed.")
    roll: list[list[int | bool]] = Field(
        description="Rows of voice, pitch, onset tick, offset tick, and whether the note ends."
    )


class ImportedFile(Response):
    """The score in a file, or the problem if there is none."""

    name: str
    verdict: Verdict
    score: ScoreSchema | None
    voices: int
    problem: str
    losses: list[str] = Field(description="What reading the file left out or changed.")
    reducible: bool = Field(description="Whether ``reduce=yes`` would give a score.")


class ForbiddenChoice(Response):
    """A position at which the most probable token is forbidden."""

    index: int
    tick: int
    bar: int
    beat: float
    part: int
    rule: str
    message: str
    probability: float
    written: bool


class RuleScore(Response):
    """The score of a grammar rule, from 0 to 1."""

    name: str
    description: str
    score: float


class Analysis(Response):
    """What the model says along a piece; the lists have a number for each token."""

    tick: list[int]
    illegal_mass: list[float]
    surprisal_bits: list[float]
    mean_illegal_mass: float
    tokens: int
    forbidden_choices: list[ForbiddenChoice]
    rules: list[RuleScore]


class FaultNote(Response):
    """A note of a fault."""

    voice: int
    tick: int
    name: str


class FaultDescription(Response):
    """A fault in the counterpoint. Bars and beats count from 1."""

    rule: str
    severity: Severity
    bar: int
    beat: float
    tick: int
    notes: list[FaultNote]
    fact: str
    reason: str
    source: str


class Dissonance(Response):
    """A dissonance and its figure, such as a suspension; null if it is not treated."""

    tick: int
    note: str
    interval: str
    figure: str | None


class Report(Response):
    """The report on the counterpoint of a score."""

    rules: str
    passed: bool
    cantus: str | None = Field(description="The voice that is given: upper voice or lower voice.")
    faults: list[FaultDescription]
    dissonances: list[Dissonance]


class PitchChange(Response):
    """A note that gets another pitch."""

    voice: int
    tick: int
    text: str


class ProposalDescription(Response):
    """A repair of a fault, and the score after it."""

    changes: list[PitchChange]
    bits: float | None = Field(description="How much the changed notes surprise the model.")
    score: ScoreSchema
