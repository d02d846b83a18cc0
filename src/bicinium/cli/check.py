"""`bicinium check`: find the counterpoint faults in two voices."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bicinium.cli.options import AsJson, Force, Quantize
from bicinium.cli.output import check_outputs, print_json, report_write_errors, write_page
from bicinium.errors import BiciniumError, RequestError

if TYPE_CHECKING:
    from bicinium.counterpoint import CounterpointReport, RuleSet
    from bicinium.counterpoint.repair import Change
    from bicinium.music.score import Score
    from bicinium.reports.counterpoint_report import CheckedFile


_VOICES = ("upper", "lower")


def check(
    paths: Annotated[list[Path], typer.Argument(help="Music files, folders or patterns.")],
    rules: Annotated[
        str,
        typer.Option(
            help="Rule set: species1 to species5 (strict), species1-school to species5-school, "
            "bach, or a YAML file."
        ),
    ] = "bach",
    cantus: Annotated[
        str | None,
        typer.Option(
            help="The voice that is given, upper or lower (default: the one with one note in each "
            "bar); or a cantus firmus, such as fux-d or a file, that must come back unchanged."
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="HTML page to write, or with .csv a table of the files.")
    ] = None,
    marked: Annotated[
        Path | None,
        typer.Option(
            help="The score of a single file with coloured notes to write: .musicxml, .svg, .png "
            "or .pdf."
        ),
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option(
            help="Repair the errors of a single file by the least changes of pitch, and write the "
            "result. Up to three proposals for each error are listed."
        ),
    ] = None,
    force: Force = False,
    quantize: Quantize = False,
    as_json: AsJson = False,
) -> None:
    """Find parallel fifths, unprepared dissonances and other faults, and say where and why.

    Exit status 1 if any file has an error; warnings and hints do not count.
    """
    from bicinium.counterpoint import load_rule_set
    from bicinium.reports.verdicts import find_files

    rule_set = load_rule_set(rules)
    given = _given(cantus)
    found = list(find_files(paths))
    _require_single_file(len(found), marked, fix)
    check_outputs([path for path in (report, marked, fix) if path], force, found)
    files = [_check_file(path, rule_set, given, quantize) for path in found]
    _write(files, report, marked)
    if as_json:
        print_json({"files": [_row(each) for each in files]})
    else:
        for each in files:
            _print(each)
    if fix and files[0].report is not None:
        _fix(files[0].report, rule_set, fix, to_stderr=as_json)
    if any(each.report is None or not each.report.passed for each in files):
        raise typer.Exit(1)


def _given(cantus: str | None) -> int | str | None:
    """Return the number of a voice, or the name of a cantus firmus that exists."""
    from bicinium.counterpoint.cantus import load_cantus

    if cantus in _VOICES:
        return _VOICES.index(cantus)
    if cantus is not None:
        load_cantus(cantus)  # a wrong name is one error, and not one of each file
    return cantus


def _require_single_file(count: int, marked: Path | None, fix: Path | None) -> None:
    for option, wanted in (("--marked", marked), ("--fix", fix)):
        if wanted and count != 1:
            raise RequestError(f"{option} takes a single file (got {count}).")


def _check_file(
    path: Path, rule_set: RuleSet, cantus: int | str | None, quantize: bool
) -> CheckedFile:
    from bicinium.api import check as check_music
    from bicinium.reports.counterpoint_report import CheckedFile

    try:
        return CheckedFile(path, check_music(path, rule_set, cantus=cantus, quantize=quantize))
    except BiciniumError as error:
        return CheckedFile(path, None, str(error))


def _write(files: list[CheckedFile], report: Path | None, marked: Path | None) -> None:
    from bicinium.render.export import write_score
    from bicinium.reports.counterpoint_report import class_table, counterpoint_page, note_marks

    if report:
        table = report.suffix.lower() == ".csv"
        write_page(report, class_table(files) if table else counterpoint_page(files))
    if marked and files[0].report is not None:
        with report_write_errors(marked):
            write_score(files[0].report.score, marked, marks=note_marks(files[0].report))


def _fix(report: CounterpointReport, rule_set: RuleSet, out: Path, to_stderr: bool) -> None:
    """List proposals for each error, and write the score with the best ones."""
    from bicinium.api import load_composer
    from bicinium.counterpoint import Severity
    from bicinium.counterpoint.repair import propose, repair
    from bicinium.generation.surprisal import surprisal_bits
    from bicinium.render.export import write_score

    composer = load_composer()

    def likelihood(score: Score) -> float:
        return surprisal_bits(composer, score)

    for number, fault in enumerate(report.faults, start=1):
        if fault.severity is not Severity.ERROR:
            continue
        proposals = propose(report, fault, rule_set, 3, likelihood)
        title = "proposals, the most likely first" if proposals else "no proposal"
        typer.echo(f"  {number}: {title}", err=to_stderr)
        for proposal in proposals:
            typer.echo(f"    {_moves(report.score, proposal.changes)}", err=to_stderr)
    repaired, changes = repair(report, rule_set, likelihood)
    with report_write_errors(out):
        write_score(repaired.score, out)
    left = repaired.count(Severity.ERROR)
    made = _moves(report.score, changes) or "nothing to change"
    typer.echo(f"{out}: {made}. {left} error{'' if left == 1 else 's'} left.", err=to_stderr)


def _moves(score: Score, changes: Iterable[Change]) -> str:
    """Return the changes with the bars as printed."""
    return "; ".join(f"bar {score.bar_number(one.onset_tick)}: {one}" for one in changes)


def _row(file: CheckedFile) -> dict[str, object]:
    if file.report is None:
        return {"path": str(file.path), "problem": file.error}
    return {"path": str(file.path), "mark": file.mark, **file.report.as_json()}


def _print(file: CheckedFile) -> None:
    """Print the faults of a file, and what is good in it."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(str(file.path), "bold"), soft_wrap=True)
    if file.report is None:
        console.print(Text(f"  {file.error}", "red"), soft_wrap=True)
        return
    styles = {"error": "red", "warning": "yellow", "hint": "blue"}
    for number, fault in enumerate(file.report.faults, start=1):
        head = Text(f"  {number}. {fault.severity}, {fault.rule}: ", styles[fault.severity])
        console.print(Text.assemble(head, fault.message), soft_wrap=True)
    good = file.report.strengths
    count = len(file.report.faults)
    console.print(
        f"  {count or 'no'} fault{'' if count == 1 else 's'} under {file.report.rule_set}; "
        f"contrary motion {good.contrary_motion:.0%}, independent rhythm "
        f"{good.independent_rhythm:.0%}"
    )
    for bar, imitation in good.imitations:
        console.print(f"  bar {bar}: {imitation.message}")
