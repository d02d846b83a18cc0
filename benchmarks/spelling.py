"""Compare the spelling of accidentals with that of the sources in the corpus of music21.

Usage: python -m benchmarks spelling

Each piece is reduced to its outer voices: the top line of the highest staff and the bottom line of
the lowest. Pieces have one key signature; Schoenberg is excluded. Three spellers receive pitches,
times and the signature: bicinium; ps13s1 (D. Meredith, The ps13 pitch spelling algorithm, Journal
of New Music Research 35, 2006; contexts of 10 and 42 notes), placed on the line of fifths by the
signature; and the signature alone (E flat to G sharp in C major).

The benchmark counts errors among all notes, among notes with a sharp or flat in the source, and
among printed accidentals, which the signature lacks.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import music21
import numpy as np
from numpy.typing import NDArray

from bicinium.formats.musicxml_reader import SpelledNote, parse_musicxml, read_spelled_notes
from bicinium.formats.spelling import Spelling, line_of_fifths
from bicinium.music.key import estimate_key
from bicinium.music.score import TICKS_PER_QUARTER, Note

LETTERS = "FCGDAEB"  # in the order of fifths
COMPOSERS = (
    "bach", "beach", "beethoven", "corelli", "cpebach", "handel", "haydn", "joplin",
    "liliuokalani", "mozart", "schubert", "schumann_clara", "schumann_robert", "verdi", "weber",
)  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """Two lines of notes, with the position of each note on the line of fifths in the source."""

    name: str
    fifths: int
    voices: tuple[list[Note], list[Note]]
    source: tuple[NDArray[np.int64], NDArray[np.int64]]


Speller = Callable[[Piece], Sequence[NDArray[np.int64]]]


def main(arguments: Sequence[str]) -> None:
    """Spell and compare."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    pieces = list(find_pieces())
    print(f"  {len(pieces)} pieces")
    for name, speller in (
        ("bicinium", bicinium_speller), ("ps13s1", ps13s1), ("signature", signature_only),
    ):  # fmt: skip
        report(name, speller, pieces)


def report(name: str, speller: Speller, pieces: Sequence[Piece]) -> None:
    """Print the shares of notes spelled as in the source, and the worst pieces."""
    counts: dict[str, NDArray[np.int64]] = defaultdict(lambda: np.zeros(6, np.int64))
    wrong = []
    for piece in pieces:
        right = np.concatenate([a == b for a, b in zip(speller(piece), piece.source, strict=True)])
        source = np.concatenate(piece.source)
        altered = (source < -1) | (source > 5)
        printed = (source < piece.fifths - 1) | (source > piece.fifths + 5)
        row = [x.sum() for x in (right, right | True, right & altered, altered,
                                 right & printed, printed)]  # fmt: skip
        counts["bach" if piece.name.startswith("bach/") else "others"] += row
        counts["all"] += row
        wrong.append((int((~right & printed).sum()), int(printed.sum()), piece.name))
    for group, row in counts.items():
        ok, notes, ok_altered, n_altered, ok_printed, n_printed = row.tolist()
        print(
            f"  {name}, {group}: notes {ok / notes:.2%} of {notes}, sharps and flats "
            f"{ok_altered / n_altered:.2%} of {n_altered}, printed accidentals "
            f"{ok_printed / n_printed:.2%} of {n_printed}"
        )
    worst = "; ".join(f"{n} of {of} in {piece}" for n, of, piece in sorted(wrong)[:-4:-1])
    print(f"  {name}, most printed accidentals wrong: {worst}")


