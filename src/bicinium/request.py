"""What a caller asks for, in words and files, turned into the conditions of pieces.

Whatever is left open is drawn, by the seed, from what the corpus makes likely.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from bicinium.errors import BiciniumError, RequestError
from bicinium.formats.registry import read_score, read_voice
from bicinium.generation.conditions import Conditions, draw_key, draw_meter, draw_style
from bicinium.generation.fixed_notes import (
    FixedNotes,
    fix_around_gap,
    fix_opening,
    fix_voice,
    subject,
)
from bicinium.grammar import MusicalGrammarValidator
from bicinium.music.key import ACCIDENTAL_SEMITONES, STEP_SEMITONES, Key, estimate_key
from bicinium.music.score import (
    HIGHEST_PITCH,
    LOWEST_PITCH,
    TICKS_PER_QUARTER,
    Meter,
    Note,
    Score,
    Voice,
    note_array,
)
from bicinium.tokenizer.codec import encode

DEFAULT_BARS = 16
_CONTINUED_BARS = 8  # beyond what is given
_WHOLE_NOTE_TICKS = 4 * TICKS_PER_QUARTER
_SHARE = r"(\d{1,4}(?:/[1-9]\d{0,3})?)$"  # of a whole note
_NOTE = re.compile(rf"([A-Ga-g])([#b♯♭]?)(-?\d):{_SHARE}|[rR]:{_SHARE}")
_ANSWERS = {"octave": 0, "fifth": 7}  # semitones above the subject, before it moves to the bass
_ANSWER_MEAN_PITCH = 52  # about which the lower voice's answer is to lie


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for. All is optional; at most one of the files and the subject.

    key like ``D minor``, meter like ``3/4``, tempo in quarter notes a minute. continue_from: a
    score that is to go on, to ``bars`` bars in all. upper, lower: a voice to which the other is to
    be written. rewrite: a score of which the bars ``rewrite_bars`` (first, last) are composed anew.
    subject: like ``D4:1/8 E4:1/8 r:1/4``, with which the upper voice opens, and which the lower
    answers at the ``octave`` or the ``fifth``.
    """

    key: str | None = None
    meter: str | None = None
    bars: int | None = None
    tempo: float | None = None
    style: str | None = None
    continue_from: Path | None = None
    upper: Path | None = None
    lower: Path | None = None
    rewrite: Path | None = None
    rewrite_bars: tuple[int, int] | None = None
    subject: str | None = None
    answer: str = "octave"

    def __post_init__(self) -> None:
        names = ("continue_from", "upper", "lower", "rewrite", "subject")
        chosen = [name for name in names if getattr(self, name) is not None]
        if len(chosen) > 1:
            raise RequestError(f"{' and '.join(chosen)} cannot be asked for together: choose one")
        if (self.rewrite is None) != (self.rewrite_bars is None):
            raise RequestError("to rewrite bars, name both a file and the bars, like 3-4")
        if self.answer not in _ANSWERS:
            raise RequestError(f"answer {self.answer!r} is not one of {', '.join(_ANSWERS)}")
        if self.answer != "octave" and self.subject is None:
            raise RequestError("there is no subject to answer: name one, or leave the answer out")

    def conditions(self, seeds: Sequence[int], styles: Sequence[str]) -> list[Conditions]:
        """The conditions of one piece for each seed; ``styles`` are those that the model has
        learned. Raises RequestError, ScoreError and their like where none can be so.
        """
        source = self._source()
        bars, fixed_notes = self._with(source) if source else (self._bars, None)
        asked = []
        for seed in seeds:
            rng = np.random.default_rng([seed, 2**16])
            key, meter, style = draw_key(rng), draw_meter(rng), draw_style(rng, styles)
            if self.key is not None:
                key = Key.parse(self.key)
            elif source:
                key = source.key or source.estimated_key or key
            elif self.subject is not None:
                key = _key_of_line(self._motif())
            if self.meter is not None:
                meter = Meter.parse(self.meter)
            elif source:
                meter = source.meter
            if source and meter != source.meter:
                raise RequestError(f"what is given is in {source.meter}, not in {meter}")
            if self.subject is not None:
                fixed_notes = self._opening(Score((Voice(()), Voice(())), bars, meter, key))
            tempo = source.tempo_qpm if source and self.tempo is None else self.tempo
            style = style if self.style is None else self.style
            asked.append(Conditions(key, meter, bars, tempo, style, fixed_notes))
        return asked

    @property
    def _bars(self) -> int:
        return DEFAULT_BARS if self.bars is None else self.bars

    def _source(self) -> Score | None:
        """The score that the piece starts from; None where it starts from nothing."""
        for part, path in enumerate((self.upper, self.lower)):
            if path is not None:
                return _legal(read_voice(path, part), path)
        path = self.continue_from or self.rewrite
        return _legal(read_score(path), path) if path else None

    def _with(self, source: Score) -> tuple[int, FixedNotes]:
        """How many bars, and what is given of them."""
        if self.continue_from:
            bars = source.bars + _CONTINUED_BARS if self.bars is None else self.bars
            return bars, fix_opening(source, bars)
        if self.bars not in (None, source.bars):
            raise RequestError(f"what is given has {source.bars} bars, not {self.bars}")
        if self.rewrite_bars:
            return source.bars, fix_around_gap(source, *self.rewrite_bars)
        part = 0 if self.upper else 1
        return source.bars, fix_voice(source.voices[part], part, source)

    def _motif(self) -> Voice:
        return parse_subject(self.subject or "")

    def _opening(self, like: Score) -> FixedNotes:
        motif = self._motif()
        alone = -(-motif.end_tick // like.meter.bar_ticks)
        _legal(replace(like, voices=(motif, Voice(())), bars=alone), "the subject")
        answer = _answer(motif, alone * like.meter.bar_ticks, _ANSWERS[self.answer])
        if answer.end_tick >= like.end_tick:
            least = answer.end_tick // like.meter.bar_ticks + 1
            raise RequestError(
                f"subject and answer leave no room in {like.bars} bars: ask for {least} or more"
            )
        return subject(motif, answer, like, alone)


def parse_subject(text: str) -> Voice:
    """Read ``D4:1/8 E4:1/8 F#4:1/4 r:1/8``: a pitch (C4 is middle C) and a share of a whole note.
    Rests at its end count for nothing.

    Raises RequestError where a word is none, off the keyboard or off the grid of 24 to the quarter.
    """
    notes: list[Note] = []
    tick = 0
    for word in text.split():
        found = _NOTE.match(word)
        if not found:
            raise RequestError(
                f"{word!r} in the subject is no note: write it like D4:1/8, a rest like r:1/8"
            )
        ticks = Fraction(found[4] or found[5]) * _WHOLE_NOTE_TICKS
        if ticks.denominator != 1 or ticks < 1:
            raise RequestError(f"{word!r} in the subject does not fit on the grid of 96 to a whole")
        if found[1]:
            step = STEP_SEMITONES[found[1].upper()] + ACCIDENTAL_SEMITONES[found[2]]
            pitch = 12 * (int(found[3]) + 1) + step
            if not LOWEST_PITCH <= pitch <= HIGHEST_PITCH:
                raise RequestError(f"{word!r} in the subject is out of the piano's range, A0 to C8")
            notes.append(Note(tick, pitch, int(ticks)))
        tick += int(ticks)
    if not notes:
        raise RequestError("the subject has no notes: write them like 'D4:1/8 E4:1/8'")
    return Voice(tuple(notes))


def _answer(motif: Voice, later_ticks: int, semitones: int) -> Voice:
    """The subject in the lower voice: transposed, and moved by octaves to where that voice lies."""
    mean = float(note_array(motif.notes)[1].mean()) + semitones
    semitones -= 12 * max(1, round((mean - _ANSWER_MEAN_PITCH) / 12))
    notes = [Note(n.onset_tick + later_ticks, n.pitch + semitones, n.duration_ticks, n.velocity)
             for n in motif.notes]  # fmt: skip
    if min(note.pitch for note in notes) < LOWEST_PITCH:
        raise RequestError("the subject lies so low that the lower voice cannot answer it")
    return Voice(tuple(notes))


def _legal(score: Score, name: Path | str) -> Score:
    """The score, where the grammar has nothing against it."""
    try:
        tokens = encode(score)
    except BiciniumError as error:
        raise RequestError(f"{name} cannot be composed with: {error}") from error
    result = MusicalGrammarValidator().validate_sequence(tokens, score.meter, score.bars)
    if not result.valid:
        raise RequestError(f"{name} cannot be composed with: {result.violations[0].message}")
    return score


def _key_of_line(line: Voice) -> Key:
    columns = note_array(line.notes)
    first = int(columns[1, 0])  # a subject most often begins or ends on the tonic
    return estimate_key(np.bincount(columns[1] % 12, weights=columns[2], minlength=12), first)
