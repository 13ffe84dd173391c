"""Annotations of many pictures as arrays; a record is made when it is asked for.

What Python objects would need a kilobyte for, an annotation has in about two hundred bytes here, most of them
its corners. The arrays may lie in a file and be shared between processes.

Letters: N pictures, R annotations, S rings, C corners of all rings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Annotation, Box, LazyRecords, LeftOut, Record, Rings, Runs, sift

EVERY = -1
"""Stands for all labels of a set."""

NO_SHAPE, RINGS, RUNS = range(3)
BY_ID, BY_POSITION, BY_NAME = range(3)

_BY_ID = re.compile(r"annotation (0|-?[1-9][0-9]{0,17})")
_BY_POSITION = re.compile(r"annotations\[([0-9]{1,18})\]")


@dataclass(frozen=True, eq=False)
class Texts(Sequence[str]):
    """Strings side by side.

    Attributes:
        data: (bytes) uint8. UTF-8.
        starts: (n + 1) int64. Where each begins.
    """

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Texts:
        """Lay strings side by side; lone surrogates, as JSON may have them, are kept.

        >>> list(Texts.of(["a", "", "bc"]))
        ['a', '', 'bc']
        """
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8), _starts([len(text) for text in encoded]))

    def __len__(self) -> int:
        return len(self.starts) - 1

    @overload
    def __getitem__(self, i: int) -> str: ...
    @overload
    def __getitem__(self, i: slice) -> list[str]: ...
    def __getitem__(self, i: int | slice) -> str | list[str]:
        """Return one string, or a list of them."""
        if isinstance(i, slice):
            return [self[k] for k in range(len(self))[i]]
        i = range(len(self))[i]
        return bytes(self.data[self.starts[i] : self.starts[i + 1]]).decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        data, starts = bytes(self.data), self.starts.tolist()
        for start, stop in pairwise(starts):
            yield data[start:stop].decode("utf-8", "surrogatepass")


@dataclass(frozen=True, eq=False)
class Pictures:
    """The pictures of a set.

    Attributes:
        names: Their N file names.
        ids: (N) int64.
        sizes_hw: (N, 2) int64. Upright height and width.
        labelled: (n) int32. The labels that were looked for, picture by picture, or `EVERY`.
        labelled_starts: (N + 1) int64. Where those of each begin; empty where every class was looked for in all.
        notes: What else is known of each picture, as JSON; empty where that is nothing of any.
    """

    names: Texts
    ids: NDArray[np.int64]
    sizes_hw: NDArray[np.int64]
    labelled: NDArray[np.int32]
    labelled_starts: NDArray[np.int64]
    notes: Texts

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        ids: Sequence[int],
        sizes_hw: Sequence[tuple[int, int]],
        columns: Sequence[Mapping[str, str]] = (),
    ) -> Pictures:
        """Lay pictures side by side in which all classes were looked for."""
        notes = [json.dumps(dict(each)) if each else "" for each in columns] if any(columns) else []
        return cls(
            Texts.of(names),
            np.array(ids, dtype=np.int64),
            np.array(sizes_hw, dtype=np.int64).reshape(-1, 2),
            np.zeros(0, dtype=np.int32),
            np.zeros(0, dtype=np.int64),
            Texts.of(notes),
        )


class Known(NamedTuple):
    """Which classes were looked for in a picture.

    Attributes:
        labels: These, at least.
        objects: Whether those of its objects were, too.
        open: These were not, whatever objects there are: there may be more.
    """

    labels: Sequence[int]
    objects: bool = False
    open: Sequence[int] = ()


class Rows(NamedTuple):
    """Annotations side by side.

    Attributes:
        picture: (R) int64. Index of the picture.
        label: (R) int64. Index of the class.
        crowd: (R) bool.
        box: (R, 4) float64. x1, y1, x2, y2 as the source says; nan where it says none.
        area: (R) float64. Pixels as the source says; nan where it says none.
        kind: (R) uint8. `NO_SHAPE`, `RINGS` or `RUNS`.
        first: (R) int64. The first ring, or the first byte of the run lengths.
        length: (R) int64. Rings, or bytes.
        pixels: (R) int64. How many pixels run lengths set.
        naming: (R) uint8. What `number` is: `BY_ID` or `BY_POSITION` in the file, or `BY_NAME` a given one.
        number: (R) int64.
    """

    picture: NDArray[np.int64]
    label: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    box: NDArray[np.float64]
    area: NDArray[np.float64]
    kind: NDArray[np.uint8]
    first: NDArray[np.int64]
    length: NDArray[np.int64]
    pixels: NDArray[np.int64]
    naming: NDArray[np.uint8]
    number: NDArray[np.int64]

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Rows:
        """Return some of the rows."""
        return Rows._make(column[index] for column in self)


@dataclass(frozen=True, eq=False)
class Columns:
    """A set as arrays.

    Attributes:
        pictures: Its N pictures.
        rows: Its R annotations, picture by picture.
        starts: (N + 1) int64. Where the annotations of each picture begin.
        ring_starts: (S + 1) int64. Where the corners of each ring begin.
        corners: (C, 2) float64. x, y in continuous pixels.
        runs: (bytes) uint8. COCO's compressed run lengths.
        names: What annotations are called that have neither an id nor a position.
    """

    pictures: Pictures
    rows: Rows
    starts: NDArray[np.int64]
    ring_starts: NDArray[np.int64]
    corners: NDArray[np.float64]
    runs: NDArray[np.uint8]
    names: Texts

    def annotations(self, i: int) -> Iterator[Annotation]:
        """Make the annotations of picture i."""
        start, stop = self.starts[i : i + 2].tolist()
        rows = zip(*(column[start:stop].tolist() for column in self.rows), strict=True)
        for _, label, crowd, box, area, kind, first, length, pixels, naming, number in rows:
            yield Annotation(
                self._name(naming, number),
                label,
                None if kind == NO_SHAPE else self._shape(kind, first, length, pixels),
                None if box[0] != box[0] else tuple(box),
                None if area != area else area,
                crowd,
            )

    def _name(self, naming: int, number: int) -> str:
        if naming == BY_NAME:
            return self.names[number]
        return f"annotation {number}" if naming == BY_ID else f"annotations[{number}]"

    def _shape(self, kind: int, first: int, length: int, pixels: int) -> Rings | Runs:
        if kind == RUNS:
            return Runs(self.runs[first : first + length].tobytes().decode("ascii"), pixels)
        edges = self.ring_starts[first : first + length + 1].tolist()
        return Rings(tuple(self.corners[a:b] for a, b in pairwise(edges)))

    def labelled(self, i: int) -> frozenset[int] | None:
        """Return the labels that were looked for in picture i; None for all of them."""
        starts = self.pictures.labelled_starts
        if not len(starts):
            return None
        labels = frozenset(self.pictures.labelled[starts[i] : starts[i + 1]].tolist())
        return None if EVERY in labels else labels


class ColumnRecords(LazyRecords):
    """The records of a set that is kept as arrays.

    Args:
        columns: The arrays.
        paths: Where each of the N pictures lies.
    """

    def __init__(self, columns: Columns, paths: Sequence[Path]) -> None:
        self.columns = columns
        self.paths = paths

    def __len__(self) -> int:
        """Return N."""
        return len(self.columns.pictures.ids)

    def head(self, i: int) -> Record:
        """Make a record without its annotations."""
        pictures = self.columns.pictures
        h, w = pictures.sizes_hw[i].tolist()
        note = pictures.notes[i] if len(pictures.notes) else ""
        columns: dict[str, str] = json.loads(note) if note else {}
        labelled = self.columns.labelled(i)
        return Record(pictures.names[i], self.paths[i], int(pictures.ids[i]), (h, w), (), labelled, columns)

    def annotations(self, i: int) -> tuple[Annotation, ...]:
        """Make the annotations of a picture."""
        return tuple(self.columns.annotations(i))


class Corners(NamedTuple):
    """Rings side by side: `lengths` (S) int64, the corners of each, at least 1; `xy` (C, 2) float64."""

    lengths: NDArray[np.int64]
    xy: NDArray[np.float64]


class Placed(NamedTuple):
    """An annotation with its position in the file and the index of its picture."""

    position: int
    picture: int
    annotation: Annotation


class Builder:
    """Gathers annotations in any order of their pictures, and lays them out as arrays."""

    def __init__(self) -> None:
        self._rows: list[Rows] = []
        self._positions: list[NDArray[np.int64]] = []
        self._extents: list[NDArray[np.float64]] = []
        self._ring_lengths: list[NDArray[np.int64]] = []
        self._corners: list[NDArray[np.float64]] = []
        self._runs: list[bytes] = []
        self._names: list[str] = []
        self._count_of_rings, self._count_of_bytes = 0, 0

    def add_rings(self, positions: NDArray[np.int64], rows: Rows, corners: Corners) -> None:
        """Add annotations that are outlines.

        Args:
            positions: (R) int64. Where each stands in the file.
            rows: The annotations; `first` counts within `corners`, without gaps.
            corners: Their rings.
        """
        if not len(positions):
            return
        edges = _starts(corners.lengths)[:-1]
        least, most = np.minimum.reduceat(corners.xy, edges), np.maximum.reduceat(corners.xy, edges)
        extents = np.concatenate(
            [np.minimum.reduceat(least, rows.first), np.maximum.reduceat(most, rows.first)], axis=1
        )
        self._add(positions, rows._replace(first=rows.first + self._count_of_rings), extents)
        self._ring_lengths.append(corners.lengths)
        self._corners.append(corners.xy)
        self._count_of_rings += len(corners.lengths)

    def add(self, placed: Sequence[Placed]) -> None:
        """Add annotations of any kind."""
        if not placed:
            return
        annotations = [each.annotation for each in placed]
        shapes = [annotation.shape for annotation in annotations]
        spans = np.array([self._keep(shape) for shape in shapes], dtype=np.int64)
        naming, number = zip(*(self._number(annotation.name) for annotation in annotations), strict=True)
        rows = Rows(
            np.array([each.picture for each in placed], dtype=np.int64),
            np.array([annotation.label for annotation in annotations], dtype=np.int64),
            np.array([annotation.crowd for annotation in annotations], dtype=np.bool_),
            _boxes([annotation.box for annotation in annotations]),
            np.array([annotation.area for annotation in annotations], dtype=np.float64),
            np.array([_kind(shape) for shape in shapes], dtype=np.uint8),
            spans[:, 0],
            spans[:, 1],
            np.array([shape.pixels if isinstance(shape, Runs) else 0 for shape in shapes], dtype=np.int64),
            np.array(naming, dtype=np.uint8),
            np.array(number, dtype=np.int64),
        )
        extents = _boxes([annotation.extent() for annotation in annotations])
        self._add(np.array([each.position for each in placed], dtype=np.int64), rows, extents)

    def _add(self, positions: NDArray[np.int64], rows: Rows, extents: NDArray[np.float64]) -> None:
        self._rows.append(rows)
        self._positions.append(positions)
        self._extents.append(extents)

    def _keep(self, shape: Rings | Runs | None) -> tuple[int, int]:
        """Keep a shape; return where it begins and how long it is."""
        if isinstance(shape, Rings):
            first = self._count_of_rings
            self._ring_lengths.append(np.array([len(ring) for ring in shape.rings], dtype=np.int64))
            self._corners += shape.rings
            self._count_of_rings += len(shape.rings)
            return first, len(shape.rings)
        if isinstance(shape, Runs):
            first, counts = self._count_of_bytes, shape.counts.encode("ascii")
            self._runs.append(counts)
            self._count_of_bytes += len(counts)
            return first, len(counts)
        return 0, 0

    def _number(self, name: str) -> tuple[int, int]:
        """Return how an annotation is named, and its number."""
        for naming, pattern in ((BY_ID, _BY_ID), (BY_POSITION, _BY_POSITION)):
            match = pattern.fullmatch(name)
            if match:
                return naming, int(match[1])
        self._names.append(name)
        return BY_NAME, len(self._names) - 1

    def finish(self, pictures: Pictures, source: Path) -> tuple[Columns, list[LeftOut]]:
        """Lay everything out, and part the annotations that become objects from those that can't.

        Args:
            pictures: The pictures that the annotations belong to.
            source: The annotation file.
        """
        rows = Rows._make(np.concatenate(column) for column in zip(_no_rows(), *self._rows, strict=True))
        positions = np.concatenate([np.zeros(0, dtype=np.int64), *self._positions])
        self._rows.clear()
        unfit = _unfit(rows, np.concatenate([np.zeros((0, 4)), *self._extents]), pictures.sizes_hw[rows.picture])
        self._extents.clear()
        order = np.lexsort((positions, rows.picture))
        if not (order[1:] > order[:-1]).all():
            rows, unfit = rows.take(order), unfit[order]
        ring_starts = _starts(np.concatenate([np.zeros(0, dtype=np.int64), *self._ring_lengths]))
        corners = np.concatenate([np.zeros((0, 2)), *self._corners])
        self._corners.clear()
        runs = np.frombuffer(b"".join(self._runs), dtype=np.uint8)
        starts = _row_starts(rows, pictures)
        every = Columns(pictures, rows, starts, ring_starts, corners, runs, Texts.of(self._names))
        left_out = _left_out(every, np.unique(rows.picture[unfit]), source)
        kept = rows.take(~unfit) if left_out else rows
        return replace(every, rows=kept, starts=_row_starts(kept, pictures)), left_out


def _row_starts(rows: Rows, pictures: Pictures) -> NDArray[np.int64]:
    return _starts(np.bincount(rows.picture, minlength=len(pictures.ids)))


def label_sets(columns: Columns, known: Sequence[Known | None]) -> Pictures:
    """Return the pictures with the labels that were looked for in each.

    Args:
        columns: The set.
        known: What is known of each picture; None where every class was looked for.
    """
    said = [(i, label) for i, each in enumerate(known) for label in ((EVERY,) if each is None else each.labels)]
    left_open = {(i, label) for i, each in enumerate(known) if each is not None for label in each.open}
    objects = np.array([each is not None and each.objects for each in known], dtype=np.bool_)[columns.rows.picture]
    shown = np.stack([columns.rows.picture, columns.rows.label], axis=1)[objects]
    pairs = np.unique(np.concatenate([np.array(said, dtype=np.int64).reshape(-1, 2), shown]), axis=0)
    closed = np.array([(i, label) not in left_open for i, label in pairs.tolist()], dtype=np.bool_)
    pairs = pairs[closed] if left_open else pairs
    return replace(
        columns.pictures,
        labelled=pairs[:, 1].astype(np.int32),
        labelled_starts=_starts(np.bincount(pairs[:, 0], minlength=len(known))),
    )


def _left_out(columns: Columns, pictures: NDArray[np.int64], source: Path) -> list[LeftOut]:
    nowhere = [Path()] * len(columns.pictures.ids)
    records = ColumnRecords(columns, nowhere)
    return sift((records[i] for i in pictures.tolist()), source)[1]


def _unfit(rows: Rows, extents: NDArray[np.float64], sizes_hw: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which annotations can't become objects, as `sift` does.

    Args:
        rows: R annotations.
        extents: (R, 4) float64. The outline's box or else the stated one; nan where there is none.
        sizes_hw: (R, 2) int64. Those of their pictures.
    """
    x1, y1, x2, y2 = extents.T
    h, w = sizes_hw.T
    beyond = (x1 >= w) | (y1 >= h) | (x2 < 0) | (y2 < 0) | ((x2 == 0) & (x1 < 0)) | ((y2 == 0) & (y1 < 0))
    no_area = (rows.kind == NO_SHAPE) & ((x1 == x2) | (y1 == y2))
    unfit: NDArray[np.bool_] = (np.isnan(x1) | beyond | no_area) & (rows.pixels == 0)
    return unfit


def _no_rows() -> Rows:
    whole, byte = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint8)
    numbers = np.zeros((0, 4)), np.zeros(0)
    return Rows(whole, whole, np.zeros(0, dtype=np.bool_), *numbers, byte, whole, whole, whole, byte, whole)


def _kind(shape: Rings | Runs | None) -> int:
    return RINGS if isinstance(shape, Rings) else RUNS if isinstance(shape, Runs) else NO_SHAPE


def _boxes(boxes: Sequence[Box | None]) -> NDArray[np.float64]:
    return np.array([(np.nan,) * 4 if box is None else box for box in boxes], dtype=np.float64).reshape(-1, 4)


def _starts(lengths: NDArray[np.int64] | Sequence[int]) -> NDArray[np.int64]:
    """Return where each of some stretches begins, and the end of the last."""
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts
