"""Layout of the model inputs: which columns there are, and how many values each has.

Each input has its own range of rows in one embedding table; the transformer and the decoder add
the rows up. The last columns are not embedded: reference pitches, from which the head measures
those that may come next, and the tick, by which some attention heads measure distance.
"""

from __future__ import annotations

from array import array
from functools import cache
from typing import Any, NamedTuple

from bicinium.model.config import ModelConfig
from bicinium.model.inputs.motif_predictor import CONFIDENCES
from bicinium.music.form import MAX_STEP as MAX_FORM_STEP
from bicinium.music.form import RETURNS, BarKind, Close
from bicinium.music.score import TICKS_PER_QUARTER, VOICES
from bicinium.tokenizer.vocabulary import PITCHES, VELOCITY_BINS, VOCAB_SIZE

MODES = ("major", "minor")
AT_REST = "at rest"
ENDINGS = ("open", AT_REST)  # See ``music.counterpoint.comes_to_rest``.

TICK_CLASSES, WAIT_CLASSES, BAR_CLASSES = 128, 64, 88  # See ``classes``.
SILENT, FIRST_PITCH = 1, 2  # Classes of held pitches; 0 is left for "unknown".
HELD_CLASSES = PITCHES + FIRST_PITCH
MAX_POSITION = 288  # Ticks: a bar of 12/4.
MAX_INTERVAL = 36  # Semitones between the voices.
MAX_STEP = 24  # Semitones between two notes of a voice.
PITCH_CLASSES = 12
STEPS = 2  # The last melodic intervals of each voice.
BARS_BACK = 2
MAX_DEGREES = 15  # White keys of a predicted step.
NEXT_ONSETS = 2
NEXT_BEATS = (1, 2, 4)  # Quarters ahead.
LAGGED_REFERENCES = BARS_BACK + 3
BAR_KINDS = len(BarKind)
MAX_BACK = 64  # Bars from a bar to the one that it is like; larger distances count as this.
MAX_BARS_TO_CLOSE = 9
REFERENCES = 3 + LAGGED_REFERENCES
MAX_DISTANCE = 36  # Semitones from a reference pitch; larger distances count as this.
PITCH_DISTANCES = 2 * MAX_DISTANCE + 1

BAR_LAG_SIZES = {
    f"{name}_{back}_{voice}": size
    for back in range(1, BARS_BACK + 1)
    for voice in range(VOICES)
    for name, size in (("held", HELD_CLASSES), ("wait", WAIT_CLASSES), ("end", WAIT_CLASSES))
} | {
    f"predicted_{name}_{voice}": size
    for voice in range(VOICES)
    for name, size in (
        ("step", 2 * MAX_DEGREES + 2),
        ("confidence", CONFIDENCES),
        ("wait", WAIT_CLASSES),
    )
}
LOOKAHEAD_SIZES: dict[str, int] = {}
for _voice in range(VOICES):
    LOOKAHEAD_SIZES |= {f"known_{_voice}": HELD_CLASSES}
    for _index in range(NEXT_ONSETS):
        LOOKAHEAD_SIZES |= {f"next_{_voice}_{_index}": HELD_CLASSES}
        LOOKAHEAD_SIZES |= {f"until_{_voice}_{_index}": TICK_CLASSES}
    LOOKAHEAD_SIZES |= {f"beat_{_voice}_{_beats}": HELD_CLASSES for _beats in NEXT_BEATS}

FORM_SIZES: dict[str, int] = {"close": len(Close), "to_close": MAX_BARS_TO_CLOSE + 1}
for _voice in range(VOICES):
    FORM_SIZES |= {
        f"form_{_name}_{_voice}": _size
        for _name, _size in (
            ("kind", BAR_KINDS + len(RETURNS)),
            ("next", BAR_KINDS + len(RETURNS)),
            ("back", MAX_BACK + 1),
            ("step", 2 * MAX_FORM_STEP + 2),
            ("held", HELD_CLASSES),
            ("age", WAIT_CLASSES),
            ("end", WAIT_CLASSES),
            ("wait", WAIT_CLASSES),
        )
    }


class ModelInputs(NamedTuple):
    """The three parts of encoded inputs (…, F + REFERENCES + 1), numpy array or tensor alike."""

    rows: Any  # (…, F) rows of the embedding table
    reference_pitches: Any  # (…, REFERENCES) counted from the lowest pitch of the piano
    tick: Any  # (…,)


def split_inputs(encoded: Any) -> ModelInputs:
    """Split encoded inputs into their parts (views, no copies)."""
    return ModelInputs(
        encoded[..., : -REFERENCES - 1], encoded[..., -REFERENCES - 1 : -1], encoded[..., -1]
    )


def input_sizes(config: ModelConfig) -> dict[str, int]:
    """Return the number of values of each embedded input, in the order of the columns."""
    sizes = {"token": VOCAB_SIZE}
    if config.state_embedding:
        sizes |= {"position": MAX_POSITION, "pulse": TICKS_PER_QUARTER, "part": VOICES}
        sizes |= {"velocity": VELOCITY_BINS + 1}
        for voice in range(VOICES):
            sizes |= {f"pitch_{voice}": PITCHES + 1, f"age_{voice}": TICK_CLASSES}
        sizes |= {"interval": 2 * MAX_INTERVAL + 2, "bars_left": BAR_CLASSES}
        sizes |= {"ticks_left": TICK_CLASSES}
    if config.relative_pitch:
        for voice in range(VOICES):
            sizes |= {f"class_{voice}": PITCH_CLASSES + 1, f"gap_{voice}": WAIT_CLASSES}
            sizes |= {f"step_{voice}_{back}": 2 * MAX_STEP + 2 for back in range(STEPS)}
    if config.bar_lag:
        sizes |= BAR_LAG_SIZES
    sizes |= {"meter": len(config.meters) + 1, "mode": len(MODES) + 1}
    sizes |= {"style": len(config.styles) + 1, "bars": BAR_CLASSES, "ending": len(ENDINGS) + 1}
    if config.lookahead:
        sizes |= LOOKAHEAD_SIZES
    if config.form_inputs:
        sizes |= FORM_SIZES
    return sizes


@cache
def first_rows(config: ModelConfig) -> memoryview:
    """Return (F + REFERENCES + 1,) the row of the embedding table at which each input begins.

    It is 0 for the columns that are not embedded.
    """
    first, rows = array("i"), 0
    for size in input_sizes(config).values():
        first.append(rows)
        rows += size
    return memoryview(first + array("i", [0] * (REFERENCES + 1)))


@cache
def column_of(config: ModelConfig, name: str) -> int:
    """Return the index of the column of an embedded input."""
    return list(input_sizes(config)).index(name)
