"""Test wheels in fresh environments: each Python with each numpy that can be installed.

python tools/wheel_matrix.py WHEEL... [--python PYTHON...]. Each cell of the matrix installs the
wheel that fits the Python, composes a piece and reads it back. Exit status 1 if a cell fails. A
numpy without a wheel for that Python is left out, with a line that says so.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

NUMPY = ("1.26.*", "2.*")
_TRIAL = Path(__file__).with_name("wheel_trial.py")


def _call(*command: object, folder: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def fitting(wheels: list[Path], python: Path) -> Path | None:
    """Return the wheel that is made for a Python, or that is made for any."""
    version = _call(python, "-c", "import sys; print('%d%d' % sys.version_info[:2])").stdout.strip()
    names = (wheel for wheel in wheels if re.search(rf"-(cp{version}|py3)-", wheel.name))
    return next(names, None)


def try_cell(wheel: Path, python: Path, numpy: str, folder: Path) -> tuple[bool, str]:
    """Return whether a combination passed or could not be installed, and a line about it."""
    made = _call(python, "-m", "venv", folder)
    if made.returncode:
        return False, f"{python}: no environment: {made.stderr.strip()}"
    inside = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = (inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    if _call(*pip, "--only-binary", "numpy", f"numpy=={numpy}").returncode:
        return True, f"{python}: numpy {numpy} has no wheel for it, left out"
    installed = _call(*pip, f"numpy=={numpy}", wheel)
    if installed.returncode:
        return False, f"{python}, numpy {numpy}: {installed.stderr.strip()[-500:]}"
    with tempfile.TemporaryDirectory() as empty:
        trial = _call(inside, _TRIAL.resolve(), folder=empty)
    return trial.returncode == 0, (trial.stdout or trial.stderr).strip()[-500:]


def main() -> int:
    """Test every cell and print a line for each."""
    parser = argparse.ArgumentParser(description="Test wheels in fresh environments.")
    parser.add_argument("wheels", nargs="+", type=Path)
    parser.add_argument("--python", nargs="+", type=Path, default=[Path(sys.executable)])
    options = parser.parse_args()
    failed = 0
    for python in options.python:
        wheel = fitting(options.wheels, python)
        if wheel is None:
            print(f"{python}: no wheel for it")
            failed += 1
            continue
        for numpy in NUMPY:
            with tempfile.TemporaryDirectory() as folder:
                passed, line = try_cell(wheel.resolve(), python, numpy, Path(folder, "venv"))
            print(line if passed else f"FAILED {line}", flush=True)
            failed += not passed
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
