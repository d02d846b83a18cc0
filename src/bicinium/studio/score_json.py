"""Scores as the page knows them: JSON out, and back in with nothing taken on trust.

The server keeps no piece: the page sends the score with whatever it wants done to it.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bicinium.errors import RequestError
from bicinium.music.key import Key
from bicinium.music.score import Meter, Note, Score, Voice, note_array

MOST_BARS = 1000
MOST_NOTES = 20_000
_ROW = 4  # numbers: onset_tick, pitch, duration_ticks, velocity


class Strict(BaseModel):
    """What the page sends: no unknown names, no text where a number belongs."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class WireScore(Strict):
    """A score as JSON. ``voices`` are rows of onset_tick, pitch, duration_ticks, velocity."""

    meter: str
    key: str | None = None
    bars: int = Field(ge=1, le=MOST_BARS)
    tempo: float = Field(120.0, ge=5, le=1000)  # quarter notes a minute
    anacrusis: int = Field(0, ge=0)  # ticks
    title: str = Field("", max_length=200)
    composer: str = Field("", max_length=200)
    voices: list[list[list[int]]] = Field(min_length=2, max_length=2)

    def score(self) -> Score:
        """The score. Raises ScoreError or RequestError where there can be none such."""
        if sum(map(len, self.voices)) > MOST_NOTES:
            raise RequestError(f"a score of more than {MOST_NOTES} notes is too long for this page")
        if any(len(row) != _ROW for voice in self.voices for row in voice):
            raise RequestError("a note is an onset, a pitch, a duration and a velocity")
        return Score(
            voices=tuple(Voice(tuple(Note(*row) for row in voice)) for voice in self.voices),
            bars=self.bars,
            meter=Meter.parse(self.meter),
            key=Key.parse(self.key) if self.key else None,
            tempo_qpm=self.tempo,
            anacrusis_ticks=self.anacrusis,
            title=self.title,
            composer=self.composer,
        )


def wire_score(score: Score) -> dict[str, Any]:
    """A score as the JSON that ``WireScore`` reads."""
    return {
        "meter": str(score.meter),
        "key": str(score.key) if score.key else None,
        "bars": score.bars,
        "tempo": score.tempo_qpm,
        "anacrusis": score.anacrusis_ticks,
        "title": score.title[:200],
        "composer": score.composer[:200],
        "voices": [note_array(voice.notes).T.tolist() for voice in score.voices],
    }


def explain(error: ValidationError) -> str:
    """The first thing wrong with what the page sent, as one sentence."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the request"
    what = first["msg"].removeprefix("Input ")
    return f"{where}: {what[:1].lower()}{what[1:]}"
