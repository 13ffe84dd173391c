"""Bars and dots in one pair of axes, laid out as numbers that a template can draw as SVG.

Letters: n bars.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from maskrcnn.draw.chart import Axis, Tick, ticks

TIMES = "\N{MULTIPLICATION SIGN}"
_GAP = 0.06  # of a bar's width, on both sides


@dataclass(frozen=True)
class Bars:
    """How many there are of each kind, or between any two marks.

    Attributes:
        title: What is shown.
        x_label: What the bars are of, with its unit.
        y_label: What is counted.
        counts: n numbers of at least 0.
        labels: What a pointer on each of the n bars shows before its count.
        marks: Where the x axis has a label, counted in bars from the left edge of the first, and what it says.
        lines: Upright lines, likewise.
        note: What has to be known beside it.
    """

    title: str
    x_label: str
    y_label: str
    counts: Sequence[int]
    labels: Sequence[str]
    marks: Sequence[tuple[float, str]]
    lines: Sequence[tuple[float, str]] = ()
    note: str = ""


@dataclass(frozen=True)
class Dots:
    """Pairs of numbers of at least 0, each with how often it comes.

    Attributes:
        title: What is shown.
        x_label: What x is, with its unit.
        y_label: What y is, with its unit.
        points: x, y and a count, the largest counts first.
        note: What has to be known beside it.
    """

    title: str
    x_label: str
    y_label: str
    points: Sequence[tuple[float, float, int]]
    note: str = ""


@dataclass(frozen=True)
class Bar:
    """A bar in the drawing's own units, and what a pointer on it shows."""

    x: float
    y: float
    width: float
    height: float
    label: str


@dataclass(frozen=True)
class Dot:
    """A dot in the drawing's own units, and what a pointer on it shows."""

    x: float
    y: float
    radius: float
    label: str


@dataclass(frozen=True)
class Plot:
    """Bars or dots laid out, in units of the view box; `frame` is x1, y1, x2, y2 of the axes."""

    chart: Bars | Dots
    size_wh: tuple[int, int]
    frame: tuple[float, float, float, float]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    bars: tuple[Bar, ...] = ()
    dots: tuple[Dot, ...] = ()
    lines: tuple[Tick, ...] = ()


def layout_bars(chart: Bars, width: int = 420, height: int = 250) -> Plot:
    """Lay bars out in a view box of `width` by `height`; the smallest count above 0 can still be seen."""
    left, top, right, bottom = frame = _frame(width, height, raised=10.0 if chart.lines else 0.0)
    y_marks = _whole_ticks(max(chart.counts, default=1))
    x_axis = Axis(0.0, float(max(len(chart.counts), 1)), left, right)
    y_axis = Axis(0.0, y_marks[-1], bottom, top)
    bars = []
    for i, (count, label) in enumerate(zip(chart.counts, chart.labels, strict=True)):
        start, stop = x_axis.at(i + _GAP), x_axis.at(i + 1 - _GAP)
        tall = max(bottom - y_axis.at(count), 1.0) if count else 0.0
        bars.append(Bar(start, bottom - tall, stop - start, tall, f"{label}: {count:,}"))
    return Plot(
        chart,
        (width, height),
        frame,
        tuple(Tick(x_axis.at(at), text) for at, text in chart.marks),
        _grouped(y_axis, y_marks),
        bars=tuple(bars),
        lines=tuple(Tick(x_axis.at(at), text) for at, text in chart.lines),
    )


def layout_dots(chart: Dots, width: int = 420, height: int = 250) -> Plot:
    """Lay dots out in a view box of `width` by `height`; areas grow with the counts, up to a limit."""
    left, top, right, bottom = frame = _frame(width, height)
    x_marks = _whole_ticks(max((x for x, _, _ in chart.points), default=1.0))
    y_marks = _whole_ticks(max((y for _, y, _ in chart.points), default=1.0))
    x_axis, y_axis = Axis(0.0, x_marks[-1], left, right), Axis(0.0, y_marks[-1], bottom, top)
    most = max((count for _, _, count in chart.points), default=1)
    dots = [
        Dot(x_axis.at(x), y_axis.at(y), 3.0 + 8.0 * math.sqrt(count / most), f"{x:g} {TIMES} {y:g}: {count:,}")
        for x, y, count in chart.points
    ]
    return Plot(chart, (width, height), frame, _grouped(x_axis, x_marks), _grouped(y_axis, y_marks), dots=tuple(dots))


def _frame(width: int, height: int, raised: float = 0.0) -> tuple[float, float, float, float]:
    return 56.0, 12.0 + raised, width - 14.0, height - 38.0


def _whole_ticks(high: float) -> list[float]:
    """Return round whole numbers from 0 to at least `high`.

    >>> _whole_ticks(2), _whole_ticks(37)
    ([0.0, 1.0, 2.0], [0.0, 10.0, 20.0, 30.0, 40.0])
    """
    marks = [float(mark) for mark in ticks(0.0, max(high, 1.0), 4)]
    return marks if marks[1] >= 1 else [float(mark) for mark in range(math.ceil(high) + 1)]


def _grouped(axis: Axis, marks: Sequence[float]) -> tuple[Tick, ...]:
    return tuple(Tick(axis.at(mark), _short(mark)) for mark in marks)


def _short(value: float) -> str:
    """Write a whole number so that it has room beside an axis.

    >>> _short(9500.0), _short(20000.0), _short(1500000.0)
    ('9,500', '20k', '1.5M')
    """
    if value < 10_000:
        return f"{value:,.0f}"
    return f"{value / 1e3:g}k" if value < 1_000_000 else f"{value / 1e6:g}M"
