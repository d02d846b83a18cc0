"""Scores as REMI tokens, by MidiTok, without loss on our grid; and what is told before them.

REMI divides a beat, whatever its note value, into one number of positions. So that positions and
durations mean the same in every metre, bars are counted in sixteenths here: 3/4 is 12/16, 3/2 is
24/16. Six positions to the sixteenth are the 24 ticks to the quarter of our scores. The metre
itself is told in the prefix.

Ids: MidiTok's vocabulary, then the conditions; ``prefix`` says in which order they come.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from miditok import REMI, TokenizerConfig
from numpy.typing import NDArray
from symusic import Note as MidiNote
from symusic import Score as MidiScore
from symusic import Tempo, TimeSignature, Track

from bicinium.data.sources import STYLES
from bicinium.model.config import COMMON_METERS
from bicinium.music.key import Key
from bicinium.music.score import (
    HIGHEST_PITCH,
    LOWEST_PITCH,
    TICKS_PER_QUARTER,
    VOICES,
    Meter,
    NoteArray,
    NoteSequence,
    Score,
    Voice,
    note_array,
)

_SIXTEENTH = TICKS_PER_QUARTER // 4
_LONGEST_NOTE = 960 // _SIXTEENTH  # in sixteenths; nothing in the corpus is longer
_LONGEST_BAR = 36  # sixteenths: 9/4
_MODES = ("major", "minor")
_EXACT_BARS, _BAR_CLASSES = 64, 88
_CONDITIONS = {  # each has an id for unknown, its first
    "mode": len(_MODES) + 1,
    "meter": len(COMMON_METERS) + 1,
    "bars": _BAR_CLASSES,
    "style": len(STYLES) + 1,
}
PREFIX = len(_CONDITIONS)  # tokens


@dataclass(frozen=True, slots=True)
class Read:
    """The score that tokens represent, and the repairs that it needed."""

    score: Score
    notes: int  # Pitch tokens
    cut: int  # notes that end where the next of their voice begins
    left_out: int  # notes of which there is no room, or no velocity and duration
    misplaced: int  # positions beyond their bar, and metres that are not the one asked for
    as_asked: bool  # there is an end, and as many bars as were asked for

    @property
    def unmended(self) -> float:
        """Share of the notes."""
        return 1 - (self.cut + self.left_out) / max(1, self.notes)

    @property
    def faultless(self) -> bool:
        """Is it two voices as it stands, of whatever length?"""
        return not (self.cut or self.left_out or self.misplaced)

    @property
    def valid(self) -> bool:
        """Is it faultless, and what was asked for?"""
        return self.as_asked and self.faultless


class RemiTokens:
    """MidiTok's tokenizer and the ids of conditions above its own."""

    @cached_property
    def tokenizer(self) -> REMI:
        """MidiTok's REMI for two programs in one stream, as lossless as our own tokens."""
        return REMI(
            TokenizerConfig(
                pitch_range=(LOWEST_PITCH, HIGHEST_PITCH),
                beat_res={(0, _LONGEST_NOTE): _SIXTEENTH},
                num_velocities=32,
                special_tokens=["PAD", "BOS", "EOS"],
                use_tempos=True,
                num_tempos=32,
                tempo_range=(30, 240),
                log_tempos=True,
                use_time_signatures=True,
                time_signature_range={16: list(range(1, _LONGEST_BAR + 1)), 4: [4]},
                use_programs=True,
                programs=list(range(VOICES)),
                program_changes=True,
                use_pitchdrum_tokens=False,
            )
        )

    @cached_property
    def names(self) -> list[str]:
        """Of MidiTok's ids."""
        return [name for name, _ in sorted(self.tokenizer.vocab.items(), key=lambda item: item[1])]

    @property
    def bos(self) -> int:
        return int(self.tokenizer["BOS_None"])

    @property
    def eos(self) -> int:
        return int(self.tokenizer["EOS_None"])

    @property
    def bar(self) -> int:
        return int(self.tokenizer["Bar_None"])

    @property
    def size(self) -> int:
        """Of the vocabulary, conditions included."""
        return len(self.tokenizer) + sum(_CONDITIONS.values())

    def prefix(
        self,
        mode: str | None,
        meter: str | None,
        bars: int | None,
        style: str | None,
        keep: Sequence[bool] = (True,) * PREFIX,
    ) -> list[int]:
        """Return the tokens of the conditions, 'unknown' for those dropped or not known."""
        values = (_place(_MODES, mode), _place(COMMON_METERS, meter), _bar_class(bars or 0))
        first, ids = len(self.tokenizer), []
        for value, kept, size in zip(
            (*values, _place(STYLES, style)), keep, _CONDITIONS.values(), strict=True
        ):
            ids.append(first + (value if kept else 0))
            first += size
        return ids

    def opening(self, meter: Meter, tempo_qpm: float | None) -> list[int]:
        """Return the ids up to the tempo; only BOS if no tempo is given."""
        if tempo_qpm is None:
            return [self.bos]
        ids: list[int] = self.encode(Score((), 1, meter, tempo_qpm=tempo_qpm)).tolist()
        return ids[:-1]

    def encode(self, score: Score) -> NDArray[np.int16]:
        """(T,) ids from BOS to EOS."""
        piece: Any = MidiScore(TICKS_PER_QUARTER)
        sixteenths = score.meter.bar_ticks // _SIXTEENTH
        piece.time_signatures.append(TimeSignature(0, sixteenths, 16))
        piece.tempos.append(Tempo(0, score.tempo_qpm))
        for program, voice in enumerate(score.voices):
            onset, pitch, duration, velocity = note_array(voice.notes).astype(np.int32)
            track: Any = Track(program=program)
            track.notes = MidiNote.from_numpy(
                time=onset, duration=duration, pitch=pitch.astype(np.int8),
                velocity=velocity.astype(np.int8),
            )  # fmt: skip
            piece.tracks.append(track)
        ids = self.tokenizer.encode(piece).ids
        return np.array([self.bos, *ids, self.eos], np.int16)

    def decode(
        self, ids: Sequence[int], meter: Meter, key: Key | None, bars: int, semitones: int = 0
    ) -> Read:
        """The score that ids spell, as MidiTok reads them, ``semitones`` higher.

        What is no score is mended as little as can be: a note ends where the next of its voice
        begins, of those that begin together the highest stays, and what lies outside the bars or
        off the piano is left out.
        """
        music = [i for i in ids if self.eos < i < len(self.tokenizer)]
        found: Any = self.tokenizer.decode(music) if music else MidiScore(TICKS_PER_QUARTER)
        lines = [np.zeros((4, 0), np.int64)] * VOICES
        for track in found.tracks:
            columns: Any = track.notes.numpy()
            names = ("time", "pitch", "duration", "velocity")
            lines[track.program] = np.stack([columns[name] for name in names]).astype(np.int64)
            lines[track.program][1] += semitones
        last = max(int((line[0] + line[2]).max(initial=0)) for line in lines)
        bars_spelled = max(music.count(self.bar), -(-last // meter.bar_ticks))  # the last is held
        mended = [_as_line(line, bars * meter.bar_ticks) for line in lines]
        names_of_music = [self.names[i] for i in music]
        spelled = sum(name.startswith("Pitch_") for name in names_of_music)
        kept = sum(line.shape[1] for line, _ in mended)
        return Read(
            score=Score(
                voices=tuple(Voice(NoteSequence(line)) for line, _ in mended),
                bars=bars,
                meter=meter,
                key=key,
                tempo_qpm=float(found.tempos[0].qpm) if len(found.tempos) else 120.0,
            ),
            notes=spelled,
            cut=sum(cut for _, cut in mended),
            left_out=spelled - kept,
            misplaced=_misplaced(names_of_music, meter),
            as_asked=len(ids) > 0 and ids[-1] == self.eos and bars_spelled == bars,
        )


def _as_line(notes: NoteArray, end: int) -> tuple[NoteArray, int]:
    """Return the notes of a voice without overlaps up to a tick, and how many were shortened."""
    notes = notes[:, np.lexsort((notes[1], notes[0]))]
    onset, pitch = notes[:2]
    notes = notes[:, (onset < end) & (pitch >= LOWEST_PITCH) & (pitch <= HIGHEST_PITCH)]
    if not notes.shape[1]:
        return notes, 0
    following = np.append(notes[0, 1:], end)
    notes, following = notes[:, following > notes[0]], following[following > notes[0]]
    duration = np.minimum(notes[2], following - notes[0])
    cut = int((duration < notes[2]).sum())
    return np.stack([notes[0], notes[1], duration, notes[3]]), cut


def _misplaced(names: Sequence[str], meter: Meter) -> int:
    """Positions beyond the end of the bar, and TimeSig tokens of another metre."""
    sixteenths = meter.bar_ticks // _SIXTEENTH
    values = [name.split("_") for name in names]
    return sum(
        (kind == "Position" and int(value) >= meter.bar_ticks)
        or (kind == "TimeSig" and value != f"{sixteenths}/16")
        for kind, value in values
    )


def _place(names: Sequence[str], name: str | None) -> int:
    """1 for the first, 0 for a name that is not among them."""
    return names.index(name) + 1 if name in names else 0


def _bar_class(bars: int) -> int:
    """0 is unknown; exact to 64 bars, then eight classes to the doubling, as in our model."""
    if bars <= _EXACT_BARS:
        return bars
    return min(_EXACT_BARS + math.ceil(8 * math.log2(bars / _EXACT_BARS)), _BAR_CLASSES - 1)
