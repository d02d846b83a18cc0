"""A second voice follows the chords of a given one, whatever is drawn."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import bicinium
from bicinium.formats.registry import read_voice
from bicinium.generation.constraints.chord_plan import plan_chords
from bicinium.generation.constraints.config import Constraints
from bicinium.music.counterpoint import (
    LOWER,
    UPPER,
    scale_pitch_classes,
    strong_beat_dissonances,
    voices_off_tonic,
)
from bicinium.music.harmonize import GivenVoice
from bicinium.music.score import Score

TUNES = Path(__file__).parents[3] / "benchmarks" / "tunes" / "plain.abc"
_TEXTS = re.split(r"(?m)^(?=X:)", TUNES.read_text(encoding="utf-8"))[1:]


@pytest.fixture
def tune(tmp_path: Path) -> Callable[[int], Path]:
    """Return a function that writes one of the plain tunes to a file."""

    def write(number: int) -> Path:
        path = tmp_path / f"{number}.abc"
        path.write_text(_TEXTS[number], encoding="utf-8")
        return path

    return write


def _written(tiny_model: Path, **options: object) -> Score:
    piece = bicinium.compose(model=tiny_model, best_of=1, manner="simple", **options)
    assert piece.score is not None
    return piece.score


def test_there_are_forty_tunes_in_many_metres_and_both_modes(tune: Callable[[int], Path]) -> None:
    scores = [read_voice(tune(number), UPPER) for number in range(len(_TEXTS))]
    assert len(scores) == 40
    assert all(8 <= score.bars <= 17 for score in scores)
    assert len({str(score.meter) for score in scores}) == 10
    assert sum(score.key is not None and score.key.mode == "minor" for score in scores) > 8


@pytest.mark.parametrize("number", range(0, 40, 8))
def test_even_an_untrained_model_writes_consonances_and_a_cadence(
    tiny_model: Path, tune: Callable[[int], Path], number: int
) -> None:
    score = _written(tiny_model, upper=tune(number), seed=number)
    key = score.key
    assert key is not None
    assert score.voices[UPPER].notes == read_voice(tune(number), UPPER).voices[UPPER].notes
    assert not voices_off_tonic(score, key)
    onsets = {note.onset_tick for note in score.voices[LOWER].notes}
    assert not onsets & set(strong_beat_dissonances(score))
    allowed = scale_pitch_classes(key) | {note.pitch % 12 for note in score.voices[UPPER].notes}
    assert all(note.pitch % 12 in allowed for note in score.voices[LOWER].notes)


@pytest.mark.parametrize("number", [0, 9, 15, 27])
def test_a_voice_above_a_bass_is_consonant_too(
    tiny_model: Path, tune: Callable[[int], Path], tmp_path: Path, number: int
) -> None:
    below = _written(tiny_model, upper=tune(number), seed=1)
    bass = tmp_path / "bass.mid"
    bicinium.write(Score((below.voices[LOWER],), below.bars, below.meter, below.key), bass)
    score = _written(tiny_model, lower=bass, seed=2)
    onsets = {note.onset_tick for note in score.voices[UPPER].notes}
    assert not onsets & set(strong_beat_dissonances(score))


def test_the_plan_asks_for_the_dominant_before_the_end(tune: Callable[[int], Path]) -> None:
    score = read_voice(tune(0), UPPER)
    assert score.key is not None
    plan = plan_chords(GivenVoice.of(score, UPPER, score.key))
    final = score.voices[UPPER].notes[-1].onset_tick
    assert plan.begins[final].nonzero()[0].tolist() == [0]
    assert plan.begins[final - 24].nonzero()[0].tolist() == [7]
    assert plan.sounds[final]


def test_without_the_constraint_the_harmony_is_the_models(
    tiny_model: Path, tune: Callable[[int], Path]
) -> None:
    piece = bicinium.compose(
        model=tiny_model, upper=tune(8), constraints=Constraints(chords=0), best_of=1, seed=3
    )
    assert piece.score is not None
    assert strong_beat_dissonances(piece.score)
