"""The order in which measures are played."""

from __future__ import annotations

import pytest

from bicinium.formats.measures import Measure
from bicinium.formats.repeats import count_repeats, played_order


def bars(text: str) -> list[list[Measure]]:
    """Return measures from words such as ``|:`` (begins a repeat), ``:|``, ``1``, ``2`` (endings),
    ``dc``, ``ds``, ``segno``, ``fine``, ``coda``, ``tocoda``; a dot is a plain measure.
    """
    names = {"dc": "dacapo", "ds": "dalsegno"}
    columns = []
    for word in text.split():
        measure = Measure()
        for sign in word.split("+"):
            if sign == "|:":
                measure.starts_repeat = True
            elif sign == ":|":
                measure.plays = 2
            elif sign.isdecimal():
                measure.endings = frozenset(map(int, sign))
            elif sign != ".":
                measure.jumps |= {names.get(sign, sign)}
        columns.append([measure])
    return columns


@pytest.mark.parametrize(
    ("text", "order", "count"),
    [
        (". . .", "012", 0),
        (". :| .", "01012", 1),
        (". |: :| .", "012123", 1),
        (". 1+:| 2 .", "01023", 1),
        (". :| . :| .", "010123234", 2),
        (". fine . dc", "012301", 1),
        (". segno . ds .", "01231234", 1),
        (". tocoda . dc coda", "0123014", 1),
        (". 1+:| 2+dc", "010202", 2),
        (". 12+:| 3 .", "0101023", 1),
    ],
)
def test_measures_are_played_in_order(text: str, order: str, count: int) -> None:
    assert "".join(map(str, played_order(bars(text)))) == order
    assert count_repeats(bars(text)) == count


def test_an_endless_piece_ends() -> None:
    assert len(played_order(bars("|: :|") * 20_000)) <= 20_001
