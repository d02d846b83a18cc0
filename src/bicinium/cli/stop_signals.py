"""Signals that stop a command. It says so, and removes what it has half written."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_STDERR = 2
_REASONS = {
    "SIGINT": "Ctrl-C",
    "SIGTERM": "another program (SIGTERM)",
    "SIGHUP": "the end of its terminal (SIGHUP)",
}


@contextmanager
def stop_signals() -> Iterator[None]:
    """Print why a signal stops the block, and raise KeyboardInterrupt in it.

    A signal that is ignored, for instance by nohup, stays ignored.
    """
    numbers = [getattr(signal, name) for name in _REASONS if hasattr(signal, name)]
    try:
        previous = {
            number: signal.signal(number, _stop)
            for number in numbers
            if signal.getsignal(number) is not signal.SIG_IGN
        }
    except ValueError:  # not in the main thread, which gets no signals
        previous = {}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    reason = _REASONS[signal.Signals(number).name]
    with suppress(OSError):  # print() must not be called within another print()
        os.write(_STDERR, f"bicinium: stopped by {reason}.\n".encode())
    raise KeyboardInterrupt
