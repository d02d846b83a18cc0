"""Compose from random requests, with extreme sampling too, and check every piece twice over.

Usage: python -m benchmarks random_requests [--pieces 10000] [--seed 0] [--out FILE]

Each request draws its key, metre, length, tempo, style, sampling and constraints, and in a third of
the cases a score to continue, to harmonise or to rewrite in part. A piece counts as invalid if its
grammar is broken, if it cannot be written, if mido reads other notes in its MIDI file, or music21
in its MusicXML file. A request may be refused with a sentence; any other exception counts as
unhandled.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mido
import music21
import numpy as np

from bicinium.api import compose_each, compose_many, load_composer
from bicinium.errors import BiciniumError
from bicinium.generation.candidates import Finished
from bicinium.generation.composition import Composition
from bicinium.generation.constraints.config import STRENGTHS, Constraints
from bicinium.music.key import ALL_KEYS
from bicinium.music.score import Score
from bicinium.render.export import write_score

_MAX_BARS, _PIECES = 4, 8  # of a request
_CONFIDENCE = 0.95


def main(arguments: Sequence[str]) -> None:
    """Compose until there are so many pieces, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pieces", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="file for the counts, written after each request")
    options = parser.parse_args(arguments)
    counts: Counter[str] = Counter()
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        sources = _sources(Path(folder))
        while counts["pieces"] < options.pieces:
            _one_request(random_options(rng, sources), counts, Path(folder))
            if options.out:
                options.out.write_text(json.dumps(counts) + "\n")
    pieces, invalid = counts["pieces"], counts["invalid"]
    print(dict(counts))
    print(f"{invalid} of {pieces} pieces invalid, {counts['unhandled']} unhandled exceptions")
    if not invalid:
        bound = 1 - (1 - _CONFIDENCE) ** (1 / pieces)
        print(f"upper bound of the share of invalid pieces, {_CONFIDENCE:.0%}: {bound:.4%}")


def _sources(folder: Path) -> list[Path]:
    """Write four pieces to start from."""
    found = []
    for index, piece in enumerate(compose_many(4, bars=4, best_of=1)):
        assert piece.score is not None  # with the grammar every piece has one
        found.append(folder / f"source-{index}.musicxml")
        write_score(piece.score, found[-1])
    return found


def random_options(rng: np.random.Generator, sources: Sequence[Path]) -> dict[str, Any]:
    """Return the options of a request."""
    meters = load_composer().config.meters
    options: dict[str, Any] = {
        "n": int(rng.integers(1, _PIECES + 1)),
        "seed": int(rng.integers(2**40)),
        "best_of": int(rng.integers(1, 4)),
        "bars": int(rng.integers(1, _MAX_BARS + 1)),
        "key": str(rng.choice([str(key) for key in ALL_KEYS])),
        "tempo": None if rng.random() < 0.5 else float(rng.uniform(20, 150)),  # for all metres
        "style": None if rng.random() < 0.3 else str(rng.choice(load_composer().styles)),
        "temperature": float(10 ** rng.uniform(-3, 1)),
        "top_p": float(rng.choice([1.0, 0.99, 0.5, 1e-9, rng.uniform(1e-6, 1)])),
        "top_k": int(rng.choice([0, 0, 1, 2, 10, 10**9])),
        "min_p": float(rng.choice([0.0, 0.0, 0.5, 0.999])),
        "guidance": float(rng.choice([0.0, 1.0, 1.5, 10.0])),
        "motif_strength": float(rng.choice([0.0, 1.0, 10.0])),
    }
    if rng.random() < 0.7:
        strengths = {name: float(rng.choice([0.0, 0.5, 1.0])) for name in STRENGTHS}
        options["constraints"] = Constraints(**strengths)
    if rng.random() < 1 / 3:
        use = str(rng.choice(["continue_from", "upper", "lower", "rewrite"]))
        options[use] = str(rng.choice([str(path) for path in sources]))
        del options["key"]  # the source has its own
        options["bars"] = int(rng.integers(5, 9)) if use == "continue_from" else None
        if use == "rewrite":
            first = int(rng.integers(1, 5))
            options["rewrite_bars"] = (first, int(rng.integers(first, 5)))
    else:
        options["meter"] = str(rng.choice(meters))
    return options


def _one_request(options: dict[str, Any], counts: Counter[str], folder: Path) -> None:
    counts["requests"] += 1
    try:
        for result in compose_each(**options):
            if not isinstance(result, Finished):
                continue
            piece = result.composition
            counts["pieces"] += 1
            try:
                fault = fault_of(piece, folder)
            except BiciniumError as error:
                fault = f"not written: {error}"
            if fault:
                counts["invalid"] += 1
                print(f"INVALID {fault}: {options}, seed {piece.seed}", flush=True)
    except BiciniumError as error:
        counts["refused"] += 1
        print(f"refused: {error}", flush=True)
    except Exception as error:
        counts["unhandled"] += 1
        print(f"UNHANDLED {type(error).__name__}: {error}: {options}", flush=True)


def fault_of(piece: Composition, folder: Path) -> str:
    """Return what is wrong with a piece, or an empty string."""
    if not piece.result.valid or piece.score is None:
        return f"grammar: {piece.result.violations[:1]}"
    score = piece.score
    write_score(score, folder / "piece.mid")
    write_score(score, folder / "piece.musicxml")
    if read_by_mido(folder / "piece.mid") != _notes(score):
        return "mido reads other notes"
    if read_by_music21(folder / "piece.musicxml") != _sounding_quarters(score):
        return "music21 reads other notes"
    return ""


def _notes(score: Score) -> list[tuple[int, int, int]]:
    """Return (onset, pitch, end) of each note. An upbeat begins at tick 0, as in MIDI files."""
    start = score.start_tick
    return sorted(
        (note.onset_tick - start, note.pitch, note.offset_tick - start)
        for voice in score.voices
        for note in voice.notes
    )


def read_by_mido(path: Path) -> list[tuple[int, int, int]]:
    """Return (onset, pitch, end) of each note; a note without an end has -1."""
    found = []
    for track in mido.MidiFile(path).tracks:
        tick, sounding = 0, {}
        for message in track:
            tick += message.time
            if message.type == "note_on" and message.velocity:
                sounding[message.note] = tick
            elif message.type in ("note_on", "note_off"):
                found.append((sounding.pop(message.note, -1), message.note, tick))
        found += [(onset, pitch, -1) for pitch, onset in sounding.items()]
    return sorted(found)


def _sounding_quarters(score: Score) -> list[tuple[int, float]]:
    """Return how many notes there are of each pitch, and for how many quarters they sound."""
    counts: Counter[int] = Counter()
    for voice in score.voices:
        for note in voice.notes:
            counts[note.pitch] += note.duration_ticks
    return sorted((pitch, round(ticks / 24, 3)) for pitch, ticks in counts.items())


def read_by_music21(path: Path) -> list[tuple[int, float]]:
    """Return for each pitch how many quarters it sounds in all."""
    counts: Counter[int] = Counter()
    for note in music21.converter.parse(path, forceSource=True).flatten().notes:
        for pitch in note.pitches:
            counts[pitch.midi] += note.quarterLength
    return sorted((pitch, round(float(quarters), 3)) for pitch, quarters in counts.items())
