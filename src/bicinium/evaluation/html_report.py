"""An evaluation as one self-contained HTML page: summary, plots, and pieces with score and sound.

Piano rolls replace engraved scores if the extra ``engraving`` is not installed. There is no sound
without the extra ``sound``, or if it would make the page too large.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import groupby

import numpy as np

from bicinium.evaluation.audio_clips import audio_data_uri, is_mp3_available
from bicinium.evaluation.evaluate import Evaluation
from bicinium.evaluation.paired_pieces import PairedPieces
from bicinium.evaluation.plots import histogram_plot, range_plot
from bicinium.evaluation.summary import format_number, summary_rows
from bicinium.music.score import Score
from bicinium.render.piano_roll import draw_piano_roll, roll_notes
from bicinium.reports.html_report import PAGE_STYLE
from bicinium.reports.templates import render_template

MAX_BYTES = 8_000_000  # of the pieces in a page
PAIRS_SHOWN = 4

DataUri = Callable[[Score], str]


@dataclass(frozen=True, slots=True)
class ShownPiece:
    """A piece in the page. The strings are empty if there is nothing to show."""

    title: str
    properties: str
    engraving: str = ""  # data URI of an image
    piano_roll: str = ""  # SVG
    audio: str = ""  # data URI


def engraved_data_uri(score: Score) -> str:
    """Engrave a score as an SVG data URI."""
    from bicinium.render.engraving import engrave

    (svg,) = engrave(score, one_page=True)
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def installed_engraver() -> DataUri | None:
    """Return the function that engraves, or None if it is not installed."""
    return engraved_data_uri if find_spec("verovio") else None


def installed_audio() -> DataUri | None:
    """Return the function that renders sound, or None where only large WAV can be written."""
    return audio_data_uri if is_mp3_available() else None


def render_report(
    evaluation: Evaluation,
    pairs_shown: int = PAIRS_SHOWN,
    engrave: DataUri | None = None,
    encode_audio: DataUri | None = None,
) -> str:
    """Return the page.

    engrave: returns an image of a score; piano rolls are shown if it is None.
    encode_audio: returns the sound of a score; there is none if it is None.
    """
    comparison = evaluation.composed.comparison if evaluation.composed else None
    rows = summary_rows(evaluation)
    return render_template(
        "bicinium.evaluation",
        "report.html.j2",
        style=PAGE_STYLE,
        evaluation=evaluation,
        sections=[(name, list(group)) for name, group in groupby(rows, lambda row: row.section)],
        histograms=[histogram_plot(one) for one in comparison.distances] if comparison else [],
        ranges=range_plot((*comparison.phrases, *comparison.motifs)) if comparison else None,
        test=comparison.two_sample if comparison else None,
        pieces=_shown_pieces(evaluation.pairs, pairs_shown, engrave, encode_audio)
        if evaluation.pairs
        else [],
        format_number=format_number,
    )


def _shown_pieces(
    pairs: PairedPieces, count: int, engrave: DataUri | None, encode_audio: DataUri | None
) -> list[ShownPiece]:
    """Return some composed pieces, each followed by its excerpt, in about ``MAX_BYTES``."""
    shown: list[ShownPiece] = []
    remaining = MAX_BYTES
    last = len(pairs.scores) - 1
    for index in np.unique(np.linspace(0, last, min(count, last + 1)).astype(int)).tolist():
        excerpt = pairs.excerpts[index]
        for title, score in (
            (f"Composed, seed {pairs.compositions[index].seed}", pairs.scores[index]),
            (f"Real: {excerpt.description}", excerpt.score),
        ):
            engraving = engrave(score) if engrave else ""
            roll = "" if engrave else draw_piano_roll(roll_notes(score), (), score.meter)
            size = len(engraving) + len(roll)
            if size > remaining:
                continue
            audio = encode_audio(score) if encode_audio else ""
            if size + len(audio) > remaining:
                audio = ""
            remaining -= size + len(audio)
            properties = (
                f"{score.key}, {score.meter}, {score.bars} bars, "
                f"{score.tempo_qpm:.0f} quarter notes per minute"
            )
            shown.append(ShownPiece(title, properties, engraving, roll, audio))
    return shown
