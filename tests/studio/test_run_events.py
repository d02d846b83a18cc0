"""Training runs as server-sent events."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from bicinium.studio.run_events import MAX_LISTENERS

if TYPE_CHECKING:
    from tests.studio.conftest import Served


@contextmanager
def _listening(served: Served, **query: str) -> Iterator[Iterator[tuple[str, Any]]]:
    """Yield (kind, data) of each event."""
    address = f"{served.address}/api/runs"
    with httpx.stream("GET", address, params=query, timeout=30) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events(answer.iter_lines())


def _events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    kind = ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, json.loads(value)


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not holds() and time.monotonic() < until:
        time.sleep(0.02)
    return holds()


@pytest.fixture
def another_run(run_folder: Path) -> Iterator[Path]:
    """Create a second run."""
    folder = run_folder / "second"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text('{"step": 10, "train/cross_entropy": 5.0}\n')
    yield folder
    shutil.rmtree(folder)


def test_new_listener_gets_the_current_state(served: Served) -> None:
    with _listening(served) as events:
        kind, runs = next(events)
        assert kind == "runs"
        assert [run["name"] for run in runs] == ["first"]
        kind, state = next(events)
    assert kind == "run"
    assert state["curves"]["train/cross_entropy"][-1] == [
        200,
        4.0,
    ]  # steps undone by the rollback are left out
    assert state["curves"]["live/grammar_score"] == [[200, 0.9]]
    assert [event["kind"] for event in state["events"]] == ["alert", "rollback"]
    assert state["events"][1]["left"] == 390
    assert state["samples"] == [{"step": "000200", "files": ["0.mid"]}]
    sample = served.get("/api/sample?name=first&step=000200&file=0.mid").json()
    assert sample["score"]["bars"] == 4


def test_new_metrics_are_pushed(served: Served, another_run: Path) -> None:
    with _listening(served, name="second") as events:
        assert next(events)[0] == "runs"
        assert next(events)[1]["step"] == 10
        with (another_run / "metrics.jsonl").open("a") as metrics:
            metrics.write('{"step": 20, "train/cross_entropy": 4.5}\n')
        written = time.monotonic()
        kind, state = next(events)
        assert time.monotonic() - written < 5
        assert (kind, state["name"], state["step"]) == ("run", "second", 20)


def test_new_run_is_pushed(served: Served, run_folder: Path) -> None:
    with _listening(served) as events:
        assert [next(events)[0], next(events)[0]] == ["runs", "run"]
        begun = run_folder / "third"
        begun.mkdir()
        (begun / "metrics.jsonl").write_text("")
        try:
            kind, runs = next(events)
        finally:
            shutil.rmtree(begun)
    assert kind == "runs"
    assert {"name": "third", "live": True, "changed": None} in runs


def test_number_of_listeners_is_limited(served: Served) -> None:
    run_events = served.studio.run_events
    assert _within(5, lambda: run_events.listeners == 0)
    with ExitStack() as all_of_them:
        events = [all_of_them.enter_context(_listening(served)) for _ in range(MAX_LISTENERS)]
        assert {next(events)[0] for events in events} == {"runs"}
        refused = served.get("/api/runs")
        assert refused.status_code == 503
        assert "busy" in refused.json()["error"]
        assert refused.headers["retry-after"]
        assert served.get("/").status_code == 200
    assert _within(5, lambda: run_events.listeners == 0)
    with _listening(served) as events:
        assert next(events)[0] == "runs"


def test_shutdown_does_not_wait_for_listeners(
    serve: Callable[[], AbstractContextManager[Served]],
) -> None:
    with serve() as served, _listening(served) as events:
        assert [next(events)[0], next(events)[0]] == ["runs", "run"]
        started = time.monotonic()
        served.end()
        assert list(events) == []  # a clean end, not a connection that breaks
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("name", ["nowhere", "..", "../first", "/etc"])
def test_unknown_run_is_an_error(served: Served, name: str) -> None:
    answer = httpx.get(f"{served.address}/api/runs", params={"name": name})
    assert answer.status_code == 404
    assert "no run" in answer.json()["error"]
    assert served.studio.run_events.listeners == 0
