"""Limit the time of a block, for files and servers that no other limit has stopped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _TimeIsUp(BaseException):
    """Not an Exception, so that no reader takes it for a fault of the file and goes on."""


@contextmanager
def time_limit(seconds: float, error: Exception, *, waiting: bool = False) -> Iterator[None]:
    """Raise ``error`` when the block has taken so many seconds of processor time.

    Processor time is counted, so that a busy machine changes nothing; with ``waiting``, the time
    on the clock. Without effect outside the main thread, and on systems without such a timer.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not hasattr(signal, "setitimer"):
        yield
        return
    timer, number = signal.ITIMER_PROF, signal.SIGPROF
    if waiting:
        timer, number = signal.ITIMER_REAL, signal.SIGALRM
    mine = _TimeIsUp()

    def expire(_: int, frame: FrameType | None) -> None:
        raise mine

    previous = signal.signal(number, expire)
    outer = signal.setitimer(timer, seconds)
    try:
        yield
    except _TimeIsUp as up:
        if up is not mine:
            raise
        raise error from None
    finally:
        signal.setitimer(timer, *outer)
        signal.signal(number, previous)
