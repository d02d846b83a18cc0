"""The validator's findings as one self-contained HTML page: a piano roll for each file, with every
violation marked at its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from string import Template

from bicinium.grammar.files import FileVerdict, RollNote
from bicinium.grammar.validate import Violation
from bicinium.score.notes import Meter, pitch_name

_TICK_PIXELS = 1.5
_PITCH_PIXELS = 6
_MARGIN = 44
_MOST_ROLL_TICKS = 96 * 400  # what is longer is drawn so far
_MOST_LISTED = 500
_MOST_UNFOLDED = 10  # files; of more, only what is invalid is shown at once

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #222; --line: #ddd; --upper: #2b6cb0;
  --lower: #b7791f; --wrong: #c53030; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181c; --ink: #e6e6e6; --line: #333;
  --upper: #63a4e8; --lower: #e0a94a; --wrong: #fc8181; } }
body { font: 15px/1.45 system-ui, sans-serif; background: var(--paper); color: var(--ink);
  margin: 2rem; }
h2 { font-size: 1.05rem; overflow-wrap: anywhere; }
.roll { overflow-x: auto; border: 1px solid var(--line); }
.invalid { color: var(--wrong); font-weight: 600; }
svg text { font: 10px system-ui, sans-serif; fill: var(--ink); }
.part0 { fill: var(--upper); } .part1 { fill: var(--lower); } .other { fill: #888; }
.open { fill-opacity: .35; stroke: var(--wrong); stroke-dasharray: 3 2; }
summary { cursor: pointer; margin-top: 1.6rem; } summary h2 { display: inline; }
summary p { margin: .2rem 0 .5rem; }
.bar { stroke: var(--line); } .octave { stroke: var(--line); stroke-dasharray: 1 5; }
.mark { stroke: var(--wrong); stroke-width: 1.5; }
.flag { fill: var(--wrong); }"""

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
    return _PAGE.substitute(style=STYLE, summary=summary, files="\n".join(sections))


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
        f"{roll(verdict.roll, verdict.violations, verdict.meter)}\n"
        f"<ol>{listed}</ol>{more}</details>"
    )


def roll(notes: Sequence[RollNote], violations: Sequence[Violation], meter: Meter) -> str:
    """The piano roll as SVG in HTML, time to the right, pitch upwards; STYLE has its colours."""
    if not notes and not violations:
        return ""
    low = min((note.pitch for note in notes), default=60) - 2
    high = max((note.pitch for note in notes), default=60) + 2
    ends = [note.offset_tick for note in notes] + [violation.tick for violation in violations]
    last_tick = min(max(ends), _MOST_ROLL_TICKS)
    height = (high - low + 1) * _PITCH_PIXELS
    width = last_tick * _TICK_PIXELS + 2 * _MARGIN

    def x(tick: int) -> float:
        return _MARGIN + tick * _TICK_PIXELS

    def y(pitch: int) -> int:
        return (high - pitch) * _PITCH_PIXELS + 16

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height + 38}" '
        f'role="img" aria-label="piano roll with {len(violations)} violations">'
    ]
    for bar, tick in enumerate(range(0, last_tick + 1, meter.bar_ticks)):
        parts.append(
            f'<line class="bar" x1="{x(tick)}" x2="{x(tick)}" y1="16" y2="{height + 16}"/>'
        )
        parts.append(f'<text x="{x(tick) + 2}" y="11">{bar + 1}</text>')
    for pitch in range(low, high + 1):
        if pitch % 12 == 0:
            at = y(pitch) + _PITCH_PIXELS / 2
            parts.append(f'<text x="4" y="{y(pitch) + 6}">{pitch_name(pitch)}</text>')
            parts.append(
                f'<line class="octave" x1="{x(0)}" x2="{x(last_tick)}" y1="{at}" y2="{at}"/>'
            )
    for note in notes:
        if note.onset_tick >= last_tick:
            continue
        kind = f"part{note.part}" if note.part < 2 else "other"
        length = max(2.0, (min(note.offset_tick, last_tick) - note.onset_tick) * _TICK_PIXELS - 1)
        parts.append(
            f'<rect class="{kind}{"" if note.closed else " open"}" x="{x(note.onset_tick)}" '
            f'y="{y(note.pitch)}" width="{length:.1f}" height="{_PITCH_PIXELS - 1}">'
            f"<title>{pitch_name(note.pitch)}</title></rect>"
        )
    free_from = 0.0  # where the next number can stand without covering the one before
    for number, violation in enumerate(violations, start=1):
        if violation.tick > last_tick:
            continue
        at, message = x(violation.tick), escape(f"{violation.rule}: {violation.message}")
        parts.append(
            f'<g><title>{number}. {message}</title><line class="mark" x1="{at}" x2="{at}" y1="16" '
            f'y2="{height + 16}"/><circle class="flag" cx="{at}" cy="{height + 18}" r="4"/></g>'
        )
        if at >= free_from:
            parts.append(f'<text x="{at - 3}" y="{height + 34}">{number}</text>')
            free_from = at + 7 * len(str(number)) + 4
    parts.append("</svg>")
    return f'<div class="roll" tabindex="0">{"".join(parts)}</div>'
