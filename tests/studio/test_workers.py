"""Work in processes: it yields as it goes, can be ended, and its end is always a sentence."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from bicinium.errors import RequestError
from bicinium.studio.errors import RefusedError
from bicinium.studio.workers import Workers


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
async def _working(**more: Any) -> AsyncIterator[Workers]:
    workers = Workers("test", **more)
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


def test_what_a_task_yields_comes_as_it_is_made(run_async: Callable[..., Any]) -> None:
    async def work() -> list[int]:
        async with _working() as workers:
            return [number async for number in workers.run(count, 5)]

    assert run_async(work()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("task", "status", "sentence"),
    [(refuse, 400, "no piece can be so"), (fail, 500, "KeyError"), (crash, 500, "unexpectedly"),
     (devour, 400, "memory")],
)  # fmt: skip
def test_however_it_ends_there_is_a_sentence_and_the_next_is_served(
    run_async: Callable[..., Any], task: Any, status: int, sentence: str
) -> None:
    async def work() -> tuple[RefusedError, int]:
        async with _working() as workers:
            with pytest.raises(RefusedError) as caught:
                await workers.ask(task)
            return caught.value, await workers.ask(count, 1)

    error, after = run_async(work())
    assert (error.status, after) == (status, 0)
    assert sentence in str(error)


def test_who_leaves_ends_the_work_at_once(run_async: Callable[..., Any]) -> None:
    async def work() -> tuple[float, int]:
        async with _working() as workers:
            async with aclosing(workers.run(never_end)) as found:
                pid = await anext(found)
                started = time.monotonic()
            while _is_alive(pid):
                await asyncio.sleep(0.01)
            ended = time.monotonic() - started
            assert await workers.ask(name_process) != pid
            return ended, workers.working

    ended, working = run_async(work())
    assert ended < 1
    assert working == 0


def test_a_spare_process_takes_the_place_of_one_that_is_ended(
    run_async: Callable[..., Any],
) -> None:
    async def work() -> tuple[set[int], list[Any]]:
        async with _working(spare=1, most_waiting=1) as workers:
            pids = set()
            for _ in range(3):
                async with aclosing(workers.run(never_end)) as found:
                    pids.add(await anext(found))
            asking = [workers.ask(count, 1) for _ in range(3)]
            return pids, await asyncio.gather(*asking, return_exceptions=True)

    pids, answers = run_async(work())
    assert len(pids) == 3
    assert answers.count(0) == 2  # one at work and one in line, whatever is spare
    assert sum(isinstance(answer, RefusedError) for answer in answers) == 1


def test_a_task_that_takes_too_long_is_ended(run_async: Callable[..., Any]) -> None:
    async def work() -> RefusedError:
        async with _working(seconds=1.0) as workers:
            with pytest.raises(RefusedError) as caught:
                async for _ in workers.run(never_end):
                    pass
            return caught.value

    assert run_async(work()).status == 408


def test_only_so_many_wait(run_async: Callable[..., Any]) -> None:
    async def work() -> list[Any]:
        async with _working(most_waiting=3) as workers:
            await workers.ask(count, 1)
            asking = [workers.ask(count, 1) for _ in range(20)]
            return await asyncio.gather(*asking, return_exceptions=True)

    answers = run_async(work())
    refused = [answer for answer in answers if isinstance(answer, RefusedError)]
    assert {answer.status for answer in refused} == {503}
    assert answers.count(0) == 20 - len(refused) == 4  # one at work, three in line
    assert "busy" in str(refused[0])
