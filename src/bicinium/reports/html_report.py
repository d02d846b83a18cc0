"""The validator's findings as one self-contained HTML page: a piano roll for each file, with every
violation marked at its place; or the roll of one file as an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from string import Template

from bicinium.errors import RequestError
from bicinium.render.piano_roll import (
    LIGHT_COLOURS,
    PIANO_ROLL_CSS,
    Mark,
    draw_piano_roll,
    standalone_svg,
)
from bicinium.reports.verdicts import FileVerdict

_MOST_LISTED = 500
_MOST_UNFOLDED = 10  # files; of more, only what is invalid is shown at once

# What the pages of reports share; the page of a corpus uses it too.
PAGE_STYLE = (
    ":root { color-scheme: light dark; "
    + " ".join(f"--{name}: {colour};" for name, colour in LIGHT_COLOURS.items())
    + """ }
@media (prefers-color-scheme: dark) { :root { --paper: #16181c; --ink: #e6e6e6; --line: #333;
  --upper: #63a4e8; --lower: #e0a94a; --wrong: #fc8181; } }
body { font: 15px/1.45 system-ui, sans-serif; background: var(--paper); color: var(--ink);
  margin: 2rem; }
h2 { font-size: 1.05rem; overflow-wrap: anywhere; }
.roll { overflow-x: auto; border: 1px solid var(--line); }
.invalid { color: var(--wrong); font-weight: 600; }
summary { cursor: pointer; margin-top: 1.6rem; } summary h2 { display: inline; }
summary p { margin: .2rem 0 .5rem; }
"""
    + PIANO_ROLL_CSS
)

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>bicinium validate</title>
<style>$style
</style></head><body>
<h1>bicinium validate</h1>
<p>$summary The upper voice is blue, the lower one brown; a red line marks a violation (its number
leads to the list; rest the pointer on it to read it), a dashed note never ended.</p>
$files
</body></html>
""")


def html_report(verdicts: Sequence[FileVerdict]) -> str:
    """The page for these files, worst first."""
    invalid = sum(not verdict.valid for verdict in verdicts)
    summary = f"{len(verdicts) - invalid} valid, {invalid} invalid."
    worst_first = sorted(verdicts, key=lambda verdict: verdict.grammar_score)
    few = len(verdicts) <= _MOST_UNFOLDED
    sections = (_section(verdict, few or not verdict.valid) for verdict in worst_first)
    return _PAGE.substitute(style=PAGE_STYLE, summary=summary, files="\n".join(sections))


def _section(verdict: FileVerdict, unfolded: bool) -> str:
    word = "valid" if verdict.valid else '<span class="invalid">invalid</span>'
    listed = "".join(
        f"<li><b>{escape(violation.rule)}</b>: {escape(violation.message)}</li>"
        for violation in verdict.violations[:_MOST_LISTED]
    )
    hidden = len(verdict.violations) - _MOST_LISTED
    more = f"<p>and {hidden} more</p>" if hidden > 0 else ""
    notes = f"{verdict.notes} note{'' if verdict.notes == 1 else 's'}"
    return (
        f"<details{' open' if unfolded else ''}>"
        f"<summary><h2>{escape(str(verdict.path))}</h2>\n"
        f"<p>{word}, grammar score {verdict.grammar_score:.3f}, {notes}, "
        f"judged as {escape(verdict.judged_as)}</p></summary>\n"
        f"{_roll(verdict)}\n<ol>{listed}</ol>{more}</details>"
    )


def svg_report(verdicts: Sequence[FileVerdict]) -> str:
    """The piano roll of one file as an image. Raises RequestError for more, or for an empty one."""
    if len(verdicts) != 1:
        raise RequestError(
            f"an SVG image shows one file, not {len(verdicts)}: ask for a page, like report.html"
        )
    (verdict,) = verdicts
    drawing = _drawing(verdict)
    if not drawing:
        raise RequestError(f"there is nothing to draw in {verdict.path}")
    return standalone_svg(drawing)


def _roll(verdict: FileVerdict) -> str:
    drawing = _drawing(verdict)
    return f'<div class="roll" tabindex="0">{drawing}</div>' if drawing else ""


def _drawing(verdict: FileVerdict) -> str:
    marks = [Mark(v.tick, f"{v.rule}: {v.message}") for v in verdict.violations]
    return draw_piano_roll(verdict.roll, marks, verdict.meter)
