"""No command but ``corpus fetch`` and ``studio`` opens a connection or listens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_FORBIDDEN = """
import sys, os

def forbid(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"):
        if arguments and not isinstance(arguments[-1], (str, bytes)):  # no socket of the machine
            print("SOCKET", event, arguments, file=sys.stderr, flush=True)
            os._exit(99)

sys.addaudithook(forbid)
from bicinium.cli.main import main
main()
"""
_RUN = """
model: {{d_model: 16, n_layers: 1, n_heads: 2, d_ff: 32, context: 64}}
training:
  {{max_steps: 2, batch_size: 2, threads: 1, precision: 32-true,
  musical_grammar: {{live_pieces: 1, live_bars: 1, positions: 8}}}}
data: {{prepared: {}}}
"""


def _run(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _FORBIDDEN, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_only_fetching_and_the_studio_use_the_network(
    tmp_path: Path, midi_folder: Path, prepared: Path
) -> None:
    piece = midi_folder / "piece-0.mid"
    (tmp_path / "run.yaml").write_text(_RUN.format(prepared))
    for command in (
        ("compose", "-n", 1, "--bars", 2, "--formats", "mid,musicxml", "--out", "out"),
        ("convert", piece, "piece.musicxml"),
        ("validate", midi_folder, "--json"),
        ("check", piece),
        ("species", 1, "--cantus", "fux-d", "--out", "species.musicxml"),
        ("corpus", "prepare", midi_folder, "--out", "set", "--jobs", 1),
        ("corpus", "validate", midi_folder, "--jobs", 1),
        ("corpus", "report", prepared, "--out", "corpus.html"),
        ("train", "run.yaml", "--run", "run"),
        ("runs", "compare", "run"),
        ("runs", "average", "run"),
        ("doctor", "--help"),
        ("evaluate", "--help"),
    ):
        ended = _run(tmp_path, *command)
        assert "SOCKET" not in ended.stderr, (command, ended.stderr)
        assert ended.returncode in (0, 1), (command, ended.stderr[-1000:])


def test_the_test_sees_a_connection(tmp_path: Path) -> None:
    ended = _run(tmp_path, "corpus", "fetch", "--server", "http://127.0.0.1:9", "--out", "music")
    assert ended.returncode == 99
    assert "SOCKET" in ended.stderr
