"""Read token files: a JSON list of ids, or an object with ``tokens`` and what is known of them.

The object may have ``meter``, ``bars`` and ``transposition`` (semitones from the tokens to the
sounding notes, whose range the grammar checks).
"""

from __future__ import annotations

import json
import operator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bicinium.errors import ScoreError
from bicinium.music.score import Meter
from bicinium.tokenizer.vocabulary import PITCHES

TOKEN_SUFFIXES = (".json",)
_MAX_BARS = 10_000  # A longer file is damaged; the limit for MIDI files is the same.


@dataclass(frozen=True, slots=True)
class TokenFile:
    """The content of a token file."""

    tokens: list[int]
    meter: Meter | None
    bars: int | None
    transposition: int


def read_token_file(path: Path) -> TokenFile:
    """Read a token file. Raises ScoreError if it is not one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        row = content if isinstance(content, dict) else {"tokens": content}
        tokens = np.array([operator.index(token) for token in row["tokens"]], np.int64).tolist()
        meter = Meter.parse(str(row["meter"])) if "meter" in row else None
        bars = operator.index(row["bars"]) if "bars" in row else None
        transposition = operator.index(row.get("transposition", 0))
        if abs(transposition) >= PITCHES:
            raise ValueError(f"transposition {transposition} leads off the piano")
        if bars is not None and not 0 <= bars <= _MAX_BARS:
            raise ValueError(f"bars must be between 0 and {_MAX_BARS:,} (got {bars})")
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        cause = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ScoreError(f"{path} is not a token file (a JSON list of ids): {cause}") from error
    return TokenFile(tokens, meter, bars, transposition)
