"""Convert scores to music21 streams and back.

Both directions go through MusicXML, which both sides read and write. Notes, velocities, spelling,
key, mode, metre, upbeat, ties, tuplets, clefs, tempo, title and composer are kept.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from bicinium.adapters.content import score_from_content
from bicinium.errors import ScoreError
from bicinium.formats.musicxml_reader import parse_content, parse_xml
from bicinium.formats.musicxml_writer import to_musicxml
from bicinium.music.score import Score
from bicinium.optional_imports import import_optional

_SOURCE = Path("The music21 stream")  # for messages


def to_music21(score: Score) -> Any:
    """Return a score as a ``music21.stream.Score`` of two staves.

    Raises ScoreError for a score without two voices, MissingExtraError without music21.
    """
    music21 = import_optional("music21", "notation", "to_music21")
    # Where one staff rests for the whole bar, music21 takes the first rest of the other for one,
    # too. Without the attribute it goes by the durations.
    text = to_musicxml(score).replace('<rest measure="yes"/>', "<rest/>")
    stream = music21.converter.parseData(text, format="musicxml")
    for mark in stream.recurse().getElementsByClass("MetronomeMark"):
        mark.numberSounding = score.tempo_qpm / mark.referent.quarterLength  # printed: rounded
    return stream


def from_music21(
    stream: Any, *, reduce: bool = False, quantize: bool = False, unfold: bool = False
) -> Score:
    """Return the score of a music21 stream of one or two voices.

    A single line is the upper voice. The options are those of ``bicinium.read``: ``reduce`` takes
    the outer voices and the first section of one metre, ``quantize`` moves notes to the grid,
    ``unfold`` plays repeats. ``Score.losses`` lists what was left out. The stream is not changed.

    Raises ScoreError for what is no stream, has no notes or is more than two voices, and
    MissingExtraError without music21.
    """
    music21 = import_optional("music21", "notation", "from_music21")
    if not isinstance(stream, music21.stream.Stream):
        raise ScoreError(
            f"from_music21 takes a music21 stream (got {type(stream).__name__}). "
            "Parse a file first: music21.converter.parse(path)."
        )
    from music21.musicxml.m21ToXml import GeneralObjectExporter

    try:
        text = GeneralObjectExporter().parse(stream)
    except (music21.exceptions21.Music21Exception, ValueError, TypeError) as error:
        raise ScoreError(f"{_SOURCE} cannot be written as MusicXML: {error}") from error
    content = parse_content(parse_xml(text, _SOURCE), _SOURCE, unfold)
    about = stream.metadata  # music21 writes a title of its own where there is none
    content = replace(
        content,
        title=(about and about.bestTitle) or "",
        composer=(about and about.composer) or "",
        tempo_qpm=_exact_tempo(stream, content.tempo_qpm),
    )
    return score_from_content(content, _SOURCE, reduce=reduce, quantize=quantize)


def _exact_tempo(stream: Any, written_qpm: float) -> float:
    """Return the tempo of the mark that was written; music21 rounds the last digits in writing."""
    for mark in stream.recurse().getElementsByClass("MetronomeMark"):
        exact = (mark.numberSounding or 0) * float(mark.referent.quarterLength)
        if math.isclose(exact, written_qpm, rel_tol=1e-12):
            return exact
    return written_qpm
