"""A studio server and a folder of training runs for the tests."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import subprocess
import tarfile
import tempfile
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
            thread.join(60)  # a busy machine takes over ten seconds
            assert not thread.is_alive()

        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        yield Served(address, app.state.studio, end)
        end()


@pytest.fixture(scope="session")
def run_async() -> Callable[..., Any]:
    """Return a function that runs a coroutine."""
    return asyncio.run


# ------------------------------------------------------------------ the page in a browser

_CHROMIUM = Path("/usr/bin/chromium")
_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
_TIMEOUT_MS = 240_000
_TOUCH = {"is_mobile": True, "has_touch": True}
SCREENS: dict[str, dict[str, Any]] = {
    "wide": {"viewport": {"width": 1440, "height": 900}},
    "tablet": {"viewport": {"width": 820, "height": 1180}, **_TOUCH},
    "phone": {"viewport": {"width": 390, "height": 844}, **_TOUCH},
}


@pytest.fixture(scope="session")
def screens() -> dict[str, dict[str, Any]]:
    """Return the options of a browser context for each size of screen."""
    return SCREENS


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Start Debian's Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="browser tests need playwright")
    if not _CHROMIUM.is_file():
        pytest.skip(f"browser tests need {_CHROMIUM}: apt-get install chromium")
    sync_api.expect.set_options(timeout=_TIMEOUT_MS)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(_CHROMIUM), args=_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any, served: Served) -> Iterator[Callable[..., Any]]:
    """Return a function: (address within the studio, options of a browser context) → a loaded page.

    ``script`` is executed before those of the page. At the end, no page may have written to the
    console or contacted another machine.
    """
    said: list[str] = []
    asked: list[str] = []
    contexts = []

    def open_one(address: str = "", script: str = "", **more: Any) -> Any:
        context = browser.new_context(accept_downloads=True, **more)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(_TIMEOUT_MS)
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        if script:
            page.add_init_script(script)
        page.goto(f"{served.address}/{address}")
        page.wait_for_selector("html[data-ready]")
        return page

    yield open_one
    for context in contexts:
        context.close()
    foreign = [url for url in asked if not url.startswith((served.address, "blob:", "data:"))]
    assert not foreign
    assert not [line for line in said if "Failed to load resource" not in line]  # an answer of 4xx


class Acts:
    """What a person does with the page."""

    @staticmethod
    def wait(page: Any) -> None:
        """Wait until nothing is composed any more, and the piece is engraved and in its place."""
        page.wait_for_selector(".sheet[data-engraved]")  # a link does not compose at once
        page.wait_for_selector(".stop:visible", state="detached")
        page.wait_for_selector(".sheet[data-engraved]")
        page.wait_for_function(
            """async () => {
                const place = () => {
                    const { x, y, width } = studio.activeView.sheet.element.getBoundingClientRect();
                    return `${x} ${y} ${width}`;
                };
                const before = place();
                await new Promise((resolve) => setTimeout(resolve, 100));
                return place() === before; // it does not scroll any more
            }"""
        )

    @staticmethod
    def until(page: Any, holds: Callable[[], Any]) -> None:
        """Wait until something holds that only Python can tell."""
        give_up = time.monotonic() + _TIMEOUT_MS / 1000
        while not holds():
            assert time.monotonic() < give_up, "it does not come to hold"
            page.wait_for_timeout(50)

    @staticmethod
    def link(page: Any) -> str:
        """Press *Share link* and return the link to the piece, from its "#"."""
        page.click("text=Share link")
        page.wait_for_function("() => location.hash.includes('?')")
        link: str = page.evaluate("location.hash")
        return link

    @staticmethod
    def fill(page: Any, **fields: str) -> None:
        """Fill in fields of the request."""
        for name, value in fields.items():
            field = page.locator(f"#panel > section:not([hidden]) [name={name}]")
            field.evaluate("field => field.closest('details')?.setAttribute('open', '')")
            if field.evaluate("field => field.tagName") == "SELECT":
                field.select_option(value)
            else:
                field.fill(value)

    @classmethod
    def compose(cls, page: Any, **fields: str) -> None:
        """Compose a piece."""
        cls.fill(page, **fields)
        page.click("#compose .primary")
        cls.wait(page)

    @staticmethod
    def notes(page: Any) -> list[list[list[int]]]:
        """Return the voices of the open piece."""
        voices: list[list[list[int]]] = page.evaluate("studio.activeView.piece.score.voices")
        return voices

    @staticmethod
    def download(page: Any, form: str, folder: Path) -> Path:
        """Download the open piece."""
        with page.expect_download() as download:
            page.click(f".actions [data-format={form}]")
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return path

    @staticmethod
    def drop(page: Any, section: str, path: Path) -> None:
        """Drop a file on the page."""
        data = base64.b64encode(path.read_bytes()).decode()
        transfer = page.evaluate_handle(
            """([data, name]) => {
                const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
                const transfer = new DataTransfer();
                transfer.items.add(new File([bytes], name));
                return transfer;
            }""",
            [data, path.name],
        )
        page.dispatch_event(f"[data-drop={section}]", "drop", {"dataTransfer": transfer})


@pytest.fixture(scope="session")
def act() -> type[Acts]:
    """Return what a person does with the page."""
    return Acts


@pytest.fixture(scope="session")
def axe() -> str:
    """Return the source of axe-core, fetched from npm into a folder outside the repository."""
    folder = Path(tempfile.gettempdir()) / "bicinium-axe"
    script = folder / "package" / "axe.min.js"
    if not script.is_file():
        folder.mkdir(exist_ok=True)
        try:
            packed = subprocess.run(
                ["npm", "pack", "--silent", "axe-core"], cwd=folder, timeout=60, check=True,
                capture_output=True, text=True,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"axe-core cannot be fetched from npm: {error}")
        with tarfile.open(folder / packed.stdout.split()[-1]) as archive:
            archive.extractall(folder, filter="data")
    return script.read_text(encoding="utf-8")
