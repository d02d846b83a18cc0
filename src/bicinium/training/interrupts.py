"""Ctrl-C and SIGTERM between steps: a step of the optimiser is never cut in two."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """While this context holds, a signal only sets ``asked``, except where it may act at once. The
    second signal always raises KeyboardInterrupt.
    """

    def __init__(self) -> None:
        self.asked = False
        self._at_once = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():  # no other may
            self._before = {number: signal.signal(number, self._came) for number in _SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """In this block nothing is lost by an interruption."""
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def _came(self, number: int, frame: FrameType | None) -> None:
        if self._at_once or self.asked:
            raise KeyboardInterrupt
        self.asked = True
