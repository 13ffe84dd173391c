"""Flips, turns, crops and resizes that move the picture, the boxes and the masks of a sample as one.

All but `resize` only move pixels: a mask keeps its window, and no array as large as the picture is made for
it. A box whose mask has pixels becomes that mask's tight box; a box without a mask is moved itself.

Letters: H, W height and width of the picture; h, w of a window; N instances.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from maskrcnn.ops.pixels import Flip, Resample, Step, TurnLeft, Window, change
from maskrcnn.ops.resize import Size
from maskrcnn.ops.rle import EMPTY_BITMAP, Bitmap, clip, trim
from maskrcnn.structures import Bitmaps, Instances, Sample


def flip_horizontally(sample: Sample) -> Sample:
    """Swap left and right."""
    H, W = sample.instances.size_hw
    x1, y1, x2, y2 = sample.instances.boxes.T
    return _moved(
        sample,
        Flip(2),
        (H, W),
        np.stack([W - x2, y1, W - x1, y2], axis=1),
        lambda mask: Bitmap(W - mask.x - mask.pixels.shape[1], mask.y, mask.pixels[:, ::-1]),
    )


def flip_vertically(sample: Sample) -> Sample:
    """Swap top and bottom."""
    H, W = sample.instances.size_hw
    x1, y1, x2, y2 = sample.instances.boxes.T
    return _moved(
        sample,
        Flip(1),
        (H, W),
        np.stack([x1, H - y2, x2, H - y1], axis=1),
        lambda mask: Bitmap(mask.x, H - mask.y - mask.pixels.shape[0], mask.pixels[::-1]),
    )


def turn_left(sample: Sample) -> Sample:
    """Turn by 90 degrees against the clock: the right edge becomes the top."""
    H, W = sample.instances.size_hw
    x1, y1, x2, y2 = sample.instances.boxes.T
    return _moved(
        sample,
        TurnLeft(),
        (W, H),
        np.stack([y1, W - x2, y2, W - x1], axis=1),
        lambda mask: Bitmap(mask.y, W - mask.x - mask.pixels.shape[1], np.rot90(mask.pixels)),
    )


def crop(sample: Sample, x: int, y: int, size_hw: tuple[int, int], min_share: float = 0.1) -> Sample:
    """Cut out a window of the picture and keep what remains of its objects.

    An object of which nothing remains is not in the new picture. One of which less than `min_share` remains
    is marked `crowd`, so that its region is ignored: a sliver is neither a fair example of its class nor
    background.

    Args:
        sample: The picture and its objects.
        x: Column of the window's upper left pixel.
        y: Row of the window's upper left pixel.
        size_hw: Height and width of the window, which lies inside the picture.
        min_share: Share of an object's own area (mask pixels, or the box where there is no mask), 0 to 1.
    """
    window = change(sample.image, Window(x, y, size_hw), size_hw)
    return replace(sample, image=window, instances=crop_instances(sample.instances, x, y, size_hw, min_share))


def crop_instances(instances: Instances, x: int, y: int, size_hw: tuple[int, int], min_share: float = 0.1) -> Instances:
    """Keep what remains of objects in a window of their picture, as `crop` does, whose arguments these are."""
    h, w = size_hw
    boxes = np.clip(instances.boxes - np.array([x, y, x, y]), 0, np.array([w, h, w, h]))
    moved = _moved_instances(
        instances, size_hw, boxes, lambda mask: clip(Bitmap(mask.x - x, mask.y - y, mask.pixels), size_hw)
    )
    share = _remaining(instances, moved, boxes)
    return replace(moved, crowd=instances.crowd | (share < min_share))[share > 0]


def resize(sample: Sample, size_hw: tuple[int, int], sampling: str = "antialias") -> Sample:
    """Resample to another size, the picture as in prediction, the masks by covered area (`resize_mask`).

    A picture that is not uint8 becomes float32. At its own size nothing changes.

    Args:
        sample: The picture and its objects.
        size_hw: Height and width to reach.
        sampling: How the pixels are made, a value of `InputConfig.sampling`.
    """
    if size_hw == sample.instances.size_hw:
        return sample
    image = change(sample.image, Resample(size_hw, sampling), size_hw)
    return replace(sample, image=image, instances=resize_instances(sample.instances, size_hw))


def resize_instances(instances: Instances, size_hw: tuple[int, int]) -> Instances:
    """Move objects to another size of their picture, as `resize` does."""
    (H, W), (h, w) = instances.size_hw, size_hw
    if size_hw == (H, W):
        return instances
    boxes = instances.boxes * np.array([w / W, h / H, w / W, h / H])
    return _moved_instances(instances, size_hw, boxes, lambda mask: resize_mask(mask, (H, W), size_hw))


def resize_mask(mask: Bitmap, size_hw: tuple[int, int], new_hw: tuple[int, int]) -> Bitmap:
    """Set each new pixel of which the mask covers half or more, exactly; where none is, those it covers most.

    The covered area is a difference of cumulative sums inside the window, in integers, so that a half is a
    half and a mask with pixels never vanishes.

    Args:
        mask: A mask in a picture of `size_hw`.
        size_hw: Height and width of the picture.
        new_hw: Height and width to reach.

    >>> resize_mask(Bitmap(1, 0, np.array([[True, True, True]])), (1, 6), (1, 3))
    Bitmap(x=0, y=0, pixels=array([[ True,  True]]))
    """
    mask = trim(mask)
    if mask.pixels.size == 0:
        return EMPTY_BITMAP
    y, rows = _covered(mask.pixels.astype(np.int64), mask.y, size_hw[0], new_hw[0])
    x, columns = _covered(np.ascontiguousarray(rows.T), mask.x, size_hw[1], new_hw[1])
    covered = columns.T
    half = 2 * covered >= size_hw[0] * size_hw[1]
    return trim(Bitmap(x, y, half if half.any() else covered == covered.max()))


def _covered(values: NDArray[np.int64], first: int, length: int, new_length: int) -> tuple[int, NDArray[np.int64]]:
    """Sum the rows that each new row covers, counted in 1 / new_length of an old row.

    Args:
        values: (n, m) int64. Rows first to first + n of an axis that is `length` long.
        first: Where they begin.
        length: Old rows of the whole axis.
        new_length: New rows of the whole axis; each covers `length` units.

    Returns:
        The first new row that they touch, and the sums from there on, (k, m) int64.
    """
    n = len(values)
    start, stop = first * new_length // length, -(-(first + n) * new_length // length)
    edges = np.clip(np.arange(start, stop + 1) * length - first * new_length, 0, n * new_length)
    whole, part = edges // new_length, edges % new_length
    above: NDArray[np.int64] = np.zeros((n + 1, values.shape[1]), dtype=np.int64)
    np.cumsum(values, axis=0, out=above[1:])
    up_to_edge: NDArray[np.int64] = above[whole] * new_length + part[:, None] * values[np.minimum(whole, n - 1)]
    return start, np.diff(up_to_edge, axis=0)


def _moved(
    sample: Sample, step: Step, size_hw: Size, boxes: NDArray[np.floating], move: Callable[[Bitmap], Bitmap]
) -> Sample:
    """Put a picture that is still to be moved, moved boxes and masks that are still to be moved together again."""
    image = change(sample.image, step, size_hw)
    return replace(sample, image=image, instances=_moved_instances(sample.instances, size_hw, boxes, move))


def _moved_instances(
    old: Instances, size_hw: tuple[int, int], boxes: NDArray[np.floating], move: Callable[[Bitmap], Bitmap]
) -> Instances:
    masks = None
    if old.masks is not None:
        masks = Bitmaps([trim(move(mask)) for mask in old.masks.crops()], size_hw)
        boxes = np.where(_has_pixels(masks)[:, None], masks.boxes(), boxes)
    return replace(old, size_hw=size_hw, boxes=boxes.astype(np.float32), masks=masks)


def _has_pixels(masks: Bitmaps) -> NDArray[np.bool_]:
    return np.array([mask.pixels.size > 0 for mask in masks.bitmaps], dtype=np.bool_)


def _remaining(old: Instances, new: Instances, clipped: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return (N) float64 in [0, 1]: the share of each instance that a crop left over."""
    before, after = _box_areas(old.boxes), _box_areas(clipped)
    if old.masks is not None and new.masks is not None:
        masked = old.masks.areas()
        before = np.where(masked > 0, masked, before)
        after = np.where(masked > 0, new.masks.areas(), after)
    share: NDArray[np.float64] = after / np.where(before > 0, before, np.inf)
    return share


def _box_areas(boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    x1, y1, x2, y2 = boxes.T.astype(np.float64)
    areas: NDArray[np.float64] = (x2 - x1) * (y2 - y1)
    return areas
