"""`bicinium convert`: turn a two-voice score into another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bicinium.cli.options import Force, Perform, Quantize, Unfold
from bicinium.cli.output import check_outputs, print_losses, report_write_errors


def convert(
    source: Annotated[Path, typer.Argument(help="Score in MIDI, MusicXML, kern, ABC or MEI.")],
    target: Annotated[
        Path,
        typer.Argument(help="File to write; its suffix is the format (.musicxml, .pdf, .wav, …)."),
    ],
    reduce: Annotated[
        bool, typer.Option("--reduce", help="Outer voices only, if the score has more than two.")
    ] = False,
    quantize: Quantize = False,
    unfold: Unfold = False,
    perform: Perform = False,
    force: Force = False,
) -> None:
    """Convert a score of one or two voices to MIDI, MusicXML, an image or sound."""
    from bicinium.formats.registry import read_score
    from bicinium.render.export import output_format, write_score

    output_format(target)
    check_outputs([target], force, [source])
    score = read_score(source, reduce, quantize=quantize, unfold=unfold)
    print_losses(score.losses, f"{source.name}: ")
    with report_write_errors(target):
        write_score(score, target, {"source": source.name}, perform)
    typer.echo(
        f"{target}: bars {score.bars}, metre {score.meter}, {score.key_name}, "
        f"notes {score.note_count}"
    )
