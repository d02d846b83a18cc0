"""What a piece may be asked to be, and what is chosen where nothing was asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bicinium.errors import RequestError
from bicinium.generation.fixed_notes import FixedNotes
from bicinium.music.key import Key
from bicinium.music.score import Meter

MAX_BARS = 256
MIN_TEMPO_QPM, MAX_TEMPO_QPM = 20.0, 300.0
_LIKELY_METERS = {"4/4": 0.35, "3/4": 0.3, "2/4": 0.2, "6/8": 0.15}
_KEYBOARD_STYLES = {"bach": 0.5, "classical": 0.25, "baroque": 0.15, "romantic": 0.1}
_LIKELY_KEYS = (
    "C major", "G major", "D major", "A major", "F major", "Bb major", "Eb major",
    "A minor", "E minor", "D minor", "G minor", "C minor",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Conditions:
    """A piece as it is asked for. ``tempo_qpm`` None leaves the tempo to the model, ``style`` None
    the style. ``fixed_notes`` holds notes that it is to have, as they will sound.
    """

    key: Key
    meter: Meter
    bars: int = 16
    tempo_qpm: float | None = None
    style: str | None = None
    fixed_notes: FixedNotes | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.bars <= MAX_BARS:
            raise RequestError(f"{self.bars} bars cannot be composed: ask for 1 to {MAX_BARS}")
        if self.tempo_qpm is not None and not MIN_TEMPO_QPM <= self.tempo_qpm <= MAX_TEMPO_QPM:
            raise RequestError(
                f"tempo {self.tempo_qpm:g} must be {MIN_TEMPO_QPM:g} to {MAX_TEMPO_QPM:g} quarter "
                "notes a minute"
            )

    def check(self, meters: Sequence[str], styles: Sequence[str]) -> None:
        """Raise RequestError for a metre or a style that is none of those the model has learned."""
        if str(self.meter) not in meters:
            raise RequestError(
                f"metre {self.meter} is not one the model has learned: {', '.join(meters)}"
            )
        if self.style is not None and self.style not in styles:
            raise RequestError(
                f"style {self.style!r} is not one the model has learned: {', '.join(styles)}"
            )


def draw_key(rng: np.random.Generator) -> Key:
    """A key that keyboard music is often in."""
    return Key.parse(_LIKELY_KEYS[rng.integers(len(_LIKELY_KEYS))])


def draw_style(rng: np.random.Generator, learned: Sequence[str]) -> str | None:
    """Of the styles that the model has learned one of keyboard music; None where there is none."""
    known = {name: share for name, share in _KEYBOARD_STYLES.items() if name in learned}
    if not known:
        return None
    shares = np.array(list(known.values()))
    return str(rng.choice(list(known), p=shares / shares.sum()))


def draw_meter(rng: np.random.Generator) -> Meter:
    """A metre, about as often as the keyboard corpus has it."""
    return Meter.parse(str(rng.choice(list(_LIKELY_METERS), p=list(_LIKELY_METERS.values()))))
