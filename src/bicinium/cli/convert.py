"""`bicinium convert`: turn a two-voice score into another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bicinium.cli.options import Perform
from bicinium.cli.output import report_write_errors


def convert(
    source: Annotated[Path, typer.Argument(help="MIDI, MusicXML, mxl, kern or ABC.")],
    target: Annotated[
        Path,
        typer.Argument(help="Its ending says the format: .musicxml, .pdf, .wav and so on."),
    ],
    reduce: Annotated[
        bool, typer.Option("--reduce", help="Take the outer voices of what has more than two.")
    ] = False,
    perform: Perform = False,
) -> None:
    """Turn a score of two voices into another format: MIDI, MusicXML, an image, sound."""
    from bicinium.formats.registry import read_score
    from bicinium.render.export import output_format, write_score

    output_format(target)
    score = read_score(source, reduce)
    with report_write_errors(target):
        write_score(score, target, {"source": source.name}, perform)
    typer.echo(
        f"{target}: bars {score.bars}, metre {score.meter}, {score.key}, notes {score.note_count}"
    )
