"""Options that several commands share."""

from typing import Annotated

import typer

Perform = Annotated[
    bool, typer.Option("--perform", help="Play sound files with phrasing, not strictly.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
