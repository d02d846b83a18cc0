"""Work in processes of their own, so that it can be ended: by its caller, by a limit of time, by a
crash in a library that reads a hostile file.

A task is a generator function of a module; what it yields is sent to the caller as it comes. Only
so many callers may wait; who comes after them is told that the studio is busy.
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
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection
from typing import Any

from bicinium.errors import BiciniumError
from bicinium.studio.errors import RefusedError

Task = Callable[..., Iterator[Any]]
_ANSWER_S = 0.1  # how long a thread waits for a message before it looks up
_PRELOADED = ["bicinium.studio.tasks"]


class Workers:
    """``processes`` processes that do one task at a time each, for callers in the order they came.

    most_waiting: callers, beyond those that are served. seconds: the longest that a task may take.
    memory_bytes: address space of a process, where the system can limit it. ``first`` is done
    once by each process before anything else, to have libraries and models loaded. spare: further
    processes that are ready to take the place of one that is ended.
    """

    def __init__(
        self,
        name: str,
        processes: int = 1,
        most_waiting: int = 8,
        seconds: float = 60.0,
        memory_bytes: int = 4 * 2**30,
        first: tuple[Task, tuple[Any, ...]] | None = None,
        spare: int = 0,
    ) -> None:
        self.name, self.most_waiting, self.seconds = name, most_waiting, seconds
        self._processes, self._memory_bytes, self._first = processes + spare, memory_bytes, first
        self._turns = asyncio.Semaphore(processes)
        self._ready = asyncio.Semaphore(0)  # as often as there are idle processes
        self._all: set[_Worker] = set()
        self._idle: list[_Worker] = []
        self._beginning: set[asyncio.Task[None]] = set()
        self.working = self.waiting = 0

    def start(self) -> None:
        """Begin the processes. Callers wait until they are there."""
        for _ in range(self._processes):
            self._begin_another()

    def stop(self) -> None:
        """End them."""
        for task in self._beginning:
            task.cancel()
        for worker in self._all:
            worker.kill()

    async def run(self, task: Task, *arguments: Any) -> AsyncGenerator[Any]:
        """What the task yields. Leaving the iterator before its end ends the task at once.

        Raises RefusedError: 503 where too many wait, 408 where the task took too long, 500 where it
        failed; what the task itself raises on purpose is 400.
        """
        self.refuse_more()
        async with AsyncExitStack() as turn:
            self.waiting += 1
            try:
                await turn.enter_async_context(self._turns)
                await self._ready.acquire()
            finally:
                self.waiting -= 1
            self.working += 1
            worker = self._idle.pop(0)  # the one that has had most time to get ready
            try:
                worker.begin(task, arguments)
                deadline = time.monotonic() + self.seconds
                async for found in worker.messages(deadline):
                    yield found
            finally:
                self.working -= 1
                if worker.is_between_tasks:
                    self._idle.append(worker)
                    self._ready.release()
                else:
                    worker.kill()
                    self._all.discard(worker)
                    self._begin_another()

    def refuse_more(self) -> None:
        """Raise RefusedError, 503, where so many wait that one more may not."""
        if self.waiting >= self.most_waiting:
            raise RefusedError(
                503, f"the studio is busy: {self.waiting} others wait for it; try again in a moment"
            )

    async def ask(self, task: Task, *arguments: Any) -> Any:
        """The one thing that a task yields."""
        (found,) = [one async for one in self.run(task, *arguments)]
        return found

    def _begin_another(self) -> None:
        """Begin a process, without anybody waiting for it."""
        task = asyncio.get_running_loop().create_task(self._another())
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def _another(self) -> None:
        while True:
            try:
                worker = await asyncio.to_thread(_Worker, self.name, self._memory_bytes)
                break
            except OSError:  # too many processes, or no memory for one more
                await asyncio.sleep(1)
        self._all.add(worker)
        if self._first:
            worker.prepare(*self._first)
        self._idle.append(worker)
        self._ready.release()


class _Worker:
    """One process, and the pipe to it."""

    def __init__(self, name: str, memory_bytes: int) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = _context().Process(
            target=_serve, args=(theirs, memory_bytes), name=f"bicinium {name}", daemon=True
        )
        self._process.start()
        theirs.close()
        self._unread = 0  # tasks begun whose end has not been read

    @property
    def is_between_tasks(self) -> bool:
        return self._unread == 0

    def prepare(self, task: Task, arguments: tuple[Any, ...]) -> None:
        """Have a task done of which nobody reads the outcome."""
        self._pipe.send((task, arguments, False))

    def begin(self, task: Task, arguments: tuple[Any, ...]) -> None:
        self._unread += 1
        try:
            self._pipe.send((task, arguments, True))
        except OSError as error:
            raise self._died() from error

    async def messages(self, deadline: float) -> AsyncGenerator[Any]:
        """What the task yields, until it is over."""
        while True:
            try:
                if not await asyncio.to_thread(self._pipe.poll, _ANSWER_S):
                    if time.monotonic() > deadline:
                        raise RefusedError(408, "this took too long and was stopped; ask for less")
                    continue
                kind, found = await asyncio.to_thread(self._pipe.recv)
            except (EOFError, OSError) as error:
                raise self._died() from error
            if kind == "found":
                yield found
                continue
            self._unread -= 1
            if kind == "refused":
                raise RefusedError(400, found)
            if kind == "failed":
                raise RefusedError(500, found)
            return

    def kill(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        threading.Thread(target=self._process.join, daemon=True).start()

    def _died(self) -> RefusedError:
        return RefusedError(
            500, "the work on this ended unexpectedly; what was sent may be damaged"
        )


def _context() -> Any:
    """New processes quickly, where the system can fork one that has the libraries loaded."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def _serve(pipe: Connection, memory_bytes: int) -> None:
    """What a process does: one task after the other, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server, which gets it too, ends us
    _limit_memory(memory_bytes)
    while True:
        try:
            task, arguments, wanted = pipe.recv()
        except (EOFError, OSError):
            return
        outcome: tuple[str, Any] = ("done", None)
        try:
            for found in task(*arguments):
                if wanted:
                    pipe.send(("found", found))
        except BiciniumError as error:
            outcome = ("refused", str(error))
        except MemoryError:
            outcome = ("refused", "this needs more memory than the studio may take")
        except BrokenPipeError:
            return
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            outcome = ("failed", f"this failed: {type(error).__name__}: {error}")
        if wanted:
            pipe.send(outcome)


def _limit_memory(memory_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # not on every system
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
