"""One walk over the annotations of a set, which leaves a few plain arrays; no picture is decoded, no mask drawn.

Letters: P pictures, N objects, K classes.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Annotation, Box, Dataset, Record, Rings

Kind = Literal["outline", "run lengths", "box only"]
KINDS: tuple[Kind, ...] = ("outline", "run lengths", "box only")


@dataclass(frozen=True)
class Survey:
    """What is annotated, in numbers.

    Attributes:
        size_hw: (P, 2) int64. Upright height and width of each picture.
        picture: (N) int64 in [0, P), rising. The picture of each object.
        label: (N) int64 in [0, K).
        crowd: (N) bool. True for a crowd or an ignored region.
        kind: (N) int64. Index into `KINDS`: what the source says of the object's shape.
        boxes: (N, 4) float64 x1, y1, x2, y2. Of its outline or else its stated box, cut off at the picture's
            border; an object with a mask is at least one pixel wide and high, as its mask will be.
        looked_for: (K) int64. In how many pictures each class was looked for.
        columns: For each column that any record has how often each of its values comes.
    """

    size_hw: NDArray[np.int64]
    picture: NDArray[np.int64]
    label: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    kind: NDArray[np.int64]
    boxes: NDArray[np.float64]
    looked_for: NDArray[np.int64]
    columns: dict[str, Counter[str]]

    @property
    def sides(self) -> NDArray[np.float64]:
        """Width and height of each object: (N, 2) float64."""
        return self.boxes[:, 2:] - self.boxes[:, :2]

    @property
    def lengths(self) -> NDArray[np.float64]:
        """The side of a square of each object's box: (N) float64."""
        lengths: NDArray[np.float64] = np.sqrt(self.sides.prod(axis=1))
        return lengths

    def first_of(self, picture: int) -> int:
        """Return the place of a picture's first object among all."""
        return int(np.searchsorted(self.picture, picture))


def survey(dataset: Dataset, advance: Callable[[], None]) -> Survey:
    """Walk over a set once.

    Args:
        dataset: The set.
        advance: Called after every picture.
    """
    whole, real = array("q"), array("d")
    sizes = np.zeros((len(dataset), 2), dtype=np.int64)
    looked_for = np.zeros(len(dataset.class_names), dtype=np.int64)
    columns: dict[str, Counter[str]] = {}
    for i, record in enumerate(dataset.records):
        sizes[i] = record.size_hw
        looked_for[slice(None) if record.labelled is None else list(record.labelled)] += 1
        for name, value in record.columns.items():
            columns.setdefault(name, Counter())[value] += 1
        for annotation in record.annotations:
            whole.extend((i, annotation.label, annotation.crowd, _kind(annotation)))
            real.extend(extent(annotation, record))
        advance()
    picture, label, crowd, kind = np.array(whole, dtype=np.int64).reshape(-1, 4).T
    boxes = np.array(real, dtype=np.float64).reshape(-1, 4)
    return Survey(sizes, picture, label, crowd.astype(np.bool_), kind, boxes, looked_for, columns)


def extent(annotation: Annotation, record: Record) -> Box:
    """Return x1, y1, x2, y2 of an object inside its picture, without drawing it where its source says them."""
    box = annotation.extent()
    if box is None:
        assert annotation.shape is not None  # what has neither is left out
        x, y, pixels = annotation.shape.bitmap(record.size_hw)
        return float(x), float(y), float(x + pixels.shape[1]), float(y + pixels.shape[0])
    h, w = record.size_hw
    least = 0.0 if annotation.shape is None else 1.0
    x1, x2 = _within(box[0], box[2], w, least)
    y1, y2 = _within(box[1], box[3], h, least)
    return x1, y1, x2, y2


def _within(low: float, high: float, length: float, least: float) -> tuple[float, float]:
    """Cut a stretch off at 0 and `length`, and widen it to `least` round its middle.

    >>> _within(-3.0, 5.0, 10.0, 1.0), _within(9.5, 9.5, 10.0, 1.0), _within(9.5, 9.75, 10.0, 0.0)
    ((0.0, 5.0), (9.0, 10.0), (9.5, 9.75))
    """
    low, high = min(max(low, 0.0), length), min(max(high, 0.0), length)
    if high - low >= least:
        return low, high
    low = min(max((low + high - least) / 2, 0.0), length - least)
    return low, low + least


def _kind(annotation: Annotation) -> int:
    if annotation.shape is None:
        return 2
    return 0 if isinstance(annotation.shape, Rings) else 1
