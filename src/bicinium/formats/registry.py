"""Music files in, whatever their format: the suffix says which reader.

MIDI and MusicXML are read by bicinium itself, kern, ABC and MEI with music21 (the extra
``notation``).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bicinium.errors import ScoreError
from bicinium.formats.midi import read_midi
from bicinium.formats.music21_reader import MUSIC21_FORMATS, read_with_music21
from bicinium.formats.musicxml import MUSICXML_SUFFIXES, read_musicxml
from bicinium.music.content import Content
from bicinium.music.score import Score, Voice
from bicinium.music.voice_reduction import as_single_voice, reduce_to_two_voices

MIDI_SUFFIXES = (".mid", ".midi")
NOTATION_SUFFIXES = (*MUSICXML_SUFFIXES, *MUSIC21_FORMATS)
MUSIC_SUFFIXES = (*MIDI_SUFFIXES, *NOTATION_SUFFIXES)


def read_music(path: str | Path) -> Content:
    """Read MIDI, MusicXML (compressed too), kern, ABC or MEI; any other suffix as MIDI.

    Raises MidiFileError or NotationFileError where the file cannot be read or has no notes,
    RequestError where reading it needs what is not installed.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in MUSICXML_SUFFIXES:
        return read_musicxml(path)
    if suffix in MUSIC21_FORMATS:
        return read_with_music21(path)
    return read_midi(path)


def read_score(path: str | Path, reduce: bool = False) -> Score:
    """The two-voice score in a file.

    Where the file is more than two voices in one metre, ``reduce`` takes its outer voices and its
    first stretch in one metre; without it that is a ScoreError, as is a file that is less.
    """
    path = Path(path)
    content = read_music(path)
    if as_single_voice(content, 0):  # to be divided between two hands would tear it apart
        raise ScoreError(f"{path} has no lower voice: a score of two voices is needed")
    pieces = reduce_to_two_voices(content)
    first = pieces[0]
    if not reduce:
        _refuse_more(path, content, len(pieces), first.notes_dropped + first.notes_shortened)
    silent = [name for name, v in zip(("upper", "lower"), first.score.voices, strict=True)
              if not v.notes]  # fmt: skip
    if silent:
        raise ScoreError(f"{path} has no {silent[0]} voice: a score of two voices is needed")
    return first.score


def read_voice(path: str | Path, part: int) -> Score:
    """The voice ``part`` (0 the upper, 1 the lower) in a file, the other voice silent.

    A file of a single line is that voice; of one with two voices, its own upper or lower is taken.
    More is a ScoreError.
    """
    path = Path(path)
    content = read_music(path)
    line = as_single_voice(content, part)
    if line is None:
        if len(content.staves) == len(content.meters) == 1:
            raise ScoreError(
                f"{path} has notes that sound together in its one staff: give a line alone, or "
                "each of two voices its own staff"
            )
        score = read_score(path)
        voices = [Voice(()), Voice(())]
        voices[part] = score.voices[part]
        return replace(score, voices=tuple(voices))
    _refuse_more(path, content, 1, 0)
    return line


def _refuse_more(path: Path, content: Content, stretches: int, lost: int) -> None:
    reduce = f"reduce it to its outer voices: bicinium convert --reduce {path.name} two-voices.mid"
    if stretches > 1:
        tick, meter = content.meters[1]
        raise ScoreError(
            f"{path} changes its metre to {meter} at tick {tick}, and a score has one; "
            f"take the stretch before: bicinium convert --reduce {path.name} stretch.mid"
        )
    if len(content.staves) > 2:
        raise ScoreError(f"{path} has {len(content.staves)} staves, not two voices; {reduce}")
    if lost:
        notes = sum(len(staff.notes) for staff in content.staves)
        raise ScoreError(
            f"{path} has more than two voices: {lost} of its {notes} notes fit in neither; {reduce}"
        )
    if content.notes_off_grid:
        raise ScoreError(
            f"{path} has {content.notes_off_grid} notes off the grid of 24 ticks to the quarter "
            f"note; round them: bicinium convert --reduce {path.name} rounded.mid"
        )
