"""Music scores higher than its corruptions, and the score depends on the notes alone."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bicinium.data.corruptions import CORRUPTIONS, other_lower_voice
from bicinium.data.sources import find_sources
from bicinium.formats.midi import read_midi
from bicinium.music.descriptors import QUALITY_METRICS, describe
from bicinium.music.quality import MODEL_PATH, quality
from bicinium.music.score import Meter, Note, Score, Voice
from bicinium.music.voice_reduction import reduce_to_two_voices

MakeScore = Callable[..., Score]


@pytest.fixture(scope="module")
def inventions(shared_corpus: Path) -> list[Score]:
    """The fifteen two-part inventions."""
    sources = [s for s in find_sources([shared_corpus]) if "invention" in s.path.name]
    scores = [reduce_to_two_voices(read_midi(source.path))[0].score for source in sources]
    assert len(scores) == 15
    return scores


def _metrics(score: Score) -> dict[str, float]:
    description = describe(score)
    return {name: description[f"quality/{name}"] for name in QUALITY_METRICS}


def _score(music: Score) -> float:
    judged = quality(music)
    assert judged is not None
    return judged.score


def test_inventions_are_music(inventions: list[Score]) -> None:
    assert min(map(_score, inventions)) > 0.9


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_every_invention_is_better_than_nonsense_made_of_it(
    inventions: list[Score], kind: str
) -> None:
    rng = np.random.default_rng(3)
    for music in inventions:
        assert _score(CORRUPTIONS[kind](music, rng)) < _score(music)


def test_inventions_with_the_lower_voice_of_another_piece_are_worse(
    inventions: list[Score],
) -> None:
    worse = [
        _score(other_lower_voice(music, other)) < _score(music)
        for music, other in zip(inventions, inventions[1:] + inventions[:1], strict=True)
    ]
    assert sum(worse) >= 14


def test_the_score_does_not_hang_on_key_tempo_or_velocity(inventions: list[Score]) -> None:
    for music in inventions[:4]:
        judged = _score(music)
        assert _score(music.transpose(-3)) == pytest.approx(judged, abs=1e-9)
        quiet = tuple(
            Voice(tuple(replace(note, velocity=40) for note in voice.notes))
            for voice in music.voices
        )
        assert _score(replace(music, voices=quiet, tempo_qpm=60.0)) == judged


def test_log_odds_rank_where_scores_saturate(inventions: list[Score]) -> None:
    for music in inventions:
        judged = quality(music)
        assert judged is not None
        assert judged.score == pytest.approx(1 / (1 + math.exp(-judged.log_odds)))
        assert judged.metrics.keys() <= QUALITY_METRICS.keys()


def test_what_has_no_two_voices_is_not_judged() -> None:
    line = Voice(tuple(Note(24 * i, 60 + i, 24) for i in range(8)))
    assert quality(Score((line, Voice()), 2)) is None
    assert quality(Score((line,), 2)) is None
    assert quality(Score((line, Voice(line.notes[:1])), 2)) is None


@pytest.mark.parametrize("meter", ["2/4", "3/8", "6/8", "4/2", "5/4", "32/32", "1/32"])
def test_any_two_voices_in_any_metre_have_a_finite_score(
    made_up_score: MakeScore, meter: str
) -> None:
    for bars in (1, 2, 40):
        if bars * Meter.parse(meter).bar_ticks < 48:
            continue
        judged = quality(made_up_score(1, bars, meter))
        assert judged is not None
        assert 0 <= judged.score <= 1


def test_a_voice_that_comes_very_late_is_judged_without_the_memory_for_it() -> None:
    early = Voice((Note(0, 60, 24), Note(24, 62, 24)))
    late = Voice((Note(900_000, 50, 24), Note(900_024, 48, 24)))
    assert quality(Score((early, late), 9_376)) is not None


def test_metrics_are_what_they_say() -> None:
    """Two voices in parallel fifths, by step, on every beat of three bars, without crossings."""
    pitches = [60, 62, 64, 65, 67, 65, 64, 62, 60, 62, 64, 60]
    upper = Voice(tuple(Note(24 * i, p + 7, 24) for i, p in enumerate(pitches)))
    lower = Voice(tuple(Note(24 * i, p, 24) for i, p in enumerate(pitches)))
    score = Score((upper, lower), 3)
    measured = _metrics(score)
    assert measured["parallels"] == 1
    assert measured["consonance"] == 1
    assert measured["contrary_motion"] == 0
    assert measured["crossing"] == 0
    assert measured["both_sound"] == 1
    assert measured["onset_synchrony"] == 1
    assert measured["note_lengths"] == 0
    assert measured["repeated_notes"] == 0
    assert measured["stepwise"] == pytest.approx(10 / 11)
    assert measured["metrical_fit"] == -0.75
    looped = _metrics(CORRUPTIONS["one bar looped"](score, np.random.default_rng(0)))
    assert looped["repeated_bars"] == pytest.approx(2 / 3)
    assert looped["motif_recurrence"] > measured["motif_recurrence"]


def test_weights_name_the_command_that_made_them_and_only_metrics_there_are() -> None:
    fitted = json.loads(MODEL_PATH.read_text())
    assert fitted["terms"].keys() < QUALITY_METRICS.keys()
    assert fitted["made_by"].startswith("python -m benchmarks")
    assert fitted["pieces"]["held out"] > 100


def test_a_piece_takes_milliseconds_and_neither_torch_nor_music21(
    inventions: list[Score],
) -> None:
    quality(inventions[0])
    started = time.perf_counter()
    for music in inventions:
        quality(music)
    assert (time.perf_counter() - started) / len(inventions) < 0.05
    program = (
        "import sys, bicinium.music.quality;"
        "print({'torch', 'music21', 'pyarrow', 'sklearn'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout == "set()\n"
