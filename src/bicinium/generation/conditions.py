"""The conditions of one piece: key, metre, length, tempo, style and fixed notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bicinium.data.sources import KEYBOARD_STYLES, STYLES
from bicinium.errors import RequestError, ScoreError
from bicinium.generation.fixed_notes import FixedNotes
from bicinium.music.form import Form
from bicinium.music.key import Key, display
from bicinium.music.score import TICKS_PER_QUARTER, Meter
from bicinium.music.signature import Signature

MAX_BARS = 256
MIN_TEMPO_QPM, MAX_TEMPO_QPM = 20.0, 300.0
_MAX_TOKENS_PER_QUARTER = 96  # far above what two voices need
_MAX_TOKENS_PER_NOTE = 8  # VELOCITY, NOTE_ON, TIME_SHIFTs, PARTs, NOTE_OFF
_HEADER_TOKENS = 64
# Distributions of what a request leaves open, from the keyboard corpus.
_METER_SHARES = {"4/4": 0.35, "3/4": 0.3, "2/4": 0.2, "6/8": 0.15}
_STYLE_SHARES = {"bach": 0.5, "classical": 0.25, "baroque": 0.15, "romantic": 0.1}
_COMMON_KEYS = (
    "C major", "G major", "D major", "A major", "F major", "Bb major", "Eb major",
    "A minor", "E minor", "D minor", "G minor", "C minor",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Conditions:
    """What one piece is conditioned on. Raises RequestError for a value outside its limits.

    ``tempo_qpm`` None leaves the tempo to the model, ``style`` None the style. ``fixed_notes`` are
    as they sound.
    """

    key: Key
    meter: Meter
    bars: int = 16
    tempo_qpm: float | None = None
    style: str | None = None
    fixed_notes: FixedNotes | None = None
    title: str | None = None  # None: named after the key
    composer: str | None = None  # None: bicinium
    signature: Signature | None = field(default=None, compare=False)  # None: the usual one
    form: Form | None = None  # which bars return, and where phrases close; see music.form

    def __post_init__(self) -> None:
        if not 1 <= self.bars <= MAX_BARS:
            raise RequestError(f"bars must be between 1 and {MAX_BARS} (got {self.bars}).")
        if self.tempo_qpm is not None and not MIN_TEMPO_QPM <= self.tempo_qpm <= MAX_TEMPO_QPM:
            raise RequestError(
                f"tempo must be between {MIN_TEMPO_QPM:g} and {MAX_TEMPO_QPM:g} quarter notes a "
                f"minute (got {self.tempo_qpm:g})."
            )

    def check(self, meters: Sequence[str], styles: Sequence[str]) -> None:
        """Raise RequestError if the model has not learned the metre or the style."""
        if str(self.meter) not in meters:
            raise RequestError(
                f"The model has not learned the metre {self.meter}. Choose one of "
                f"{', '.join(meters)}."
            )
        if self.style is not None and self.style not in styles:
            raise RequestError(
                f"The model has not learned the style {self.style!r}. Choose one of "
                f"{', '.join(styles)}."
            )

    @property
    def display_title(self) -> str:
        """The title; a piece without one is named after its key."""
        return f"Bicinium in {display(self.key_name)}" if self.title is None else self.title

    @property
    def key_name(self) -> str:
        """The name of the key as it is written, like ``Gb major`` or ``D dorian``."""
        return str(self.signature if self.signature and self.signature.key else self.key)

    @property
    def is_keyboard(self) -> bool:
        """Whether the style is one of keyboard music."""
        return self.style in KEYBOARD_STYLES

    @property
    def end_is_fixed(self) -> bool:
        """Whether a voice is fixed at the last tick."""
        return any(self._fixed_at_end)

    @property
    def end_is_given(self) -> bool:
        """Whether every voice is fixed at the last tick."""
        return bool(self._fixed_at_end) and all(self._fixed_at_end)

    @property
    def _fixed_at_end(self) -> list[bool]:
        """Whether each voice is fixed at the last tick; empty without fixed notes."""
        last = self.bars * self.meter.bar_ticks - 1
        voices = self.fixed_notes.fixed if self.fixed_notes else ()
        return [any(begin <= last < until for begin, until in spans) for spans in voices]

    @property
    def token_budget(self) -> int:
        """A number of tokens that no piece of this length needs."""
        quarters = -(-self.bars * self.meter.bar_ticks // TICKS_PER_QUARTER)
        notes = self.fixed_notes.score.note_count if self.fixed_notes else 0
        return _HEADER_TOKENS + _MAX_TOKENS_PER_QUARTER * quarters + _MAX_TOKENS_PER_NOTE * notes


def fixed_notes_in_token_key(fixed_notes: FixedNotes, key: Key) -> FixedNotes:
    """Return the fixed notes of a piece in C major or A minor.

    Raises RequestError if they do not fit on the keyboard there.
    """
    try:
        score = fixed_notes.score.transpose(key.semitones_to_reference)
    except ScoreError as error:
        raise RequestError(
            "The given notes do not fit on the keyboard when they are transposed to C major or "
            f"A minor: {str(error).rstrip('.')}. Choose a key nearer to that."
        ) from error
    return replace(fixed_notes, score=score)


def draw_key(rng: np.random.Generator) -> Key:
    """Draw one of the keys that are common in keyboard music."""
    return Key.parse(_COMMON_KEYS[rng.integers(len(_COMMON_KEYS))])


def draw_style(rng: np.random.Generator, learned: Sequence[str]) -> str | None:
    """Draw a style that the model has learned; None if there is none.

    Styles of the user's own corpus come first, then those of keyboard music.
    """
    if own := [name for name in learned if name not in STYLES]:
        return str(rng.choice(own))
    known = {name: share for name, share in _STYLE_SHARES.items() if name in learned}
    if not known:
        return None
    shares = np.array(list(known.values()))
    return str(rng.choice(list(known), p=shares / shares.sum()))


def draw_meter(rng: np.random.Generator) -> Meter:
    """Draw a metre, about as often as the keyboard corpus has it."""
    return Meter.parse(str(rng.choice(list(_METER_SHARES), p=list(_METER_SHARES.values()))))
