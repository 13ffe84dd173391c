"""Numbers of a set, each a pure function of a few arrays.

Letters: P pictures, N objects, K classes, n bars.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_STEPS = (1, 2, 5)


class ClassNumbers(NamedTuple):
    """One class of a set.

    Attributes:
        label: Its index.
        objects: How many objects, crowds not among them.
        crowds: How many crowds and ignored regions.
        pictures: On how many pictures an object of it is.
        share: Of all objects, 0 to 1.
        smallest: The side of a square of the smallest object's box, in pixels; None where there is no object.
        median: The same of the middle object.
        largest: The same of the largest.
    """

    label: int
    objects: int
    crowds: int
    pictures: int
    share: float
    smallest: float | None
    median: float | None
    largest: float | None


def class_numbers(
    label: NDArray[np.int64],
    crowd: NDArray[np.bool_],
    picture: NDArray[np.int64],
    lengths: NDArray[np.float64],
    classes: int,
) -> list[ClassNumbers]:
    """Count and measure the objects of each class.

    Args:
        label: (N) int64 in [0, K).
        crowd: (N) bool. Crowds are counted apart, and not measured.
        picture: (N) int64. Which picture each is on.
        lengths: (N) float64. Pixels.
        classes: K.
    """
    crowds = np.bincount(label[crowd], minlength=classes)
    label, picture, lengths = label[~crowd], picture[~crowd], lengths[~crowd]
    objects = np.bincount(label, minlength=classes)
    pictures = int(picture.max(initial=0)) + 1
    on = np.bincount(np.unique(label * pictures + picture) // pictures, minlength=classes)
    sorted_lengths = lengths[np.lexsort((lengths, label))]
    stops = np.cumsum(objects)
    return [
        ClassNumbers(
            k, int(objects[k]), int(crowds[k]), int(on[k]), float(objects[k] / max(len(label), 1)), *_three(own)
        )
        for k, own in enumerate(np.split(sorted_lengths, stops[:-1]) if classes else [])
    ]


def _three(ordered: NDArray[np.float64]) -> tuple[float | None, float | None, float | None]:
    if not len(ordered):
        return None, None, None
    return float(ordered[0]), float(np.median(ordered)), float(ordered[-1])


class Histogram(NamedTuple):
    """Counts of values between edges.

    Attributes:
        edges: (n + 1) float64, rising; a bar holds its lower edge and not its upper one.
        counts: (n) int64.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]


def whole_histogram(values: NDArray[np.int64], most: int = 24) -> Histogram:
    """Count whole numbers of at least 0, one or a round number of them a bar.

    Args:
        values: (N) int64.
        most: Bars at most.

    >>> whole_histogram(np.array([0, 0, 3]))
    Histogram(edges=array([0., 1., 2., 3., 4.]), counts=array([2, 0, 0, 1]))
    >>> whole_histogram(np.array([0, 1, 99]), most=10)
    Histogram(edges=array([  0.,  10.,  20.,  30.,  40.,  50.,  60.,  70.,  80.,  90., 100.]), \
counts=array([2, 0, 0, 0, 0, 0, 0, 0, 0, 1]))
    """
    span = int(values.max(initial=0)) + 1
    power = 10 ** max(0, int(math.log10(span / most))) if span > most else 1
    step = next(factor * power for factor in (*_STEPS, 10, 20, 50) if span <= most * factor * power)
    bars = math.ceil(span / step)
    edges = np.arange(bars + 1, dtype=np.float64) * step
    return Histogram(edges, np.bincount(values // step, minlength=bars))


def octave_histogram(values: NDArray[np.float64], steps: int = 2, centred: bool = False) -> Histogram:
    """Count positive numbers in bars of equal ratio.

    Args:
        values: (N) float64, above 0.
        steps: Bars from one power of two to the next.
        centred: Powers of two lie in the middle of a bar instead of between two.

    >>> octave_histogram(np.array([4.0, 4.1, 6.0, 16.0]))[1]
    array([2, 1, 0, 0, 1])
    >>> octave_histogram(np.array([1.0, 1.1, 0.9, 2.0]), centred=True)[1]
    array([3, 0, 1])
    """
    if not len(values):
        return Histogram(np.array([1.0]), np.zeros(0, dtype=np.int64))
    shift = 0.5 if centred else 0.0
    index = np.floor(np.log2(values) * steps + shift).astype(np.int64)
    first = int(index.min())
    counts = np.bincount(index - first)
    return Histogram(2.0 ** ((np.arange(len(counts) + 1) + first - shift) / steps), counts)


def objects_a_picture(picture: NDArray[np.int64], crowd: NDArray[np.bool_], pictures: int) -> NDArray[np.int64]:
    """Count the objects of each of P pictures, crowds left out: (P) int64."""
    counts: NDArray[np.int64] = np.bincount(picture[~crowd], minlength=pictures)
    return counts


class SizeCount(NamedTuple):
    """A size of pictures and how many have it."""

    size_hw: tuple[int, int]
    pictures: int


def picture_sizes(size_hw: NDArray[np.int64]) -> list[SizeCount]:
    """Count the pictures of each size, the most frequent size first.

    >>> picture_sizes(np.array([[4, 6], [3, 3], [4, 6]]))
    [SizeCount(size_hw=(4, 6), pictures=2), SizeCount(size_hw=(3, 3), pictures=1)]
    """
    sizes, counts = np.unique(size_hw, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return [SizeCount((int(sizes[i, 0]), int(sizes[i, 1])), int(counts[i])) for i in order]


def extremes(lengths: NDArray[np.float64], crowd: NDArray[np.bool_], most: int) -> tuple[list[int], list[int]]:
    """Name the smallest and the largest objects, at most `most` of each and none twice, crowds left out.

    >>> extremes(np.array([3.0, 9.0, 1.0, 5.0]), np.array([False, False, True, False]), 2)
    ([0], [1, 3])
    """
    objects = np.flatnonzero(~crowd)
    ordered = objects[np.argsort(lengths[objects], kind="stable")].tolist()
    large = ordered[: -1 - min(most, (len(ordered) + 1) // 2) : -1]
    return ordered[: min(most, len(ordered) - len(large))], large
