"""Try an installed wheel: compose a piece, save, read and check it. Prints one line.

``tools/wheel_matrix.py`` and cibuildwheel run it in fresh environments.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy

import bicinium
from bicinium.compiled import is_compiled

with tempfile.TemporaryDirectory() as folder:
    piece = bicinium.compose(key="D minor", meter="3/4", bars=8, seed=7, best_of=2)
    path = piece.save(Path(folder, "piece.musicxml"))
    assert piece.result.valid
    assert bicinium.read(path) == piece.score
    assert bicinium.check(path).rule_set == "bach"
python = ".".join(map(str, sys.version_info[:2]))
how = "compiled" if is_compiled() else "not compiled"
print(f"Python {python}, numpy {numpy.__version__}: {how}, works")
