"""Faults of the machine: no exception of Python's, and nothing that was whole is lost.

Full disks, read-only folders, no descriptors, kills at random moments, two writers, a clock that
jumps, a working folder that is gone. ``docs/reliability.md`` has the numbers. Training that is
killed is tested in ``training/test_long_runs``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from bicinium.data.shards import load_checked
from bicinium.errors import CorpusError
from bicinium.formats.registry import read_score
from bicinium.training.run_dir import last_checkpoint

pytestmark = pytest.mark.slow

_PROGRAM = "from bicinium.cli.main import main; main()"
_CONFIG = """
model: {d_model: 32, n_layers: 2, n_heads: 2, d_ff: 64, context: 128}
training:
  max_steps: 30
  batch_size: 4
  precision: 32-true
  threads: 1
  checkpoint_every_steps: 5
  musical_grammar:
    {ramp_steps: 10, positions: 128, validate_every_n_batches: 15, live_pieces: 2, live_bars: 1,
    on_policy_every_n_batches: 4, on_policy_pieces: 2, on_policy_tokens: 32}
"""
_HERE = ("--jobs", 1, "--min-quality-score", 0)
_KILLS = 20
_SIZES = (60, 700, 1200, 2000, 2800, 3600, 4500, 5500)  # kilobytes, for a run that needs 7,000

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def bicinium(tmp_path: Path) -> Run:
    """Return a function that runs a command in ``tmp_path`` and checks that it ends politely."""

    def run(*arguments: object, code: str = _PROGRAM, **options: object) -> object:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        where = {"cwd": tmp_path} | options
        ended = subprocess.run(command, capture_output=True, text=True, timeout=600, **where)
        assert "Traceback" not in ended.stderr, ended.stderr[-2000:]
        return ended

    return run


def _start(*arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _PROGRAM, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture
def config(tmp_path: Path, prepared: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(f"{_CONFIG}data: {{prepared: {prepared}}}\n")
    return path


@contextmanager
def _disk(folder: Path, options: str) -> Iterator[Path]:
    """Mount a small disk in memory. Skips the test where that is not allowed."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no disk can be mounted here; that takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


def _weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(last_checkpoint(run), weights_only=True)["model"]


# ------------------------------------------------------------------ disks


def test_a_run_goes_on_after_the_disk_was_full(tmp_path: Path, config: Path, bicinium: Run) -> None:
    assert bicinium("train", config, "--run", "whole").returncode == 0
    whole = _weights(tmp_path / "whole")
    resumed = 0
    for size in _SIZES:
        with _disk(tmp_path / "disk", f"size={size}k") as disk:
            ended = bicinium("train", config, "--run", disk / "run")
            assert ended.returncode == 2
            message = ended.stderr.splitlines()[-1]
            assert "No space left on device" in message
            subprocess.run(["mount", "-o", "remount,size=60m", str(disk)], check=True)
            if "last whole state" in message:
                assert bicinium("train", "--resume", disk / "run").returncode == 0
                assert all(torch.equal(_weights(disk / "run")[name], whole[name]) for name in whole)
                assert not list(disk.rglob("*.part"))
                resumed += 1
            else:
                assert "No step was made" in message
    print(f"\nfull disk: {len(_SIZES)} runs ended with a sentence, {resumed} resumed bit for bit")
    assert resumed >= 3


