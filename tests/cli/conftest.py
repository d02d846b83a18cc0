"""Fixtures of the command line's tests: a runner and two small MIDI files."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mido
import pytest

from bicinium.cli.main import main
from bicinium.formats.midi import write_midi
from bicinium.music.score import Score


@dataclass(frozen=True)
class CommandResult:
    """Exit status and output of one call of the command line."""

    status: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """Standard output without line breaks and the borders of help."""
        return " ".join(self.out.replace("│", " ").split())

    def assert_error(self, pattern: str) -> None:
        """Assert exit status 2, and one line on standard error that contains ``pattern``."""
        assert self.status == 2, self
        assert self.out == ""
        assert re.fullmatch(r"bicinium: [^\n]+\n", self.err), self.err
        assert re.search(pattern, self.err)


@pytest.fixture
def run_cli(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., CommandResult]:
    """Run the command line in an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> CommandResult:
        monkeypatch.setattr(sys, "argv", ["bicinium", *map(str, arguments)])
        capsys.readouterr()
        status = 0
        try:
            main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(bool(end.code))
        output = capsys.readouterr()
        return CommandResult(status, output.out, output.err)

    return run


@pytest.fixture
def valid_midi(tmp_path: Path, made_up_score: Callable[..., Score]) -> Path:
    path = tmp_path / "valid.mid"
    write_midi(made_up_score(1), path)
    return path


@pytest.fixture
def mismatched_midi(tmp_path: Path) -> Path:
    """A NOTE_OFF for pitch 100 while pitch 60 sounds, as the first model wrote."""
    path = tmp_path / "failure.mid"
    track = mido.MidiTrack(
        [
            mido.Message("note_on", note=60, velocity=80, time=0),
            mido.Message("note_off", note=100, velocity=0, time=480),
        ]
    )
    mido.MidiFile(tracks=[track], ticks_per_beat=480).save(path)
    return path
