"""Atomic writing: a file is replaced completely or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PART = ".part"  # at the end of temporary names


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``, and rename it to ``path`` on success.

    If the block raises, the temporary file is deleted and ``path`` stays as it was.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}{PART}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files and folders of processes that were killed.

    Only for a folder that no other process writes to.
    """
    for path in folder.glob(f"*{PART}"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
