"""Tasks in worker processes: items, ends, limits and errors."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from bicinium.errors import RequestError
from bicinium.studio.errors import StudioError
from bicinium.studio.workers import WorkerPool


def count(most: int) -> Iterator[int]:
    yield from range(most)


def name_process() -> Iterator[int]:
    yield os.getpid()


def never_end() -> Iterator[int]:
    yield os.getpid()
    while True:
        time.sleep(0.01)


def refuse() -> Iterator[int]:
    raise RequestError("no piece can be so")
    yield 0


def fail() -> Iterator[int]:
    raise KeyError("a mistake")
    yield 0


def crash() -> Iterator[int]:
    os.abort()
    yield 0


def devour() -> Iterator[int]:
    yield len(bytearray(2**36))


@asynccontextmanager
async def _working(**more: Any) -> AsyncIterator[WorkerPool]:
    workers = WorkerPool("test", **more)
    workers.start()
    try:
        yield workers
    finally:
        workers.stop()


def _is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_items_of_a_task_are_streamed(run_async: Callable[..., Any]) -> None:
    async def work() -> list[int]:
        async with _working() as workers:
            return [number async for number in workers.stream(count, 5)]

    assert run_async(work()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("task", "status", "message"),
    [(refuse, 400, "no piece can be so"), (fail, 500, "KeyError"), (crash, 500, "unexpectedly"),
     (devour, 400, "memory")],
)  # fmt: skip
def test_failed_task_has_a_message_and_the_next_is_executed(
    run_async: Callable[..., Any], task: Any, status: int, message: str
) -> None:
    async def work() -> tuple[StudioError, int]:
        async with _working() as workers:
            with pytest.raises(StudioError) as caught:
                await workers.run(task)
            return caught.value, await workers.run(count, 1)

    error, after = run_async(work())
    assert (error.status, after) == (status, 0)
    assert message in str(error)


def test_closing_the_stream_ends_the_task(run_async: Callable[..., Any]) -> None:
    async def work() -> tuple[float, int]:
        async with _working() as workers:
            async with aclosing(workers.stream(never_end)) as found:
                pid = await anext(found)
                started = time.monotonic()
            while _is_alive(pid):
                await asyncio.sleep(0.01)
            ended = time.monotonic() - started
            assert await workers.run(name_process) != pid
            return ended, workers.working

    ended, working = run_async(work())
    assert ended < 1
    assert working == 0


def test_spare_process_replaces_an_ended_one(
    run_async: Callable[..., Any],
) -> None:
    async def work() -> tuple[set[int], list[Any]]:
        async with _working(spare=1, max_waiting=1) as workers:
            pids = set()
            for _ in range(3):
                async with aclosing(workers.stream(never_end)) as found:
                    pids.add(await anext(found))
            asking = [workers.run(count, 1) for _ in range(3)]
            return pids, await asyncio.gather(*asking, return_exceptions=True)

    pids, answers = run_async(work())
    assert len(pids) == 3
    assert answers.count(0) == 2  # one at work and one in line, whatever is spare
    assert sum(isinstance(answer, StudioError) for answer in answers) == 1


def test_slow_task_is_ended(run_async: Callable[..., Any]) -> None:
    async def work() -> StudioError:
        async with _working(timeout_seconds=1.0) as workers:
            with pytest.raises(StudioError) as caught:
                async for _ in workers.stream(never_end):
                    pass
            return caught.value

    assert run_async(work()).status == 408


def test_number_of_waiting_callers_is_limited(run_async: Callable[..., Any]) -> None:
    async def work() -> list[Any]:
        async with _working(max_waiting=3) as workers:
            await workers.run(count, 1)
            asking = [workers.run(count, 1) for _ in range(20)]
            return await asyncio.gather(*asking, return_exceptions=True)

    answers = run_async(work())
    refused = [answer for answer in answers if isinstance(answer, StudioError)]
    assert {answer.status for answer in refused} == {503}
    assert answers.count(0) == 20 - len(refused) == 4  # one at work, three in line
    assert "busy" in str(refused[0])
