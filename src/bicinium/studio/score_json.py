"""Scores as JSON, validated when they come back from the page.

The server stores no pieces: the page sends the score with every request about it.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bicinium.errors import RequestError
from bicinium.music.key import Key
from bicinium.music.score import Meter, Note, Score, Voice, note_array
from bicinium.music.signature import MAX_FIFTHS, Signature, is_writable

MAX_BARS = 1000
MAX_NOTES = 20_000
_ROW_LENGTH = 4  # onset_tick, pitch, duration_ticks, velocity


class StrictSchema(BaseModel):
    """A request body without unknown names and without conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ScoreSchema(StrictSchema):
    """A score as JSON. Notes are rows of onset_tick, pitch, duration_ticks, velocity."""

    meter: str
    key: str | None = None
    bars: int = Field(ge=1, le=MAX_BARS)
    tempo: float = Field(120.0, ge=5, le=1000)  # quarter notes per minute
    anacrusis: int = Field(0, ge=0)  # ticks
    title: str = Field("", max_length=200)
    composer: str = Field("", max_length=200)
    voices: list[list[list[int]]] = Field(min_length=2, max_length=2)
    fifths: int | None = Field(None, ge=-MAX_FIFTHS, le=MAX_FIFTHS)  # of the signature as written
    mode: str = Field("", max_length=20)
    spellings: list[tuple[int, int, int]] = Field([], max_length=MAX_NOTES)  # see ``Spellings``

    def to_score(self) -> Score:
        """Return the score. Raises ScoreError or RequestError if it is invalid."""
        if sum(map(len, self.voices)) > MAX_NOTES:
            raise RequestError(f"a score may have at most {MAX_NOTES} notes here")
        if any(len(row) != _ROW_LENGTH for voice in self.voices for row in voice):
            raise RequestError("a note must have an onset, a pitch, a duration and a velocity")
        return Score(
            voices=tuple(Voice(tuple(Note(*row) for row in voice)) for voice in self.voices),
            bars=self.bars,
            meter=Meter.parse(self.meter),
            key=Key.parse(self.key) if self.key else None,
            tempo_qpm=self.tempo,
            anacrusis_ticks=self.anacrusis,
            title=self.title,
            composer=self.composer,
            signature=None if self.fifths is None else Signature(self.fifths, self.mode),
            spellings={
                (tick, pitch): position
                for tick, pitch, position in self.spellings
                if is_writable(position) and (position * 7 - pitch) % 12 == 0
            },
        )


def score_to_json(score: Score) -> dict[str, Any]:
    """Return a score as the JSON that ``ScoreSchema`` reads."""
    return {
        "meter": str(score.meter),
        "key": str(score.key) if score.key else None,
        "bars": score.bars,
        "tempo": score.tempo_qpm,
        "anacrusis": score.anacrusis_ticks,
        "title": score.title[:200],
        "composer": score.composer[:200],
        "voices": [note_array(voice.notes).T.tolist() for voice in score.voices],
        "fifths": score.signature.fifths if score.signature else None,
        "mode": score.signature.mode if score.signature else "",
        "spellings": [[*place, position] for place, position in score.spellings.items()],
    }


def describe_validation_error(error: ValidationError) -> str:
    """Return the first problem of a request body as a message."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the request"
    what = first["msg"].removeprefix("Input ")
    return f"{where}: {what[:1].lower()}{what[1:]}"
