"""Judging files: MIDI as MIDI, notation as notation, and both, where they are two voices on the
grid, as tokens; token files.

A token file is a JSON list of ids, or an object with ``tokens`` and, where they are known,
``meter``, ``bars`` (for the barlines) and ``transposition`` (semitones up from what is written to
what sounds, which is in the ranges of the voices or is not).
"""

from __future__ import annotations

import json
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from glob import glob
from pathlib import Path

import numpy as np

from bicinium.errors import BiciniumError, RequestError, ScoreError
from bicinium.formats.midi import read_midi, read_midi_messages
from bicinium.formats.registry import MUSIC_SUFFIXES, NOTATION_SUFFIXES, read_music
from bicinium.grammar.validate import MusicalGrammarValidator, Violation
from bicinium.music.content import Content
from bicinium.music.score import COMMON_TIME, TICKS_PER_QUARTER, Meter, Score, Voice, pitch_name
from bicinium.render.piano_roll import RollNote
from bicinium.tokenizer.codec import encode, snap
from bicinium.tokenizer.vocabulary import KINDS, PITCHES, VALUES, VOCAB_SIZE, Kind

TOKEN_SUFFIXES = (".json",)
_MOST_BARS = 10_000  # beyond is a damaged file, as with MIDI


@dataclass(frozen=True, slots=True)
class TokenFile:
    """What a token file says."""

    tokens: list[int]
    meter: Meter | None
    bars: int | None
    transposition: int


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """What was found in a file.

    ``judged_as`` is "tokens", "MIDI", "MIDI and tokens", "notation", "notation and tokens", or
    "nothing" where it cannot be read.
    ``roll`` and ``meter`` (the first) are there to draw it.
    """

    path: Path
    valid: bool
    grammar_score: float
    notes: int
    violations: tuple[Violation, ...]
    judged_as: str
    roll: tuple[RollNote, ...] = ()
    meter: Meter = COMMON_TIME


def find_files(paths: Sequence[Path]) -> Iterator[Path]:
    """The files that the paths name; of folders, all music below them; of patterns like
    ``music/*.mid``, what they match.

    Raises RequestError for a path that is not there and a folder without music.
    """
    for path in paths:
        if not path.exists() and any(sign in str(path) for sign in "*?["):
            matched = [Path(name) for name in sorted(glob(str(path), recursive=True))]
            if not matched:
                raise RequestError(f"nothing matches {path}")
            yield from find_files(matched)
            continue
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix.lower() in MUSIC_SUFFIXES)
            if not found:
                raise RequestError(f"there is no music below {path}")
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
        if path.suffix.lower() in NOTATION_SUFFIXES:
            return _validate_notation(path, validator)
        return _validate_midi(path, validator)
    except BiciniumError as error:
        unreadable = Violation(0, 0, 1, 1.0, 0, "file", str(error))
        return FileVerdict(path, False, 0.0, 0, (unreadable,), "nothing")


