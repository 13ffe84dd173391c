"""The objects of some pictures in columns, so that a check of thousands is a few array operations.

Letters: N objects, R rings, M corners of all rings; H, W height and width of a picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Annotation, Dataset, Record, Rings, Runs
from maskrcnn.data.findings import Finding
from maskrcnn.ops.rle import Bitmap, decompress

AT_ONCE = 1000  # pictures
NOTHING = (np.nan,) * 4


@dataclass(frozen=True)
class Columns:
    """Objects of a few pictures, N rows.

    Attributes:
        source: The annotation file.
        class_names: The K classes.
        first: Which picture of the set the first one is.
        records: The pictures.
        annotations: The N objects, picture by picture.
        picture: (N) int64. Which of the records each belongs to.
    """

    source: str
    class_names: tuple[str, ...]
    first: int
    records: tuple[Record, ...]
    annotations: tuple[Annotation, ...]
    picture: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.annotations)

    def finding(self, code: str, row: int, detail: str) -> Finding:
        """Return a finding about an object."""
        record = self.records[self.picture[row]]
        return Finding(code, self.source, record.name, self.annotations[row].name, detail)

    def bitmap(self, row: int) -> Bitmap | None:
        """Draw an object; None where it has a box only."""
        shape = self.annotations[row].shape
        return None if shape is None else shape.bitmap(self.records[self.picture[row]].size_hw)

    @cached_property
    def label(self) -> NDArray[np.int64]:
        """(N) int64. Index into the class names."""
        return np.array([each.label for each in self.annotations], dtype=np.int64)

    @cached_property
    def crowd(self) -> NDArray[np.bool_]:
        """(N) bool. Where nothing is learnt."""
        return np.array([each.crowd for each in self.annotations], dtype=np.bool_)

    @cached_property
    def size_hw(self) -> NDArray[np.float64]:
        """(N, 2) float64. Height and width of the picture of each object."""
        sizes = np.array([record.size_hw for record in self.records], dtype=np.float64).reshape(-1, 2)
        return sizes[self.picture]

    @cached_property
    def stated_box(self) -> NDArray[np.float64]:
        """(N, 4) float64. x1, y1, x2, y2 as the file says; NaN where it says none."""
        boxes = [NOTHING if each.box is None else each.box for each in self.annotations]
        return np.array(boxes, dtype=np.float64).reshape(-1, 4)

    @cached_property
    def stated_area(self) -> NDArray[np.float64]:
        """(N) float64. Pixels as the file says; NaN where it says none."""
        return np.array([np.nan if each.area is None else each.area for each in self.annotations], dtype=np.float64)

    @cached_property
    def rings(self) -> Outlines:
        """The corners of all outlines."""
        owners = [row for row, each in enumerate(self.annotations) if isinstance(each.shape, Rings)]
        rings = [(row, ring) for row in owners for ring in _rings_of(self.annotations[row])]
        return Outlines(np.array([row for row, _ in rings], dtype=np.int64), [ring for _, ring in rings])

    @cached_property
    def masked(self) -> NDArray[np.bool_]:
        """(N) bool. Where an object has more than a box."""
        return np.array([each.shape is not None for each in self.annotations], dtype=np.bool_)

    @cached_property
    def runs(self) -> NDArray[np.int64]:
        """(N) int64. How many runs of set pixels a mask of run lengths has; 0 where it has an outline."""
        return self._runs[0]

    @cached_property
    def extent(self) -> NDArray[np.float64]:
        """(N, 4) float64. x1, y1, x2, y2 of the outline or run lengths, or else of the stated box."""
        extent = self.stated_box.copy()
        of_runs = self._runs[1]
        drawn = np.isfinite(of_runs[:, 0])
        extent[drawn] = of_runs[drawn]
        if len(self.rings):
            low, high = self.rings.extents
            rows = np.unique(self.rings.owner)
            first = np.searchsorted(self.rings.owner, rows)
            extent[rows, :2] = np.minimum.reduceat(low, first)
            extent[rows, 2:] = np.maximum.reduceat(high, first)
        return extent

    @cached_property
    def area(self) -> NDArray[np.float64]:
        """(N) float64. Pixels of run lengths, the area that outlines enclose, or that of the stated box."""
        sides = self.stated_box[:, 2:] - self.stated_box[:, :2]
        area: NDArray[np.float64] = sides.prod(axis=1)
        for row, each in enumerate(self.annotations):
            if isinstance(each.shape, Runs):
                area[row] = each.shape.pixels
        if len(self.rings):
            area[self.rings.owner] = 0
            np.add.at(area, self.rings.owner, np.abs(self.rings.areas))
        return area

    @cached_property
    def _runs(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        count = np.zeros(len(self), dtype=np.int64)
        extent = np.full((len(self), 4), np.nan)
        for row, each in enumerate(self.annotations):
            if isinstance(each.shape, Runs) and each.shape.pixels:
                H = self.records[self.picture[row]].size_hw[0]
                count[row], extent[row] = _measure_runs(decompress(each.shape.counts), H)
        return count, extent


@dataclass(frozen=True)
class Outlines:
    """The rings of some objects.

    Attributes:
        owner: (R) int64, rising. Which object each ring is part of.
        rings: Each (V, 2) float64 x, y.
    """

    owner: NDArray[np.int64]
    rings: list[NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.rings)

    @cached_property
    def corners(self) -> NDArray[np.float64]:
        """(M, 2) float64. All corners, ring after ring."""
        return np.concatenate(self.rings)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """(R) int64. Corners of each ring."""
        return np.array([len(ring) for ring in self.rings], dtype=np.int64)

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """(R) int64. Where each ring begins among the corners."""
        starts: NDArray[np.int64] = np.cumsum(self.counts) - self.counts
        return starts

    @cached_property
    def extents(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Least and largest x, y of each ring, (R, 2) float64 each."""
        return np.minimum.reduceat(self.corners, self.first), np.maximum.reduceat(self.corners, self.first)

    @cached_property
    def edges(self) -> NDArray[np.float64]:
        """(M, 2) float64. From each corner to the next of its ring."""
        following = np.arange(1, len(self.corners) + 1)
        following[self.first + self.counts - 1] = self.first
        step: NDArray[np.float64] = self.corners[following] - self.corners
        return step

    @cached_property
    def areas(self) -> NDArray[np.float64]:
        """(R) float64. What each ring encloses, with the sign of its turn."""
        from_first = self.corners - np.repeat(self.corners[self.first], self.counts, axis=0)
        cross = from_first[:, 0] * self.edges[:, 1] - from_first[:, 1] * self.edges[:, 0]
        doubled: NDArray[np.float64] = np.add.reduceat(cross, self.first)
        return doubled / 2


