"""Measure how good a second voice to a given tune is.

Usage: python -m benchmarks second_voice [--tunes FILE] [--count N] [--seeds 3] [--part upper|lower]
           [--manner NAME] [--best-of N] [--corpus FOLDER] [--inventions] [--each] [--keep FOLDER]

The tunes are those of an ABC file, by default ``benchmarks/tunes/plain.abc``. ``--part upper``
gives them to the upper voice, and the lower is written. ``--part lower`` takes a bass that was
written to each of them with the first seed, and writes an upper voice to it. ``--corpus`` measures
real music by the same rules: Bach's dances, Clementi's lessons, and Bach's inventions.
``--inventions`` takes the upper voices of the inventions instead of the tunes, 16 bars of each.

Every figure is about the voice that is written, in real music about the lower voice:

- struck: of the strong beats on which both voices sound, those on which the voice begins a second,
  fourth, tritone or seventh, unless the other voice holds a note that was consonant and resolves it
  down by step (a suspension).
- outside: of its notes, those outside the scale of the key (natural, harmonic and melodic minor).
- closes: pieces in which the lower voice is on the tonic under the last note of the upper.
- authentic: pieces in which it comes from the dominant or the leading note.
- similar: of the moves of both voices together, those in one direction.
- parallels: parallel fifths and octaves in 100 notes of the voice.
- rhythm: of all onsets, those of one voice alone.
- notes: onsets a bar of the voice, and in brackets of the given voice.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from bicinium.api import compose_many, write
from bicinium.counterpoint.strengths import strengths
from bicinium.counterpoint.texture import Texture
from bicinium.errors import BiciniumError
from bicinium.formats.registry import read_score
from bicinium.music.counterpoint import (
    LOWER,
    UPPER,
    are_dissonant,
    parallels,
    pitches_at,
    scale_pitch_classes,
    strong_beat_ticks,
)
from bicinium.music.excerpts import extract_bars
from bicinium.music.key import Key
from bicinium.music.score import Score, Voice, note_array
from bicinium.request import ComposeRequest

TUNES = Path(__file__).parent / "tunes" / "plain.abc"
INVENTION_BARS = 16
REAL_MUSIC = {
    "Bach, dances": ("bachjs/bwvanh11[3-9]*", "bachjs/bwvanh12[0-9]*"),
    "Clementi, lessons": ("clementim/clementi-op42-les*",),
    "Bach, inventions": ("bachjs/bwv7[78]*",),
}
NAMES = (
    "struck", "outside", "closes", "authentic", "similar", "parallels", "rhythm", "notes", "given",
)  # fmt: skip


@dataclass(slots=True)
class Tally:
    """Counts, and of how many, by the names of ``NAMES``."""

    counts: dict[str, float] = field(default_factory=dict)
    totals: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, count: float, total: float) -> None:
        """Add a count."""
        self.counts[name] = self.counts.get(name, 0) + count
        self.totals[name] = self.totals.get(name, 0) + total

    def __iadd__(self, other: Tally) -> Tally:
        for name, count in other.counts.items():
            self.add(name, count, other.totals[name])
        return self

    def row(self) -> str:
        """Return the shares as cells of a table."""
        share = {name: self.counts[name] / max(1, self.totals[name]) for name in self.counts}
        percent = [f"{100 * share[name]:.1f}" for name in NAMES[:7]]
        return " | ".join([*percent, f"{share['notes']:.1f} ({share['given']:.1f})"])


def measure(score: Score, key: Key, written: int) -> Tally:
    """Return the figures of one voice of a score."""
    lines = [note_array(voice.notes) for voice in score.voices]
    tally = Tally()
    tally.add("struck", *_struck(score, written))
    scale = scale_pitch_classes(key)
    outside = [note for note in score.voices[written].notes if note.pitch % 12 not in scale]
    tally.add("outside", len(outside), len(score.voices[written].notes))
    tally.add("closes", _closes(score, key), 1)
    tally.add("authentic", _is_authentic(score, key), 1)
    together = strengths(Texture(replace(score, key=key)))
    tally.add("similar", 1 - together.contrary_motion, 1)
    tally.add("parallels", len(parallels(score)), len(score.voices[written].notes))
    tally.add("rhythm", together.independent_rhythm, 1)
    tally.add("notes", lines[written].shape[1], score.bars)
    tally.add("given", lines[1 - written].shape[1], score.bars)
    return tally


def _struck(score: Score, written: int) -> tuple[int, int]:
    """Return the struck dissonances, and the strong beats on which both voices sound."""
    bars = np.arange(score.bars)[:, None] * score.meter.bar_ticks
    ticks = (bars + strong_beat_ticks(score.meter)).ravel()
    lines = [note_array(voice.notes) for voice in score.voices]
    pitches = [pitches_at(line, ticks) for line in lines]
    both = (pitches[UPPER] > 0) & (pitches[LOWER] > 0)
    struck = both & are_dissonant(*pitches) & np.isin(ticks, lines[written][0])
    prepared = [_is_prepared(score, 1 - written, tick) for tick in ticks[struck].tolist()]
    return int(struck.sum()) - sum(prepared), int(both.sum())


def _is_prepared(score: Score, voice: int, tick: int) -> bool:
    """Return whether a voice holds a consonant note into a tick, and then falls by step."""
    notes = score.voices[voice].notes
    for held, following in pairwise(notes):
        if held.onset_tick < tick < held.offset_tick:
            other = note_array(score.voices[1 - voice].notes)
            before = int(pitches_at(other, np.array([held.onset_tick]))[0])
            consonant = not before or not are_dissonant(np.array(before), np.array(held.pitch))
            return bool(consonant) and 1 <= held.pitch - following.pitch <= 2
    return False


def _closes(score: Score, key: Key) -> bool:
    """Return whether the lower voice is on the tonic while the last upper note sounds."""
    last = score.voices[UPPER].notes[-1]
    lower = [note for note in score.voices[LOWER].notes if note.onset_tick < last.offset_tick]
    return bool(
        lower and lower[-1].offset_tick > last.onset_tick and lower[-1].pitch % 12 == key.tonic
    )


def _is_authentic(score: Score, key: Key) -> bool:
    """Return whether the lower voice ends with the dominant or the leading note, and the tonic."""
    classes = [(note.pitch - key.tonic) % 12 for note in score.voices[LOWER].notes]
    before = next((each for each in reversed(classes) if each), None)
    return classes[-1:] == [0] and before in (7, 11)


# ------------------------------------------------------------------ what is measured


def tunes(path: Path, folder: Path, count: int | None) -> list[Path]:
    """Write each tune of an ABC file to a file of its own."""
    texts = re.split(r"(?m)^(?=X:)", path.read_text(encoding="utf-8"))[1:]
    files = []
    for number, text in enumerate(texts[:count], 1):
        files.append(folder / f"{number:02d}.abc")
        files[-1].write_text(text, encoding="utf-8")
    return files


def upper_voices(corpus: Path, folder: Path) -> list[Path]:
    """Write the upper voices of the first bars of the inventions."""
    files = []
    for path, score in real_music(corpus, REAL_MUSIC["Bach, inventions"]):
        opening = extract_bars(score, 0, min(INVENTION_BARS, score.bars))
        alone = replace(opening, voices=(opening.voices[UPPER], Voice(())))
        files.append(folder / f"{path.stem}.musicxml")
        write(alone, files[-1])
    return files


def real_music(corpus: Path, patterns: Sequence[str]) -> Iterator[tuple[Path, Score]]:
    """Yield the pieces of a corpus in two voices."""
    for pattern in patterns:
        for path in sorted((corpus / "midi").glob(f"{pattern}.mid")):
            try:
                yield path, read_score(path, reduce=True)
            except BiciniumError as error:
                print(f"{path.name} is left out: {error}")


def bass_to(tune: Path, folder: Path) -> Path:
    """Write a bass to a tune, and return the file of the bass alone."""
    piece = compose_many(1, upper=tune, seed=0)[0].score
    assert piece is not None
    alone = replace(piece, voices=(Voice(()), piece.voices[LOWER]))
    path = folder / f"{tune.stem}-bass.musicxml"
    write(alone, path)
    return path


def compose(path: Path, written: int, options: argparse.Namespace) -> list[Score]:
    """Return one score for each seed."""
    given = {"upper" if written == LOWER else "lower": path}
    if options.manner:
        given["manner"] = options.manner
    if options.best_of:
        given["best_of"] = options.best_of
    request = ComposeRequest.from_options(n=options.seeds, seed=options.seed, **given)
    pieces = compose_many(request=request)
    return [piece.score for piece in pieces if piece.score]


def main(arguments: Sequence[str]) -> None:
    """Write the voices and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tunes", type=Path, default=TUNES)
    parser.add_argument("--count", type=int)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=("upper", "lower"), default="upper")
    parser.add_argument("--manner")
    parser.add_argument("--best-of", type=int)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--inventions", action="store_true")
    parser.add_argument("--each", action="store_true")
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args(arguments)
    print(f"| | {' | '.join(NAMES[:-1])} |\n|---|{'---|' * (len(NAMES) - 1)}")
    if options.corpus and not options.inventions:
        for name, patterns in REAL_MUSIC.items():
            total = Tally()
            for _, score in real_music(options.corpus, patterns):
                total += measure(score, score.key or score.estimated_key, LOWER)
            print(f"| {name} | {total.row()} |")
    written = LOWER if options.part == "upper" else UPPER
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if options.inventions:
            files = upper_voices(options.corpus, folder)[: options.count]
        else:
            files = tunes(options.tunes, folder, options.count)
        if written == UPPER:
            files = [bass_to(path, folder) for path in files]
        total = Tally()
        for path in files:
            own = Tally()
            for number, score in enumerate(compose(path, written, options)):
                own += measure(score, score.key, written)
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    write(score, options.keep / f"{path.stem}-{number}.musicxml")
            if options.each:
                print(f"| {path.stem} | {own.row()} |", flush=True)
            total += own
    if files:
        print(f"| {len(files)} tunes, {options.seeds} seeds | {total.row()} |")
