"""An evaluation as one self-contained HTML page: the table, plots, pieces to look at and to hear.

What is not installed is left out: without the extra ``engraving`` piano rolls stand for scores,
without ``sound`` there is nothing to hear. Sound is also left out where the page would be large.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from html import escape
from importlib.util import find_spec
from itertools import groupby
from string import Template

import numpy as np

from bicinium.data.piece_record import PieceRecord
from bicinium.evaluation.audio_clips import can_sound, clip
from bicinium.evaluation.distributions import Comparison, Distance, Spread, TwoSampleTest
from bicinium.evaluation.evaluate import Answers, Evaluation
from bicinium.evaluation.summary import Line, number, table, words
from bicinium.music.descriptors import BINS
from bicinium.music.score import Score
from bicinium.render.piano_roll import draw_piano_roll, roll_notes
from bicinium.reports.html_report import PAGE_STYLE

MOST_BYTES = 8_000_000  # of the page; further sound is left out
_SHOWN = 4  # composed pieces, each with the real excerpt that it answers
_LEAST_BIN, _HEIGHT = 28, 110  # pixels
_ROW, _SCALE, _NAMES = 22, 420, 170  # pixels of the strips: a row, 0 to 1, the names

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>bicinium evaluate</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>$style
table { border-collapse: collapse; margin: .4rem 0 1.2rem; }
th, td { padding: .15rem .9rem .15rem 0; text-align: left; border-bottom: 1px solid var(--line); }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
h3 { font-size: 1rem; margin-bottom: .2rem; } tr.section th { padding-top: 1rem; }
.composed { fill: var(--upper); } .real { fill: var(--lower); } .band { fill: var(--line); }
.axis { stroke: var(--line); } .mean { stroke: var(--lower); stroke-width: 3; }
svg.plot { max-width: 100%; height: auto; } figure { margin: 0 0 1.4rem; }
figcaption { margin-bottom: .2rem; }
img.score { width: 100%; max-width: 900px; background: #fff; display: block; }
audio { width: 100%; max-width: 600px; display: block; margin: .4rem 0; }
.key { display: inline-block; width: .8em; height: .8em; }
</style></head><body>
<h1>bicinium evaluate</h1>
<p>Model: $model. Held-out music: $data. Seed $seed.</p>
<h2>Numbers</h2>
<p>Real music is beside the model's where it can be measured alike; of the distances it is the pair
composed–real : real–real.</p>
$table
$plots
$pieces
$left_out
</body></html>
""")
_KEY = (
    '<span class="key" style="background: var(--upper)"></span> composed, '
    '<span class="key" style="background: var(--lower)"></span> real'
)


def page(evaluation: Evaluation) -> str:
    """The page."""
    comparison = evaluation.composed.comparison if evaluation.composed else None
    head = {
        "style": PAGE_STYLE,
        "model": escape(evaluation.model),
        "data": escape(evaluation.data),
        "seed": evaluation.seed,
        "table": _table(table(evaluation)),
        "plots": _plots(comparison) if comparison else "",
        "left_out": _left_out(evaluation),
    }
    room = MOST_BYTES - sum(len(str(part)) for part in head.values())
    pieces = _pieces(evaluation.answers, room) if evaluation.answers else ""
    return _PAGE.substitute(head, pieces=pieces)


def _table(lines: Sequence[Line]) -> str:
    rows = ['<tr><th></th><th class="n">model</th><th class="n">real</th><th>aim</th></tr>']
    for section, of_section in groupby(lines, lambda line: line.section):
        rows.append(f'<tr class="section"><th colspan="4">{escape(section)}</th></tr>')
        rows += [
            f'<tr><td>{escape(line.name)}</td><td class="n">{escape(line.value)}</td>'
            f'<td class="n">{escape(line.real)}</td><td>{escape(line.aim)}'
            + ('  <span class="invalid">missed</span>' if line.met is False else "")
            + "</td></tr>"
            for line in of_section
        ]
    return f"<table>{''.join(rows)}</table>"


def _left_out(evaluation: Evaluation) -> str:
    if not evaluation.left_out:
        return ""
    rows = "".join(
        f"<tr><td>{escape(one.name)}</td><td>{escape(one.reason)}</td></tr>"
        for one in evaluation.left_out
    )
    return f"<h2>Left out</h2><table><tr><th>piece</th><th>reason</th></tr>{rows}</table>"


# ------------------------------------------------------------------ plots


def _plots(comparison: Comparison) -> str:
    parts = [f"<h2>Distributions</h2><p>{_KEY}. Shares of all.</p>"]
    parts += [
        f"<figure><figcaption>{escape(words(one.name))}: overlap {one.overlap:.3f}, of real with "
        f"real {one.overlap_of_real:.3f}</figcaption>{_bars(one)}</figure>"
        for one in comparison.distances
    ]
    parts.append(
        "<h2>Phrases and motifs</h2><p>Grey: where 90 % of the real pieces lie. "
        f"Means: {_KEY}.</p>{_strips((*comparison.phrases, *comparison.motifs))}"
    )
    if comparison.two_sample:
        parts.append(_telling(comparison.two_sample))
    return "".join(parts)


