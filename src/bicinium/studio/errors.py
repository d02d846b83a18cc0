"""Errors of the studio with an HTTP status."""

from __future__ import annotations

from bicinium.errors import BiciniumError


class StudioError(BiciniumError):
    """A request that fails with an HTTP ``status``; the page shows the message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
