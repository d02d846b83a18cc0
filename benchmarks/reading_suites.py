"""Compare what is read of the public test suites with what other libraries read.

Usage: python -m benchmarks reading_suites FOLDER [--list]

FOLDER has MusicXML and MIDI files. Each is read as it is, or else reduced to its outer voices. Its
notes, all staves together, are compared with those that music21 reads of MusicXML and mido of MIDI:
onset, pitch and length on the grid. What this program leaves out and says (grace notes, cues,
percussion, notes beyond the piano) is left out there, too. ``EXPLAINED`` says why files differ.
"""

from __future__ import annotations

import argparse
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import floor
from pathlib import Path

from bicinium.errors import BiciniumError
from bicinium.formats.registry import MIDI_SUFFIXES, find_music, read_music, read_score
from bicinium.music.content import Content
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, TICKS_PER_QUARTER

Notes = Counter[tuple[int, int, int]]  # (onset in ticks, pitch, ticks)
_DRUM_CHANNEL = 9

# Files in which the notes differ, and why.
EXPLAINED = {
    "test-2-tracks-type-2.mid": "of independent pieces only the first is read, and this is said",
    "02e-Rests-NoType.xml": "music21 reads a note that names no staff once for each staff",
    "21f-Chord-ElementInBetween.xml": "music21 ends a chord at a direction between its notes",
    "32c-MultipleNotationChildren.xml": "music21 plays an accidental that the pitch does not have",
    "33i-Ties-NotEnded.xml": "music21 joins notes of which the second has no end of a tie",
    "46f-IncompleteMeasures.xml": "short bars are filled with rests, and this is said",
    "71e-TabStaves.xml": "two strings play one pitch at once, which is one note on a keyboard",
}


def our_notes(content: Content) -> Notes:
    """Return the notes of a file as this program reads them, from the beginning of the file."""
    bar_ticks = content.meters[0][1].bar_ticks
    start = bar_ticks - content.anacrusis_ticks if content.anacrusis_ticks else 0
    return Counter(
        (note.onset_tick - start, note.pitch, note.duration_ticks)
        for staff in content.staves
        for note in staff.notes
    )


def notes_by_music21(path: Path) -> Notes:
    """Return the sounding notes of a MusicXML file as music21 reads them."""
    import music21

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        score = music21.converter.parse(path, forceSource=True)
        score = score.toSoundingPitch().stripTies()
    no_notes = (music21.note.Unpitched, music21.harmony.Harmony)
    found: Notes = Counter()
    for element in score.flatten().notes:
        if element.duration.isGrace or isinstance(element, no_notes):
            continue
        for pitch in element.pitches:
            found[_on_grid(element.offset, element.quarterLength, floor(pitch.ps))] += 1
    return _on_piano(found)


def notes_by_mido(path: Path) -> Notes:
    """Return the notes of a MIDI file as mido reads them."""
    import mido

    file = mido.MidiFile(path, clip=True)
    found: Notes = Counter()
    for track in file.tracks:
        for onset, end, pitch in _pairs(track):
            quarters = (Fraction(tick, file.ticks_per_beat) for tick in (onset, end - onset))
            found[_on_grid(*quarters, pitch)] += 1
    return _on_piano(found)


def _pairs(track: Sequence[object]) -> Iterator[tuple[int, int, int]]:
    """Yield onset, end and pitch of the notes of a track. The first to begin ends first."""
    now = 0
    sounding: dict[tuple[int, int], list[int]] = defaultdict(list)
    for event in track:
        now += event.time
        if event.type not in ("note_on", "note_off") or event.channel == _DRUM_CHANNEL:
            continue
        waiting = sounding[event.channel, event.note]
        if event.type == "note_on" and event.velocity:
            waiting.append(now)
        elif waiting and (onset := waiting.pop(0)) < now:
            yield onset, now, event.note


def _on_grid(onset: Fraction | float, length: Fraction | float, pitch: int) -> tuple[int, int, int]:
    times = (Fraction(onset), Fraction(onset) + Fraction(length))
    start, end = (floor(time * TICKS_PER_QUARTER + Fraction(1, 2)) for time in times)
    return start, pitch, max(1, end - start)


def _on_piano(notes: Notes) -> Notes:
    inside = {n: count for n, count in notes.items() if LOWEST_PITCH <= n[1] <= HIGHEST_PITCH}
    return Counter(inside)


def compare(path: Path) -> tuple[str, str]:
    """Return the outcome of a file, and particulars."""
    try:
        content = read_music(path)
        way = _way(path)
    except BiciniumError as error:
        return "refused", str(error)
    is_midi = path.suffix.lower() in MIDI_SUFFIXES
    ours = our_notes(content)
    try:
        theirs = notes_by_mido(path) if is_midi else notes_by_music21(path)
    except Exception as error:  # whatever the other library raises
        return f"{way}, not read by the other library", f"{type(error).__name__}: {error}"
    if ours == theirs:
        return f"{way}, the same notes", ""
    only = f"only here {sorted(ours - theirs)[:4]}, only there {sorted(theirs - ours)[:4]}"
    reason = EXPLAINED.get(path.name, "")
    return f"{way}, explained" if reason else f"{way}, different", reason or only


def _way(path: Path) -> str:
    try:
        read_score(path)
    except BiciniumError:
        read_score(path, reduce=True)
        return "reduced"
    return "as it is"


def main(arguments: Sequence[str]) -> None:
    """Print the number of each outcome, and with ``--list`` every file that is not the same."""
    parser = argparse.ArgumentParser(prog="benchmarks reading_suites", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args(arguments)
    counts: Counter[str] = Counter()
    for path in find_music(options.folder):
        outcome, particulars = compare(path)
        counts[outcome] += 1
        if options.list and particulars:
            print(f"{path.name}: {outcome}: {particulars}")
    for outcome, count in sorted(counts.items()):
        print(f"{count:4d}  {outcome}")