def _bars(distance: Distance) -> str:
    """Two bars for each bin, as high as its share."""
    names = BINS[distance.name]
    pairs = list(zip(names, distance.composed_shares, distance.real_shares, strict=True))
    most = max(max(ours, real) for _, ours, real in pairs) or 1.0
    wide = max(_LEAST_BIN, 7 * max(map(len, names)) + 6)
    parts = []
    for index, (name, *shares) in enumerate(pairs):
        x = index * wide
        for side, (kind, share) in enumerate(zip(("composed", "real"), shares, strict=True)):
            height = _HEIGHT * share / most
            parts.append(
                f'<rect class="{kind}" x="{x + 3 + side * (wide - 6) / 2:.1f}" '
                f'y="{_HEIGHT - height:.1f}" width="{(wide - 6) / 2 - 1:.1f}" '
                f'height="{height:.1f}"><title>{escape(name)}, {kind}: {share:.1%}</title></rect>'
            )
        parts.append(
            f'<text x="{x + wide / 2:.0f}" y="{_HEIGHT + 13}" text-anchor="middle">'
            f"{escape(name)}</text>"
        )
    width = len(pairs) * wide
    parts.append(f'<line class="axis" x1="0" x2="{width}" y1="{_HEIGHT}" y2="{_HEIGHT}"/>')
    return _svg(width, _HEIGHT + 18, f"histogram of {words(distance.name)}", parts)


def _strips(spreads: Sequence[Spread]) -> str:
    """For each measure, from 0 to 1, the real range and both means."""
    parts = []
    for row, one in enumerate(spreads):
        y = row * _ROW
        low, high, real, ours = (
            _NAMES + _SCALE * min(1.0, max(0.0, float(np.nan_to_num(value))))
            for value in (one.low, one.high, one.real_mean, one.composed_mean)
        )
        about = f"real {number(one.real_mean)}, composed {number(one.composed_mean)}"
        parts.append(
            f"<g><title>{escape(words(one.name))}: {about}</title>"
            f'<text x="0" y="{y + 15}">{escape(words(one.name))}</text>'
            f'<rect class="band" x="{low:.1f}" y="{y + 4}" width="{max(2.0, high - low):.1f}" '
            f'height="{_ROW - 8}"/>'
            f'<line class="mean" x1="{real:.1f}" x2="{real:.1f}" y1="{y + 2}" y2="{y + _ROW - 2}"/>'
            f'<circle class="composed" cx="{ours:.1f}" cy="{y + _ROW / 2}" r="5"/></g>'
        )
    bottom = len(spreads) * _ROW
    for tenth in range(0, 11, 2):
        x = _NAMES + _SCALE * tenth / 10
        parts.append(f'<text x="{x}" y="{bottom + 14}" text-anchor="middle">{tenth / 10:g}</text>')
    return _svg(_NAMES + _SCALE + 20, bottom + 20, "measures of phrases and motifs", parts)


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="plot" xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def _telling(test: TwoSampleTest) -> str:
    """The features by which a classifier tells the two apart."""
    head = "".join(
        f'<th class="n">{name}</th>' for name in ("AUC lost", "AUC alone", "composed", "real")
    )
    rows = "".join(
        f"<tr><td>{escape(one.name)}</td>"
        + "".join(
            f'<td class="n">{number(value)}</td>'
            for value in (one.importance, one.alone, one.composed_mean, one.real_mean)
        )
        + "</tr>"
        for one in test.telling
    )
    return (
        "<h2>What gives composed pieces away</h2><p>Area under the curve of a classifier "
        f"(AUC) {number(test.auc)} ± {test.error:.3f}, between halves of the real music "
        f"{number(test.control)}. For each feature: what is lost where it is shuffled; the AUC of "
        "the feature alone, over 0.5 where composed pieces have more of it; means.</p>"
        f"<table><tr><th></th>{head}</tr>{rows}</table>"
    )


# ------------------------------------------------------------------ pieces


def _pieces(answers: Answers, room: int) -> str:
    """Some composed pieces, each beside the excerpt it answers, in at most about ``room`` bytes."""
    count = len(answers.scores)
    parts = ["<h2>Pieces</h2>"]
    for index in np.unique(np.linspace(0, count - 1, min(_SHOWN, count)).astype(int)).tolist():
        excerpt = answers.excerpts[index]
        seed = answers.compositions[index].seed
        first = excerpt.first_bar + 1
        last = excerpt.first_bar + excerpt.score.bars
        for title, score in (
            (f"Composed, seed {seed}", answers.scores[index]),
            (f"Real: {_credit(excerpt.piece)}; bars {first} to {last}", excerpt.score),
        ):
            about = f"{score.key}, {score.meter}, {score.bars} bars, {score.tempo_qpm:.0f} quarters"
            for part in (
                f"<h3>{escape(title)}</h3><p>{about} a minute</p>{_picture(score)}",
                *_sound(score),
            ):
                if len(part) <= room:
                    parts.append(part)
                    room -= len(part)
    return "".join(parts)


def _credit(piece: PieceRecord) -> str:
    """Whose the music is, and whom its licence asks to be named."""
    named = ", ".join(filter(None, (piece.composer, piece.title))) or piece.name
    terms = ", ".join(filter(None, (piece.licence, piece.credit)))
    return f"{named} ({terms})" if terms else named


def _picture(score: Score) -> str:
    if find_spec("verovio"):
        from bicinium.render.engraving import engrave

        (svg,) = engrave(score, one_page=True)
        data = base64.b64encode(svg.encode()).decode()
        return f'<img class="score" alt="the score" src="data:image/svg+xml;base64,{data}">'
    roll = draw_piano_roll(roll_notes(score), (), score.meter)
    return f'<div class="roll" tabindex="0">{roll}</div>'


def _sound(score: Score) -> Iterator[str]:
    if can_sound():
        yield f'<audio controls preload="none" src="{clip(score)}"></audio>'
