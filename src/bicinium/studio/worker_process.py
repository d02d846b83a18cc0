"""One process that executes tasks, and the pipe to it.

A task is a generator function of a module. Its items are sent to the caller as they come.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import sys
import threading
import time
import traceback
from collections.abc import AsyncGenerator, Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

from bicinium.errors import BiciniumError
from bicinium.studio.errors import StudioError
from bicinium.studio.messages import page_message

Task = Callable[..., Iterator[Any]]
_POLL_SECONDS = 0.1  # longest wait of a thread for a message
_PRELOADED = ["bicinium.studio.tasks"]


class WorkerProcess:
    """A process, and the pipe to it."""

    def __init__(self, name: str, memory_bytes: int) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = _context().Process(
            target=_execute_tasks, args=(theirs, memory_bytes), name=f"bicinium {name}", daemon=True
        )
        self._process.start()
        theirs.close()
        self._running = 0  # tasks whose end has not been received

    @property
    def is_idle(self) -> bool:
        """Whether no task is running."""
        return self._running == 0

    def initialize(self, task: Task, arguments: tuple[Any, ...]) -> None:
        """Execute a task without reading its result."""
        self._pipe.send((task, arguments, False))

    def start_task(self, task: Task, arguments: tuple[Any, ...]) -> None:
        """Start a task; ``results`` yields its items."""
        self._running += 1
        try:
            self._pipe.send((task, arguments, True))
        except OSError as error:
            raise _process_died() from error

    async def results(self, deadline: float) -> AsyncGenerator[Any]:
        """Yield the items of the task. ``deadline`` is a time of ``time.monotonic``.

        Raises StudioError 408, 400 or 500.
        """
        while True:
            try:
                if not await asyncio.to_thread(self._pipe.poll, _POLL_SECONDS):
                    if time.monotonic() > deadline:
                        raise StudioError(
                            408, "the request took too long and was stopped. Ask for less."
                        )
                    continue
                kind, value = await asyncio.to_thread(self._pipe.recv)
            except (EOFError, OSError) as error:
                raise _process_died() from error
            if kind == "item":
                yield value
                continue
            self._running -= 1
            if kind == "rejected":
                raise StudioError(400, value)
            if kind == "failed":
                raise StudioError(500, value)
            return

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        threading.Thread(target=self._process.join, daemon=True).start()


def _process_died() -> StudioError:
    return StudioError(500, "the process ended unexpectedly. The file may be damaged.")


def _context() -> Any:
    """Return a context that forks a process with the libraries loaded, if the system has it."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def _execute_tasks(pipe: Connection, memory_bytes: int) -> None:
    """Execute one task after the other until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server handles Ctrl-C and ends this process
    _limit_memory(memory_bytes)
    while True:
        try:
            task, arguments, is_result_wanted = pipe.recv()
        except (EOFError, OSError):
            return
        outcome: tuple[str, Any] = ("done", None)
        try:
            for item in task(*arguments):
                if is_result_wanted:
                    pipe.send(("item", item))
        except BiciniumError as error:
            outcome = ("rejected", page_message(str(error)))
        except MemoryError:
            outcome = ("rejected", "the request needs more memory than the studio may use")
        except BrokenPipeError:
            return
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            outcome = ("failed", f"internal error: {type(error).__name__}: {error}")
        if is_result_wanted:
            pipe.send(outcome)


def _limit_memory(memory_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # not available on Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
