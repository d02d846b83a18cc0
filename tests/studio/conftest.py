"""A studio server and a folder of training runs for the tests."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bicinium.music.score import Score

if TYPE_CHECKING:
    from bicinium.studio.routes import StudioRoutes


@dataclass(frozen=True)
class Served:
    """A studio at ``address``, served by a thread."""

    address: str
    studio: StudioRoutes
    end: Callable[[], None]

    def get(self, path: str, **more: Any) -> Any:
        import httpx

        return httpx.get(self.address + path, timeout=60, **more)

    def post(self, path: str, body: Any, **more: Any) -> Any:
        import httpx

        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.post(self.address + path, content=content, timeout=120, **more)

    def compose(self, **request: Any) -> list[dict[str, Any]]:
        """Return the lines of the response: progress and pieces."""
        answer = self.post("/api/compose", request)
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    def pieces(self, **request: Any) -> list[dict[str, Any]]:
        lines = self.compose(**request)
        assert lines[-1] == {"done": True}, lines[-1]
        pieces = [line["piece"] for line in lines if "piece" in line]
        return sorted(pieces, key=lambda piece: piece["seed"])


@pytest.fixture(scope="session")
def run_folder(
    tmp_path_factory: pytest.TempPathFactory, made_up_score: Callable[..., Score]
) -> Path:
    """Return a folder with one run that has a rollback and a sample."""
    from bicinium.formats.midi import write_midi

    folder = tmp_path_factory.mktemp("runs")
    run = folder / "first"
    (run / "samples" / "000200").mkdir(parents=True)
    write_midi(made_up_score(3, 4, "3/4", "D minor"), run / "samples" / "000200" / "0.mid")
    metrics = [{"step": step, "train/cross_entropy": 6 - step / 100} for step in range(10, 400, 10)]
    metrics.append({"step": 200, "train/cross_entropy": 4.0, "live/grammar_score": 0.9})
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in metrics))
    events = [
        {"step": 390, "kind": "alert", "message": "the data have changed"},
        {"step": 200, "kind": "rollback", "message": "back from step 390 to 200", "left": 390},
    ]
    (run / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in events))
    return folder


@pytest.fixture(scope="session")
def served(run_folder: Path) -> Iterator[Served]:
    """Serve a studio with the built-in model."""
    for name in ("starlette", "uvicorn", "httpx"):
        pytest.importorskip(name, reason=f"the tests of the studio need {name}")
    with _serving(run_folder) as served:
        yield served


@pytest.fixture
def serve(run_folder: Path) -> Callable[[], AbstractContextManager[Served]]:
    """Return a context manager that serves a studio for one test."""
    return lambda: _serving(run_folder)


@contextmanager
def _serving(runs: Path) -> Iterator[Served]:
    from bicinium.studio.server import StudioSettings, studio_server

    server = studio_server(StudioSettings(runs=runs))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        give_up = time.monotonic() + 30
        while not server.started:
            assert time.monotonic() < give_up, "the server does not start"
            time.sleep(0.05)
        app: Any = server.config.app

        def end() -> None:
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()

        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        yield Served(address, app.state.studio, end)
        end()


@pytest.fixture(scope="session")
def run_async() -> Callable[..., Any]:
    """Return a function that runs a coroutine."""
    return asyncio.run
