"""Without its library, an adapter says what to install, and the package works."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PROGRAM = """
import sys
sys.modules[{library!r}] = None  # as if it were not installed
import bicinium.api
from bicinium.errors import MissingExtraError
try:
    import bicinium.adapters.{adapter}
except MissingExtraError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("adapter", "library"),
    [("transformers", "transformers"), ("transformers", "torch"), ("transformers", "accelerate")],
)
def test_the_error_names_the_extra(adapter, library):
    program = _PROGRAM.format(adapter=adapter, library=library)
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert f"needs {library}: install it with pip install 'bicinium[{adapter}]'" in found.stdout
