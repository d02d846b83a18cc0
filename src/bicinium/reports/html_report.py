"""Show the verdicts on files: one HTML page with a piano roll for each file and its violations
marked, or the roll of a single file as an SVG image.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from bicinium.errors import RequestError
from bicinium.render.piano_roll import Mark, draw_piano_roll, standalone_svg
from bicinium.reports.templates import render_template
from bicinium.reports.verdicts import FileVerdict

PAGE_STYLE = render_template("bicinium.reports", "page.css.j2")
_MAX_LISTED = 500  # violations of a file
_MAX_UNFOLDED = 10  # With more files, only the invalid ones are unfolded.


def html_report(verdicts: Sequence[FileVerdict]) -> str:
    """Return the page for these files, the worst first."""
    invalid = sum(not verdict.valid for verdict in verdicts)
    worst_first = sorted(verdicts, key=lambda verdict: verdict.grammar_score)
    few = len(verdicts) <= _MAX_UNFOLDED
    return render_template(
        "bicinium.reports",
        "validate.html.j2",
        valid=len(verdicts) - invalid,
        invalid=invalid,
        max_listed=_MAX_LISTED,
        sections=[
            {
                "verdict": verdict,
                "open": few or not verdict.valid,
                "roll": Markup(_piano_roll(verdict)),
            }
            for verdict in worst_first
        ],
    )


def svg_report(verdicts: Sequence[FileVerdict]) -> str:
    """Return the piano roll of one file as an SVG image.

    Raises RequestError if there are several files, or if the file has no notes.
    """
    if len(verdicts) != 1:
        raise RequestError(
            f"An SVG image shows one file (got {len(verdicts)}). Write a page instead, such as "
            "report.html."
        )
    (verdict,) = verdicts
    drawing = _piano_roll(verdict)
    if not drawing:
        raise RequestError(f"{verdict.path} has no notes to draw.")
    return standalone_svg(drawing)


def _piano_roll(verdict: FileVerdict) -> str:
    marks = [Mark(v.tick, f"{v.rule}: {v.message}") for v in verdict.violations]
    return draw_piano_roll(verdict.roll, marks, verdict.meter)
