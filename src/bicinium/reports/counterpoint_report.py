"""Show counterpoint reports: marked notes for notation, an HTML page, and the table of a class."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from bicinium.counterpoint.checker import CounterpointReport
from bicinium.counterpoint.rule import Severity
from bicinium.formats.musicxml_writer import NoteMark
from bicinium.render.piano_roll import Mark, draw_piano_roll, roll_notes
from bicinium.reports.templates import render_template

COLOURS = {
    Severity.ERROR: "#C53030",
    Severity.WARNING: "#B7791F",
    Severity.HINT: "#2B6CB0",
}
_ORDER = tuple(COLOURS)  # the most serious first
FULL_MARKS = 100
COSTS = {Severity.ERROR: 10, Severity.WARNING: 3, Severity.HINT: 0}  # marks lost for each fault


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file, and its report or the reason why it has none."""

    path: Path
    report: CounterpointReport | None
    error: str = ""

    @property
    def mark(self) -> int:
        """Return ``FULL_MARKS`` less the cost of each fault, not under 0."""
        if self.report is None:
            return 0
        lost = sum(COSTS[fault.severity] for fault in self.report.faults)
        return max(0, FULL_MARKS - lost)


def note_marks(report: CounterpointReport) -> dict[tuple[int, int], NoteMark]:
    """Return the notes of each fault in the colour of its severity, numbered as in the list.

    A note with several faults has the colour of the most serious one and all numbers.
    """
    found: dict[tuple[int, int], list[tuple[int, Severity, bool]]] = {}
    for number, fault in enumerate(report.faults, start=1):
        for note in fault.notes:
            last = note is fault.notes[-1]
            found.setdefault((note.voice, note.onset_tick), []).append(
                (number, fault.severity, last)
            )
    return {
        place: NoteMark(
            COLOURS[min((severity for _, severity, _ in faults), key=_ORDER.index)],
            " ".join(str(number) for number, _, last in faults if last),
        )
        for place, faults in found.items()
    }


def counterpoint_page(files: Sequence[CheckedFile]) -> str:
    """Return an HTML page with the piano roll and the faults of each file."""
    return render_template(
        "bicinium.reports",
        "check.html.j2",
        costs={str(severity): cost for severity, cost in COSTS.items()},
        full_marks=FULL_MARKS,
        common=most_common_faults(files),
        sections=[
            {"file": each, "roll": Markup(_roll(each.report)) if each.report else ""}
            for each in files
        ],
    )


def _roll(report: CounterpointReport) -> str:
    marks = [Mark(fault.tick, f"{fault.rule}: {fault.fact}") for fault in report.faults]
    return draw_piano_roll(roll_notes(report.score), marks, report.score.meter)


def most_common_faults(files: Sequence[CheckedFile]) -> list[tuple[str, int, int]]:
    """Return (rule, faults, files) of all files, the rule that most files break first."""
    faults: Counter[str] = Counter()
    broken_in: Counter[str] = Counter()
    for each in files:
        names = [fault.rule for fault in each.report.faults] if each.report else []
        faults.update(names)
        broken_in.update(set(names))
    return [
        (rule, faults[rule], count)
        for rule, count in sorted(broken_in.items(), key=lambda item: (-item[1], item[0]))
    ]


def class_table(files: Sequence[CheckedFile]) -> str:
    """Return the table of a class as CSV: a row a file, with its mark and its faults by rule."""
    rules = [rule for rule, _, _ in most_common_faults(files)]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["file", "mark", *(f"{severity}s" for severity in COLOURS), *rules, "problem"])
    for each in files:
        report = each.report
        counts = Counter(fault.rule for fault in report.faults) if report else Counter()
        severities = [report.count(severity) if report else "" for severity in COLOURS]
        mark = each.mark if report else ""
        rows.writerow([each.path, mark, *severities, *(counts[rule] for rule in rules), each.error])
    return text.getvalue()
