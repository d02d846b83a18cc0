"""Records of a run, also after crashes and rollbacks."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bicinium.training.run_dir import (
    EVENTS,
    METRICS,
    RunLog,
    count_bad_lines,
    read_metrics,
    read_records,
)

Session = Callable[[Sequence[int]], None]


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """Return a function that records steps as one session, each with a new value."""
    numbers = iter(range(10_000))

    def record(steps: Sequence[int]) -> None:
        log = RunLog(tmp_path, Console(file=io.StringIO()))
        for step in steps:
            log.metrics(step, {"loss": next(numbers)})
        log.close()

    return record


def test_metrics_are_read_as_curves(tmp_path: Path) -> None:
    log = RunLog(tmp_path, Console(file=io.StringIO()))
    log.metrics(10, {"loss": 2.0, "rate": 0.1})
    log.metrics(20, {"loss": 1.0})
    log.metrics(20, {"live": 0.5})  # a step may be recorded in two lines
    log.close()
    assert read_metrics(tmp_path) == {
        "loss": [(10, 2.0), (20, 1.0)],
        "rate": [(10, 0.1)],
        "live": [(20, 0.5)],
    }


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_null_and_left_out(tmp_path: Path, value: float) -> None:
    log = RunLog(tmp_path, Console(file=io.StringIO()))
    log.metrics(1, {"loss": value, "norm": 3.0})
    log.close()
    (line,) = (tmp_path / METRICS).read_text().splitlines()

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert json.loads(line, parse_constant=refuse) == {"step": 1, "loss": None, "norm": 3.0}
    assert read_metrics(tmp_path) == {"norm": [(1, 3.0)]}


def test_a_line_torn_by_a_crash_is_left_out(tmp_path: Path, session: Session) -> None:
    session([10, 20])
    path = tmp_path / METRICS
    for cut in range(1, len('{"step": 20, "loss": 1}\n')):
        whole = path.read_bytes()
        path.write_bytes(whole[:-cut])
        assert {step for step, _ in read_metrics(tmp_path)["loss"]} >= {10}
        session([30])
        assert [step for step, _ in read_metrics(tmp_path)["loss"]][-1] == 30
        assert all(step in (10, 20, 30) for step, _ in read_metrics(tmp_path)["loss"])
        path.write_bytes(whole)


def test_repeated_steps_replace_earlier_ones(tmp_path: Path, session: Session) -> None:
    session([10, 20, 30])  # 0, 1, 2
    session([20, 30, 40])  # 3, 4, 5
    assert read_metrics(tmp_path)["loss"] == [(10, 0), (20, 3), (30, 4), (40, 5)]
    session([15])
    assert read_metrics(tmp_path)["loss"] == [(10, 0), (15, 6)]


def test_a_repeated_validation_keeps_the_losses_of_its_step(tmp_path: Path) -> None:
    """A checkpoint is written between the losses and the validation of its step."""
    for last in (22, 30):
        log = RunLog(tmp_path, Console(file=io.StringIO()))
        if last == 22:
            log.metrics(20, {"loss": 1.0})
        else:
            log.resume_from(20)
        for step, measured in ((20, {"live": 0.5}), (last, {"own": 2.0})):
            log.metrics(step, measured)
        log.close()
    assert read_metrics(tmp_path) == {"loss": [(20, 1.0)], "live": [(20, 0.5)], "own": [(30, 2.0)]}


@given(st.lists(st.integers(0, 12), max_size=40))
def test_curves_leave_out_undone_steps(steps: list[int]) -> None:
    """At step n, records of later steps are undone, and the last value of a step counts."""
    from tempfile import TemporaryDirectory

    standing: dict[int, int] = {}
    lines = []
    for value, step in enumerate(steps):
        standing = {old: v for old, v in standing.items() if old < step} | {step: value}
        lines.append(json.dumps({"step": step, "loss": value}) + "\n")
    with TemporaryDirectory() as folder:
        (Path(folder) / METRICS).write_text("".join(lines))
        curves = read_metrics(Path(folder))
    assert curves.get("loss", []) == sorted(standing.items())


def test_tensorboard_leaves_out_undone_steps_too(tmp_path: Path) -> None:
    log = RunLog(tmp_path, Console(file=io.StringIO()))
    for step in (10, 20, 30):
        log.metrics(step, {"loss": float(step)})
    log.resume_from(10)
    log.metrics(20, {"loss": 7.0})
    log.close()
    board = EventAccumulator(str(tmp_path))
    board.Reload()
    assert [(event.step, event.value) for event in board.Scalars("loss")] == [(10, 10.0), (20, 7.0)]


def test_events_go_to_the_file_and_to_the_console(tmp_path: Path) -> None:
    said = io.StringIO()
    log = RunLog(tmp_path, Console(file=said, width=200))
    log.event("rollback", 20, "back from step 30 to 20", left=30)
    assert read_records(tmp_path / EVENTS) == [
        {"step": 20, "kind": "rollback", "message": "back from step 30 to 20", "left": 30}
    ]
    assert said.getvalue() == "step 20: rollback: back from step 30 to 20\n"


def test_an_inactive_log_writes_nothing(tmp_path: Path) -> None:
    said = io.StringIO()
    log = RunLog(tmp_path, Console(file=said), active=False)
    log.metrics(1, {"loss": 1.0})
    log.event("alert", 1, "not written")
    log.resume_from(10)
    log.close()
    assert list(tmp_path.iterdir()) == []
    assert said.getvalue() == ""


def test_lines_that_are_no_records_are_passed_over_and_counted(tmp_path: Path) -> None:
    bad = ["[]", "1", '{"step": "x"}', '{"step": 1e999}', '{"loss": 2}', '{"step": 3, "loss": "a"}']
    (tmp_path / METRICS).write_text("\n".join([*bad, '{"step": 4, "loss": 2.5}', ""]))
    (tmp_path / EVENTS).write_bytes(b'\xff\n{"step": 1, "kind": "rollback", "message": ""}\n')
    assert read_metrics(tmp_path) == {"loss": [(4, 2.5)]}
    assert read_records(tmp_path / EVENTS) == []
    assert count_bad_lines(tmp_path) == len(bad) + 2


def test_a_folder_without_records_has_no_metrics(tmp_path: Path) -> None:
    assert read_records(tmp_path / EVENTS) == []
    assert read_metrics(tmp_path) == {}