def find_pieces(folder: Path = Path(), every: int = 1) -> Iterator[Piece]:
    """Return the MusicXML pieces in music21's corpus with one signature and at least two staves.

    A folder and a sampling interval can be given.
    """
    corpus = Path(music21.__file__).parent / "corpus"
    for path in sorted((corpus / folder).rglob("*"))[::every]:
        name = path.relative_to(corpus).as_posix()
        if path.suffix not in (".mxl", ".xml", ".musicxml") or name.split("/")[0] not in COMPOSERS:
            continue
        root = parse_musicxml(path)
        signatures = {key.findtext("fifths") for key in root.iter("key")} - {None}
        if len(signatures) != 1:
            continue
        fifths = int(signatures.pop() or 0)
        notes = [
            note for note in read_spelled_notes(root, path) if note.pitch == note.spelling.pitch
        ]
        staves = sorted({note.staff for note in notes})
        if len(staves) < 2:
            continue
        lines = [outer(notes, staves[0], 1), outer(notes, staves[-1], -1)]
        voices = tuple([as_note(note) for note in line] for line in lines)
        source = tuple(np.array([place(note.spelling) for note in line]) for line in lines)
        yield Piece(name, fifths, voices, source)  # type: ignore[arg-type]


def outer(notes: Sequence[SpelledNote], staff: int, outward: int) -> list[SpelledNote]:
    """The outer line of a staff: of notes that begin together the outermost."""
    line: dict[object, SpelledNote] = {}
    for note in notes:
        if note.staff == staff:
            other = line.get(note.onset)
            if other is None or outward * (note.pitch - other.pitch) > 0:
                line[note.onset] = note
    return sorted(line.values(), key=lambda note: note.onset)


def as_note(note: SpelledNote) -> Note:
    """The note on the grid."""
    onset, offset = (round(t * TICKS_PER_QUARTER) for t in (note.onset, note.offset))
    return Note(onset, note.pitch, max(1, offset - onset))


def place(spelling: Spelling) -> int:
    """Where a spelling lies on the line of fifths; C is 0."""
    return LETTERS.index(spelling.step) - 1 + 7 * spelling.alter


def bicinium_speller(piece: Piece) -> Sequence[NDArray[np.int64]]:
    """What the package does, the mode found as texture finds it."""
    ticks = [0.0] * 12
    for voice in piece.voices:
        for note in voice:
            ticks[note.pitch % 12] += note.duration_ticks
    key = estimate_key(ticks, final_bass=piece.voices[1][-1].pitch, fifths=piece.fifths)
    agrees = (key.fifths - piece.fifths) % 12 == 0
    return line_of_fifths(piece.voices, piece.fifths, key.mode if agrees else None)


def signature_only(piece: Piece) -> Sequence[NDArray[np.int64]]:
    """Each pitch class has one spelling, E flat to G sharp in C major."""
    lowest = piece.fifths - 3
    pitches = [np.array([note.pitch for note in voice]) for voice in piece.voices]
    return [(7 * line - lowest) % 12 + lowest for line in pitches]


def ps13s1(piece: Piece, before: int = 10, after: int = 42) -> Sequence[NDArray[np.int64]]:
    """For each note the letter that most of the tonics around it imply."""
    notes = sorted((n.onset_tick, n.pitch, v) for v in (0, 1) for n in piece.voices[v])
    classes = np.array([pitch % 12 for _, pitch, _ in notes])
    counts = np.zeros((len(notes) + 1, 12), int)
    counts[np.arange(1, len(notes) + 1), classes] = 1
    counts = counts.cumsum(axis=0)
    letters_above = [0, 1, 1, 2, 2, 3, 3, 4, 5, 5, 6, 6]  # of each degree over a tonic
    lowest = piece.fifths - 5
    first = (7 * classes[0] - lowest) % 12 + lowest
    tonic_letters = [(4 * first - letters_above[(classes[0] - t) % 12]) % 7 for t in range(12)]
    lines: tuple[list[int], list[int]] = ([], [])
    for i, (_, pitch, voice) in enumerate(notes):
        near = counts[min(len(notes), i + after)] - counts[max(0, i - before)]
        weight = np.zeros(7)
        for tonic in range(12):
            letter = (tonic_letters[tonic] + letters_above[(pitch - tonic) % 12]) % 7
            weight[letter] += near[tonic]
        fits = [f for f in range(piece.fifths - 16, piece.fifths + 22)
                if (7 * f - pitch) % 12 == 0 and 4 * f % 7 == int(weight.argmax())]  # fmt: skip
        lines[voice].append(min(fits, key=lambda f: abs(f - piece.fifths - 2)) if fits else 99)
    return [np.array(line) for line in lines]
