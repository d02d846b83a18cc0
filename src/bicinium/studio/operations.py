"""The operations of the HTTP interface: one table for the routes and for their description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bicinium.studio.capabilities import MEDIA_TYPES
from bicinium.studio.responses import (
    Analysis,
    Capabilities,
    ComposeLine,
    Engraving,
    ImportedFile,
    ProposalDescription,
    Report,
    RuleSetDescription,
)
from bicinium.studio.schemas import (
    AnalyseSchema,
    CheckSchema,
    ComposeSchema,
    EngraveSchema,
    ExportSchema,
    ProposalsSchema,
    RulesFileSchema,
)
from bicinium.studio.score_json import StrictSchema

VERSIONED, UNVERSIONED = "/api/v1", "/api"  # the second is that of the page

JSON, NDJSON, EVENTS = "application/json", "application/x-ndjson", "text/event-stream"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query."""

    name: str
    description: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """A path and what is there. ``handler`` is the name of a method of ``StudioRoutes``.

    response: the type of a JSON response, or of one line of an NDJSON response.
    media_types: of the response.
    """

    path: str
    handler: str
    summary: str
    response: Any = None
    method: Literal["GET", "POST"] = "POST"
    body: type[StrictSchema] | None = None
    example: Mapping[str, Any] | None = None  # of the body
    is_upload: bool = False
    parameters: tuple[Parameter, ...] = ()
    media_types: tuple[str, ...] = (JSON,)
    errors: tuple[int, ...] = ()  # statuses beyond those that every operation may answer with


# Parallel octaves, so that there is a fault. Rows of onset tick, pitch, duration ticks, velocity.
_SCORE = {
    "meter": "4/4",
    "key": "C major",
    "bars": 3,
    "voices": [
        [[0, 72, 96, 80], [96, 74, 96, 80], [192, 72, 96, 80]],
        [[0, 48, 96, 80], [96, 50, 96, 80], [192, 48, 96, 80]],
    ],
}

OPERATIONS = (
    Operation("capabilities", "capabilities", "What can be requested.", Capabilities, "GET"),
    Operation(
        "compose",
        "compose",
        "Compose pieces. The response is a stream: one JSON object in each line.",
        ComposeLine,
        body=ComposeSchema,
        example={"key": "D minor", "meter": "3/4", "bars": 4, "seed": 7, "best_of": 2},
        media_types=(NDJSON,),
    ),
    Operation(
        "engrave",
        "engrave",
        "Engrave a score as SVG.",
        Engraving,
        body=EngraveSchema,
        example={"score": _SCORE, "width": 800},
    ),
    Operation(
        "export",
        "export",
        "Write a score as a file, in one of the formats of capabilities.",
        body=ExportSchema,
        example={"score": _SCORE, "format": "musicxml"},
        media_types=tuple(MEDIA_TYPES.values()),
    ),
    Operation(
        "import",
        "import_file",
        "Read and validate a music file. The body is the file.",
        ImportedFile,
        is_upload=True,
        parameters=(
            Parameter("name", "Name of the file; its suffix says what it is.", required=True),
            Parameter("reduce", "``yes`` reduces more voices to two."),
        ),
        errors=(415,),
    ),
    Operation(
        "analyse",
        "analyse",
        "What the model says along a piece.",
        Analysis,
        body=AnalyseSchema,
        example={"score": _SCORE, "style": None},
    ),
    Operation(
        "check",
        "check",
        "Check the counterpoint of a score.",
        Report,
        body=CheckSchema,
        example={"score": _SCORE, "rules": "species1"},
    ),
    Operation(
        "rules",
        "rules",
        "Read a rule set of your own, a YAML file that check and proposals take for rules.",
        RuleSetDescription,
        body=RulesFileSchema,
        example={"name": "mine.yaml", "text": "base: species1\nname: mine\nrules: {climax: off}"},
    ),
    Operation(
        "proposals",
        "proposals",
        "Repairs of one fault of this report.",
        list[ProposalDescription],
        body=ProposalsSchema,
        example={"score": _SCORE, "rules": "species1", "fault": 0},
    ),
    Operation(
        "piano.wav", "piano", "Samples of a piano.", method="GET", media_types=("audio/wav",)
    ),
    Operation(
        "runs",
        "watch_runs",
        "Watch the training runs. The response is a stream of server-sent events.",
        method="GET",
        parameters=(
            Parameter("name", "Name of a run (default: the first of the list)."),
            Parameter("all", "``yes`` sends all curves."),
        ),
        media_types=(EVENTS,),
        errors=(404,),
    ),
    Operation(
        "sample",
        "sample",
        "A piece that a model generated during training.",
        ImportedFile,
        "GET",
        parameters=(
            Parameter("name", "Name of the run.", required=True),
            Parameter("step", "Step, as the run lists it.", required=True),
            Parameter("file", "Name of the file.", required=True),
        ),
        errors=(404,),
    ),
)