def in_chunks(dataset: Dataset, index: Sequence[int], at_once: int = AT_ONCE) -> Iterator[Columns]:
    """Take some pictures of a set, a thousand at a time."""
    for first in range(0, len(index), at_once):
        records = tuple(dataset.records[i] for i in index[first : first + at_once])
        yield columns_of(dataset, records, first)


def columns_of(dataset: Dataset, records: Sequence[Record], first: int = 0) -> Columns:
    """Lay the objects of some pictures of a set out in columns."""
    counts = [len(record.annotations) for record in records]
    return Columns(
        str(dataset.source),
        dataset.class_names,
        first,
        tuple(records),
        tuple(each for record in records for each in record.annotations),
        np.repeat(np.arange(len(records)), counts),
    )


def _rings_of(annotation: Annotation) -> tuple[NDArray[np.float64], ...]:
    assert isinstance(annotation.shape, Rings)
    return annotation.shape.rings


def _measure_runs(counts: NDArray[np.int64], H: int) -> tuple[int, tuple[int, int, int, int]]:
    """Return how many runs are set, and x1, y1, x2, y2 round them."""
    edges = np.cumsum(counts)
    start, stop = edges[0::2][: len(edges) // 2], edges[1::2]
    filled = stop > start
    start, last = start[filled], stop[filled] - 1
    wraps = (start // H != last // H).any()
    y1, y2 = (0, H) if wraps else (int((start % H).min()), int((last % H).max()) + 1)
    return len(start), (int(start.min()) // H, y1, int(last.max()) // H + 1, y2)
