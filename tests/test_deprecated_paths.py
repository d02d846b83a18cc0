"""Import paths of version 0.1 that the documentation named still work, with a warning."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bicinium.deprecated_paths import MOVED

_NAMES = {
    "bicinium.composing.constraints": "Constraints",
    "bicinium.corpus.quality": "quality",
    "bicinium.score.notes": "Note",
    "bicinium.tokens.vocabulary": "Kind",
}


@pytest.mark.parametrize("path", _NAMES)
def test_an_old_path_gives_the_new_object_and_names_its_new_place(path: str) -> None:
    name = _NAMES[path]
    code = (
        f"import warnings; warnings.simplefilter('error', UserWarning)\n"
        f"from {path} import {name} as old\n"
        f"from {MOVED[path]} import {name} as new\n"
        "assert old is new\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "always::DeprecationWarning", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"{path} has moved to {MOVED[path]}" in done.stderr


def test_a_path_that_never_was_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError):
        __import__("bicinium.composing.harmony")
