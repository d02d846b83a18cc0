"""Read music files of every format: the suffix of a file selects its reader.

bicinium reads MIDI and MusicXML itself. It reads kern, ABC and MEI with music21 (the extra
``notation``). To add a format, write a reader and list its suffixes in ``READERS``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bicinium.errors import ReductionNeededError, ScoreError
from bicinium.formats.midi import read_midi
from bicinium.formats.music21_reader import MUSIC21_FORMATS, read_with_music21
from bicinium.formats.musicxml_reader import MUSICXML_SUFFIXES, read_musicxml
from bicinium.music.content import Content
from bicinium.music.score import Score, Voice
from bicinium.music.voice_reduction import as_single_voice, reduce_to_two_voices

MIDI_SUFFIXES = (".mid", ".midi")

READERS: dict[str, Callable[[Path], Content]] = {
    **dict.fromkeys(MIDI_SUFFIXES, read_midi),
    **dict.fromkeys(MUSICXML_SUFFIXES, read_musicxml),
    **dict.fromkeys(MUSIC21_FORMATS, read_with_music21),
}
MUSIC_SUFFIXES = tuple(READERS)
NOTATION_SUFFIXES = tuple(suffix for suffix in READERS if suffix not in MIDI_SUFFIXES)


def read_music(path: str | Path) -> Content:
    """Read a music file. A suffix without a reader is read as MIDI.

    Raises MidiFileError or NotationFileError if the file cannot be read or has no notes, and
    RequestError if a library for it is not installed.
    """
    path = Path(path)
    return READERS.get(path.suffix.lower(), read_midi)(path)


def read_score(path: str | Path, reduce: bool = False) -> Score:
    """Read a two-voice score.

    With ``reduce``, a file with more than two voices gives its outer voices, and one with several
    metres gives its first section in one metre. Otherwise such a file raises ScoreError. A file
    with fewer than two voices always does.
    """
    path = Path(path)
    content = read_music(path)
    if as_single_voice(content, 0):  # Splitting a single line between two hands would break it up.
        raise _missing_voice(path, "lower")
    pieces = reduce_to_two_voices(content)
    first = pieces[0]
    if not reduce:
        _require_two_voices(path, content, len(pieces), first.notes_dropped + first.notes_shortened)
    for name, voice in zip(("upper", "lower"), first.score.voices, strict=True):
        if not voice.notes:
            raise _missing_voice(path, name)
    return first.score


def read_voice(path: str | Path, part: int) -> Score:
    """Read one voice: ``part`` 0 is the upper, 1 the lower. The other voice of the score is silent.

    A file with a single line gives that line. A file with two voices gives the one that ``part``
    selects. Any other file raises ScoreError.
    """
    path = Path(path)
    content = read_music(path)
    line = as_single_voice(content, part)
    if line is not None:
        _require_two_voices(path, content, sections=1, lost_notes=0)
        return line
    if len(content.staves) == len(content.meters) == 1:
        raise ScoreError(
            f"{path} has notes that sound together in its one staff. "
            "Give a single line, or two voices on two staves."
        )
    score = read_score(path)
    voices = [Voice(()), Voice(())]
    voices[part] = score.voices[part]
    return replace(score, voices=tuple(voices))


def _missing_voice(path: Path, name: str) -> ScoreError:
    return ScoreError(f"{path} has no {name} voice: a score of two voices is needed.")


def _require_two_voices(path: Path, content: Content, sections: int, lost_notes: int) -> None:
    """Raise ReductionNeededError if a file is more than one section of two voices on the grid.

    ``lost_notes`` is the number of notes that a reduction to two voices would drop or shorten.
    """
    command = f"bicinium convert --reduce {path.name}"
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
    if lost_notes:
        notes = sum(len(staff.notes) for staff in content.staves)
        raise ReductionNeededError(
            f"{path} has more than two voices: {lost_notes} of its {notes} notes fit in neither.",
            outer_voices,
        )
    if content.notes_off_grid:
        raise ReductionNeededError(
            f"{path} has {content.notes_off_grid} notes off the grid of 24 ticks to the quarter "
            "note.",
            f"Round them: {command} rounded.mid",
        )
