"""Validate 200 pieces in all keys and four metres with bicinium, mido and music21.

Usage: python -m benchmarks compose_pieces [--pieces 200] [--bars 16] [--model FILE] [--keep FOLDER]

With the grammar, every piece must be valid for all three, have exactly the requested bars, and have
notes in both voices in at least half of them. Without it, with the same seeds, the shares of paired
notes and of valid pieces show what the model has learned.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import mido
import music21

from bicinium.api import load_composer
from bicinium.generation.acceptance import bars_played
from bicinium.generation.composition import Composition
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import GenerationConfig
from bicinium.model.checkpoint import DEFAULT_MODEL
from bicinium.music.key import ALL_KEYS
from bicinium.music.score import Meter

METERS = ("2/4", "3/4", "4/4", "6/8")
BATCH = 25


def main(arguments: Sequence[str]) -> None:
    """Compose with and without the grammar and print both reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pieces", type=int, default=200)
    parser.add_argument("--bars", type=int, default=16)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--keep", type=Path, help="folder to keep the pieces in")
    options = parser.parse_args(arguments)
    asked = [
        Conditions(ALL_KEYS[i % len(ALL_KEYS)], Meter.parse(METERS[i % len(METERS)]), options.bars)
        for i in range(options.pieces)
    ]
    for use_grammar in (True, False):
        started = time.perf_counter()
        pieces: list[Composition] = []
        for first in range(0, len(asked), BATCH):
            seeds = list(range(first, min(first + BATCH, len(asked))))
            composer = load_composer(options.model)
            pieces += composer.compose(
                asked[first : first + BATCH], seeds, GenerationConfig(use_grammar=use_grammar)
            )
        seconds = time.perf_counter() - started
        tokens = sum(len(piece.tokens) for piece in pieces)
        print(f"\n{'with' if use_grammar else 'without'} grammar: {len(pieces)} pieces of "
              f"{options.bars} bars, {tokens} tokens in {seconds:.0f} s")  # fmt: skip
        (report_with if use_grammar else report_without)(pieces, options.keep)


def report_with(pieces: Sequence[Composition], keep: Path | None) -> None:
    """Print the verdicts on pieces composed with the grammar."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        paths = [piece.save(folder / f"piece-{piece.seed:03d}.mid") for piece in pieces]
        by_mido = [faults_by_mido(path) for path in paths]
        by_music21 = [
            faults_by_music21(path, piece) for path, piece in zip(paths, pieces, strict=True)
        ]
    share("valid by bicinium", [piece.result.valid for piece in pieces])
    share("valid by mido", [not faults for faults in by_mido])
    share("valid by music21", [not faults for faults in by_music21])
    share("both voices play in half of the bars", [both_play(piece) for piece in pieces])
    share("accepted at the first attempt", [piece.draws == 1 for piece in pieces])
    for fault in sorted({fault for faults in by_mido + by_music21 for fault in faults})[:10]:
        print(f"  {fault}")
    notes = sum(piece.result.notes for piece in pieces)
    print(f"  {notes / len(pieces):.0f} notes a piece")


def report_without(pieces: Sequence[Composition], _: Path | None) -> None:
    """Print the verdicts on pieces composed without the grammar."""
    notes = sum(piece.result.notes for piece in pieces)
    paired = sum(piece.result.paired_notes for piece in pieces)
    share("valid by bicinium", [piece.result.valid for piece in pieces])
    share("no broken rule but time", [only_time_is_broken(piece) for piece in pieces])
    share("grammar score over 0.8", [piece.result.grammar_score > 0.8 for piece in pieces])
    print(f"  {paired} of {notes} notes pair ({paired / max(1, notes):.2%})")
    rules: dict[str, int] = {}
    for piece in pieces:
        for rule in {violation.rule for violation in piece.result.violations}:
            rules[rule] = rules.get(rule, 0) + 1
    print(f"  pieces that break a rule: {rules}")


def only_time_is_broken(piece: Composition) -> bool:
    """Return whether the number of bars is the only fault."""
    return all(violation.rule == "time" for violation in piece.result.violations)


def both_play(piece: Composition) -> bool:
    """Return whether each voice sounds in at least half of the bars."""
    score = piece.score
    return score is not None and all(
        len(bars_played(score, part)) * 2 >= score.bars for part in (0, 1)
    )


def faults_by_mido(path: Path) -> list[str]:
    """Return hanging notes, notes without length, and tracks of different lengths."""
    faults = []
    midi = mido.MidiFile(path)
    lengths = set()
    ons = offs = 0
    for track in midi.tracks:
        tick = 0
        sounding: dict[int, int] = {}
        for message in track:
            tick += message.time
            if message.type == "note_on" and message.velocity:
                ons += 1
                if message.note in sounding:
                    faults.append("mido: a note begins while it sounds")
                sounding[message.note] = tick
            elif message.type in ("note_on", "note_off"):
                offs += 1
                if sounding.pop(message.note, tick) == tick:
                    faults.append("mido: a note of zero length, or an end without a beginning")
        lengths.add(tick)
        if sounding:
            faults.append("mido: a hanging note")
    if ons != offs or not ons:
        faults.append(f"mido: {ons} note-ons, {offs} note-offs")
    if len(lengths) != 1:
        faults.append("mido: the tracks differ in length")
    return faults


def faults_by_music21(path: Path, piece: Composition) -> list[str]:
    """Return chords, wrong numbers of parts or bars, and wrong metres."""
    faults = []
    score = music21.converter.parse(path, quantizePost=False)
    parts = list(score.parts)
    if len(parts) != 2:
        faults.append(f"music21: {len(parts)} parts")
    for part in parts:
        if part.recurse().getElementsByClass(music21.chord.Chord):
            faults.append("music21: a chord")
        if any(measure.voices for measure in part.getElementsByClass("Measure")):
            faults.append("music21: a part with two voices")
    signatures = {str(s.ratioString) for s in score.recurse().getElementsByClass("TimeSignature")}
    if signatures != {str(piece.conditions.meter)}:
        faults.append(f"music21: metres {signatures} for {piece.conditions.meter}")
    measures = max(len(part.getElementsByClass("Measure")) for part in parts)
    if measures != piece.conditions.bars:
        faults.append(f"music21: {measures} bars for {piece.conditions.bars}")
    return faults


def share(name: str, hits: Sequence[bool]) -> None:
    """Print the share of pieces that have a property."""
    print(f"  {name}: {sum(hits)} of {len(hits)} ({sum(hits) / len(hits):.1%})")
