"""The processor time of a block is limited, whatever the block catches."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from bicinium.errors import ScoreError
from bicinium.time_limit import time_limit


def _work(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def _stubborn_reader() -> None:
    with time_limit(0.05, ScoreError("slow")):
        for _ in range(100):
            with suppress(Exception):
                _work(0.1)


def test_a_reader_that_takes_every_error_for_a_fault_of_the_file_is_stopped() -> None:
    """The readers of measures turn a ScoreError into one that names the measure."""
    with pytest.raises(ScoreError, match=r"^slow$"):
        _stubborn_reader()


def _two_limits(inner: float, outer: float) -> None:
    with time_limit(outer, ScoreError("outer")):
        with suppress(ScoreError), time_limit(inner, ScoreError("inner")):
            _work(2)
        _work(2)


def test_of_two_limits_the_longer_still_holds() -> None:
    with pytest.raises(ScoreError, match="outer"):
        _two_limits(inner=0.05, outer=0.2)
