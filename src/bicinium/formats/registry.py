"""Read music files of every format: the suffix of a file selects its reader.

To add a format, write a reader and list its suffixes in ``READERS``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bicinium.errors import (
    BiciniumError,
    ReaderFaultError,
    ReductionNeededError,
    ScoreError,
    describe_fault,
)
from bicinium.formats.abc_reader import read_abc
from bicinium.formats.grid import quantize as quantize_content
from bicinium.formats.kern_reader import read_kern
from bicinium.formats.mei_reader import read_mei
from bicinium.formats.midi import read_midi
from bicinium.formats.musicxml_reader import MUSICXML_SUFFIXES, read_musicxml
from bicinium.memory_limit import memory_limit
from bicinium.music.content import Content
from bicinium.music.losses import Loss, LossKind
from bicinium.music.score import Score, Voice
from bicinium.music.voice_reduction import as_single_voice, reduce_to_two_voices
from bicinium.time_limit import time_limit

MAX_SECONDS = 30  # of processor time for one file; the longest sonatas take two
MAX_MEMORY_BYTES = 2 * 2**30  # for one file
MIDI_SUFFIXES = (".mid", ".midi", ".kar", ".rmi", ".smf")

READERS: dict[str, Callable[[Path, bool], Content]] = {
    **dict.fromkeys(MUSICXML_SUFFIXES, read_musicxml),
    ".krn": read_kern,
    ".kern": read_kern,
    ".abc": read_abc,
    ".mei": read_mei,
}
_MAX_EXTRA_SHARE = 0.02  # of notes in neither voice, such as those of a last chord
MUSIC_SUFFIXES = (*MIDI_SUFFIXES, *READERS)
NOTATION_SUFFIXES = tuple(READERS)


def find_music(folder: Path) -> list[Path]:
    """Return everything below a folder that is named like a music file, in a fixed order.

    Links to folders are not followed, so that no folder is searched twice. What is no regular file,
    or is a folder that cannot be opened, is listed and refused when it is read.
    """
    closed: list[Path] = []
    found = [
        Path(parent) / name
        for parent, folders, names in os.walk(folder, onerror=lambda e: closed.append(e.filename))
        for name in (*folders, *names)
        if Path(name).suffix.lower() in MUSIC_SUFFIXES
    ]
    return sorted({*found, *map(Path, closed)})


def read_music(path: str | Path, *, quantize: bool = False, unfold: bool = False) -> Content:
    """Read a music file. A suffix without a reader is read as MIDI.

    With ``quantize``, a recording is moved to sixteenths and triplet eighths. With ``unfold``,
    repeats are played. Raises a ScoreError, such as MidiFileError or NotationFileError, if the file
    cannot be read or has no notes.
    """
    path = Path(path)
    reader = READERS.get(path.suffix.lower())
    slow = ScoreError(f"{path} takes over {MAX_SECONDS} seconds to read, which no music needs.")
    try:
        with time_limit(MAX_SECONDS, slow), memory_limit(MAX_MEMORY_BYTES):
            content = reader(path, unfold) if reader else read_midi(path)
            return quantize_content(content) if quantize else content
    except BiciniumError:
        raise
    except RecursionError as error:
        raise ScoreError(f"{path} nests its elements too deeply.") from error
    except MemoryError as error:
        raise ScoreError(f"{path} takes over {MAX_MEMORY_BYTES / 2**30:g} GiB to read.") from error
    except Exception as error:  # One file must never end the reading of many.
        raise ReaderFaultError(f"{path} cannot be read. {describe_fault(error)}") from error


def read_score(
    path: str | Path, reduce: bool = False, *, quantize: bool = False, unfold: bool = False
) -> Score:
    """Read a score of one or two voices. A single line is the upper voice.

    A file of two voices may have a few notes more (2 %), which are left out.
    With ``reduce``, a file with more than two voices gives its outer voices, one with several
    metres gives its first section in one metre, and a recording is quantised. Otherwise such a file
    raises ScoreError. ``Score.losses`` lists what reading left out. See ``read_music``.
    """
    path = Path(path)
    return two_voices(read_music(path, quantize=quantize, unfold=unfold), path, reduce)


def two_voices(content: Content, path: Path, reduce: bool) -> Score:
    """Return the score of one or two voices in some content; see ``read_score``.

    ``path`` is for messages.
    """
    if reduce and content.notes_off_grid:
        content = quantize_content(content)
    line = as_single_voice(content, 0)
    if line is not None:
        _require_two_voices(path, content, sections=1, lost_notes=0)
        return line
    pieces = reduce_to_two_voices(content)
    first = pieces[0]
    if not reduce:
        _require_two_voices(path, content, len(pieces), first.notes_dropped + first.notes_shortened)
    if len(pieces) > 1:
        sections = Loss(LossKind.SECTIONS, len(pieces) - 1)
        return replace(first.score, losses=(*first.score.losses, sections))
    return first.score


def read_voice(
    path: str | Path, part: int, *, quantize: bool = False, unfold: bool = False
) -> Score:
    """Read one voice: ``part`` 0 is the upper, 1 the lower. The other voice of the score is silent.

    A file with a single line gives that line. A file with two voices gives the one that ``part``
    selects. Any other file raises ScoreError.
    """
    path = Path(path)
    content = read_music(path, quantize=quantize, unfold=unfold)
    line = as_single_voice(content, part)
    if line is not None:
        _require_two_voices(path, content, sections=1, lost_notes=0)
        return line
    if len(content.staves) == len(content.meters) == 1 and not content.notes_off_grid:
        raise ScoreError(
            f"{path} has notes that sound together in its one staff. "
            "Give a single line, or two voices on two staves."
        )
    score = read_score(path, quantize=quantize, unfold=unfold)
    voices = [Voice(()), Voice(())]
    voices[part] = score.voices[part]
    return replace(score, voices=tuple(voices))


def _require_two_voices(path: Path, content: Content, sections: int, lost_notes: int) -> None:
    """Raise ReductionNeededError if a file is more than one section of two voices on the grid.

    ``lost_notes`` is the number of notes that a reduction to two voices would drop or shorten.
    """
    command = f"bicinium convert --reduce {path.name}"
    if content.notes_off_grid:
        notes = sum(len(staff.notes) for staff in content.staves)
        raise ReductionNeededError(
            f"{path} has {content.notes_off_grid} of {notes} notes off the grid of 24 ticks to "
            "the quarter note.",
            f"Quantise them: bicinium convert --quantize {path.name} quantized.mid",
        )
    if sections > 1:
        tick, meter = content.meters[1]
        raise ReductionNeededError(
            f"{path} changes its metre to {meter} at tick {tick}, and a score has only one.",
            f"Take the section before it: {command} section.mid",
        )
    outer_voices = f"Reduce it to its outer voices: {command} two-voices.mid"
    if len(content.staves) > 2:
        raise ReductionNeededError(
            f"{path} has {len(content.staves)} staves, not two voices.", outer_voices
        )
    notes = sum(len(staff.notes) for staff in content.staves)
    if lost_notes > _MAX_EXTRA_SHARE * notes:
        raise ReductionNeededError(
            f"{path} has more than two voices: {lost_notes} of its {notes} notes fit in neither.",
            outer_voices,
        )
