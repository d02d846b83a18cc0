"""`bicinium validate`: check files against the grammar and list violations."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bicinium.cli.options import AsJson, Force, Quantize, Unfold
from bicinium.cli.output import check_outputs, print_json, print_losses, write_page

if TYPE_CHECKING:
    from bicinium.reports.verdicts import FileVerdict

_MAX_VIOLATIONS_SHOWN = 5
_MAX_NAME_WIDTH = 32  # for a table of 80 columns


def validate(
    paths: Annotated[
        list[Path], typer.Argument(help="MIDI, notation or token files, folders or patterns.")
    ],
    report: Annotated[
        Path | None,
        typer.Option(
            help="HTML page with piano rolls to write; with .svg, an image of a single file."
        ),
    ] = None,
    force: Force = False,
    quantize: Quantize = False,
    unfold: Unfold = False,
    as_json: AsJson = False,
) -> None:
    """Check files against the grammar and list the violations with their positions.

    Exit status 1 if any file is invalid.
    """
    from bicinium.reports.html_report import html_report, svg_report
    from bicinium.reports.verdicts import find_files, validate_file

    found = list(find_files(paths))
    check_outputs([report] if report else [], force, found)
    verdicts = [validate_file(path, quantize=quantize, unfold=unfold) for path in found]
    if report:
        svg = report.suffix.lower() == ".svg"
        write_page(report, svg_report(verdicts) if svg else html_report(verdicts))
    invalid = sum(not verdict.valid for verdict in verdicts)
    if as_json:
        rows = [_verdict_row(verdict) for verdict in verdicts]
        print_json({"files": rows, "valid": len(rows) - invalid, "invalid": invalid})
    else:
        _print_verdicts(verdicts)
        for verdict in verdicts:
            print_losses(verdict.losses, f"{verdict.path.name}: ")
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
        "losses": [str(loss) for loss in verdict.losses],
        "violations": [asdict(violation) for violation in verdict.violations],
        "hint": verdict.hint,
    }


def _print_verdicts(verdicts: list[FileVerdict]) -> None:
    """Print a table of the files, then the first violations of each invalid file."""
    names = _short_names([verdict.path for verdict in verdicts])
    _print_table(verdicts, names)
    for verdict, name in zip(verdicts, names, strict=True):
        if not verdict.valid:
            _print_violations(verdict, name)
    invalid = sum(not verdict.valid for verdict in verdicts)
    typer.echo(f"\n{len(verdicts) - invalid} valid, {invalid} invalid")


def _print_table(verdicts: list[FileVerdict], names: list[str]) -> None:
    """Print one line per file. Long names are neither cut nor folded."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

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
    longest = max(map(len, names), default=0)
    wide = Console(highlight=False, width=max(Console().width, 60 + longest))
    with wide.capture() as captured:
        wide.print(table)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())


def _print_violations(verdict: FileVerdict, name: str) -> None:
    """Print the number of violations of each rule, and the first violations."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    rules = Counter(violation.rule for violation in verdict.violations).most_common()
    counts = ", ".join(f"{rule} {count}" for rule, count in rules)
    console.print(Text.assemble("\n", (name, "bold"), f" ({counts})"), soft_wrap=True)
    for violation in verdict.violations[:_MAX_VIOLATIONS_SHOWN]:
        console.print(Text(f"  {violation.rule}: {violation.message}"), soft_wrap=True)
    hidden = len(verdict.violations) - _MAX_VIOLATIONS_SHOWN
    if hidden > 0:
        console.print(f"  and {hidden} more; --json and --report show all")
    if verdict.hint:
        console.print(Text(f"  {verdict.hint}"), soft_wrap=True)


def _short_names(paths: list[Path]) -> list[str]:
    """Return the paths; if one is long, relative to the parent of their common folder."""
    names = [str(path) for path in paths]
    if len(paths) < 2 or max(map(len, names)) <= _MAX_NAME_WIDTH:
        return names
    common = Path(os.path.commonpath([path.absolute().parent for path in paths])).parent
    return [str(path.absolute().relative_to(common)) for path in paths]
