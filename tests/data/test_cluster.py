"""Two Dask workers prepare the same bytes as one process. A worker that dies costs only time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bicinium.data import import_sources
from bicinium.data.prepare import prepare
from bicinium.data.sources import find_sources
from bicinium.errors import CorpusError

distributed = pytest.importorskip("distributed")

Refuses = Callable[..., AbstractContextManager[None]]


def _results(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "readings.sqlite"}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler's address and the processes of its two workers."""
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard",
         "--host", "127.0.0.1", "--scheduler-file", str(tmp_path / "scheduler.json")],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for _ in range(300):
        if (tmp_path / "scheduler.json").is_file():
            break
        time.sleep(0.1)
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny",
             "--no-dashboard", "--scheduler-file", str(tmp_path / "scheduler.json")],
            stderr=subprocess.DEVNULL,
        )
        for _ in range(2)
    ]  # fmt: skip
    address = json.loads((tmp_path / "scheduler.json").read_text())["address"]
    with distributed.Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
    yield address, workers
    for process in (*workers, scheduler):
        process.kill()
        process.wait()


@pytest.mark.slow
def test_two_workers_give_the_same_bytes_and_so_does_one_that_survives(
    cluster: tuple[str, list[subprocess.Popen[bytes]]],
    shared_corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address, workers = cluster
    monkeypatch.setattr(import_sources, "CHUNK_FILES", 4)
    sources = list(find_sources([shared_corpus]))[:48]
    prepare(sources, tmp_path / "alone", jobs=1)
    expected = _results(tmp_path / "alone")
    prepare(sources, tmp_path / "two", cluster=address)
    assert _results(tmp_path / "two") == expected

    def kill_soon() -> None:
        time.sleep(0.7)
        os.kill(workers[0].pid, signal.SIGKILL)

    threading.Thread(target=kill_soon).start()
    started = time.monotonic()
    prepare(sources, tmp_path / "one dies", cluster=address)
    print(f"\nwith a worker killed after 0.7 s: {time.monotonic() - started:.1f} s")
    assert workers[0].wait(10) == -signal.SIGKILL
    assert workers[1].poll() is None
    assert _results(tmp_path / "one dies") == expected


def test_what_is_no_address_is_refused_before_anybody_is_asked(
    midi_folder: Path, tmp_path: Path, refuses: Refuses
) -> None:
    with refuses(CorpusError, "--cluster must be the address of a Dask scheduler, such as tcp://"):
        prepare(find_sources([midi_folder]), tmp_path, cluster="somewhere")


def test_no_cluster_is_one_sentence(
    midi_folder: Path, tmp_path: Path, refuses: Refuses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_sources, "CLUSTER_TIMEOUT", "1s")
    with refuses(CorpusError, "There is no Dask scheduler at tcp://127.0.0.1:9"):
        prepare(find_sources([midi_folder]), tmp_path, cluster="tcp://127.0.0.1:9")
