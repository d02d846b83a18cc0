"""Validate music files: the events of MIDI, and the tokens of everything that is two voices.

Music in one metre, on the grid, and in at most two voices is also validated as tokens; other music
is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from glob import glob
from pathlib import Path

from bicinium.errors import BiciniumError, RequestError, ScoreError, describe_fault
from bicinium.formats.registry import NOTATION_SUFFIXES, find_music, read_music
from bicinium.grammar.validate import MusicalGrammarValidator, Violation
from bicinium.music.content import Content
from bicinium.music.losses import Loss
from bicinium.music.score import COMMON_TIME, Meter, Score, Voice
from bicinium.render.piano_roll import RollNote
from bicinium.reports.midi_events import check_midi_events
from bicinium.reports.token_file import TOKEN_SUFFIXES, read_token_file
from bicinium.tokenizer.codec import encode, snap
from bicinium.tokenizer.vocabulary import KINDS, VALUES, VOCAB_SIZE, Kind
from bicinium.upper_layers import NotebookDisplay


class CheckedAs(StrEnum):
    """What a file was validated as."""

    TOKENS = "tokens"
    MIDI = "MIDI"
    MIDI_AND_TOKENS = "MIDI and tokens"
    NOTATION = "notation"
    NOTATION_AND_TOKENS = "notation and tokens"
    NOTHING = "nothing"  # The file cannot be read.


_AND_TOKENS = {
    CheckedAs.MIDI: CheckedAs.MIDI_AND_TOKENS,
    CheckedAs.NOTATION: CheckedAs.NOTATION_AND_TOKENS,
}


@dataclass(frozen=True, slots=True)
class FileVerdict(NotebookDisplay):
    """The result of validating a file. ``roll`` and ``meter``, the first metre, are for drawing."""

    path: Path
    valid: bool
    grammar_score: float
    notes: int
    violations: tuple[Violation, ...]
    checked_as: CheckedAs
    roll: tuple[RollNote, ...] = ()
    meter: Meter = COMMON_TIME
    hint: str = ""  # See ``ValidationResult``.
    losses: tuple[Loss, ...] = ()  # in reading the file


def find_files(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the files that the paths name.

    A folder stands for all music below it, and a pattern such as ``music/*.mid`` for what matches.
    A file that is named twice is yielded once. Raises RequestError if a path does not exist, or if
    a folder or a pattern gives no file.
    """
    found: set[Path] = set()
    for path in _named_files(paths):
        if path.resolve() not in found:
            found.add(path.resolve())
            yield path


def _named_files(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the files that each path names; those that several name come several times."""
    for path in paths:
        if not path.exists() and any(sign in str(path) for sign in "*?["):
            matched = [Path(name) for name in sorted(glob(str(path), recursive=True))]
            if not matched:
                raise RequestError(f"No file matches {path}.")
            yield from _named_files(matched)
        elif path.is_dir():
            found = find_music(path)
            if not found:
                raise RequestError(f"There is no music below {path}.")
            yield from found
        elif path.exists():
            yield path
        else:
            raise RequestError(f"There is no file at {path}.")


def validate_file(
    path: Path,
    validator: MusicalGrammarValidator | None = None,
    *,
    quantize: bool = False,
    unfold: bool = False,
) -> FileVerdict:
    """Validate one file. A file that cannot be read is invalid; its violation is the error.

    See ``read_music`` for ``quantize`` and ``unfold``.
    """
    validator = validator or MusicalGrammarValidator()
    try:
        if path.suffix.lower() in TOKEN_SUFFIXES:
            return _validate_tokens(path, validator)
        content = read_music(path, quantize=quantize, unfold=unfold)
        if path.suffix.lower() in NOTATION_SUFFIXES:
            verdict = _validate_notation(path, content, validator)
        else:
            verdict = _validate_midi(path, content, validator)
        return replace(verdict, losses=content.losses)
    except BiciniumError as error:
        problem = str(error)
    except Exception as error:  # One file must never end the validation of many.
        problem = f"{path}: {describe_fault(error)}"
    unreadable = Violation(0, 0, 1, 1.0, 0, "file", problem)
    return FileVerdict(path, False, 0.0, 0, (unreadable,), CheckedAs.NOTHING)


def _validate_tokens(path: Path, validator: MusicalGrammarValidator) -> FileVerdict:
    file = read_token_file(path)
    result = validator.validate_sequence(file.tokens, file.meter, file.bars, file.transposition)
    return FileVerdict(
        path=path,
        valid=result.valid,
        grammar_score=result.grammar_score,
        notes=result.notes,
        violations=result.violations,
        checked_as=CheckedAs.TOKENS,
        roll=tuple(_roll_of_tokens(file.tokens)),
        meter=file.meter or COMMON_TIME,
        hint=result.hint,
    )


def _roll_of_tokens(tokens: Sequence[int]) -> Iterator[RollNote]:
    """Yield the notes of any tokens. A note that never ends lasts to the last tick."""
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


def _validate_midi(path: Path, content: Content, validator: MusicalGrammarValidator) -> FileVerdict:
    events = check_midi_events(path)
    faults, notes = len(events.violations), len(events.roll)
    verdict = FileVerdict(
        path=path,
        valid=not faults,
        grammar_score=(1 - min(1.0, faults / max(1, notes))) ** 2,
        notes=notes,
        violations=events.violations,
        checked_as=CheckedAs.MIDI,
        roll=events.roll,
        meter=events.meter,
    )
    return verdict if faults else _with_tokens(verdict, content, validator)


def _validate_notation(
    path: Path, content: Content, validator: MusicalGrammarValidator
) -> FileVerdict:
    roll = tuple(
        RollNote(part, note.pitch, note.onset_tick, note.offset_tick)
        for part, staff in enumerate(content.staves)
        for note in staff.notes
    )
    meter = content.meters[0][1]
    verdict = FileVerdict(path, True, 1.0, len(roll), (), CheckedAs.NOTATION, roll, meter)
    return _with_tokens(verdict, content, validator)


def _with_tokens(
    verdict: FileVerdict, content: Content, validator: MusicalGrammarValidator
) -> FileVerdict:
    """Validate a file as tokens too, if it is two voices."""
    score = _as_two_voices(content)
    if score is None:
        return verdict
    result = validator.validate_sequence(encode(snap(score)), score.meter, score.bars)
    return replace(
        verdict,
        valid=result.valid,
        grammar_score=result.grammar_score,
        violations=result.violations,
        checked_as=_AND_TOKENS[verdict.checked_as],
    )


def _as_two_voices(content: Content) -> Score | None:
    """Return the score of one or two voices in one metre on the grid; None for other music."""
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
    except ScoreError:  # A staff with chords is not a voice.
        return None
