"""Limit the memory that a block may take, for files that no limit on their numbers has stopped."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import resource
except ImportError:  # not available on Windows
    resource = None  # type: ignore[assignment]

_STATM = Path("/proc/self/statm")


@contextmanager
def memory_limit(more_bytes: int) -> Iterator[None]:
    """Let the block raise MemoryError where it needs so many bytes more than the process has.

    Address space is counted. Without effect outside the main thread, since the limit is that of the
    process, and on systems other than Linux.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or resource is None or not _STATM.is_file():
        yield
        return
    before, most = resource.getrlimit(resource.RLIMIT_AS)
    allowed = int(_STATM.read_text().split()[0]) * resource.getpagesize() + more_bytes
    limits = [limit for limit in (before, most) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([allowed, *limits]), most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, most))
