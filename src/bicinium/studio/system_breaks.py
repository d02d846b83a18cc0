"""Break a score into systems of about equal width."""

from __future__ import annotations


def balance_systems(bar_widths: list[int], page_width: int, prefix_width: int) -> list[int]:
    """Return the bars, from 0, at which a new system begins.

    There are as few systems as possible, and they are about equally full. ``prefix_width`` is the
    width of clef and key signature at the start of each further system.
    """
    if not bar_widths:
        return []
    min_breaks = len(_fill_systems(bar_widths, page_width, prefix_width))
    low, high = max(bar_widths), page_width
    while low < high:  # the smallest width that needs no further system
        width = (low + high) // 2
        if len(_fill_systems(bar_widths, width, prefix_width)) <= min_breaks:
            high = width
        else:
            low = width + 1
    return _fill_systems(bar_widths, low, prefix_width)


def _fill_systems(bar_widths: list[int], width: int, prefix_width: int) -> list[int]:
    """Return the breaks if each system takes as many bars as fit."""
    breaks, used = [], 0
    for index, bar in enumerate(bar_widths):
        if index and used + bar > width:
            breaks.append(index)
            used = prefix_width
        used += bar
    return breaks
