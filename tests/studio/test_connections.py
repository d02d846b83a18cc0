"""Idle connections keep nobody out."""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlsplit

import pytest

from bicinium.studio import connections


@contextmanager
def _idle(address: str, count: int, sent: bytes = b"") -> Iterator[list[socket.socket]]:
    """Open ``count`` connections that send no complete request."""
    at = urlsplit(address)
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            connection = socket.create_connection((at.hostname or "", at.port or 0), timeout=10)
            opened.append(stack.enter_context(connection))
            if sent:
                connection.sendall(sent)
        yield opened


def _is_closed(connection: socket.socket, within_seconds: float) -> bool:
    connection.settimeout(within_seconds)
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: "])
def test_a_thousand_idle_connections_do_not_lock_the_owner_out(served, sent):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    try:
        with _idle(served.address, 1000, sent):
            assert served.get("/api/capabilities").status_code == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_oldest_idle_connections_of_a_client_are_closed_first(served):
    with _idle(served.address, connections.MAX_IDLE_OF_CLIENT + 10) as opened:
        assert _is_closed(opened[0], within_seconds=5)
        assert not _is_closed(opened[-1], within_seconds=0.2)


def test_a_request_that_is_never_completed_is_closed(served, monkeypatch):
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.5)
    with _idle(served.address, 1, b"GET / HTTP/1.1\r\nX-Slow: ") as (connection,):
        started = time.monotonic()
        assert _is_closed(connection, within_seconds=20)
        assert time.monotonic() - started < 15


def test_an_upload_that_is_cut_off_breaks_nothing(served, capfd):
    at = urlsplit(served.address)
    head = (
        f"POST /api/import?name=a.mid HTTP/1.1\r\nHost: {at.netloc}\r\nContent-Length: 9999\r\n\r\n"
    )
    for sent in (head, head + "MThd", head + "x" * 5000):
        with socket.create_connection((at.hostname, at.port), timeout=10) as connection:
            connection.sendall(sent.encode())
            time.sleep(0.1)
    assert served.get("/api/capabilities").status_code == 200
    assert "Traceback" not in capfd.readouterr().err


def test_the_studio_outlives_a_lack_of_descriptors(served, capfd):
    """A client takes all that are left; when it has gone, the owner's page comes again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 12, hard))
        at = urlsplit(served.address)
        with suppress(OSError):
            while True:
                taken.append(socket.create_connection((at.hostname, at.port), timeout=1))
        time.sleep(0.5)
    finally:
        for connection in taken:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    time.sleep(1.5)  # until the server listens again
    assert served.get("/api/capabilities").status_code == 200
    said = capfd.readouterr().err
    assert "Traceback" not in said
    assert "too many files are open" in said
