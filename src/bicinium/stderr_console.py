"""A console on standard error for the progress of long work, which goes on if nobody reads it."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import IO, Any, cast

from rich.console import Console


class _Unread:
    """A text stream that drops what cannot be written.

    rich would end the program without a word as soon as the reader of a pipe has gone.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def stderr_console() -> Console:
    """Return the console."""
    return Console(file=cast(IO[str], _Unread(sys.stderr)))
