"""Piano rolls as SVG: time to the right, pitch upwards, the two voices in two colours, bars, marks.

One drawing for the validator's page, which brings its own colours, and for images that stand alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from bicinium.atomic_write import atomic_write
from bicinium.music.score import Meter, Score, pitch_name

_TICK_PIXELS = 1.5
_PITCH_PIXELS = 6
_MARGIN = 44
_MOST_TICKS = 96 * 400  # what is longer is drawn so far

# The colours have names so that a page around the image can set them for light and dark.
PIANO_ROLL_CSS = """svg text { font: 10px system-ui, sans-serif; fill: var(--ink); }
.part0 { fill: var(--upper); } .part1 { fill: var(--lower); } .other { fill: #888; }
.open { fill-opacity: .35; stroke: var(--wrong); stroke-dasharray: 3 2; }
.bar { stroke: var(--line); } .octave { stroke: var(--line); stroke-dasharray: 1 5; }
.mark { stroke: var(--wrong); stroke-width: 1.5; }
.flag { fill: var(--wrong); }"""
LIGHT_COLOURS = {
    "paper": "#fff", "ink": "#222", "line": "#ddd", "upper": "#2b6cb0", "lower": "#b7791f",
    "wrong": "#c53030",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RollNote:
    """A note to draw, however it came about; ``closed`` is False where it never ended."""

    part: int
    pitch: int
    onset_tick: int
    offset_tick: int
    closed: bool = True


@dataclass(frozen=True, slots=True)
class Mark:
    """A place to point at, and what to say there."""

    tick: int
    message: str


def roll_notes(score: Score) -> list[RollNote]:
    """The notes of a score."""
    return [
        RollNote(part, note.pitch, note.onset_tick, note.offset_tick)
        for part, voice in enumerate(score.voices)
        for note in voice.notes
    ]


def write_piano_roll(score: Score, path: str | Path) -> None:
    """Write the piano roll of a score as an SVG image that stands alone."""
    image = standalone_svg(draw_piano_roll(roll_notes(score), (), score.meter))
    with atomic_write(Path(path)) as temporary:
        temporary.write_text(image, encoding="utf-8")


def standalone_svg(drawing: str) -> str:
    """A drawing of ``draw_piano_roll`` with paper and colours of its own."""
    style = PIANO_ROLL_CSS
    for name, colour in LIGHT_COLOURS.items():
        style = style.replace(f"var(--{name})", colour)
    head, body = drawing.split(">", 1)
    paper = f'<rect width="100%" height="100%" style="fill: {LIGHT_COLOURS["paper"]}"/>'
    return f"{head}><style>{style}</style>{paper}{body}"


def draw_piano_roll(notes: Sequence[RollNote], marks: Sequence[Mark], meter: Meter) -> str:
    """The piano roll as an SVG element without colours; see ``PIANO_ROLL_CSS``."""
    if not notes and not marks:
        return ""
    low = min((note.pitch for note in notes), default=60) - 2
    high = max((note.pitch for note in notes), default=60) + 2
    ends = [note.offset_tick for note in notes] + [mark.tick for mark in marks]
    last_tick = min(max(ends), _MOST_TICKS)
    height = (high - low + 1) * _PITCH_PIXELS
    width = last_tick * _TICK_PIXELS + 2 * _MARGIN

    def x(tick: int) -> float:
        return _MARGIN + tick * _TICK_PIXELS

    def y(pitch: int) -> int:
        return (high - pitch) * _PITCH_PIXELS + 16

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height + 38}" '
        f'role="img" aria-label="piano roll with {len(marks)} violations">'
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
    for number, mark in enumerate(marks, start=1):
        if mark.tick > last_tick:
            continue
        at, message = x(mark.tick), escape(mark.message)
        parts.append(
            f'<g><title>{number}. {message}</title><line class="mark" x1="{at}" x2="{at}" y1="16" '
            f'y2="{height + 16}"/><circle class="flag" cx="{at}" cy="{height + 18}" r="4"/></g>'
        )
        if at >= free_from:
            parts.append(f'<text x="{at - 3}" y="{height + 34}">{number}</text>')
            free_from = at + 7 * len(str(number)) + 4
    parts.append("</svg>")
    return "".join(parts)
