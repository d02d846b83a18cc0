"""Says in words what is not as requested in a piece: what it was to be, what it is, and why."""

from __future__ import annotations

from collections.abc import Iterator

from bicinium.formats.spelling import spell
from bicinium.generation.composition import Composition
from bicinium.generation.conditions import Conditions
from bicinium.music.counterpoint import voices_off_tonic
from bicinium.music.key import display
from bicinium.music.score import Score

_VOICES = ("upper", "lower")


def explain_unmet(piece: Composition, imitates: bool = False) -> dict[str, str]:
    """Return a sentence or two for each check of the score sheet that does not hold.

    imitates: the piece is a canon or invertible counterpoint.
    """
    if piece.sheet is None or piece.score is None:
        return {}
    missed = [name for name, holds in piece.sheet.checks.items() if not holds]
    explain = {"key": _key, "close": _close, "bars": _bars, "meter": _meter, "tempo": _tempo}
    return {
        name: " ".join(explain[name](piece.conditions, piece.score, imitates)) for name in missed
    }


def _key(asked: Conditions, score: Score, imitates: bool) -> Iterator[str]:
    found = score.profile_key
    wanted = display(asked.key_name)
    if found is None:
        yield f"The piece was to be in {wanted}, but it has no notes."
        return
    yield f"The piece was to be in {wanted}, but its notes fit {display(str(found))} better."
    given = asked.fixed_notes.score.profile_key if asked.fixed_notes else None
    if given == found:
        yield "So do the given notes."
    elif given is not None:
        yield "The given notes limit which notes can be added."
    elif imitates:
        yield "The second voice imitates the first, which can lead to another key."
    else:
        yield f"In {score.bars} bars, the same notes can fit related keys."


def _close(asked: Conditions, score: Score, imitates: bool) -> Iterator[str]:
    off = voices_off_tonic(score, asked.key)
    ends = " and ".join(f"the {_VOICES[voice]} voice {_end(score, voice)}" for voice in off)
    yield f"The piece was to end on the chord of {display(asked.key_name)}, but {ends}."
    fixed = asked.fixed_notes
    if fixed and any(_has_given_end(fixed.score, score, voice) for voice in off):
        yield "The given notes end there."
    elif asked.end_is_fixed:
        yield "The given notes at the end limit which notes can be added."
    elif imitates:
        yield "The second voice imitates the first to the end."
    else:
        yield "No candidate came closer."


def _end(score: Score, voice: int) -> str:
    """Return how a voice ends, like "ends on D"."""
    notes = score.voices[voice].notes
    if not notes:
        return "has no notes"
    written = spell(score)[voice][-1]
    name = written.step + ("♯" if written.alter > 0 else "♭") * abs(written.alter)
    if notes[-1].offset_tick <= score.end_tick - score.meter.bar_ticks:
        return f"ends on {name} before the last bar"
    return f"ends on {name}"


def _has_given_end(given: Score, score: Score, voice: int) -> bool:
    """Return whether the last note of a voice was given."""
    return bool(given.voices[voice].notes) and (
        given.voices[voice].notes[-1] == score.voices[voice].notes[-1]
    )


def _bars(asked: Conditions, score: Score, imitates: bool) -> Iterator[str]:
    end_tick = max((voice.end_tick for voice in score.voices), default=0)
    last = -(-end_tick // score.meter.bar_ticks)
    yield f"The piece was to have {asked.bars} bars, but its last note is in bar {last}."
    if asked.fixed_notes:
        yield "The given notes may leave no other way."


def _meter(asked: Conditions, score: Score, imitates: bool) -> Iterator[str]:
    yield f"The piece was to be in {asked.meter}, but it is in {score.meter}."


def _tempo(asked: Conditions, score: Score, imitates: bool) -> Iterator[str]:
    meter = asked.meter
    wanted = meter.tempo_mark(asked.tempo_qpm or score.tempo_qpm)
    yield f"The tempo was to be {wanted}, but it is {meter.tempo_mark(score.tempo_qpm)}."
