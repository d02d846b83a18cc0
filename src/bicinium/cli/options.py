"""Options that several commands share."""

from typing import Annotated

import typer

MODEL_HELP = "Model: default, a model file, or the folder of a training run."

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
