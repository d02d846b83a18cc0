"""A command that is stopped, or whose output nobody reads, does not end without a word."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from bicinium.stderr_console import stderr_console

_PROGRAM = "from bicinium.cli.main import main; main()"
_STREAM = ("compose", "--stream", "--bars", "256")  # prints a line for each note


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGINT, "Ctrl-C"),
        (signal.SIGTERM, r"another program (SIGTERM)"),
        (signal.SIGHUP, r"the end of its terminal (SIGHUP)"),
    ],
)
def test_a_command_that_is_stopped_says_so(number: signal.Signals, reason: str) -> None:
    command = [sys.executable, "-c", _PROGRAM, *_STREAM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(number)
        _, said = process.communicate(timeout=120)
    assert said.decode().splitlines()[-1] == f"bicinium: stopped by {reason}."
    assert process.returncode == 130


def test_a_command_that_ignores_the_end_of_its_terminal_goes_on() -> None:
    """As under nohup."""
    ignoring = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); {_PROGRAM}"
    command = [sys.executable, "-c", ignoring, "compose", "--stream", "--bars", "8"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said


def test_progress_goes_on_if_nobody_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """rich ends the program, with status 1 and no word, if its pipe has no reader."""
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    monkeypatch.setattr(sys, "stderr", stream)
    console = stderr_console()
    for _ in range(3):
        console.print("step 1: validation: 0.5")
    with suppress(OSError):
        stream.close()


def test_memory_that_is_not_enough_is_one_sentence() -> None:
    code = (
        "from bicinium.cli import main as program\n"
        "def full(*_): raise MemoryError\n"
        "program.app = full\n"
        "program.main()"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 2
    assert (
        ended.stderr == "bicinium: the memory is not enough. Ask for less, or end other programs.\n"
    )