def test_a_corpus_is_whole_after_the_disk_was_full(
    tmp_path: Path, midi_folder: Path, bicinium: Run
) -> None:
    refused = 0
    for size in (8, 20, 40, 60, 80, 100, 140, 200):
        with _disk(tmp_path / "disk", "size=10m") as disk:
            out = disk / "set"
            first = [midi_folder / "piece-2.mid", "--out", out, *_HERE]
            assert bicinium("corpus", "prepare", *first).returncode == 0
            used = sum(path.stat().st_blocks // 2 for path in out.iterdir())
            subprocess.run(["mount", "-o", f"remount,size={used + size}k", str(disk)], check=True)
            again = ["corpus", "prepare", midi_folder, "--out", out, *_HERE, "--force"]
            ended = bicinium(*again)
            pieces, bad = load_checked(out)
            assert not bad
            if ended.returncode:
                assert len(pieces) == 1, "the first corpus"
                refused += "full" in ended.stderr or "No space left" in ended.stderr
                subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
                assert bicinium(*again).returncode == 0
            assert len(load_checked(out)[0]) == 8
    print(f"\nfull disk: {refused} of 8 preparations refused; the corpus before was whole")
    assert refused


def test_what_is_composed_is_whole_after_the_disk_was_full(tmp_path: Path, bicinium: Run) -> None:
    with _disk(tmp_path / "disk", "size=20k") as disk:
        ended = bicinium("compose", "-n", 8, "--bars", 8, "--best-of", 1, "--out", disk / "out")
        assert ended.returncode == 2
        assert "No space left on device" in ended.stderr
        found = [path for path in disk.rglob("*") if path.is_file()]
        assert found
        for path in found:
            assert read_score(path).note_count


def test_a_read_only_folder_is_one_sentence(
    tmp_path: Path, config: Path, midi_folder: Path, bicinium: Run
) -> None:
    with _disk(tmp_path / "disk", "ro,size=1m") as disk:
        for command in (
            ("compose", "--bars", 2, "-n", 1, "--out", disk / "out"),
            ("train", config, "--run", disk / "run"),
            ("corpus", "prepare", midi_folder, "--out", disk / "set", "--jobs", 1),
            ("corpus", "fetch", "--out", disk / "music"),
            ("convert", midi_folder / "piece-0.mid", disk / "out.musicxml"),
            ("finetune", midi_folder, "--run", disk / "run"),
        ):
            ended = bicinium(*command)
            assert ended.returncode == 2
            assert "Read-only file system" in ended.stderr.splitlines()[-1]


# ------------------------------------------------------------------ descriptors, folder, clock


@pytest.mark.parametrize("limit", [6, 8, 12])
def test_few_descriptors_are_enough_or_one_sentence(
    tmp_path: Path, config: Path, midi_folder: Path, bicinium: Run, limit: int
) -> None:
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({limit},) * 2); {_PROGRAM}"
    )
    for command in (
        ("compose", "--bars", 2, "-n", 1, "--out", "out"),
        ("validate", midi_folder),
        ("corpus", "prepare", midi_folder, "--out", "set", "--jobs", 1),
        ("train", config, "--run", "run"),
    ):
        ended = bicinium(*command, code=code)
        if ended.returncode:
            assert "Too many open files" in ended.stderr.splitlines()[-1]


def test_a_working_folder_that_is_gone_is_one_sentence(
    tmp_path: Path, config: Path, midi_folder: Path, bicinium: Run
) -> None:
    gone = "import os, tempfile; d = tempfile.mkdtemp(); os.chdir(d); os.rmdir(d); " + _PROGRAM
    for command in (
        ("compose", "--bars", 2, "-n", 1),
        ("corpus", "prepare", midi_folder, "--jobs", 1),
        ("train", config),
    ):
        ended = bicinium(*command, code=gone)
        assert ended.returncode == 2
        assert "The working folder no longer exists" in ended.stderr


def test_a_clock_that_jumps_changes_no_weights(tmp_path: Path, config: Path, bicinium: Run) -> None:
    jump = (
        "import itertools, time; real, years = time.time, itertools.count(); "
        "time.time = lambda: real() + (-1) ** next(years) * 3e8; "
    )
    assert bicinium("train", config, "--run", "whole").returncode == 0
    assert bicinium("train", config, "--run", "jumped", code=jump + _PROGRAM).returncode == 0
    whole, jumped = _weights(tmp_path / "whole"), _weights(tmp_path / "jumped")
    assert all(torch.equal(whole[name], jumped[name]) for name in whole)


