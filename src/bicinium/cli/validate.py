"""`bicinium validate`: check files against the grammar and list violations."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bicinium.cli.options import AsJson
from bicinium.cli.output import print_json, write_page

if TYPE_CHECKING:
    from bicinium.reports.verdicts import FileVerdict

_MAX_VIOLATIONS_SHOWN = 5
_MAX_NAME_WIDTH = 32  # for a table of 80 columns


def validate(
    paths: Annotated[
        list[Path], typer.Argument(help="MIDI, notation, token files; folders, patterns.")
    ],
    report: Annotated[
        Path | None,
        typer.Option(
            help="Write an HTML page with piano rolls here; .svg for an image of one file."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is wrong with MIDI, notation or token files, and where. Exit 1 if any is invalid."""
    from bicinium.reports.html_report import html_report, svg_report
    from bicinium.reports.verdicts import find_files, validate_file

    verdicts = [validate_file(path) for path in find_files(paths)]
    if report:
        svg = report.suffix.lower() == ".svg"
        write_page(report, svg_report(verdicts) if svg else html_report(verdicts))
    invalid = sum(not verdict.valid for verdict in verdicts)
    if as_json:
        rows = [_verdict_row(verdict) for verdict in verdicts]
        print_json({"files": rows, "valid": len(rows) - invalid, "invalid": invalid})
    else:
        _print_verdicts(verdicts)
    if invalid:
        raise typer.Exit(1)


def _verdict_row(verdict: FileVerdict) -> dict[str, Any]:
    from dataclasses import asdict

    from bicinium.data.validate import quality_of_file

    judged = quality_of_file(verdict.path) if verdict.notes else None
    return {
        "path": str(verdict.path),
        "valid": verdict.valid,
        "grammar_score": round(verdict.grammar_score, 4),
        "quality_score": None if judged is None else round(judged, 4),
        "notes": verdict.notes,
        "violations": [asdict(violation) for violation in verdict.violations],
    }


def _print_verdicts(verdicts: list[FileVerdict]) -> None:
    """A table of the files; then what is wrong with each, and where."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    names = _short_names([verdict.path for verdict in verdicts])
    table = Table(box=None, pad_edge=False, header_style="")
    for header in ("verdict", "score", "notes", "violations"):
        table.add_column(header, justify="left" if header == "verdict" else "right")
    for header in ("checked as", "file"):
        table.add_column(header, no_wrap=True)
    for verdict, name in zip(verdicts, names, strict=True):
        table.add_row(
            Text("valid") if verdict.valid else Text("INVALID", "bold red"),
            f"{verdict.grammar_score:.3f}",
            str(verdict.notes),
            str(len(verdict.violations) or ""),
            verdict.checked_as,
            Text(name),
        )
    console = Console(highlight=False)
    wide = Console(highlight=False, width=max(console.width, 60 + max(map(len, names), default=0)))
    with wide.capture() as lines:
        wide.print(table)
    for line in lines.get().splitlines():
        typer.echo(line.rstrip())  # a name that is too long for the terminal is not folded, nor cut
    for verdict, name in zip(verdicts, names, strict=True):
        if verdict.valid:
            continue
        rules = Counter(violation.rule for violation in verdict.violations).most_common()
        counts = ", ".join(f"{rule} {count}" for rule, count in rules)
        console.print(Text.assemble("\n", (name, "bold"), f" ({counts})"), soft_wrap=True)
        for violation in verdict.violations[:_MAX_VIOLATIONS_SHOWN]:
            console.print(Text(f"  {violation.rule}: {violation.message}"), soft_wrap=True)
        hidden = len(verdict.violations) - _MAX_VIOLATIONS_SHOWN
        if hidden > 0:
            console.print(f"  and {hidden} more; --json and --report show all")
    invalid = sum(not verdict.valid for verdict in verdicts)
    console.print(f"\n{len(verdicts) - invalid} valid, {invalid} invalid")


def _short_names(paths: list[Path]) -> list[str]:
    """The paths as given; where they are long, without what comes before their common folder."""
    names = [str(path) for path in paths]
    if len(paths) < 2 or max(map(len, names)) <= _MAX_NAME_WIDTH:
        return names
    common = Path(os.path.commonpath([path.absolute().parent for path in paths])).parent
    return [str(path.absolute().relative_to(common)) for path in paths]
