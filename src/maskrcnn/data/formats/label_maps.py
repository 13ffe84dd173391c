"""Label images: one value an object, parted into run lengths in one pass over the picture.

Letters: H, W height and width of the picture; R runs of equal values down its columns.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from os import cpu_count
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Runs
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.images import read_labels
from maskrcnn.errors import AnnotationError
from maskrcnn.ops.rle import Bitmap, compress

MOST_OBJECTS = 20_000
"""More values than this are a photograph rather than objects."""

_WORTH_THREADS = 8  # files
_MOST_THREADS = 8

T = TypeVar("T")
R = TypeVar("R")


def split(labels: NDArray[np.generic]) -> dict[int, Runs]:
    """Part a label image into its objects, in time that does not depend on how many there are.

    Args:
        labels: (H, W) whole numbers; 0 is background.

    Returns:
        The run lengths of every other value, in ascending order.

    >>> {value: runs.pixels for value, runs in split(np.array([[0, 7, 7], [3, 0, 7]])).items()}
    {3: 1, 7: 3}
    """
    first, last, values = _runs(labels)
    order = np.argsort(values, kind="stable")
    first, last = first[order], last[order]
    ids, starts = np.unique(values[order], return_index=True)
    bounds = np.append(starts, len(values))
    parted = {}
    for i, value in enumerate(ids.tolist()):
        of_one = slice(bounds[i], bounds[i + 1])
        parted[value] = _encode(first[of_one], last[of_one], labels.size)
    return parted


def of_mask(mask: NDArray[np.bool_]) -> Runs:
    """Take all set pixels of (H, W) bool as one object."""
    height, width = mask.shape
    return Runs.of(Bitmap(0, 0, mask), (height, width))


def _runs(labels: NDArray[np.generic]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.generic]]:
    """Return first pixel, the one behind the last, and value of R runs, counted down the columns."""
    down = labels.T.reshape(-1)
    first = np.flatnonzero(np.append(True, down[1:] != down[:-1])).astype(np.int64)
    last = np.append(first[1:], down.size)
    values = down[first]
    kept = values != 0
    return first[kept], last[kept], values[kept]


def _encode(first: NDArray[np.int64], last: NDArray[np.int64], size: int) -> Runs:
    edges = np.stack([first, last], axis=1).reshape(-1)
    counts = np.diff(np.concatenate([[0], edges, [size]]))
    ends_set = edges.size > 0 and edges[-1] == size
    return Runs(compress(counts[:-1] if ends_set else counts), int((last - first).sum()))


def read_ids(path: Path) -> NDArray[np.int64]:
    """Read an image that has one value, or one colour, an object.

    Returns:
        (H, W) int64. Values as they are stored; a colour is R·65536 + G·256 + B; transparent pixels are 0.

    Raises:
        ImageError: It can't be read.
        AnnotationError: Its values can't be ids: fractions, or as many as a photograph has.
    """
    stored = read_labels(path)
    if stored.dtype.kind == "f" and not _are_whole(stored):
        raise AnnotationError(f"{path}: expected one whole number an object, got fractions")
    ids = _packed(stored, path)
    # neighbours of a photograph differ nearly everywhere, and are counted sooner than its values
    if np.count_nonzero(ids[:, 1:] != ids[:, :-1]) > MOST_OBJECTS and len(np.unique(ids)) > MOST_OBJECTS:
        raise AnnotationError(
            f"{path}: expected one value an object, got more than {MOST_OBJECTS:,} values; is it a photograph?"
        )
    return ids


def _are_whole(values: NDArray[np.generic]) -> bool:
    numbers = values.astype(np.float64)
    return bool((np.abs(numbers) < 2**53).all() and (numbers == np.floor(numbers)).all())


def _packed(stored: NDArray[np.generic], path: Path) -> NDArray[np.int64]:
    bands = stored.astype(np.int64)
    if stored.ndim == 2:
        return bands
    colours, alpha = (bands[..., :-1], bands[..., -1]) if bands.shape[2] in (2, 4) else (bands, None)
    if (colours == colours[..., :1]).all():
        ids = colours[..., 0]
    elif stored.dtype in (np.uint8, np.uint16):
        bits = 8 * stored.dtype.itemsize
        ids = (colours[..., 0] << 2 * bits) + (colours[..., 1] << bits) + colours[..., 2]
    else:
        raise AnnotationError(f"{path}: expected one band, or colours of 8 or 16 bits, got {stored.dtype}")
    return ids if alpha is None else np.where(alpha == 0, 0, ids)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Read an image of one object: 0 and 1, 0 and 255, a palette, colours on black, or alpha.

    Where alpha varies, it is the mask. Otherwise a pixel is set where its brightest band is more than half of the
    brightest in the picture, so that soft borders and the noise of a JPEG do no harm.

    Returns:
        (H, W) bool.

    Raises:
        ImageError: It can't be read.
    """
    stored = read_labels(path)
    if stored.ndim == 3 and stored.shape[2] in (2, 4):
        alpha = stored[..., -1]
        stored = alpha if (alpha != alpha.flat[0]).any() else stored[..., :-1]
    brightness: NDArray[np.generic] = stored if stored.ndim == 2 else stored.max(axis=2)
    most = brightness.max().item()
    return np.asarray(np.greater(brightness, most / 2 if isinstance(most, float) else most // 2))


def each_file(reading: Reading, items: Sequence[T], parse: Callable[[T], R]) -> list[R]:
    """Parse one item after the other as `reading.each` does, decoding several files at once.

    Args:
        reading: What becomes of faults.
        items: Each names the files of one object or picture.
        parse: Called in threads.
    """
    if len(items) < _WORTH_THREADS:
        return list(reading.each(items, parse))
    threads = ThreadPoolExecutor(min(cpu_count() or 1, _MOST_THREADS))
    with warnings.catch_warnings():  # the decoders set aside warnings in every thread, and not in turn
        try:
            jobs: list[Future[R]] = [threads.submit(parse, item) for item in items]
            return list(reading.each(jobs, Future.result))
        finally:
            threads.shutdown(cancel_futures=True)
