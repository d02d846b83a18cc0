"""Work that is shared out to processes, with tasks that have nothing to do with music."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from joblib import Parallel, delayed

from bicinium.errors import CancelledError, RequestError
from bicinium.generation.processes import available_cores, run_in_processes

Refuses = Callable[..., AbstractContextManager[None]]


def test_each_share_is_done_once_and_comes_with_its_place() -> None:
    shares = [(number, 2) for number in range(7)]
    assert sorted(run_in_processes(2, pow, shares)) == [(number, number**2) for number in range(7)]
    assert list(run_in_processes(2, pow, [])) == []


def test_what_is_no_longer_wanted_is_stopped(refuses: Refuses) -> None:
    began = time.monotonic()
    with refuses(CancelledError, "composing was stopped"):
        list(run_in_processes(2, time.sleep, [(60,)] * 4, lambda: True))
    assert time.monotonic() - began < 30


def test_who_leaves_early_leaves_no_work_behind(tmp_path: Path) -> None:
    left = run_in_processes(2, _sleep_and_write, [(tmp_path / "early", 0), (tmp_path / "late", 3)])
    assert next(left)[0] == 0
    left.close()
    time.sleep(4)
    assert [path.name for path in tmp_path.iterdir()] == ["early"]
    assert list(run_in_processes(2, abs, [(-1,)])) == [(0, 1)]  # and others can work again


def test_a_process_that_dies_is_told_in_a_sentence(refuses: Refuses) -> None:
    with refuses(RequestError, "A process died while composing.* Compose fewer pieces"):
        list(run_in_processes(2, os._exit, [(1,)]))
    assert list(run_in_processes(2, abs, [(-1,)])) == [(0, 1)]


def test_processes_that_died_while_nobody_asked_are_replaced(refuses: Refuses) -> None:
    for _, pid in list(run_in_processes(2, _pid_after, [(0.5,)] * 2)):
        os.kill(pid, signal.SIGTERM)
    time.sleep(1)
    with refuses(RequestError, "A process died while composing"):
        list(run_in_processes(2, abs, [(-1,)]))
    assert list(run_in_processes(2, abs, [(-1,)])) == [(0, 1)]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no process is killed so here")
def test_they_end_with_a_process_that_is_killed() -> None:
    program = (
        "import os, time\n"
        "from bicinium.generation.processes import run_in_processes\n"
        "for _, pid in run_in_processes(2, os.getpid, [()] * 2):\n"
        "    print(pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = {int(parent.stdout.readline()) for _ in range(2)}
        assert all(map(_runs, pids))
        parent.kill()
    deadline = time.monotonic() + 20
    while any(map(_runs, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_what_a_task_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        list(run_in_processes(2, divmod, [(1, 0)]))
    assert list(run_in_processes(2, abs, [(-1,)])) == [(0, 1)]


def test_who_is_stopped_stops_nobody_else(refuses: Refuses) -> None:
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(lambda: sorted(run_in_processes(2, _after, [(2.0, 1), (2.0, 2)])))
        time.sleep(0.5)
        with refuses(CancelledError, "composing was stopped"):
            list(run_in_processes(2, time.sleep, [(60,)] * 2, lambda: True))
        assert other.result() == [(0, 1), (1, 2)]


def test_the_processes_work_again_for_who_asks_next() -> None:
    used = [{pid for _, pid in run_in_processes(2, _pid_after, [(0.5,)] * 2)} for _ in range(2)]
    assert used[0] == used[1]


def test_joblib_works_beside_it() -> None:
    """A corpus may be read before and after composing."""
    for _ in range(2):
        assert Parallel(2)(delayed(abs)(number) for number in (-1, -2)) == [1, 2]
        assert sorted(run_in_processes(2, abs, [(-1,), (-2,)])) == [(0, 1), (1, 2)]


def test_a_process_that_may_have_no_others_works_alone() -> None:
    assert available_cores() >= 1
    with multiprocessing.get_context("spawn").Pool(1) as pool:  # of daemons
        assert pool.apply(available_cores) == 1


def _sleep_and_write(path: Path, seconds: float) -> None:
    time.sleep(seconds)
    path.touch()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _after(seconds: float, answer: int) -> int:
    time.sleep(seconds)
    return answer


def _pid_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()
