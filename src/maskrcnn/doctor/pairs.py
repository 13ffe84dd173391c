"""Objects of one picture that share their pixels.

Letters: n objects of a picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.findings import Finding
from maskrcnn.doctor.columns import Columns
from maskrcnn.ops.rle import Bitmap

SAME = 0.95
"""IoU from which two objects count as one."""

HEAVY = 0.75
"""IoU from which at most one of two objects of a class is found."""

_WORTH_DRAWING = 0.6  # IoU of the boxes


def overlaps(columns: Columns) -> Iterator[Finding]:
    """Report objects that stand twice, with one class or two, and those that hide each other."""
    first = np.searchsorted(columns.picture, np.arange(len(columns.records) + 1)).tolist()
    for start, stop in pairwise(first):
        if stop - start > 1:
            yield from _of_picture(columns, start, stop)


def _of_picture(columns: Columns, start: int, stop: int) -> Iterator[Finding]:
    close = np.triu(_box_iou(columns.extent[start:stop]) >= _WORTH_DRAWING, 1)
    usable = ~columns.crowd[start:stop]
    close &= usable[:, None] & usable
    told: set[int] = set()
    for i, j in np.argwhere(close).tolist():
        one, other = start + i, start + j
        iou = _iou(columns, one, other)
        code = _code(iou, columns.label[one] == columns.label[other])
        if code and other not in told:
            told.add(other)
            yield columns.finding(code, other, _detail(columns, code, one, iou))


def _code(iou: float, same_class: bool) -> str:
    if iou > SAME:
        return "G210" if same_class else "G212"
    return "G211" if same_class and iou > HEAVY else ""


def _detail(columns: Columns, code: str, one: int, iou: float) -> str:
    name = columns.annotations[one].name
    if code == "G212":
        name += f" ({columns.class_names[columns.label[one]]})"
    return f"{'shares its pixels with' if code == 'G211' else 'the same as'} {name}, IoU {iou:.2f}"


def _box_iou(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (n, n) float64; a box without extent counts as a hundredth of a pixel."""
    low, high = boxes[:, :2], np.maximum(boxes[:, 2:], boxes[:, :2] + 0.1)
    shared = (np.minimum(high[:, None], high) - np.maximum(low[:, None], low)).clip(0).prod(axis=2)
    area = (high - low).prod(axis=1)
    iou: NDArray[np.float64] = shared / (area[:, None] + area - shared)
    return iou


def _iou(columns: Columns, one: int, other: int) -> float:
    a, b = columns.bitmap(one), columns.bitmap(other)
    if a is None or b is None or not a.pixels.any() or not b.pixels.any():
        return float(_box_iou(columns.extent[[one, other]])[0, 1])
    shared = np.count_nonzero(_window(a, b) & _window(b, a))
    return shared / (np.count_nonzero(a.pixels) + np.count_nonzero(b.pixels) - shared)


def _window(a: Bitmap, b: Bitmap) -> NDArray[np.bool_]:
    """Return the pixels of a in the window that both have."""
    x1, y1 = max(a.x, b.x), max(a.y, b.y)
    x2 = min(a.x + a.pixels.shape[1], b.x + b.pixels.shape[1])
    y2 = min(a.y + a.pixels.shape[0], b.y + b.pixels.shape[0])
    return a.pixels[y1 - a.y : max(y2, y1) - a.y, x1 - a.x : max(x2, x1) - a.x]