def read_token_file(path: Path) -> TokenFile:
    """Raises ScoreError where it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        about = content if isinstance(content, dict) else {"tokens": content}
        tokens = np.array([operator.index(token) for token in about["tokens"]], np.int64).tolist()
        meter = Meter.parse(str(about["meter"])) if "meter" in about else None
        bars = operator.index(about["bars"]) if "bars" in about else None
        transposition = operator.index(about.get("transposition", 0))
        if abs(transposition) >= PITCHES:
            raise ValueError(f"transposition {transposition} leads off the piano")
        if bars is not None and not 0 <= bars <= _MOST_BARS:
            raise ValueError(f"bars {bars} is not a number from 0 to {_MOST_BARS:,}")
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ScoreError(f"{path} is not a token file (a JSON list of ids): {why}") from error
    return TokenFile(tokens, meter, bars, transposition)


def _validate_tokens(path: Path, validator: MusicalGrammarValidator) -> FileVerdict:
    said = read_token_file(path)
    result = validator.validate_sequence(said.tokens, said.meter, said.bars, said.transposition)
    return FileVerdict(
        path=path,
        valid=result.valid,
        grammar_score=result.grammar_score,
        notes=result.notes,
        violations=result.violations,
        judged_as="tokens",
        roll=tuple(_roll_of_tokens(said.tokens)),
        meter=said.meter or COMMON_TIME,
    )


def _roll_of_tokens(tokens: Sequence[int]) -> Iterator[RollNote]:
    """The notes of any tokens, right or wrong; what never ends lasts to the end."""
    sounding: dict[tuple[int, int], int] = {}
    tick = part = 0
    for token in tokens:
        if not 0 <= token < VOCAB_SIZE:
            continue
        value = int(VALUES[token])
        match Kind(KINDS[token]):
            case Kind.TIME_SHIFT:
                tick += value
            case Kind.PART:
                part = value
            case Kind.NOTE_ON:
                if (part, value) in sounding:
                    yield RollNote(part, value, sounding[part, value], tick, False)
                sounding[part, value] = tick
            case Kind.NOTE_OFF if (part, value) in sounding:
                yield RollNote(part, value, sounding.pop((part, value)), tick, True)
    for (part, pitch), onset in sounding.items():
        yield RollNote(part, pitch, onset, tick, False)


def _validate_midi(path: Path, validator: MusicalGrammarValidator) -> FileVerdict:
    roll, faults, meter = _judge_events(path)
    verdict = FileVerdict(path, not faults, 1.0, len(roll), tuple(faults), "MIDI", roll, meter)
    if faults:
        wrong = min(1.0, len(faults) / max(1, len(roll)))
        return replace(verdict, grammar_score=(1 - wrong) ** 2)
    return _with_tokens(verdict, read_midi(path), validator)


def _validate_notation(path: Path, validator: MusicalGrammarValidator) -> FileVerdict:
    content = read_music(path)
    roll = tuple(
        RollNote(part, note.pitch, note.onset_tick, note.offset_tick)
        for part, staff in enumerate(content.staves)
        for note in staff.notes
    )
    meter = content.meters[0][1]
    verdict = FileVerdict(path, True, 1.0, len(roll), (), "notation", roll, meter)
    return _with_tokens(verdict, content, validator)


def _with_tokens(
    verdict: FileVerdict, content: Content, validator: MusicalGrammarValidator
) -> FileVerdict:
    """The verdict on a file that can be read, and as tokens where it is two voices."""
    score = _as_two_voices(content)
    if score is None:
        return verdict
    result = validator.validate_sequence(encode(snap(score)), score.meter, score.bars)
    return replace(
        verdict,
        valid=result.valid,
        grammar_score=result.grammar_score,
        violations=result.violations,
        judged_as=f"{verdict.judged_as} and tokens",
    )


def _as_two_voices(content: Content) -> Score | None:
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


def _judge_events(path: Path) -> tuple[tuple[RollNote, ...], list[Violation], Meter]:
    """The notes of a MIDI file, what is wrong with its note events themselves, its first metre.

    Wrong are notes that never end, that end without having begun, that begin while they sound, and
    notes of no length. Raises ScoreError where the file cannot be read.
    """
    midi = read_midi_messages(path)
    per_quarter = max(1, midi.ticks_per_beat)
    meters = [(0, COMMON_TIME)]
    notes: list[tuple[int, int, int, int, bool]] = []  # part, pitch, onset, end, closed
    faults: list[tuple[int, int, str, str]] = []  # source tick, part, rule, what
    part = 0  # counts the tracks that have notes
    for track in midi.tracks:
        sounding: dict[tuple[int, int], int] = {}
        tick, notes_before = 0, len(notes)
        for message in track:
            tick += message.time
            if message.type == "time_signature":
                meters.append((tick, Meter(message.numerator, message.denominator)))
            if message.type not in ("note_on", "note_off"):
                continue
            key, name = (message.channel, message.note), pitch_name(message.note)
            if message.type == "note_on" and message.velocity > 0:
                if key in sounding:
                    faults.append((tick, part, "pairing", f"{name} begins while it is sounding"))
                    notes.append((part, message.note, sounding[key], tick, False))
                sounding[key] = tick
            elif key in sounding:
                onset = sounding.pop(key)
                notes.append((part, message.note, onset, tick, True))
                if onset == tick:
                    faults.append((tick, part, "duration", f"{name} has no length"))
            else:
                now = ", ".join(pitch_name(note) for _, note in sorted(sounding)) or "nothing"
                what = f"{name} ends without having begun; sounding: {now}"
                faults.append((tick, part, "pairing", what))
        for (_, pitch), onset in sounding.items():
            faults.append((onset, part, "pairing", f"{pitch_name(pitch)} never ends"))
            notes.append((part, pitch, onset, tick, False))
        part += len(notes) > notes_before
    if not notes:
        faults.append((0, 0, "pairing", "the file holds no notes"))
    meters.sort(key=lambda item: item[0])
    first_meter = [meter for tick, meter in meters if tick == 0][-1]

    def grid(source_tick: int) -> int:
        return source_tick * TICKS_PER_QUARTER // per_quarter

    roll = tuple(RollNote(p, n, grid(a), grid(b), closed) for p, n, a, b, closed in notes)
    violations = [
        _fault(index, *fault, meters, per_quarter) for index, fault in enumerate(sorted(faults))
    ]
    return roll, violations, first_meter


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
