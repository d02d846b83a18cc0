"""`bicinium species`: write a voice to a cantus firmus in one of the five species."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bicinium.cli.options import Force
from bicinium.cli.output import check_outputs, report_write_errors


def species(
    number: Annotated[int, typer.Argument(help="The species, 1 to 5.")],
    cantus: Annotated[
        str,
        typer.Option(
            help="The cantus firmus: a file with one note a bar; a name, such as fux-d; or a new "
            "one by its final, such as new-d, or new-d-12 with 12 bars."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The file to write; its suffix selects the format.")],
    above: Annotated[
        bool, typer.Option("--above/--below", help="Where the new voice lies.")
    ] = True,
    rules: Annotated[
        str | None, typer.Option(help="Rule set (default: the strict set of the species).")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Another seed gives another solution, and a new cantus.")
    ] = 0,
    force: Force = False,
) -> None:
    """Write an exercise in strict counterpoint. It breaks no rule that is an error.

    If no such voice exists, the bars that admit none are named.
    """
    from bicinium.counterpoint.cantus import load_cantus
    from bicinium.counterpoint.writer import write_counterpoint
    from bicinium.render.export import output_format, require_libraries, write_score

    require_libraries(output_format(out))
    check_outputs([out], force, [Path(cantus)])
    given = load_cantus(cantus, seed)
    report = write_counterpoint(given, number, above=above, rules=rules, seed=seed)
    with report_write_errors(out):
        write_score(report.score, out)
    typer.echo(f"{out}: species {number} {'above' if above else 'below'} {cantus}, seed {seed}")
    for fault in report.faults:
        typer.echo(f"  {fault.severity}, {fault.rule}: bar {fault.bar}: {fault.fact}")
