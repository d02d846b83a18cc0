"""Training runs as server-sent events: what a run has written is told as soon as it is seen.

For every listener somebody looks about once a second at the times of a few files; what has changed
is read once for all of them.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from bicinium.studio.errors import RefusedError
from bicinium.studio.run_files import Runs

MOST_LISTENERS = 16
_LOOK_S = 1.0
_REST = 4  # times as long as it took to look, where that is longer
_HEARTBEAT_S = 15.0  # so that a listener who is gone is missed
_AGAIN_MS = 3000  # when a listener should come back who has lost the server


class Watching:
    """Those who listen to the runs. They are few, as each keeps a connection."""

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self.listeners = 0
        self._closing = asyncio.Event()

    def stop(self) -> None:
        """Let all listeners go."""
        self._closing.set()

    def come(self) -> None:
        """One more listens. Raises RefusedError, 503, where that is too many."""
        if self.listeners >= MOST_LISTENERS:
            raise RefusedError(
                503,
                f"the studio is busy: {self.listeners} pages watch already; close one, or wait",
            )
        self.listeners += 1

    def leave(self) -> None:
        """One less listens."""
        self.listeners -= 1

    async def events(self, name: str, everything: bool) -> AsyncIterator[bytes]:
        """``runs``, the list of them, and ``run``, the state of one, now and whenever it changes.

        name: of which run; "" is the first of the list. Ends where that run is gone.
        """
        listed: list[dict[str, Any]] | None = None
        tag = ""
        last = time.monotonic()
        yield b"retry: %d\n\n" % _AGAIN_MS
        while not self._closing.is_set():
            looked = time.monotonic()
            runs = await asyncio.to_thread(self.runs.listed)
            if runs != listed:
                listed, last = runs, looked
                yield _event("runs", runs)
            name = name or (runs[0]["name"] if runs else "")
            try:
                seen = await asyncio.to_thread(self.runs.tag, name) if name else tag
                if seen != tag:
                    state = await asyncio.to_thread(self.runs.state, name, everything, seen)
                    tag, last = seen, looked
                    yield _event("run", state)
            except RefusedError:
                return
            if looked - last > _HEARTBEAT_S:
                last = looked
                yield b":\n\n"
            await self._rest(max(_LOOK_S, _REST * (time.monotonic() - looked)))

    async def _rest(self, seconds: float) -> None:
        """Wait; not longer than the server runs."""
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            return


def _event(kind: str, data: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()
