"""Lines over steps, laid out as numbers that a template can draw as SVG; nothing here knows about a screen.

Letters: n points of a curve.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_POINTS = 160


@dataclass(frozen=True)
class Curve:
    """One line of a chart.

    Attributes:
        name: What the legend says.
        x: n numbers of at least 0, rising: steps, epochs or seconds.
        y: n numbers of at least 0; one that is not finite is left out.
        emphasis: Draw it in ink and wider, as the sum of the others.
        value: What the legend says behind the name; the last y where not given.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    emphasis: bool = False
    value: str | None = None


@dataclass(frozen=True)
class Chart:
    """Several lines in one pair of axes that begin at zero.

    Attributes:
        title: What is shown.
        x_label: What x is, with its unit.
        y_label: What y is, with its unit.
        curves: The lines; none at all is an empty chart that says so.
        y_max: Upper end of the y axis; fits the data where not given.
        x_max: Upper end of the x axis, likewise.
        markers: Draw a dot at every point, for curves of few points.
    """

    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]
    y_max: float | None = None
    x_max: float | None = None
    markers: bool = False


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where it is in the drawing, and what it says."""

    at: float
    label: str


@dataclass(frozen=True)
class Line:
    """A curve in the drawing's own units: points x, y, and what a pointer on them shows."""

    name: str
    points: tuple[tuple[float, float], ...]
    labels: tuple[str, ...]
    emphasis: bool
    last: str

    @property
    def path(self) -> str:
        """The `points` attribute of an SVG polyline."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)


@dataclass(frozen=True)
class Drawing:
    """A chart laid out, in units of its view box; `frame` is x1, y1, x2, y2 of the axes."""

    chart: Chart
    size_wh: tuple[int, int]
    frame: tuple[float, float, float, float]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    note: str


def ticks(low: float, high: float, count: int) -> list[float]:
    """Return round numbers from at most `low` to at least `high`, about `count` steps of 1, 2 or 5 times ten.

    >>> ticks(0, 0.93, 5)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    >>> ticks(0, 1870, 4)
    [0, 500, 1000, 1500, 2000]
    """
    span = max(high - low, 1e-9)
    unit = 10 ** math.floor(math.log10(span / count))
    step = next(unit * factor for factor in (1, 2, 5, 10, 20) if span / (unit * factor) <= count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, max(last, first + 1) + 1)]


def thin(curve: Curve, most: int = MOST_POINTS) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Average runs of neighbours until at most `most` points are left; any that is not finite is dropped.

    Returns:
        x (n) and y (n), and how many points each was averaged from at most.

    >>> thin(Curve("loss", [1, 2, 3, 4], [4.0, 2.0, float("nan"), 1.0]), most=2)
    (array([1.5, 4. ]), array([3., 1.]), 2)
    """
    x, y = np.asarray(curve.x, dtype=np.float64), np.asarray(curve.y, dtype=np.float64)
    kept = np.isfinite(x) & np.isfinite(y)
    x, y = x[kept], y[kept]
    run = max(1, math.ceil(len(x) / most))
    starts = np.arange(0, len(x), run)
    if not len(x):
        return x, y, 1
    sizes = np.diff(np.append(starts, len(x)))
    return np.add.reduceat(x, starts) / sizes, np.add.reduceat(y, starts) / sizes, run


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` laid between two places of the drawing."""

    low: float
    high: float
    start: float
    stop: float

    def at(self, value: float) -> float:
        """Return where a value is in the drawing."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)

    def ticks(self, marks: Sequence[float]) -> tuple[Tick, ...]:
        """Mark numbers on the axis, each as itself."""
        return tuple(Tick(self.at(mark), f"{mark:g}") for mark in marks)


def layout(chart: Chart, width: int = 420, height: int = 250) -> Drawing:
    """Lay a chart out in a view box of `width` by `height`."""
    left, top, right, bottom = 46.0, 12.0, width - 14.0, height - 38.0
    thinned = [thin(curve) for curve in chart.curves]
    x_end = chart.x_max or max((float(x.max(initial=1.0)) for x, _, _ in thinned), default=1.0)
    y_end = max((float(y.max(initial=1e-6)) for _, y, _ in thinned), default=1.0)
    y_marks = ticks(0.0, y_end if chart.y_max is None else chart.y_max, 5)
    x_axis = Axis(0.0, x_end, left, right)
    y_axis = Axis(0.0, y_marks[-1], bottom, top)
    run = max((run for _, _, run in thinned), default=1)
    return Drawing(
        chart,
        (width, height),
        (left, top, right, bottom),
        x_axis.ticks([mark for mark in ticks(0.0, x_end, 5) if mark <= x_end]),
        y_axis.ticks(y_marks),
        tuple(_line(curve, x, y, x_axis, y_axis) for curve, (x, y, _) in zip(chart.curves, thinned, strict=True)),
        f"Each point is the mean of {run} neighbouring values." if run > 1 else "",
    )


def _line(curve: Curve, x: NDArray[np.float64], y: NDArray[np.float64], x_axis: Axis, y_axis: Axis) -> Line:
    pairs = list(zip(x.tolist(), y.tolist(), strict=True))
    return Line(
        curve.name,
        tuple((x_axis.at(a), y_axis.at(b)) for a, b in pairs),
        tuple(f"{curve.name} {b:.4g} at {a:g}" for a, b in pairs),
        curve.emphasis,
        (_last(pairs[-1][1]) if pairs else "-") if curve.value is None else curve.value,
    )


def _last(value: float) -> str:
    """Write a number with three digits behind the point, and a small one so that it is not 0.

    >>> _last(1.1719), _last(0.0), _last(1.52e-05)
    ('1.172', '0.000', '1.5e-05')
    """
    return f"{value:.3f}" if value >= 0.001 or value == 0 else f"{value:.2g}"
