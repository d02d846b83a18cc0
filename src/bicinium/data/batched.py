"""Lists of a fixed size from any iterable, as ``itertools.batched`` of Python 3.12."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

_T = TypeVar("_T")


def batched(values: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield lists of ``size`` values, the last one possibly shorter."""
    iterator = iter(values)
    while some := list(islice(iterator, size)):
        yield some
