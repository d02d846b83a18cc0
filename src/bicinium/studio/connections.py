"""Limits on connections, so that idle ones never keep anybody out.

A connection that sends no complete request in time is closed. A client that opens more connections
than a browser needs loses its oldest idle ones, and so does everybody when there are very many.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 400  # in all, with a request in progress or not
MAX_IDLE = 300  # in all
MAX_IDLE_OF_CLIENT = 60
HEADER_SECONDS = 10.0  # for a complete request header


class LimitedConnection(H11Protocol):
    """A connection of uvicorn that is closed while it is idle, if there are too many.

    Idle means that no request is in progress.
    """

    _header_timer: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._opened = self.loop.time()
        self._start_header_timer()
        self._close_surplus()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_header_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.is_idle:
            self._stop_header_timer()
        elif self._header_timer is None:  # the beginning of a further request
            self._start_header_timer()

    def _start_header_timer(self) -> None:
        self._header_timer = self.loop.call_later(HEADER_SECONDS, self._close_if_idle)

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _close_if_idle(self) -> None:
        self._header_timer = None
        if self.is_idle:
            self.transport.close()

    def _close_surplus(self) -> None:
        """Close the oldest idle connections beyond the limits, but never this one."""
        host = self.client[0] if self.client else None
        idle = sorted(
            (one for one in self.connections if isinstance(one, LimitedConnection) and one.is_idle),
            key=lambda one: one._opened,
        )
        of_client = [one for one in idle if one.client and one.client[0] == host]
        for one in [*idle[:-MAX_IDLE], *of_client[:-MAX_IDLE_OF_CLIENT]]:
            if one is not self:
                one.transport.close()
