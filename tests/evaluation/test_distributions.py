"""Bad music is far from real music, and real music is close to other real music."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bicinium.data.corruptions import CORRUPTIONS
from bicinium.data.sources import find_sources
from bicinium.errors import BiciniumError, RequestError
from bicinium.evaluation import distributions
from bicinium.evaluation.distributions import (
    MIN_PIECES,
    Comparison,
    compare,
    counterpoint_rates,
    number_works,
    overlap_area,
    split_works,
)
from bicinium.formats.registry import read_music
from bicinium.music.excerpts import extract_bars
from bicinium.music.score import Note, Score, Voice
from bicinium.music.voice_reduction import reduce_to_two_voices

Refuses = Callable[..., AbstractContextManager[None]]


def test_overlap_is_the_area_in_common() -> None:
    one, other = np.array([1.0, 1, 2]), np.array([10.0, 10, 0])
    assert overlap_area(one, one * 7) == pytest.approx(1)
    assert overlap_area(one, other) == pytest.approx(1 / 4 + 1 / 4)
    assert overlap_area(np.array([1.0, 0]), np.array([0.0, 3])) == 0
    assert overlap_area(np.zeros(3), one) == 0


def test_halves_share_no_work_and_neighbours_are_separated() -> None:
    groups = number_works(["a", "a", "b", "c", "c", "d", "e"])
    assert groups.tolist() == [0, 0, 1, 2, 2, 3, 4]
    halves = [split_works(groups, np.random.default_rng(seed)) for seed in range(20)]
    for half in halves:
        assert half[0] == half[1] != half[2]
        assert half[3] == half[4] != half[5]
    assert len({tuple(half.tolist()) for half in halves}) > 4


def test_rates_are_per_100_notes_of_all_pieces() -> None:
    line = tuple(Note(24 * i, pitch, 24) for i, pitch in enumerate([60, 62, 80, 61]))
    leaping = Score((Voice(line), Voice((Note(0, 48, 96),))), 1)
    still = Score((Voice((Note(0, 72, 96),)), Voice((Note(0, 48, 96),))), 1)
    rates = {rate.name: rate for rate in counterpoint_rates([still], [leaping, still])}
    assert rates["leaps_over_an_octave"].real == 0
    assert rates["leaps_over_an_octave"].composed == pytest.approx(100 * 2 / 7)


def test_too_few_pieces_are_an_error(made_up_score: Callable[..., Score], refuses: Refuses) -> None:
    pieces = [made_up_score(seed) for seed in range(MIN_PIECES)]
    with refuses(
        RequestError, f"at least {MIN_PIECES} pieces on each side .got {MIN_PIECES - 1} composed"
    ):
        compare(pieces, pieces[1:])


@pytest.fixture(scope="module")
def made_up(made_up_score: Callable[..., Score]) -> list[Score]:
    return [made_up_score(seed, 9) for seed in range(60)]


def _compare(
    real: Sequence[Score], composed: Sequence[Score], works: Sequence[str] | None = None
) -> Comparison:
    """Train the classifier less often than usual, to save time."""
    return compare(real, composed, works, repeats=2, shuffles=2)


def degenerate(score: Score, _: np.random.Generator) -> Score:
    """Repeat one bar."""
    bar = score.meter.bar_ticks
    voices = [
        Voice(tuple(Note(tick, pitch, 12) for tick in range(0, score.end_tick - bar // 2, 12)))
        for pitch in (72, 48)
    ]
    return replace(score, voices=tuple(voices))


def test_degenerate_composer_is_far_from_real_music(made_up: list[Score]) -> None:
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    found = _compare(made_up[:24], [degenerate(score, rng) for score in made_up[24:48]])
    assert found.two_sample is not None
    assert found.two_sample.auc > 0.98
    by_name = {one.name: one for one in found.distances}
    assert by_name["pitch_class"].overlap < 0.35
    assert by_name["melodic_interval"].ratio > 3
    assert by_name["motion"].overlap == 0
    outside = {one.name: one.inside for one in found.motifs}
    assert outside["rhythm_recurs_1"] == outside["melody_recurs_4"] == 0


def test_music_of_one_kind_is_close_to_itself(made_up: list[Score]) -> None:
    pytest.importorskip("sklearn")
    found = _compare(made_up[:30], made_up[30:])
    assert found.two_sample is not None
    assert 0.3 < found.two_sample.auc < 0.7
    assert 0.3 < found.two_sample.control_auc < 0.7
    assert 0.7 < np.median([one.ratio for one in found.distances]) < 1.4
    assert all(
        one.inside > 0.6 for one in (*found.phrases, *found.motifs) if one.inside == one.inside
    )


def test_most_important_feature_is_named(made_up: list[Score]) -> None:
    pytest.importorskip("sklearn")

    def louder(score: Score) -> Score:
        voices = tuple(
            Voice(tuple(replace(n, velocity=60 + 20 * (i % 2)) for i, n in enumerate(v.notes)))
            for v in score.voices
        )
        return replace(score, voices=voices)

    found = _compare(made_up[:30], [louder(score) for score in made_up[30:]])
    assert found.two_sample is not None
    most_important = found.two_sample.features[0]
    assert most_important.name.startswith("velocity/")
    assert most_important.single_auc == 1
    assert found.two_sample.auc == 1


def test_identical_pairs_cannot_be_distinguished(made_up: list[Score]) -> None:
    """The classifier must not use what the two pieces of a pair have in common."""
    pytest.importorskip("sklearn")
    found = _compare(made_up[:24], made_up[:24])
    assert found.two_sample is not None
    assert found.two_sample.auc == pytest.approx(0.5)
    assert all(one.ratio == pytest.approx(1) for one in found.distances)


def test_two_sample_test_is_skipped_without_scikit_learn(
    made_up: list[Score], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributions, "find_spec", lambda name: None)
    found = _compare(made_up[:10], made_up[10:20])
    assert found.two_sample is None
    assert found.distances[5].name == "texture"


def test_pieces_of_a_single_work_are_split(made_up: list[Score]) -> None:
    one, each = (compare(made_up[:8], made_up[8:16], works) for works in (["a"] * 8, None))
    assert one == each
    assert one.works == 8


def test_same_seed_gives_same_result(made_up: list[Score]) -> None:
    one, again = (compare(made_up[:10], made_up[10:20], seed=3) for _ in range(2))
    assert one == again


# ------------------------------------------------------------------ real music


def _real(folder: Path, count: int) -> tuple[list[Score], list[str]]:
    """Ends of keyboard pieces of sixteen bars, each of another work."""
    scores, works = [], []
    for source in find_sources([folder]):
        if source.cluster in works:
            continue
        try:
            (found,) = reduce_to_two_voices(read_music(source.path))
        except (BiciniumError, ValueError):
            continue
        if found.score.bars >= 16 and min(len(v.notes) for v in found.score.voices) > 40:
            scores.append(extract_bars(found.score, found.score.bars - 16, 16))
            works.append(source.cluster)
        if len(scores) == count:
            break
    return scores, works


@pytest.fixture(scope="module")
def real(shared_corpus: Path) -> tuple[list[Score], list[str]]:
    pytest.importorskip("sklearn")
    return _real(shared_corpus, 60)


def _numbers(found: Comparison) -> tuple[float, list[float]]:
    assert found.two_sample is not None
    return found.two_sample.auc, [one.ratio for one in found.distances]


def test_distance_between_halves_of_real_music_is_the_reference(
    real: tuple[Sequence[Score], Sequence[str]],
) -> None:
    scores, works = real
    order = np.random.default_rng(1).permutation(len(scores)).tolist()
    one, other = order[: len(order) // 2], order[len(order) // 2 :]
    auc, ratios = _numbers(
        _compare([scores[i] for i in one], [scores[i] for i in other], [works[i] for i in one])
    )
    assert 0.3 < auc < 0.7
    assert 0.75 < np.mean(ratios) < 1.3
    assert max(ratios) < 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(CORRUPTIONS))
def test_corrupted_music_is_recognised(
    kind: str, real: tuple[Sequence[Score], Sequence[str]]
) -> None:
    scores, works = real
    rng = np.random.default_rng(0)
    auc, _ = _numbers(_compare(scores, [CORRUPTIONS[kind](score, rng) for score in scores], works))
    assert auc > 0.8
