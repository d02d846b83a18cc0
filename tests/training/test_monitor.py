"""Monitors of a run. They are pure logic, so all short histories are enumerated."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bicinium.training.monitor import DataMonitor, Monitor, Validation, ValidationOutcome

_THRESHOLD, _PATIENCE = 0.8, 3
_UNKNOWN = (None, None)


def _monitor(patience: int = _PATIENCE, spike_factor: float = 2.0) -> Monitor:
    return Monitor(_THRESHOLD, patience, spike_factor)


def _judged(
    monitor: Monitor, history: Sequence[tuple[float | None, float | None] | Validation]
) -> list[ValidationOutcome]:
    """Return the outcomes of validations with these (bits per note, grammar score)."""
    return _judged_from(monitor, 1, history)


def _judged_from(
    monitor: Monitor,
    first_step: int,
    history: Sequence[tuple[float | None, float | None] | Validation],
) -> list[ValidationOutcome]:
    return [
        monitor.after_validation(
            one if isinstance(one, Validation) else Validation(step, one[0], one[1])
        )
        for step, one in enumerate(history, first_step)
    ]


# ------------------------------------------------------------------ losses


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("before", [0, 5, 60])
def test_a_loss_that_is_not_finite_is_a_collapse(loss: float, before: int) -> None:
    monitor = _monitor(spike_factor=0)
    assert [monitor.after_step(2.0) for _ in range(before)] == [""] * before
    assert "the loss is" in monitor.after_step(loss)
    assert monitor.after_step(loss) == ""  # said once
    assert monitor.after_step(2.0) == ""
    assert "the loss is" in monitor.after_step(loss)


@pytest.mark.parametrize("leaps", list(product([False, True], repeat=6)), ids=str)
def test_only_three_consecutive_spikes_are_a_collapse(leaps: tuple[bool, ...]) -> None:
    monitor = _monitor()
    for _ in range(20):
        monitor.after_step(1.0)
    expected, running = [], 0
    for leap in leaps:
        running = running + 1 if leap else 0
        expected.append(running == 3)
        if running == 3:
            break
    said = [bool(monitor.after_step(2.01 if leap else 2.0)) for leap in leaps[: len(expected)]]
    assert said == expected


def test_spikes_are_relative_to_the_median_of_the_last_fifty_losses() -> None:
    monitor = _monitor()
    for _ in range(50):
        monitor.after_step(1.0)
    for _ in range(26):
        monitor.after_step(2.0)  # not over twice the median; then the median itself
    assert [monitor.after_step(3.9) for _ in range(10)] == [""] * 10
    why = [monitor.after_step(9.0) for _ in range(3)]
    assert why[:2] == ["", ""]
    assert why[2] == "the loss rose from 2.00 to 9.00"


def test_spikes_need_twenty_earlier_losses() -> None:
    monitor = _monitor()
    losses = [0.1] * 19 + [50.0] * 3
    assert [monitor.after_step(loss) for loss in losses] == [""] * len(losses)


def test_the_median_restarts_after_a_spike() -> None:
    """Without rollback a spike is reported once."""
    monitor = _monitor()
    said = [bool(monitor.after_step(loss)) for loss in [1.0] * 20 + [9.0] * 60]
    assert sum(said) == 1
    assert said[22]


@given(st.lists(st.floats(0.01, 1000), max_size=120))
def test_a_spike_factor_of_zero_switches_spikes_off(losses: list[float]) -> None:
    monitor = _monitor(spike_factor=0)
    assert not any(monitor.after_step(loss) for loss in losses)


@given(st.lists(st.floats(1.0, 1.99), max_size=120))
def test_losses_within_the_factor_are_no_spike(losses: list[float]) -> None:
    monitor = _monitor()
    assert not any(monitor.after_step(loss) for loss in losses)


# ------------------------------------------------------------------ validations

_WORLD = [(bits, score) for bits in (2.0, 3.0) for score in (0.5, 0.7, 0.9)]


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_best_is_healthy_with_fewest_bits_or_else_has_the_highest_score(length: int) -> None:
    for history in product(_WORLD, repeat=length):
        monitor = _monitor(patience=99)
        found = _judged(monitor, history)
        healthy = [state for state in history if state[1] >= _THRESHOLD]
        best = min(healthy) if healthy else max(history, key=lambda state: state[1])
        assert monitor.best is not None
        assert monitor.best.grammar_score == best[1]
        if healthy:
            assert monitor.best.bits_per_note == best[0]
        assert monitor.best_is_healthy == bool(healthy)
        last_best = max(step for step, one in enumerate(found, 1) if one.best)
        assert monitor.best.step == last_best
        assert found[0].best


@pytest.mark.parametrize("length", [3, 4, 5, 6])
def test_too_many_unhealthy_validations_after_a_healthy_one_are_a_collapse(
    length: int,
) -> None:
    """Bits always decrease, so that only health matters."""
    for health in product([True, False], repeat=length):
        history = [(9.0 - step, 0.9 if well else 0.5) for step, well in enumerate(health)]
        found = _judged(_monitor(), history)
        running, was_well = 0, False
        for one, well in zip(found, health, strict=True):
            running = 0 if well else running + 1
            was_well = was_well or well
            assert bool(one.collapse) == (was_well and running == _PATIENCE)
            if one.collapse:
                assert one.collapse == (
                    "the grammar score is 0.500, below 0.8, for 3 consecutive validations"
                )
                break
            if was_well and not well:
                assert "below 0.8" in one.alert
            assert not one.stop


@pytest.mark.parametrize("ramp_end_step", [1, 3, 5])
def test_no_state_is_healthy_or_counted_before_the_ramp_ends(
    ramp_end_step: int,
) -> None:
    """Before the ramp ends, bits are lowest, and some states have a good score by chance."""
    early = [(1.0 + step / 9, (0.9, 0.5)[step % 2]) for step in range(ramp_end_step - 1)]
    monitor = Monitor(_THRESHOLD, 1, 2.0, ramp_end_step)
    found = _judged(monitor, early)
    assert not any(one.collapse or one.stop or one.alert for one in found)
    assert not monitor.best_is_healthy
    (later,) = _judged_from(monitor, ramp_end_step, [(3.0, 0.81)])
    assert later.best
    assert monitor.best_is_healthy
    assert monitor.best is not None
    assert (monitor.best.step, monitor.best.bits_per_note) == (ramp_end_step, 3.0)
    gained, lost = _judged_from(monitor, ramp_end_step + 1, [(2.9, 0.9), (2.8, 0.5)])
    assert gained == ValidationOutcome(best=True)
    assert lost.collapse


def test_degenerate_music_is_never_healthy() -> None:
    looping = [Validation(step, 2.0 - step / 10, 1.0, "all is loops") for step in range(2, 5)]
    found = _judged(_monitor(), [(2.0, 0.9), *looping])
    assert [one.collapse for one in found] == [""] * 3 + [
        "all is loops, for 3 consecutive validations"
    ]
    assert [one.best for one in found] == [True, False, False, False]
    assert found[1].alert == "all is loops"


def test_a_run_that_was_never_healthy_gets_alerts_but_no_collapse() -> None:
    found = _judged(_monitor(), [(9.0 - step, 0.1) for step in range(7)])
    assert not any(one.collapse for one in found)
    reported = ["no state has been healthy yet" in one.alert for one in found]
    assert reported == [False, False, True, False, False, True, False]


@pytest.mark.parametrize("bits", [math.nan, math.inf])
def test_bits_that_are_not_finite_are_a_collapse_and_never_best(bits: float) -> None:
    monitor = _monitor()
    (found,) = _judged(monitor, [(bits, 1.0)])
    assert found.collapse
    assert not found.best
    assert monitor.best is None
    degenerate = Validation(2, bits, 0.0, "the weights are not finite")
    assert _judged(monitor, [degenerate])[0].collapse == "the weights are not finite"


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
def test_a_run_stops_after_too_many_validations_without_improvement(length: int) -> None:
    worlds = product([(2.0, 0.9), (2.0, 0.95), (1.9, 0.9), (1.9995, 0.9)], repeat=length)
    for history in worlds:
        found = _judged(_monitor(), history)
        least, highest, without = math.inf, -math.inf, 0
        for (bits, score), one in zip(history, found, strict=True):
            gained = bits < least * 0.999 or score > highest
            least, highest = min(least, bits), max(highest, score)
            without = 0 if gained else without + 1
            assert bool(one.stop) == (without >= _PATIENCE)
            if one.stop:
                assert "in 3 validations" in one.stop
                break


def test_only_a_real_decrease_of_bits_is_an_improvement() -> None:
    creeping = [(2.0 * 0.9995**step, 0.9) for step in range(4)]
    falling = [(2.0 * 0.998**step, 0.9) for step in range(30)]
    assert _judged(_monitor(), creeping)[-1].stop
    assert not any(one.stop for one in _judged(_monitor(), falling))


def test_a_rising_score_alone_keeps_the_run_going() -> None:
    rising = [(2.0 + step, 0.81 + step / 1000) for step in range(30)]
    assert not any(one.stop for one in _judged(_monitor(), rising))


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
def test_an_unknown_state_changes_nothing_else(length: int) -> None:
    """It is never the best state, and all other outcomes are as if it did not exist."""
    for history in product([(2.0, 0.9), (3.0, 0.5), _UNKNOWN], repeat=length):
        monitor, other = _monitor(), _monitor()
        found = _judged(monitor, history)
        known = [(step, one) for step, one in enumerate(history) if one != _UNKNOWN]
        expected = [
            other.after_validation(Validation(step + 1, one[0], one[1])) for step, one in known
        ]
        assert [found[step] for step, _ in known] == expected
        for one, said in zip(history, found, strict=True):
            if one == _UNKNOWN:
                assert said == ValidationOutcome(alert=said.alert)
                assert "counts as unknown" in said.alert
        assert monitor.best == other.best


@pytest.mark.parametrize("half", [(None, 0.9), (2.0, None)])
def test_a_state_with_one_missing_measure_is_unknown(
    half: tuple[float | None, float | None],
) -> None:
    monitor = _monitor()
    (found,) = _judged(monitor, [half])
    assert "counts as unknown" in found.alert
    assert monitor.best is None
    assert monitor.validated_step == 1  # it is not tried again at this step


_losses = st.one_of(st.floats(0.1, 9.0), st.sampled_from([math.nan, math.inf]))
_found = st.one_of(
    st.sampled_from([*_WORLD, _UNKNOWN, (math.nan, 0.5)]),
    st.tuples(st.floats(0.5, 9.0), st.floats(0, 1)),
)


@given(st.lists(st.one_of(_losses, _found), max_size=40), st.integers(0, 40))
def test_a_restored_monitor_behaves_the_same(
    history: list[float | tuple[float | None, float | None]], cut: int
) -> None:
    def judge(monitor: Monitor, step: int) -> object:
        one = history[step]
        if isinstance(one, float):
            return monitor.after_step(one)
        return monitor.after_validation(Validation(step, one[0], one[1], ""))

    whole, first, second = _monitor(), _monitor(), _monitor()
    said = [judge(whole, step) for step in range(len(history))]
    again = [judge(first, step) for step in range(min(cut, len(history)))]
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    again += [judge(second, step) for step in range(cut, len(history))]
    assert again == said
    assert json.dumps(second.state_dict()) == json.dumps(whole.state_dict())


def test_settings_are_not_restored_from_a_checkpoint() -> None:
    saved = _monitor().state_dict()
    other = Monitor(0.5, 7, 3.0)
    other.load_state_dict(saved)
    assert (other.threshold, other.patience, other.spike_factor) == (0.5, 7, 3.0)


# ------------------------------------------------------------------ drift of the data


def _contents(rng: np.random.Generator, looped: bool = False) -> dict[str, float]:
    """A batch of eight windows: two styles, notes a quarter, padding."""
    bach = rng.binomial(8, 0.5) / 8
    return {
        "legal": 1.0,
        "notes_per_quarter": 8.0 if looped else rng.normal(3, 0.4),
        "padding": rng.uniform(0, 0.2),
        "style/bach": bach,
        "style/song": 1 - bach,
    }


@pytest.mark.parametrize("seed", range(5))
def test_steady_noise_is_no_drift(seed: int) -> None:
    rng, monitor = np.random.default_rng(seed), DataMonitor()
    assert [monitor.after_batch(_contents(rng)) for _ in range(1000)] == [""] * 1000


@pytest.mark.parametrize("seed", range(5))
def test_drift_of_half_of_the_batches_is_reported_once(seed: int) -> None:
    rng, monitor = np.random.default_rng(seed), DataMonitor()
    for _ in range(200):
        monitor.after_batch(_contents(rng))
    said = [monitor.after_batch(_contents(rng, looped=step % 2 == 0)) for step in range(100)]
    alerts = [one for one in said if one]
    assert len(alerts) == 1
    assert alerts[0].startswith("the batches drift: notes_per_quarter was ")
    assert said.index(alerts[0]) < 20


def test_a_style_that_comes_or_goes_is_drift() -> None:
    monitor, rng = DataMonitor(), np.random.default_rng(0)
    for _ in range(130):
        monitor.after_batch(_contents(rng))
    said = [monitor.after_batch({"legal": 1.0, "style/new": 1.0}) for _ in range(20)]
    reported = " ".join(said)
    assert "style/new was 0.000" in reported
    assert "style/bach was" in reported


def test_returning_drift_is_reported_again() -> None:
    monitor, rng = DataMonitor(), np.random.default_rng(0)
    phases = [False] * 130 + [True] * 30 + [False] * 60 + [True] * 30
    said = [bool(monitor.after_batch(_contents(rng, looped))) for looped in phases]
    assert sum(said) == 2
    assert all(later - earlier > 60 for earlier, later in pairwise(np.flatnonzero(said)))


def test_small_changes_of_a_constant_are_no_drift() -> None:
    monitor = DataMonitor()
    for _ in range(100):
        monitor.after_batch({"legal": 1.0})
    assert [monitor.after_batch({"legal": 0.985}) for _ in range(40)] == [""] * 40
    assert any(monitor.after_batch({"legal": 0.97}) for _ in range(40))


def test_a_restored_data_monitor_behaves_the_same() -> None:
    rng = np.random.default_rng(1)
    batches = [_contents(rng, looped=step > 150) for step in range(200)]
    whole, first, second = DataMonitor(), DataMonitor(), DataMonitor()
    said = [whole.after_batch(batch) for batch in batches]
    again = [first.after_batch(batch) for batch in batches[:160]]
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    again += [second.after_batch(batch) for batch in batches[160:]]
    assert again == said


def test_the_state_of_an_earlier_version_is_restored() -> None:
    monitor, data_monitor = _monitor(), DataMonitor()
    monitor.load_state_dict({"best": None, "unhealthy": 2, "least_bits": 3.5, "losses": [1.0]})
    data_monitor.load_state_dict({"first": [{"legal": 1.0}], "late": [], "drifting": []})
    assert (monitor.unhealthy_validations, monitor.min_bits, monitor.losses) == (2, 3.5, [1.0])
    assert data_monitor.baseline == [{"legal": 1.0}]
