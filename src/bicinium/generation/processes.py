"""Work shared out to processes, one for each core.

Threads would not do: composing is thousands of small numpy calls, and at each of them threads wait
for one another's interpreter (docs/log.md).
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

_LOOKS_UP_S = 0.1  # how often it is asked whether the work is still wanted
_IDLE_S = 30  # after which processes that have nothing to do end
_LOOKS_FOR_PARENT_S = 1.0
# By their number of processes, executors that nobody uses: one that is used by one thread alone can
# be ended with all that it does.
_idle: defaultdict[int, list[ProcessPoolExecutor]] = defaultdict(list)

Result = TypeVar("Result")


def available_cores() -> int:
    """The processes that may work at once: 1 where this process may have no others."""
    if multiprocessing.current_process().daemon:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_in_processes(
    processes: int,
    task: Callable[..., Result],
    shares: Sequence[tuple[Any, ...]],
    cancelled: Callable[[], bool] | None = None,
) -> Iterator[tuple[int, Result]]:
    """``task(*share)`` of each of the shares: its place, and what comes of it, as it is done.

    cancelled: asked all the time; True ends it with CancelledError. The processes are ended with
    whatever they do where the iterator is left before its end.
    """
    try:
        executor = _idle[processes].pop()
    except IndexError:
        executor = _new_executor(processes)
    try:
        going = {executor.submit(task, *share): place for place, share in enumerate(shares)}
        while going:
            done, _ = wait(going, _LOOKS_UP_S, FIRST_COMPLETED)
            for future in done:
                yield going.pop(future), future.result()
            if cancelled and cancelled():
                raise CancelledError("composing was stopped")
    except BaseException as error:
        executor.shutdown(wait=False, kill_workers=True)
        if isinstance(error, TerminatedWorkerError):
            raise RequestError(
                "a process died while composing (out of memory?): ask for fewer pieces at once"
            ) from error
        raise
    _idle[processes].append(executor)


def _new_executor(processes: int) -> ProcessPoolExecutor:
    """Not the one that joblib keeps, whose processes are told otherwise how to work."""
    return ProcessPoolExecutor(
        processes, timeout=_IDLE_S, initializer=_end_with, initargs=(os.getpid(),)
    )


def _end_with(parent: int) -> None:
    """Have this process end soon after its parent, which may be killed: it would wait for ever."""

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOKS_FOR_PARENT_S)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()
