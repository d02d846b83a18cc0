"""Turn the content that another library gives into a score."""

from __future__ import annotations

from pathlib import Path

from bicinium.errors import ReductionNeededError, ScoreError
from bicinium.formats.grid import quantize as quantize_content
from bicinium.formats.registry import two_voices
from bicinium.music.content import Content
from bicinium.music.score import Score


def score_from_content(content: Content, source: Path, *, reduce: bool, quantize: bool) -> Score:
    """Return the score of one or two voices in some content. ``source`` is for messages.

    Raises ScoreError, which names the argument to pass, if there is more than that.
    """
    try:
        return two_voices(quantize_content(content) if quantize else content, source, reduce)
    except ReductionNeededError as error:
        fix = "quantize=True" if content.notes_off_grid and not quantize else "reduce=True"
        raise ScoreError(f"{error.problem} Pass {fix}.") from error
