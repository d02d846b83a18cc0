"""Options that several commands share."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, get_type_hints

import typer
from typer.models import OptionInfo

MODEL_HELP = "Model: default, a model file, the folder of a run, or user/repo@revision of the hub."

Perform = Annotated[
    bool, typer.Option("--perform", help="Expressive timing and dynamics in sound files.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist already.")]
Quantize = Annotated[
    bool,
    typer.Option(
        "--quantize", help="Move a recording to sixteenths and triplet eighths; say how many."
    ),
]
Unfold = Annotated[bool, typer.Option("--unfold", help="Play repeats, endings and jumps.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="JSON document on standard output instead of a table.")
]


def grouped(
    command: Callable[..., None], panels: Mapping[str, Iterable[str]]
) -> Callable[..., None]:
    """Return a command whose options are shown in panels, by the names of its parameters."""
    panel_of = {name: panel for panel, names in panels.items() for name in names}
    hints: dict[str, Any] = get_type_hints(command, include_extras=True)
    for name, hint in hints.items():
        for info in getattr(hint, "__metadata__", ()):
            if isinstance(info, OptionInfo) and name in panel_of:
                info.rich_help_panel = panel_of[name]
    command.__annotations__ = hints
    return command
