"""Token hashes of thirty requests, which must stay the same unless the music is meant to change.

After a change of the music, ``python tests/test_golden.py`` writes ``golden.json`` anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import bicinium
from bicinium.generation.constraints.config import Constraints

HASHES = Path(__file__).with_name("golden.json")
LINE = "D4:1/8 E4:1/8 F4:1/8 G4:1/8 A4:1/4 D4:1/4"

# name: what is asked for. Four bars and one candidate, unless a request says otherwise.
REQUESTS: dict[str, dict[str, Any]] = {
    "nothing asked": {"seed": 0},
    "another seed": {"seed": 12345},
    "eight bars, seven candidates": {"seed": 1, "bars": 8, "best_of": 7},
    "one bar": {"bars": 1, "seed": 4},
    "bach": {"style": "bach", "key": "D minor", "meter": "4/4", "seed": 2},
    "classical": {"style": "classical", "key": "G major", "meter": "3/4", "seed": 3},
    "romantic": {"style": "romantic", "key": "A minor", "meter": "6/8", "seed": 5},
    "other music": {"style": "song", "key": "F major", "meter": "4/2", "seed": 6},
    "no guidance": {"style": "bach", "guidance": 1.0, "seed": 7},
    "much guidance": {"style": "baroque", "guidance": 3.0, "seed": 8},
    "no motif bias": {"style": "bach", "motif_strength": 0.0, "seed": 9},
    "much motif bias": {"style": "bach", "motif_strength": 3.0, "seed": 10, "bars": 8},
    "2/4, tempo": {"meter": "2/4", "tempo": 72, "seed": 11},
    "12/8": {"meter": "12/8", "seed": 12},
    "remote key": {"key": "F# minor", "meter": "2/2", "seed": 13},
    "cool": {"temperature": 0.7, "seed": 14},
    "hot": {"temperature": 1.3, "top_p": 1.0, "seed": 15},
    "top-k": {"top_k": 5, "seed": 16},
    "min-p": {"min_p": 0.1, "seed": 17},
    "constraints at full strength": {
        "constraints": Constraints(in_key=1.0, leap=1.0, consonance=1.0, hand_span=1.0, range=1.0),
        "seed": 18,
    },
    "constraints at half strength": {
        "constraints": Constraints(in_key=0.5, leap=0.5, consonance=0.5, max_leap=7),
        "seed": 19,
    },
    "no constraints": {"constraints": None, "seed": 20},
    "no grammar": {"use_grammar": False, "constraints": None, "seed": 21},
    "no quotations": {"max_quote": 2, "style": "bach", "seed": 22},
    "second voice below": {"upper": "line", "meter": "4/4", "seed": 23},
    "second voice above": {"lower": "line", "meter": "4/4", "seed": 24},
    "continued": {"continue_from": "piece", "bars": 7, "seed": 25},
    "rewritten": {"rewrite": "piece", "rewrite_bars": (2, 3), "seed": 26},
    "subject": {"subject": LINE, "key": "D minor", "meter": "4/4", "seed": 27},
    "subject at the fifth": {
        "subject": LINE, "answer": "fifth", "key": "D minor", "meter": "4/4", "seed": 28,
    },
    "streamed": {"stream": True, "style": "bach", "seed": 29},
    "streamed without guidance": {"stream": True, "guidance": 1.0, "seed": 30},
}  # fmt: skip


def _files(folder: Path) -> dict[str, Path]:
    """A piece, and each of its voices as the file that a user would have."""
    piece = bicinium.compose(
        bars=4, key="C major", meter="4/4", style="classical", seed=100, best_of=1
    )
    path = piece.save(folder / "piece.mid")
    return {"piece": path, "line": path}


def _hash(request: dict[str, Any], files: dict[str, Path]) -> str:
    wanted: dict[str, Any] = {"bars": 4, "best_of": 1} | request
    for name in ("upper", "lower", "continue_from", "rewrite"):
        if name in wanted:
            wanted[name] = files[wanted[name]]
    if "upper" in wanted or "lower" in wanted or "rewrite" in wanted:
        del wanted["bars"]
    if wanted.pop("stream", False):
        del wanted["best_of"]
        events = bicinium.stream(**wanted)
        return _digest((e.tick, e.voice, e.pitch, e.velocity) for e in events)
    piece = bicinium.compose(**wanted)
    return _digest([(piece.tokens.tolist(), str(piece.score and piece.score.key))])


def _digest(values: Iterable[object]) -> str:
    return hashlib.sha256(repr(list(values)).encode()).hexdigest()[:16]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return _files(tmp_path_factory.mktemp("golden"))


@pytest.mark.slow
@pytest.mark.parametrize("name", REQUESTS)
def test_the_music_is_unchanged(name: str, files: dict[str, Path]) -> None:
    assert _hash(REQUESTS[name], files) == json.loads(HASHES.read_text(encoding="utf-8"))[name]


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        here = _files(Path(folder))
        written = {name: _hash(request, here) for name, request in REQUESTS.items()}
    HASHES.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
