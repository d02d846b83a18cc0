"""Training runs as server-sent events.

Each listener polls the modification times of a few files about once a second. A changed run is read
once for all listeners.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from bicinium.studio.errors import StudioError
from bicinium.studio.run_files import RunDirectory

MAX_LISTENERS = 16
_POLL_SECONDS = 1.0
_PAUSE_FACTOR = 4  # the pause is at least this many times as long as the poll took
_HEARTBEAT_SECONDS = 15.0  # detects listeners that have gone
_RETRY_MS = 3000  # reconnection delay of a listener


class RunEvents:
    """Event streams for a limited number of listeners, each of which holds a connection."""

    def __init__(self, runs: RunDirectory) -> None:
        self.runs = runs
        self.listeners = 0
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End all event streams."""
        self._closing.set()

    def add_listener(self) -> None:
        """Count one more listener. Raises StudioError 503 if there are too many."""
        if self.listeners >= MAX_LISTENERS:
            raise StudioError(
                503,
                f"the studio is busy: {self.listeners} pages are already watching. "
                "Close one of them, or wait.",
            )
        self.listeners += 1

    def remove_listener(self) -> None:
        """Count one listener less."""
        self.listeners -= 1

    async def stream(self, name: str, all_curves: bool) -> AsyncIterator[bytes]:
        """Yield ``runs`` (the list) and ``run`` (the state of one), now and after each change.

        name: the run; "" is the first of the list. The stream ends if the run disappears.
        """
        run_list: list[dict[str, Any]] | None = None
        version = ""
        last_sent = time.monotonic()
        yield b"retry: %d\n\n" % _RETRY_MS
        while not self._closing.is_set():
            now = time.monotonic()
            runs = await asyncio.to_thread(self.runs.list_runs)
            if runs != run_list:
                run_list, last_sent = runs, now
                yield _event("runs", runs)
            name = name or (runs[0]["name"] if runs else "")
            try:
                found = await asyncio.to_thread(self.runs.version, name) if name else version
                if found != version:
                    state = await asyncio.to_thread(self.runs.read_run, name, all_curves, found)
                    version, last_sent = found, now
                    yield _event("run", state)
            except StudioError:
                return
            if now - last_sent > _HEARTBEAT_SECONDS:
                last_sent = now
                yield b":\n\n"
            await self._pause(max(_POLL_SECONDS, _PAUSE_FACTOR * (time.monotonic() - now)))

    async def _pause(self, seconds: float) -> None:
        """Wait, or return as soon as the streams are closed."""
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            return


def _event(kind: str, data: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()
