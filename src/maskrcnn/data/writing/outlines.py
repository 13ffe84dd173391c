"""Which outline of an object is written: its own or the border of its pixels, and what it becomes when read.

Letters: V corners of a ring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from maskrcnn.data.dataset import Rings, Runs
from maskrcnn.data.writing.tally import EXACT, overlap
from maskrcnn.ops.outlines import Ring, simplify
from maskrcnn.ops.polygons import Polygon, rasterise, trace
from maskrcnn.ops.rle import Bitmap

LEAST_IOU = 0.5
"""An object whose simplified outline would overlap its mask by less is written exactly."""

T = TypeVar("T")


def fitted(
    shape: Rings | Runs | None,
    bitmap: Bitmap,
    tolerance: float,
    write: Callable[[list[Polygon]], T],
    draw: Callable[[T], Bitmap],
) -> tuple[T, float]:
    """Return the first way to write an object that is good enough when it is read again, and its overlap.

    With a tolerance of 0 that is the object's own outline if it has one and the format can say it, or else the
    exact border of its pixels.

    Args:
        shape: What the object came as.
        bitmap: Its pixels.
        tolerance: Pixels by which an outline may be simplified, from 0 up.
        write: Makes what the format says of some parts.
        draw: Draws that as the format's reader does.
    """
    least = LEAST_IOU if tolerance else EXACT
    best: tuple[T, float] | None = None
    for parts in _ways(shape, bitmap, tolerance):
        written = write(parts)
        iou = overlap(draw(written), bitmap)
        if best is None or iou > best[1]:
            best = written, iou
        if iou >= least:
            break
    assert best is not None  # there is always the border of the pixels
    return best


def _ways(shape: Rings | Runs | None, bitmap: Bitmap, tolerance: float) -> Iterator[list[Polygon]]:
    if isinstance(shape, Rings):
        own = [Polygon(ring, ()) for ring in shape.rings]
        yield simplified(own, tolerance)
        if tolerance:
            yield own
    border = trace(bitmap)
    if tolerance:
        yield simplified(border, tolerance)
    yield border


def simplified(parts: list[Polygon], tolerance: float) -> list[Polygon]:
    """Drop corners of every ring of some parts; a tolerance of 0 leaves them as they are."""
    if not tolerance:
        return parts
    return [
        Polygon(simplify(part.exterior, tolerance), tuple(simplify(hole, tolerance) for hole in part.holes))
        for part in parts
    ]


def polygons_or_pixels(
    shape: Rings | Runs | None, bitmap: Bitmap, tolerance: float, size_hw: tuple[int, int]
) -> tuple[list[Ring] | Bitmap, float]:
    """Return the outlines of an object's parts, or its pixels where it has a hole, and the overlap when read.

    Args:
        shape: What the object came as.
        bitmap: Its pixels.
        tolerance: Pixels by which an outline may be simplified, from 0 up.
        size_hw: Height and width of the picture.
    """

    def write(parts: list[Polygon]) -> list[Ring] | Bitmap:
        return bitmap if any(part.holes for part in parts) else [part.exterior for part in parts]

    def draw(said: list[Ring] | Bitmap) -> Bitmap:
        return said if isinstance(said, Bitmap) else rasterise(said, size_hw)

    return fitted(shape, bitmap, tolerance, write, draw)
