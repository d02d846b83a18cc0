"""A pool of worker processes for tasks that take time or read untrusted files.

A task can be ended by its caller, by a time limit, or by a crash of a library. The number of
waiting callers is limited; further callers get an error.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

from bicinium.studio.errors import StudioError
from bicinium.studio.worker_process import Task, WorkerProcess

DEFAULT_MEMORY_BYTES = 4 * 2**30


class WorkerPool:
    """Processes that execute one task at a time each, for callers in order of arrival.

    processes: number of tasks executed at the same time.
    max_waiting: waiting callers, in addition to those being served.
    timeout_seconds: longest duration of a task.
    memory_bytes: address space of a process, if the system can limit it.
    initializer: task and arguments executed first in each process, to load libraries and models.
    spare: further initialized processes that replace one that is ended.
    """

    def __init__(
        self,
        name: str,
        processes: int = 1,
        max_waiting: int = 8,
        timeout_seconds: float = 60.0,
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        initializer: tuple[Task, tuple[Any, ...]] | None = None,
        spare: int = 0,
    ) -> None:
        self.name, self.max_waiting, self.timeout_seconds = name, max_waiting, timeout_seconds
        self._process_count, self._memory_bytes = processes + spare, memory_bytes
        self._initializer = initializer
        self._turns = asyncio.Semaphore(processes)
        self._ready = asyncio.Semaphore(0)  # counts the idle processes
        self._all: set[WorkerProcess] = set()
        self._idle: list[WorkerProcess] = []
        self._starting: set[asyncio.Task[None]] = set()
        self.working = self.waiting = 0

    def start(self) -> None:
        """Start the processes. Callers wait until they are ready."""
        for _ in range(self._process_count):
            self._start_process()

    def stop(self) -> None:
        """End all processes."""
        for task in self._starting:
            task.cancel()
        for worker in self._all:
            worker.kill()

    async def stream(self, task: Task, *arguments: Any) -> AsyncGenerator[Any]:
        """Yield the items of a task. Closing the generator early ends the task at once.

        Raises StudioError: 503 if too many callers wait, 408 after the time limit, 500 for a
        failure, and 400 for an error that the task raises on purpose.
        """
        self.check_capacity()
        async with AsyncExitStack() as turn:
            self.waiting += 1
            try:
                await turn.enter_async_context(self._turns)
                await self._ready.acquire()
            finally:
                self.waiting -= 1
            self.working += 1
            worker = self._idle.pop(0)  # the one with the most time to initialize
            try:
                worker.start_task(task, arguments)
                deadline = time.monotonic() + self.timeout_seconds
                async for item in worker.results(deadline):
                    yield item
            finally:
                self.working -= 1
                if worker.is_idle:
                    self._idle.append(worker)
                    self._ready.release()
                else:
                    worker.kill()
                    self._all.discard(worker)
                    self._start_process()

    def check_capacity(self) -> None:
        """Raise StudioError 503 if too many callers are waiting."""
        if self.waiting >= self.max_waiting:
            raise StudioError(
                503, f"the studio is busy: {self.waiting} requests are waiting. Try again later."
            )

    async def run(self, task: Task, *arguments: Any) -> Any:
        """Return the single item of a task."""
        (item,) = [one async for one in self.stream(task, *arguments)]
        return item

    def _start_process(self) -> None:
        task = asyncio.get_running_loop().create_task(self._add_process())
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _add_process(self) -> None:
        while True:
            try:
                worker = await asyncio.to_thread(WorkerProcess, self.name, self._memory_bytes)
                break
            except OSError:  # too many processes, or not enough memory for another
                await asyncio.sleep(1)
        self._all.add(worker)
        if self._initializer:
            worker.initialize(*self._initializer)
        self._idle.append(worker)
        self._ready.release()
