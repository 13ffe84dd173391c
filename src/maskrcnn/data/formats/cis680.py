"""The set of the course CIS 680: pictures and masks in HDF5, labels and boxes in arrays of objects.

```
<name>_img_comp_zlib.h5      data (N, 3, H, W) uint8
<name>_mask_comp_zlib.h5     data (M, H, W) uint8, those of the first picture, then those of the second, ...
<name>_labels_comp_zlib.npy  (N) objects, each (n) whole numbers: 1 vehicle, 2 person, 3 animal
<name>_bboxes_comp_zlib.npy  (N) objects, each (n, 4) x1, y1, x2, y2
```

The objects are pickles, and are read without running their programs. Pictures are read from the HDF5 file one by one.

Letters: N pictures; M masks; n objects of a picture; H, W height and width.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import accumulate
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Annotation, Box, Dataset, Record, Runs, sift
from maskrcnn.data.formats.fields import FARTHEST
from maskrcnn.data.formats.label_maps import of_mask
from maskrcnn.data.formats.place import Place
from maskrcnn.data.formats.reading import Reading
from maskrcnn.errors import AnnotationError, DataError, ImageError
from maskrcnn.hdf5 import h5py_for, is_here
from maskrcnn.pickles import read_array_rows

CLASSES = ("vehicle", "person", "animal")

_PICTURES, _MASKS = "_img_comp_zlib.h5", "_mask_comp_zlib.h5"
_LABELS, _BOXES = "_labels_comp_zlib.npy", "_bboxes_comp_zlib.npy"
_AT_ONCE = 32  # masks
_LARGEST = 1 << 31  # label
_MOST_PIXELS = 1 << 28
_MOST_CACHE = 1 << 28


class _Objects(NamedTuple):
    first: int  # mask
    labels: NDArray[np.int64]
    boxes: NDArray[np.float64]


def find(place: Place) -> list[Path]:
    """List the files of pictures."""
    return [path for path in place.files if path.name.endswith(_PICTURES)]


def read(source: Path, reading: Reading) -> Dataset:
    """Read a set, given its file of pictures.

    Raises:
        AnnotationError: A file is missing or broken, they disagree, or h5py is missing.
    """
    shape = _shape(source, 4)
    size_hw = shape[2], shape[3]
    if shape[1] not in (1, 3):
        raise AnnotationError(f"{source}: expected pictures of 3 bands, got shape {shape}")
    objects = _objects(source, shape[0])
    runs = _runs(_beside(source, _MASKS), size_hw, sum(len(each.labels) for each in objects))

    def record(numbered: tuple[int, _Objects]) -> Record:
        i, each = numbered
        name = f"{i:0{len(str(shape[0]))}d}"
        where = f"{source}: picture {i}"
        rows = zip(each.labels.tolist(), each.boxes.tolist(), strict=True)
        annotations = tuple(
            Annotation(f"object {k}", _label(label, f"{where}: object {k}"), runs[each.first + k], _box(box, where))
            for k, (label, box) in enumerate(rows)
        )
        return Record(name, source, i + 1, size_hw, annotations, read=partial(read_picture, index=i))

    kept, left_out = sift(reading.each(enumerate(objects), record), source)
    return Dataset(source, "cis680", CLASSES, range(1, len(CLASSES) + 1), kept, left_out)


def read_picture(path: Path, index: int) -> NDArray[np.generic]:
    """Read one picture, (H, W, 3) uint8.

    Raises:
        ImageError: The file is missing or broken.
    """
    with _sentences(path, ImageError):
        picture = _kept_open(path, os.getpid(), path.stat().st_mtime_ns)[index]
    if picture.dtype != np.uint8:
        raise ImageError(f"{path}: expected pictures of uint8, got {picture.dtype}")
    return np.ascontiguousarray(np.broadcast_to(picture.transpose(1, 2, 0), (*picture.shape[1:], 3)))


# Labels and boxes


def _beside(source: Path, ending: str) -> Path:
    """Return one of the other files of the set."""
    path = source.with_name(source.name.removesuffix(_PICTURES) + ending)
    if not path.is_file():
        raise AnnotationError(f"{source}: expected {path.name} beside it, got no such file", code="F001")
    return path


def _objects(source: Path, count: int) -> list[_Objects]:
    """Read labels and boxes of every picture, and count where its masks begin."""
    labels_file, boxes_file = _beside(source, _LABELS), _beside(source, _BOXES)
    rows = []
    for path in (labels_file, boxes_file):
        rows.append(read_array_rows(path, partial(AnnotationError, code="F001")))
        if len(rows[-1]) != count:
            raise AnnotationError(f"{path}: expected {count} rows, one a picture, got {len(rows[-1])}")
    labels = [_labels(row, f"{labels_file}: row {i}") for i, row in enumerate(rows[0])]
    boxes = [
        _boxes(row, len(mine), f"{boxes_file}: row {i}")
        for i, (row, mine) in enumerate(zip(rows[1], labels, strict=True))
    ]
    first = accumulate((len(each) for each in labels), initial=0)
    return [_Objects(*each) for each in zip(first, labels, boxes, strict=False)]


def _labels(row: NDArray[Any], where: str) -> NDArray[np.int64]:
    flat = _real(row, where).reshape(-1)
    flat = np.where(np.isfinite(flat), flat, 0.5)
    if ((np.abs(flat) > _LARGEST) | (np.rint(flat) != flat)).any():
        raise AnnotationError(f"{where}: expected whole numbers, got {row.tolist()}")
    return flat.astype(np.int64)


def _boxes(row: NDArray[Any], count: int, where: str) -> NDArray[np.float64]:
    if row.size != 4 * count:
        raise AnnotationError(f"{where}: expected {count} boxes of 4 numbers, as many as labels, got shape {row.shape}")
    return _real(row, where).reshape(count, 4)


def _real(row: NDArray[Any], where: str) -> NDArray[np.float64]:
    """Take numbers as they are; complex ones, which would lose a part, are refused."""
    if row.dtype.kind not in "biuf":
        raise AnnotationError(f"{where}: expected numbers, got {row.dtype}")
    return row.astype(np.float64)


def _label(number: int, where: str) -> int:
    if not 1 <= number <= len(CLASSES):
        raise AnnotationError(f"{where}: label: expected 1, 2 or 3, got {number}", code="C301")
    return number - 1


def _box(box: Sequence[float], where: str) -> Box:
    x1, y1, x2, y2 = box
    if not (all(abs(side) <= FARTHEST for side in box) and x1 <= x2 and y1 <= y2):
        raise AnnotationError(f"{where}: expected boxes of x1, y1, x2, y2, got {list(box)}")
    return x1, y1, x2, y2


# HDF5


def _shape(path: Path, axes: int) -> tuple[int, ...]:
    """Return the shape of the numbers in a file, which is checked."""
    with _data(path) as data:
        shape: tuple[int, ...] = data.shape
    if len(shape) != axes or min(shape) < 1 or prod(shape[1:]) > _MOST_PIXELS:
        raise AnnotationError(f"{path}: expected {axes} axes, the last two of them height and width, got {shape}")
    return shape


def _runs(path: Path, size_hw: tuple[int, int], count: int) -> list[Runs]:
    """Read all masks, a few at a time."""
    shape = _shape(path, 3)
    if shape != (count, *size_hw):
        raise AnnotationError(
            f"{path}: expected masks of shape {(count, *size_hw)}, as many as labels and as large as the pictures, "
            f"got {shape}"
        )
    with _data(path) as data:
        step = data.chunks[0] if data.chunks else _AT_ONCE
        return [of_mask(mask != 0) for first in range(0, count, step) for mask in data[first : first + step]]


@contextmanager
def _data(path: Path) -> Iterator[Any]:
    """Open the numbers of a file for a while."""
    with _sentences(path, AnnotationError), h5py_for(path, AnnotationError).File(path, "r") as file:
        yield _dataset(file, path)


@lru_cache(maxsize=4)
def _kept_open(path: Path, process: int, changed: int) -> Any:  # noqa: ARG001  # a fork must not share the file
    """Open the numbers of a file to read from it often, with room for the chunks that one picture needs."""
    with _data(path) as data:
        room = 0 if data.chunks is None else data.chunks[0] * prod(data.shape[1:]) * data.dtype.itemsize
    h5py = h5py_for(path, AnnotationError)
    return h5py.File(path, "r", rdcc_nbytes=min(max(2 * room, 1 << 20), _MOST_CACHE))["data"]


def _dataset(file: Any, path: Path) -> Any:
    h5py = h5py_for(path, AnnotationError)
    link = file.get("data", getlink=True)
    data = file.get("data") if isinstance(link, h5py.HardLink) else None
    if not isinstance(data, h5py.Dataset) or data.shape is None or data.dtype.kind not in "biuf" or not is_here(data):
        raise AnnotationError(f"{path}: expected numbers under the key 'data' in this file, got {sorted(file)[:4]}")
    return data


@contextmanager
def _sentences(path: Path, refusal: type[DataError]) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # a broken file can raise anything
        raise refusal(f"{path}: expected an HDF5 file, got a broken one: {error}") from None
