"""The record of one piece, from the file it comes from to the training set.

Importing a file makes records, selection adds a rejection to those that are not fit, and shards
store the rest.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bicinium.data.duplicates import Fingerprint
from bicinium.music.key import REFERENCE_KEYS
from bicinium.music.losses import Loss, LossKind
from bicinium.music.score import Meter, Score
from bicinium.tokenizer.codec import decode
from bicinium.tokenizer.vocabulary import KINDS, VALUES, Kind


class RejectReason(StrEnum):
    """Why a piece is not in the training set. The value is the label of the reason in counts."""

    UNREADABLE = "cannot be read"
    OFF_GRID = "off the grid"
    TOO_SHORT = "too short"
    SILENT_VOICE = "not in two voices"
    NOT_ENCODABLE = "cannot be encoded"
    ROUND_TRIP = "round trip"
    GRAMMAR = "grammar"
    QUALITY = "quality"
    DUPLICATE = "duplicate"
    INVALID_ROW = "invalid row"
    EXCLUDED_STYLE = "excluded style"


_MESSAGES = {
    RejectReason.TOO_SHORT: "too short: {}",
    RejectReason.ROUND_TRIP: "the round trip through {} changed it",
    RejectReason.GRAMMAR: "grammar_score {}",
    RejectReason.QUALITY: "quality_score {}",
    RejectReason.DUPLICATE: "duplicate of {}",
}


@dataclass(frozen=True, slots=True)
class Rejection:
    """The reason why a piece is rejected, and its particulars: an error, a count, a name."""

    reason: RejectReason
    detail: str

    def __str__(self) -> str:
        return _MESSAGES.get(self.reason, "{}").format(self.detail)


def _no_tokens() -> NDArray[np.int16]:
    return np.zeros(0, np.int16)


@dataclass(frozen=True, slots=True)
class PieceRecord:
    """One piece: where it comes from, what it holds, and why it is rejected, if it is.

    The tokens encode the piece in C major or A minor.
    """

    name: str
    composer: str = ""
    title: str = ""
    licence: str = ""
    credit: str = ""
    cluster: str = ""  # The works of a cluster are in one split.
    style: str = ""
    split: str = "train"  # or "validation"
    meter: str = ""
    mode: str = ""
    transposition: int = 0  # semitones from the tokens to the key of the source
    bars: int = 0
    notes: int = 0
    tokens: NDArray[np.int16] = field(default_factory=_no_tokens, repr=False)
    anacrusis_ticks: int = 0
    grammar_score: float = 0.0
    quality_score: float = 0.0

    # Known when a file is imported, and not stored in shards.
    opus: str = ""
    method: str = ""  # of the reduction to two voices
    key: str = ""
    notes_dropped: int = 0  # by the reduction
    notes_shortened: int = 0
    notes_off_grid: int = 0  # in the whole file
    notes_left_out: int = 0
    losses: tuple[Loss, ...] = ()  # in reading the file and in the reduction
    grammar_fault: str = ""
    fingerprint: Fingerprint = ((), ())
    rejection: Rejection | None = None

    @property
    def kept(self) -> bool:
        """Whether the piece is not rejected."""
        return self.rejection is None

    @property
    def reason(self) -> str:
        """The rejection as a sentence; empty if the piece is kept."""
        return str(self.rejection or "")

    @property
    def outcome(self) -> str:
        """The label to count by: "kept", or that of the reason."""
        return self.rejection.reason.value if self.rejection else "kept"

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values, for ``from_json``."""
        return asdict(self) | {"tokens": self.tokens.tolist()}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> PieceRecord:
        """Read what ``to_json`` returned."""
        rejection = row["rejection"]
        if rejection:
            rejection = Rejection(RejectReason(rejection["reason"]), rejection["detail"])
        upper, lower = map(tuple, row["fingerprint"])
        losses = tuple(Loss(**loss | {"kind": LossKind(loss["kind"])}) for loss in row["losses"])
        return cls(
            **row
            | {
                "tokens": np.array(row["tokens"], np.int16),
                "fingerprint": (upper, lower),
                "rejection": rejection,
                "losses": losses,
            }
        )


def score_of(piece: PieceRecord) -> Score:
    """Return the notes of a piece, in C major or A minor.

    Raises BiciniumError if its tokens or its metre are invalid.
    """
    key = REFERENCE_KEYS.get(piece.mode, REFERENCE_KEYS["major"])
    return decode(piece.tokens, Meter.parse(piece.meter), key, piece.anacrusis_ticks)


def pitches_and_durations(piece: PieceRecord) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pitch and duration in ticks of each note, without decoding, about ten times faster.

    In a voice, the k-th end of a note belongs to the k-th onset.
    """
    tokens = piece.tokens.astype(np.int64)
    kinds, values = KINDS[tokens], VALUES[tokens]
    ticks = np.cumsum(np.where(kinds == Kind.TIME_SHIFT, values, 0))
    changes = np.flatnonzero(kinds == Kind.PART)
    part = np.concatenate([[0], values[changes]])[
        np.searchsorted(changes, np.arange(len(tokens)), side="right")
    ]
    pitches, durations = [], []
    for voice in np.unique(part):
        onsets = np.flatnonzero((kinds == Kind.NOTE_ON) & (part == voice))
        ends = np.flatnonzero((kinds == Kind.NOTE_OFF) & (part == voice))
        if len(onsets) == len(ends):
            pitches.append(values[onsets])
            durations.append(ticks[ends] - ticks[onsets])
    return np.concatenate(pitches), np.concatenate(durations)
