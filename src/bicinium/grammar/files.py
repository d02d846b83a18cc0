"""Judging files: MIDI as MIDI and, where it is two voices on the grid, as tokens; token files.

A token file is a JSON list of ids, or an object with ``tokens`` and, for the barlines, ``meter``
and ``bars``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import mido

from bicinium.errors import BiciniumError, RequestError, ScoreError
from bicinium.grammar.validate import MusicalGrammarValidator, Violation
from bicinium.score.midi import MidiContent, read_midi
from bicinium.score.notes import TICKS_PER_QUARTER, Meter, Score, Voice, pitch_name
from bicinium.tokens.codec import encode, snap

MIDI_SUFFIXES = (".mid", ".midi")
TOKEN_SUFFIXES = (".json",)


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """What was found in a file. ``judged_as``: "tokens", "MIDI", or "MIDI and tokens"."""

    path: Path
    valid: bool
    grammar_score: float
    notes: int
    violations: tuple[Violation, ...]
    judged_as: str


def find_files(paths: Sequence[Path]) -> Iterator[Path]:
    """The files that the paths name; of folders, every MIDI file below them.

    Raises RequestError for a path that is not there and a folder without MIDI files.
    """
    for path in paths:
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix.lower() in MIDI_SUFFIXES)
            if not found:
                raise RequestError(f"there are no MIDI files below {path}")
            yield from found
        elif path.exists():
            yield path
        else:
            raise RequestError(f"there is nothing at {path}")


def validate_file(path: Path, validator: MusicalGrammarValidator | None = None) -> FileVerdict:
    """Judge one file. One that cannot be read is invalid, with the reason as its violation."""
    validator = validator or MusicalGrammarValidator()
    try:
        if path.suffix.lower() in TOKEN_SUFFIXES:
            return _validate_tokens(path, validator)
        return _validate_midi(path, validator)
    except BiciniumError as error:
        unreadable = Violation(0, 0, 1, 1.0, 0, "file", str(error))
        return FileVerdict(path, False, 0.0, 0, (unreadable,), "file")


def _validate_tokens(path: Path, validator: MusicalGrammarValidator) -> FileVerdict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        about = content if isinstance(content, dict) else {"tokens": content}
        tokens = [int(token) for token in about["tokens"]]
        meter = Meter.parse(about["meter"]) if "meter" in about else None
        bars = int(about["bars"]) if "bars" in about else None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ScoreError(f"{path} is not a token file (a JSON list of ids): {error}") from error
    result = validator.validate_sequence(tokens, meter, bars)
    return FileVerdict(
        path, result.valid, result.grammar_score, result.notes, result.violations, "tokens"
    )


def _validate_midi(path: Path, validator: MusicalGrammarValidator) -> FileVerdict:
    note_events, faults = _midi_faults(path)
    if faults:
        wrong = min(1.0, len(faults) / max(1, note_events))
        return FileVerdict(path, False, (1 - wrong) ** 2, note_events, tuple(faults), "MIDI")
    content = read_midi(path)
    score = _as_two_voices(content)
    if score is None:
        return FileVerdict(path, True, 1.0, note_events, (), "MIDI")
    result = validator.validate_sequence(encode(snap(score)), score.meter, score.bars)
    return FileVerdict(
        path, result.valid, result.grammar_score, note_events, result.violations, "MIDI and tokens"
    )


def _as_two_voices(content: MidiContent) -> Score | None:
    """The score of a file that already is one or two voices in one metre, on the grid."""
    if len(content.staves) > 2 or len(content.meters) > 1 or content.notes_off_grid:
        return None
    meter = content.meters[0][1]
    end_tick = max(note.offset_tick for staff in content.staves for note in staff.notes)
    try:
        return Score(
            voices=tuple(Voice(staff.notes) for staff in content.staves),
            bars=-(-end_tick // meter.bar_ticks),
            meter=meter,
            tempo_qpm=content.tempo_qpm,
        )
    except ScoreError:  # chords: music for two hands, not in two voices
        return None


def _midi_faults(path: Path) -> tuple[int, list[Violation]]:
    """How many notes begin, and what is wrong with the note events themselves.

    Notes that never end, that end without having begun, that begin while they sound, and notes of
    no length. Raises ScoreError where the file cannot be read.
    """
    try:
        midi = mido.MidiFile(path)
    except (OSError, EOFError, ValueError, KeyError, IndexError, TypeError) as error:
        raise ScoreError(
            f"{path} cannot be read as MIDI: {error or type(error).__name__}"
        ) from error
    per_quarter = max(1, midi.ticks_per_beat)
    meters = [(0, Meter(4, 4))]
    begun = 0
    faults: list[tuple[int, int, str, str]] = []  # (source tick, track, rule, what)
    voices = 0  # tracks that have notes: the parts
    for track in midi.tracks:
        sounding: dict[tuple[int, int], int] = {}
        tick = before = 0
        before = begun
        for message in track:
            tick += message.time
            if message.type == "time_signature":
                meters.append((tick, Meter(message.numerator, message.denominator)))
            if message.type not in ("note_on", "note_off"):
                continue
            key, name = (message.channel, message.note), pitch_name(message.note)
            if message.type == "note_on" and message.velocity > 0:
                begun += 1
                if key in sounding:
                    faults.append((tick, voices, "pairing", f"{name} begins while it is sounding"))
                sounding[key] = tick
            elif key not in sounding:
                now = ", ".join(pitch_name(note) for _, note in sorted(sounding)) or "nothing"
                what = f"{name} ends without having begun; sounding: {now}"
                faults.append((tick, voices, "pairing", what))
            elif sounding.pop(key) == tick:
                faults.append((tick, voices, "duration", f"{name} has no length"))
        for (_, note), onset in sounding.items():
            faults.append((onset, voices, "pairing", f"{pitch_name(note)} never ends"))
        voices += begun > before
    if not begun:
        faults.append((0, 0, "pairing", "the file holds no notes"))
    meters.sort(key=lambda item: item[0])
    return begun, [
        _fault(index, *fault, meters, per_quarter) for index, fault in enumerate(sorted(faults))
    ]


def _fault(
    index: int,
    source_tick: int,
    part: int,
    rule: str,
    what: str,
    meters: Sequence[tuple[int, Meter]],
    per_quarter: int,
) -> Violation:
    """The violation at a place, its bar counted through all changes of metre."""
    bar, (start, meter) = 1, meters[0]
    for tick, later in meters[1:]:
        if tick > source_tick:
            break
        passed = (tick - start) * TICKS_PER_QUARTER // per_quarter
        bar, start, meter = bar + -(-passed // meter.bar_ticks), tick, later
    inside = (source_tick - start) * TICKS_PER_QUARTER / per_quarter
    bar += int(inside // meter.bar_ticks)
    beat = inside % meter.bar_ticks / (TICKS_PER_QUARTER * 4 / meter.denominator) + 1
    sentence = f"bar {bar}, beat {beat:.4g}, track {part + 1}: {what}"
    tick = source_tick * TICKS_PER_QUARTER // per_quarter
    return Violation(index, tick, bar, round(beat, 3), part, rule, sentence)
