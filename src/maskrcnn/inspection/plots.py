"""Histograms and sizes as bars and dots with words on them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from maskrcnn.draw.bars import Bars, Dots
from maskrcnn.inspection.statistics import Histogram, SizeCount, octave_histogram, whole_histogram

MOST_MARKS = 9
MOST_DOTS = 400


def pixels_of(value: float) -> str:
    """Write a length in pixels as exactly as it is worth.

    >>> pixels_of(3.25), pixels_of(32.0), pixels_of(1234.5)
    ('3.2', '32', '1,234')
    """
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:.2g}"


def counts_plot(counts: NDArray[np.int64]) -> Bars:
    """Draw how many pictures have how many objects."""
    histogram = whole_histogram(counts)
    edges = [int(edge) for edge in histogram.edges]
    single = len(edges) > 1 and edges[1] == 1
    labels = [f"{low}" if single else f"{low} to {high - 1}" for low, high in itertools.pairwise(edges)]
    every = math.ceil(len(edges) / MOST_MARKS)
    shown = range(0, len(labels) if single else len(edges), every)
    marks = [(i + 0.5 if single else i, f"{edges[i]:,}") for i in shown]
    return Bars("Objects a picture", "objects", "pictures", histogram.counts.tolist(), labels, marks)


def lengths_plot(lengths: NDArray[np.float64], title: str, anchors: Sequence[float] = ()) -> Bars:
    """Draw the sizes of objects, with upright lines at those of anchors."""
    histogram = octave_histogram(lengths)
    labels = [f"{pixels_of(low)} to {pixels_of(high)} px" for low, high in _pairs(histogram)]
    lines = _lines(histogram, anchors)
    return Bars(
        title,
        "side of a square of the box, pixels",
        "objects",
        histogram.counts.tolist(),
        labels,
        _octave_marks(histogram),
        lines,
    )


def ratios_plot(ratios: NDArray[np.float64]) -> Bars:
    """Draw the aspect ratios of objects."""
    histogram = octave_histogram(ratios, centred=True)
    labels = [f"{low:.2g} to {high:.2g}" for low, high in _pairs(histogram)]
    return Bars(
        "Aspect ratio",
        "height / width",
        "objects",
        histogram.counts.tolist(),
        labels,
        _octave_marks(histogram),
        note="1 is a square; left of it boxes are wide, right of it tall.",
    )


def sizes_plot(sizes: Sequence[SizeCount]) -> Dots:
    """Draw the sizes of pictures."""
    points = [(float(size.size_hw[1]), float(size.size_hw[0]), size.pictures) for size in sizes[:MOST_DOTS]]
    more = f" The {MOST_DOTS} most frequent of {len(sizes):,} sizes." if len(sizes) > MOST_DOTS else ""
    return Dots(
        "Sizes of pictures", "width, pixels", "height, pixels", points, f"The larger a dot, the more pictures.{more}"
    )


def _pairs(histogram: Histogram) -> list[tuple[float, float]]:
    edges = histogram.edges.tolist()
    return list(itertools.pairwise(edges))


def _place(histogram: Histogram, value: float) -> float:
    """Return where a value is, in bars from the left."""
    first, last = histogram.edges[0], histogram.edges[-1]
    return float(np.log(value / first) / np.log(last / first) * len(histogram.counts))


def _octave_marks(histogram: Histogram) -> list[tuple[float, str]]:
    """Mark powers of two inside the bars."""
    if not len(histogram.counts):
        return []
    low, high = math.ceil(np.log2(histogram.edges[0]) - 1e-9), math.floor(np.log2(histogram.edges[-1]) + 1e-9)
    powers = range(low, high + 1, math.ceil(max(high - low + 1, 1) / MOST_MARKS))
    return [(_place(histogram, 2.0**power), f"{2.0**power:g}") for power in powers]


def _lines(histogram: Histogram, values: Sequence[float]) -> list[tuple[float, str]]:
    places = [(_place(histogram, value), f"{value:g}") for value in values if len(histogram.counts)]
    return [place for place in places if 0 <= place[0] <= len(histogram.counts)]
