"""Import music files as piece records.

A file is read, quantised, reduced to two voices, transposed to C major or A minor, encoded, and
compared with what its tokens and a MIDI file give back. Grammar and quality are measured. The
result depends on the file and on this program alone, so it can be cached.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bicinium.data.duplicates import fingerprint
from bicinium.data.piece_record import PieceRecord, Rejection, RejectReason
from bicinium.data.source_file import SourceFile
from bicinium.errors import BiciniumError, CorpusError, describe_fault
from bicinium.formats.midi import read_midi, write_midi
from bicinium.formats.registry import MAX_MEMORY_BYTES, read_music
from bicinium.grammar import MusicalGrammarValidator
from bicinium.memory_limit import memory_limit
from bicinium.music.content import Content
from bicinium.music.quality import quality
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, Meter, Score
from bicinium.music.voice_reduction import VoiceReduction, reduce_to_two_voices
from bicinium.time_limit import time_limit
from bicinium.tokenizer.codec import decode, encode, snap

MAX_SECONDS = 60  # of processor time for one file
_MIN_NOTES = 24
_MIN_BARS = 4
_MIN_BARS_WITH_ONSETS = 0.2  # share of the bars, in each voice
_MAX_OFF_GRID = 0.05  # share of the notes


def import_files(sources: Sequence[SourceFile]) -> list[list[PieceRecord]]:
    """Import several files and return the records of each.

    The grammar of all pieces is checked in one pass, which is much faster than piece by piece.
    """
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder) / "round-trip.mid"
        files = [import_file(source, scratch) for source in sources]
    encoded = [record for records in files for record in records if record.kept]
    results = MusicalGrammarValidator().validate_sequences(
        [record.tokens for record in encoded],
        [Meter.parse(record.meter) for record in encoded],
        [record.bars for record in encoded],
        [record.transposition for record in encoded],
    )

    def with_grammar(record: PieceRecord) -> PieceRecord:
        if not record.kept:
            return record
        result = next(results)
        fault = result.violations[0].message if result.violations else ""
        return replace(record, grammar_score=round(result.grammar_score, 4), grammar_fault=fault)

    return [[with_grammar(record) for record in records] for records in files]


def import_file(source: SourceFile, scratch: Path) -> list[PieceRecord]:
    """Return a record for each pair of voices and each metre of a file, without a grammar score.

    The name of a record is what distinguishes it from others of the file. A file that cannot be
    read, takes too long, or breaks this program gives one record, which is rejected. ``scratch`` is
    the path of a temporary MIDI file.
    """
    slow = CorpusError(f"it takes over {MAX_SECONDS} seconds")
    try:
        with time_limit(MAX_SECONDS, slow), memory_limit(MAX_MEMORY_BYTES):
            return _import(source, scratch)
    except BiciniumError as error:
        reason = str(error)
    except MemoryError:
        reason = f"it takes over {MAX_MEMORY_BYTES / 2**30:g} GiB"
    except Exception as error:  # One file must never end the import of many.
        reason = describe_fault(error)
    # Without the folder: a reason must not depend on where the file is.
    detail = " ".join(reason.replace(str(source.path), source.path.name).split())
    return [PieceRecord("", rejection=Rejection(RejectReason.UNREADABLE, detail))]


def _import(source: SourceFile, scratch: Path) -> list[PieceRecord]:
    content = read_music(source.path, quantize=source.quantize, unfold=source.unfold)
    found = {
        name: reduce_to_two_voices(pair) for name, pair in _pairs(content, source.pairs).items()
    }
    of_file = PieceRecord(
        "",
        composer=content.composer,
        title=content.title,
        licence=content.rights,
        notes_off_grid=content.notes_off_grid,
        notes_left_out=content.notes_left_out,
        losses=content.losses,
        rejection=_off_grid(content),
    )
    return [
        _import_score(replace(of_file, name=_label(pair, index, len(scores))), reduced, scratch)
        for pair, scores in found.items()
        for index, reduced in enumerate(scores)
    ] or [replace(of_file, rejection=Rejection(RejectReason.UNREADABLE, "it holds no music"))]


def _off_grid(content: Content) -> Rejection | None:
    total = sum(len(staff.notes) for staff in content.staves)
    if content.notes_off_grid <= _MAX_OFF_GRID * total:
        return None
    detail = f"{content.notes_off_grid} of {total} notes are off the grid; --quantize moves them"
    return Rejection(RejectReason.OFF_GRID, detail)


def _label(pair: str, index: int, count: int) -> str:
    return pair + (f"#{index + 1}" if count > 1 else "")


def _pairs(content: Content, names: Sequence[str]) -> dict[str, Content]:
    """Return the staves of each named pair of voices; everything if no pair is named."""
    if not names:
        return {"": content}
    by_height = sorted(
        content.staves, key=lambda staff: -sum(n.pitch for n in staff.notes) / len(staff.notes)
    )
    pairs = {}
    for name in names:
        inset = {"outer": 0, "inner": 1}[name]
        upper, lower = inset, len(by_height) - 1 - inset
        if upper < lower:
            pairs[f"-{name}"] = replace(content, staves=(by_height[upper], by_height[lower]))
    if not pairs:
        raise CorpusError(f"it has {len(by_height)} parts and no {' or '.join(names)} pair")
    return pairs


def _import_score(record: PieceRecord, reduced: VoiceReduction, scratch: Path) -> PieceRecord:
    """Fill in the record of the file with one score of it."""
    score = reduced.score
    record = replace(
        record,
        method=reduced.method,
        meter=str(score.meter),
        bars=score.bars,
        notes=score.note_count,
        notes_dropped=reduced.notes_dropped,
        notes_shortened=reduced.notes_shortened,
        losses=score.losses,
        key=str(score.key or ""),
        rejection=record.rejection or _unfit(score),
    )
    if not record.kept:
        return record
    try:
        home, transposition = at_home(snap(score))
        tokens = encode(home)
        changed_by = _round_trip_fault(snap(score), home, tokens, transposition, scratch)
    except BiciniumError as error:
        return replace(record, rejection=Rejection(RejectReason.NOT_ENCODABLE, str(error)))
    if changed_by:
        return replace(record, rejection=Rejection(RejectReason.ROUND_TRIP, changed_by))
    measured = quality(home)
    return replace(
        record,
        mode=home.key.mode if home.key else "",
        transposition=transposition,
        anacrusis_ticks=home.anacrusis_ticks,
        quality_score=round(measured.score, 4) if measured else 0.0,
        fingerprint=fingerprint(home),
        tokens=tokens.astype(np.int16),
    )


def _unfit(score: Score) -> Rejection | None:
    """Return why a score is not two-voice music to train on, or None."""
    if score.note_count < _MIN_NOTES or score.bars < _MIN_BARS:
        detail = f"{score.note_count} notes in {score.bars} bars"
        return Rejection(RejectReason.TOO_SHORT, detail)
    for voice, name in zip(score.voices, ("upper", "lower"), strict=True):
        bars = {note.onset_tick // score.meter.bar_ticks for note in voice.notes}
        if len(bars) < _MIN_BARS_WITH_ONSETS * score.bars:
            detail = f"the {name} voice begins a note in only {len(bars)} of {score.bars} bars"
            return Rejection(RejectReason.SILENT_VOICE, detail)
    return None


def at_home(score: Score) -> tuple[Score, int]:
    """Return the score in C major or A minor, and the semitones that lead back.

    If the nearest direction leaves the piano, the score goes to the other octave. Raises
    ScoreError if both leave it.
    """
    shift = score.key.semitones_to_reference if score.key else 0
    pitches = [note.pitch for voice in score.voices for note in voice.notes]
    for semitones in (shift, shift - 12 if shift > 0 else shift + 12):
        if min(pitches) + semitones >= LOWEST_PITCH and max(pitches) + semitones <= HIGHEST_PITCH:
            return score.transpose(semitones), -semitones
    return score.transpose(shift), -shift  # raises an error that names the pitch


def _round_trip_fault(
    score: Score, home: Score, tokens: np.ndarray, transposition: int, scratch: Path
) -> str:
    """Return what does not give the score back note for note: "tokens", "MIDI", or nothing."""
    decoded = decode(tokens, home.meter, home.key, home.anacrusis_ticks)
    if decoded != home:
        return "tokens"
    write_midi(decoded.transpose(transposition), scratch)
    (back,) = reduce_to_two_voices(read_midi(scratch))
    same = back.score.voices == score.voices and back.score.meter == score.meter
    return "" if same else "MIDI"
