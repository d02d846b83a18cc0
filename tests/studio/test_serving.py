"""``bicinium studio`` as it is typed."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

_COMMAND = [sys.executable, "-c", "from bicinium.cli.main import main; main()", "studio"]


@contextmanager
def _started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and the address that it has printed."""
    process = subprocess.Popen(
        [*_COMMAND, "--no-browser", "--port", "0", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, process.communicate(timeout=20)
        yield process, found[0]
    finally:
        process.kill()
        process.communicate()


def test_server_runs_until_ctrl_c() -> None:
    with _started() as (process, address):
        assert "bicinium studio" in httpx.get(address, timeout=30).text
        assert httpx.get(f"{address}api/capabilities", timeout=30).json()["runs"] is False
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert process.returncode in (0, 130)
        assert "Traceback" not in errors


def test_token_is_printed_beyond_loopback() -> None:
    with _started("--host", "0.0.0.0") as (_, address):
        port = re.search(r":(\d+)/", address)
        assert port is not None
        here = f"http://127.0.0.1:{port[1]}"
        token = address.partition("?token=")[2]
        assert len(token) > 16
        assert httpx.get(here, timeout=30).status_code == 401
        for path in ("/api/capabilities", "/api/runs"):
            assert httpx.get(f"{here}{path}", timeout=30).status_code == 401
        with httpx.Client(follow_redirects=True, timeout=30) as client:
            assert "bicinium studio" in client.get(f"{here}/?token={token}").text
            assert client.get(f"{here}/api/capabilities").status_code == 200
            with client.stream("GET", f"{here}/api/runs") as events:
                assert events.status_code == 200


def test_invalid_options_are_errors(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for arguments, sentence in (
            (["--port", str(taken.getsockname()[1])], "cannot listen"),
            (["--host", "192.0.2.1"], "cannot listen"),
            (["--model", str(tmp_path / "none.safetensors")], "There is no model"),
            (["--runs", str(tmp_path / "none")], "There is no folder"),
        ):
            ended = subprocess.run(
                [*_COMMAND, *arguments], capture_output=True, text=True, timeout=60
            )
            assert ended.returncode == 2, ended.stderr
            assert sentence in ended.stderr
            assert "Traceback" not in ended.stderr


def test_missing_libraries_are_named() -> None:
    code = (
        "import sys; sys.modules['starlette'] = None; sys.argv = ['bicinium', 'studio']; "
        "from bicinium.cli.main import main; main()"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "bicinium[studio]" in ended.stderr
