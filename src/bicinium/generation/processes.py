"""Runs tasks in several processes, one for each core.

Threads do not help: composing is thousands of small numpy calls, and threads wait for the
interpreter at each of them (docs/log.md).
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from typing import Any, TypeVar

from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from bicinium.errors import CancelledError, RequestError

_CHECK_CANCELLED_SECONDS = 0.1
_IDLE_SECONDS = 30  # after which idle processes end
_CHECK_PARENT_SECONDS = 1.0
# Executors not in use, by their number of processes. Each is used by one thread at a time, so that
# it can be shut down with all its work.
_idle: defaultdict[int, list[ProcessPoolExecutor]] = defaultdict(list)

Result = TypeVar("Result")


def available_cores() -> int:
    """Return how many processes may run at once: 1 if this process may not start others."""
    if multiprocessing.current_process().daemon:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_in_processes(
    processes: int,
    task: Callable[..., Result],
    shares: Sequence[tuple[Any, ...]],
    cancelled: Callable[[], bool] | None = None,
) -> Iterator[tuple[int, Result]]:
    """Run ``task(*share)`` for each share, and give its index and its result as it is done.

    Raises CancelledError as soon as ``cancelled`` returns True, and RequestError if a process dies.
    The processes are killed if the iterator is closed before its end.
    """
    try:
        executor = _idle[processes].pop()
    except IndexError:
        executor = _new_executor(processes)
    try:
        going = {executor.submit(task, *share): place for place, share in enumerate(shares)}
        while going:
            done, _ = wait(going, _CHECK_CANCELLED_SECONDS, FIRST_COMPLETED)
            for future in done:
                yield going.pop(future), future.result()
            if cancelled and cancelled():
                raise CancelledError("composing was stopped")
    except BaseException as error:
        executor.shutdown(wait=False, kill_workers=True)
        if isinstance(error, TerminatedWorkerError):
            raise RequestError(
                "A process died while composing, perhaps out of memory. "
                "Compose fewer pieces at once."
            ) from error
        raise
    _idle[processes].append(executor)


def _new_executor(processes: int) -> ProcessPoolExecutor:
    """Return an executor of our own; the one that joblib keeps is configured differently."""
    return ProcessPoolExecutor(
        processes, timeout=_IDLE_SECONDS, initializer=_end_with, initargs=(os.getpid(),)
    )


def _end_with(parent: int) -> None:
    """End this process soon after its parent, even if the parent is killed."""

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(_CHECK_PARENT_SECONDS)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()
