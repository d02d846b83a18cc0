"""Convert scores to symusic and back, and to pretty_midi, through MIDI.

They hold what MIDI holds: notes, velocities, metre, upbeat, key, mode and tempo. Spelling, clefs,
title and composer have no place there.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from bicinium.adapters.content import score_from_content
from bicinium.errors import ScoreError
from bicinium.formats.midi import midi_content, parse_midi_events
from bicinium.formats.midi_writer import to_midi
from bicinium.formats.musicxml_values import SOFTWARE
from bicinium.music.score import Score
from bicinium.optional_imports import import_optional

_SOURCE = Path("The symusic score")  # for messages


def to_symusic(score: Score) -> Any:
    """Return a score as a ``symusic.Score`` in ticks, with one track for each voice.

    Its marker ``bicinium`` says that the mode of the key is certain: many programs write "major"
    by default. Raises MidiFileError for what MIDI cannot hold, MissingExtraError without symusic.
    """
    symusic = import_optional("symusic", "midi", "to_symusic")
    converted = symusic.Score.from_midi(_midi_bytes(score, _SOURCE))
    converted.markers.append(symusic.TextMeta(0, SOFTWARE))
    return converted


def from_symusic(source: Any, *, reduce: bool = False, quantize: bool = False) -> Score:
    """Return the score of a ``symusic.Score``, in ticks, quarters or seconds.

    The options are those of ``bicinium.read``. Raises ScoreError for what is no score of symusic,
    has no notes or is more than two voices, and MissingExtraError without symusic.
    """
    import_optional("symusic", "midi", "from_symusic")
    if not (hasattr(source, "to") and hasattr(source, "dumps_midi")):
        raise ScoreError(
            f"from_symusic takes a symusic.Score (got {type(source).__name__}). "
            "Read a file first: symusic.Score(path)."
        )
    content = midi_content(parse_midi_events(source.to("tick").dumps_midi(), _SOURCE), _SOURCE)
    return score_from_content(content, _SOURCE, reduce=reduce, quantize=quantize)


def to_pretty_midi(score: Score) -> Any:
    """Return a score as a ``pretty_midi.PrettyMIDI``, with one instrument for each voice.

    Raises MidiFileError for what MIDI cannot hold, MissingExtraError without pretty_midi.
    """
    pretty_midi = import_optional("pretty_midi", "midi", "to_pretty_midi")
    return pretty_midi.PrettyMIDI(io.BytesIO(_midi_bytes(score, Path("The PrettyMIDI object"))))


def _midi_bytes(score: Score, target: Path) -> bytes:
    file = io.BytesIO()
    to_midi(score, target).save(file=file)
    return file.getvalue()
