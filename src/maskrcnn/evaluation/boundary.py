"""The boundary of a mask, whose IoU is hard on masks that are right but for their edges.

References: Boundary IoU (2103.16562), sections 4 and 5: the pixels of a mask that are nearer to its outline than 2 % of
the picture's diagonal.
Letters: h, w of a mask's window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from maskrcnn.ops.rle import RLE, Bitmap, decode, encode_each

RATIO = 0.02
"""Width of a boundary, as a share of the picture's diagonal."""


def width(size_hw: tuple[int, int]) -> int:
    """Return how many pixels wide the boundaries in a picture are, at least one.

    >>> width((480, 640))
    16
    """
    h, w = size_hw
    return max(1, round(RATIO * math.sqrt(h * h + w * w)))


def boundaries(masks: Sequence[RLE]) -> list[RLE]:
    """Return the boundary of each of the masks of one picture."""
    if not masks:
        return []
    size_hw = (masks[0]["size"][0], masks[0]["size"][1])
    return encode_each((rim(decode(mask), width(size_hw)) for mask in masks), size_hw)


def rim(mask: Bitmap, pixels: int) -> Bitmap:
    """Keep what is at most so many pixels from the outside, diagonals counting as one; beyond the picture is outside.

    >>> ring = rim(Bitmap(5, 5, np.ones((4, 3), dtype=bool)), 1)
    >>> ring.pixels.astype(int).tolist()
    [[1, 1, 1], [1, 0, 1], [1, 0, 1], [1, 1, 1]]
    """
    h, w = mask.pixels.shape
    side = 2 * pixels + 1
    if h < side or w < side:
        return mask
    sums = np.zeros((h + 1, w + 1), dtype=np.int64)
    np.cumsum(np.cumsum(mask.pixels, axis=0, dtype=np.int64), axis=1, out=sums[1:, 1:])
    inside: NDArray[np.int64] = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    kept = mask.pixels.copy()
    kept[pixels : h - pixels, pixels : w - pixels] &= inside < side * side
    return Bitmap(mask.x, mask.y, kept)