# ------------------------------------------------------------------ kills and two writers


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill -9", "SIGTERM"])
def test_a_corpus_is_whole_after_kills(
    tmp_path: Path, midi_folder: Path, bicinium: Run, number: signal.Signals
) -> None:
    out = tmp_path / "set"
    prepare = ["corpus", "prepare", midi_folder, "--out", out, *_HERE, "--force"]
    started = time.monotonic()
    assert bicinium(*prepare).returncode == 0
    whole_seconds = time.monotonic() - started
    before = (out / "pieces-000.parquet").read_bytes()
    rng = np.random.default_rng(number)
    refused = 0
    for _ in range(_KILLS):
        process = _start(*prepare)
        time.sleep(rng.uniform(0, 1.1 * whole_seconds))
        process.send_signal(number)
        process.wait()
        if (out / ".replacing").is_file():
            refused += 1
            with pytest.raises(CorpusError, match="may hold old and new pieces"):
                load_checked(out)
        else:
            assert len(load_checked(out)[0]) == 8
    assert bicinium(*prepare).returncode == 0
    assert (out / "pieces-000.parquet").read_bytes() == before
    assert not list(out.glob("*.part"))
    print(f"\n{_KILLS} kills by {number.name}: corpus whole, {refused} times to prepare again")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill -9", "SIGTERM"])
def test_what_is_composed_is_whole_after_kills(tmp_path: Path, number: signal.Signals) -> None:
    command = ["compose", "-n", 24, "--bars", 4, "--best-of", 1, "--out"]
    started = time.monotonic()
    assert _start(*command, tmp_path / "whole").wait() == 0
    seconds = time.monotonic() - started
    rng = np.random.default_rng(number)
    files = 0
    for index in range(_KILLS):
        out = tmp_path / str(index)
        process = _start(*command, out)
        time.sleep(rng.uniform(0.5, 1) * seconds)
        process.send_signal(number)
        process.wait()
        for path in (*out.glob("*.mid"), *out.glob("*.musicxml")):
            assert read_score(path).note_count
            files += 1
    print(f"\n{_KILLS} kills by {number.name}: {files} files, all whole")
    assert files


def test_a_run_stopped_by_sigterm_goes_on_bit_for_bit(
    tmp_path: Path, config: Path, bicinium: Run
) -> None:
    assert bicinium("train", config, "--run", "whole").returncode == 0
    run = tmp_path / "stopped"
    rng = np.random.default_rng(3)
    stops = 0
    for _ in range(_KILLS):
        begun = last_checkpoint(run).is_file()
        process = _start("train", *(["--resume", run] if begun else [config, "--run", run]))
        time.sleep(rng.uniform(1, 12))
        process.send_signal(signal.SIGTERM)
        if process.wait() == 0:
            break
        stops += 1
    assert bicinium("train", "--resume", run).returncode == 0
    whole, stopped = _weights(tmp_path / "whole"), _weights(run)
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)
    print(f"\n{stops} stops by SIGTERM: the weights of an uninterrupted run")


def test_of_two_writers_one_is_refused(
    tmp_path: Path, config: Path, midi_folder: Path, bicinium: Run
) -> None:
    text = config.read_text().replace("max_steps: 30", "max_steps: 300")
    config.write_text(text.replace("validate_every_n_batches: 15", "validate_every_n_batches: 150"))
    run = tmp_path / "run"
    first = _start("train", config, "--run", run)
    while not (run / ".lock").is_file() or not (run / ".lock").read_text():
        time.sleep(0.01)
    ended = bicinium("train", config, "--run", run)
    assert ended.returncode == 2
    assert f"run is in use by process {first.pid} on {os.uname().nodename}" in ended.stderr
    assert first.wait() == 0
    assert bicinium("train", config, "--run", "alone").returncode == 0
    one, other = _weights(run), _weights(tmp_path / "alone")
    assert all(torch.equal(one[name], other[name]) for name in one)
