"""Geometry of the plots in the HTML report; the template draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bicinium.evaluation.distributions import HistogramDistance, MeasureRange
from bicinium.evaluation.summary import format_number, readable
from bicinium.music.descriptors import BINS

_MIN_BIN_WIDTH, _BAR_HEIGHT = 28, 110  # pixels
_ROW_HEIGHT, _SCALE_WIDTH, _NAME_WIDTH = 22, 420, 170  # pixels of the range plot


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a histogram, in pixels."""

    kind: str  # "composed" or "real"
    label: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class HistogramPlot:
    """Two bars for each bin: the shares of composed and of real music."""

    title: str
    overlap: float
    real_overlap: float
    width: int
    height: int
    baseline: int
    bars: list[Bar]
    labels: list[tuple[float, str]]  # (x, name of the bin)


@dataclass(frozen=True, slots=True)
class RangeRow:
    """One measure: the range of real music as a band, and both means, in pixels."""

    name: str
    label: str
    y: int
    band_x: float
    band_width: float
    real_x: float
    composed_x: float


@dataclass(frozen=True, slots=True)
class RangePlot:
    """Measures on a scale from 0 to 1."""

    width: int
    height: int
    rows: list[RangeRow]
    axis: list[tuple[float, str]]  # (x, label)


def histogram_plot(distance: HistogramDistance) -> HistogramPlot:
    """Lay out the histograms of one distance."""
    names = BINS[distance.name]
    shares = list(zip(distance.composed_shares, distance.real_shares, strict=True))
    highest = max(map(max, shares)) or 1.0
    bin_width = max(_MIN_BIN_WIDTH, 7 * max(map(len, names)) + 6)
    bar_width = (bin_width - 6) / 2
    bars, labels = [], []
    for index, (name, pair) in enumerate(zip(names, shares, strict=True)):
        x = index * bin_width
        labels.append((x + bin_width / 2, name))
        for side, (kind, share) in enumerate(zip(("composed", "real"), pair, strict=True)):
            height = round(_BAR_HEIGHT * share / highest, 1)
            bars.append(
                Bar(
                    kind=kind,
                    label=f"{name}, {kind}: {share:.1%}",
                    x=round(x + 3 + side * bar_width, 1),
                    y=round(_BAR_HEIGHT - height, 1),
                    width=round(bar_width - 1, 1),
                    height=height,
                )
            )
    return HistogramPlot(
        title=readable(distance.name),
        overlap=distance.overlap,
        real_overlap=distance.real_overlap,
        width=len(names) * bin_width,
        height=_BAR_HEIGHT + 18,
        baseline=_BAR_HEIGHT,
        bars=bars,
        labels=labels,
    )


def range_plot(measures: Sequence[MeasureRange]) -> RangePlot:
    """Lay out one row for each measure."""
    rows = []
    for index, one in enumerate(measures):
        low, high, real, composed = map(
            _range_x, (one.low, one.high, one.real_mean, one.composed_mean)
        )
        means = f"real {format_number(one.real_mean)}, composed {format_number(one.composed_mean)}"
        rows.append(
            RangeRow(
                name=readable(one.name),
                label=f"{readable(one.name)}: {means}",
                y=index * _ROW_HEIGHT,
                band_x=low,
                band_width=max(2.0, round(high - low, 1)),
                real_x=real,
                composed_x=composed,
            )
        )
    axis = [(_range_x(tenth / 10), f"{tenth / 10:g}") for tenth in range(0, 11, 2)]
    width = _NAME_WIDTH + _SCALE_WIDTH + 20
    return RangePlot(width, len(measures) * _ROW_HEIGHT + 20, rows, axis)


def _range_x(value: float) -> float:
    """Return the x of a value; NaN is drawn at 0."""
    return round(_NAME_WIDTH + _SCALE_WIDTH * min(1.0, max(0.0, float(np.nan_to_num(value)))), 1)
