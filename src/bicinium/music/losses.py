"""What reading a file left out or changed, one line for each kind."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

_WORD = r"\[([^|]*)\|([^]]*)\]"  # in the singular and in the plural


def _plural(text: str) -> str:
    return re.sub(_WORD, r"\2", text)


class LossKind(StrEnum):
    """A kind of loss. The value is a sentence: ``{n}`` is the count, ``{detail}`` particulars.

    ``[one|many]`` is a word in the singular and in the plural.
    """

    SNAPPED = "{n} [note|notes] moved to the grid of 24 ticks a quarter note, by up to {detail}."
    QUANTIZED = "{n} [note|notes] moved to the nearest sixteenth or triplet eighth (--quantize)."
    ROUNDED = "{n} [note|notes] off the grid of 24 ticks a quarter note rounded to it."
    GRACE = "{n} grace [note|notes] left out."
    CUE = "{n} cue [note|notes] left out."
    PERCUSSION = "{n} percussion [note|notes] left out."
    OFF_PIANO = "{n} [note|notes] outside the range of the piano (A0 to C8) left out."
    NO_LENGTH = "{n} [note|notes] without length left out."
    NEVER_ENDED = "{n} [note|notes] without an end: held to the end of the track."
    RESTRUCK = "{n} [note|notes] ended where the same pitch starts again."
    QUARTER_TONE = "{n} quarter [tone|tones] lowered to the semitone below."
    OTHER_OCTAVE = "{n} [note|notes] read without the accidental of another octave in the bar."
    ORNAMENT = "{n} [ornament|ornaments] (trill, turn, tremolo) not played."
    PEDAL = "{n} [use|uses] of the sustain pedal ignored: notes end where keys are released."
    REPEAT = "{n} [repeat or jump|repeats or jumps] not unfolded (--unfold plays them)."
    SECTION_ORDER = "The stated order of sections is not played: {detail}."
    MACROS = "{n} [macro|macros] not expanded."
    TEMPO = "{n} later [change|changes] of tempo ignored."
    KEY = "{n} later [change|changes] of key signature ignored."
    BAD_KEY = "{n} invalid key [signature|signatures] ignored."
    BAD_METER = "{n} invalid time [signature|signatures] ignored."
    SECTIONS = "{n} later [section|sections] in another metre left out."
    INNER_VOICES = "{n} [note|notes] of inner voices left out."
    SHORTENED = "{n} [note|notes] shortened to the next note of the voice."
    OTHER_PIECES = "{n} later [piece|pieces] of {detail} in the file left out."
    SHORT_BARS = "{n} short [bar|bars] filled with rests: {detail}."
    LONG_BARS = (
        "{n} [bar|bars] longer than the metre, read in a metre of [its|their] own: {detail}."
    )
    DIVIDED_BARS = "{n} [bar|bars] longer than the metre divided into bars of it: {detail}."
    OPEN_TIES = "{n} [tie|ties] without a second note ignored."
    DAMAGE = "The file is damaged: {detail}."

    @property
    def label(self) -> str:
        """The kind in words, without a number, like "grace notes left out"."""
        words = re.sub(r"(, by up to|:| of)? \{detail\}|^\{n\} |\.$", "", self.value)
        return _plural(words)


@dataclass(frozen=True, slots=True)
class Loss:
    """One kind of loss in one file, and how often it occurs. ``str`` gives a sentence."""

    kind: LossKind
    count: int = 1
    detail: str = ""

    def __str__(self) -> str:
        singular = re.sub(_WORD, r"\1", self.kind.value)
        words = singular if self.count == 1 else _plural(self.kind.value)
        return words.format(n=self.count, detail=self.detail)


def losses_of(counts: Mapping[LossKind, int]) -> tuple[Loss, ...]:
    """Return the losses with a positive count, in the order of their kinds."""
    if not any(counts.values()):
        return ()
    return tuple(Loss(kind, counts[kind]) for kind in LossKind if counts.get(kind))


def count_losses(losses: tuple[Loss, ...]) -> Counter[LossKind]:
    """Return the count of each kind."""
    counts: Counter[LossKind] = Counter()
    for loss in losses:
        counts[loss.kind] += loss.count
    return counts


def losses_of_file(pieces: int, section_order: str) -> list[Loss]:
    """Return what is lost of a file with several pieces, or with a stated order of sections."""
    losses = []
    if section_order:
        losses.append(Loss(LossKind.SECTION_ORDER, 1, section_order))
    if pieces > 1:
        losses.append(Loss(LossKind.OTHER_PIECES, pieces - 1, str(pieces)))
    return losses
