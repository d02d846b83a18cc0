"""Draw piano rolls as SVG: time to the right, pitch upwards, one colour for each voice.

The same drawing serves HTML pages, which set its colours, and images that stand alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from bicinium.atomic_write import atomic_write
from bicinium.music.score import VOICES, Meter, Score, pitch_name

_PIXELS_PER_TICK = 1.5
_PIXELS_PER_SEMITONE = 6
_MARGIN_PIXELS = 44  # left and right
_TOP_PIXELS = 16  # above the highest pitch, for the bar numbers
_BOTTOM_PIXELS = 22  # below the lowest pitch, for the numbers of marks
_MARGIN_SEMITONES = 2  # above the highest and below the lowest note
_MIN_NOTE_PIXELS = 2.0
_MAX_TICKS = 96 * 400  # A longer piece is drawn only up to here.

# CSS variables name the colours, so that a page can set them for light and dark.
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
    """A note to draw. ``closed`` is False if it never ends."""

    part: int
    pitch: int
    onset_tick: int
    offset_tick: int
    closed: bool = True


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line at ``tick`` with a message."""

    tick: int
    message: str


def roll_notes(score: Score) -> list[RollNote]:
    """Return the notes of a score for drawing."""
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
    """Return a drawing of ``draw_piano_roll`` with a white background and fixed colours."""
    style = PIANO_ROLL_CSS
    for name, colour in LIGHT_COLOURS.items():
        style = style.replace(f"var(--{name})", colour)
    head, body = drawing.split(">", 1)
    paper = f'<rect width="100%" height="100%" style="fill: {LIGHT_COLOURS["paper"]}"/>'
    return f"{head}><style>{style}</style>{paper}{body}"


def draw_piano_roll(notes: Sequence[RollNote], marks: Sequence[Mark], meter: Meter) -> str:
    """Return the piano roll as an SVG element; see ``PIANO_ROLL_CSS`` for its colours.

    The result is empty if there are neither notes nor marks.
    """
    if not notes and not marks:
        return ""
    ends = [note.offset_tick for note in notes] + [mark.tick for mark in marks]
    canvas = _Canvas(
        lowest=min((note.pitch for note in notes), default=60) - _MARGIN_SEMITONES,
        highest=max((note.pitch for note in notes), default=60) + _MARGIN_SEMITONES,
        last_tick=min(max(ends), _MAX_TICKS),
    )
    width = canvas.last_tick * _PIXELS_PER_TICK + 2 * _MARGIN_PIXELS
    height = canvas.bottom + _BOTTOM_PIXELS
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" '
            f'role="img" aria-label="piano roll with {len(marks)} violations">',
            *_bar_lines(canvas, meter),
            *_octave_lines(canvas),
            *(_note(canvas, note) for note in notes if note.onset_tick < canvas.last_tick),
            *_marks(canvas, marks),
            "</svg>",
        ]
    )


@dataclass(frozen=True, slots=True)
class _Canvas:
    """The pitches and ticks of a drawing, and their coordinates in pixels."""

    lowest: int
    highest: int
    last_tick: int

    @property
    def bottom(self) -> int:
        return (self.highest - self.lowest + 1) * _PIXELS_PER_SEMITONE + _TOP_PIXELS

    def x(self, tick: int) -> float:
        return _MARGIN_PIXELS + tick * _PIXELS_PER_TICK

    def y(self, pitch: int) -> int:
        """Return the top edge of a pitch."""
        return (self.highest - pitch) * _PIXELS_PER_SEMITONE + _TOP_PIXELS


def _bar_lines(canvas: _Canvas, meter: Meter) -> Iterator[str]:
    for bar, tick in enumerate(range(0, canvas.last_tick + 1, meter.bar_ticks)):
        x = canvas.x(tick)
        yield f'<line class="bar" x1="{x}" x2="{x}" y1="{_TOP_PIXELS}" y2="{canvas.bottom}"/>'
        yield f'<text x="{x + 2}" y="11">{bar + 1}</text>'


def _octave_lines(canvas: _Canvas) -> Iterator[str]:
    """Yield a line and a label at each C."""
    x1, x2 = canvas.x(0), canvas.x(canvas.last_tick)
    for pitch in range(canvas.lowest, canvas.highest + 1):
        if pitch % 12 == 0:
            y = canvas.y(pitch) + _PIXELS_PER_SEMITONE / 2
            yield f'<text x="4" y="{canvas.y(pitch) + 6}">{pitch_name(pitch)}</text>'
            yield f'<line class="octave" x1="{x1}" x2="{x2}" y1="{y}" y2="{y}"/>'


def _note(canvas: _Canvas, note: RollNote) -> str:
    css_class = f"part{note.part}" if note.part < VOICES else "other"
    if not note.closed:
        css_class += " open"
    ticks = min(note.offset_tick, canvas.last_tick) - note.onset_tick
    width = max(_MIN_NOTE_PIXELS, ticks * _PIXELS_PER_TICK - 1)
    return (
        f'<rect class="{css_class}" x="{canvas.x(note.onset_tick)}" y="{canvas.y(note.pitch)}" '
        f'width="{width:.1f}" height="{_PIXELS_PER_SEMITONE - 1}">'
        f"<title>{pitch_name(note.pitch)}</title></rect>"
    )


def _marks(canvas: _Canvas, marks: Sequence[Mark]) -> Iterator[str]:
    """Yield the marks with their numbers. A number that would cover the previous is left out."""
    free_x = 0.0
    for number, mark in enumerate(marks, start=1):
        if mark.tick > canvas.last_tick:
            continue
        x, bottom = canvas.x(mark.tick), canvas.bottom
        yield (
            f"<g><title>{number}. {escape(mark.message)}</title>"
            f'<line class="mark" x1="{x}" x2="{x}" y1="{_TOP_PIXELS}" y2="{bottom}"/>'
            f'<circle class="flag" cx="{x}" cy="{bottom + 2}" r="4"/></g>'
        )
        if x >= free_x:
            yield f'<text x="{x - 3}" y="{bottom + 18}">{number}</text>'
            free_x = x + 7 * len(str(number)) + 4
