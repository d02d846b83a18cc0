"""Ctrl-C, SIGTERM and SIGHUP between steps, so that no optimiser step is cut in two."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class InterruptHandler:
    """Context in which the first signal only sets ``requested``; the second interrupts at once.

    Within ``immediate()`` the first signal interrupts, too.
    """

    def __init__(self) -> None:
        self.requested = False
        self._immediate = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> InterruptHandler:
        if threading.current_thread() is threading.main_thread():  # Only it may set handlers.
            self._previous = {
                number: signal.signal(number, self._on_signal)
                for number in _SIGNALS
                if signal.getsignal(number) is not signal.SIG_IGN  # as nohup does
            }
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextmanager
    def immediate(self) -> Iterator[None]:
        """Let signals interrupt this block, in which nothing can be lost."""
        self._immediate = True
        try:
            yield
        finally:
            self._immediate = False

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        again, self.requested = self.requested, True
        if self._immediate or again:
            raise KeyboardInterrupt  # Where Python ignores it, as in __del__, the request stays.
