"""A lock for a folder that one process at a time may write to.

The operating system releases the lock when its process ends, however it ends, so no lock is ever
left behind. The lock file stays, and says who holds it or held it last.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bicinium.errors import FolderInUseError

LOCK_FILE = ".lock"


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is made if it is absent, inside the block.

    Raises FolderInUseError, with the process and its machine, if another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_FILE
    try:
        with FileLock(path, timeout=0):
            path.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
            yield
    except Timeout as error:
        holder = path.read_text(encoding="utf-8", errors="replace")
        raise FolderInUseError(
            f"{folder} is in use by {holder or 'another process'}. "
            "Wait until it ends, or name another folder."
        ) from error
