"""A mask patch into the pixels that its box covers.

Letters: M side of the patch; h, w of the window.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from maskrcnn.ops.rle import EMPTY_BITMAP, Bitmap


def _interpolation(start: int, stop: int, low: float, high: float, side: int) -> NDArray[np.float32]:
    """Weigh the M cells of a patch for the centres of pixels start to stop: (stop - start, M) float32."""
    at = (np.arange(start, stop) + 0.5 - low) * (side / max(high - low, 1e-6)) - 0.5
    distance = np.abs(at[:, None] - np.arange(side))
    weights: NDArray[np.float32] = np.clip(1.0 - distance, 0.0, 1.0).astype(np.float32)
    return weights


def paste(
    patch: NDArray[np.float32], box: NDArray[np.float32], size_hw: tuple[int, int], threshold: float = 0.5
) -> Bitmap:
    """Sample a patch bilinearly at the centres of the pixels in its box; outside the patch it is zero.

    Two small matrix products over the box's own window, so time and memory follow the box and not the picture.

    Args:
        patch: (M, M) float32. Probabilities, rows from the top.
        box: (4) float32 x1, y1, x2, y2. In pixels of the picture; may leave it.
        size_hw: Height and width of the picture.
        threshold: A pixel is set where the probability is at least this.

    Returns:
        The window of whole pixels that the box touches, clipped to the picture.

    >>> paste(np.ones((4, 4), dtype=np.float32), np.array([1.0, 1, 3, 2], dtype=np.float32), (5, 5))
    Bitmap(x=1, y=1, pixels=array([[ True,  True]]))
    """
    left, top, right, bottom = (float(edge) for edge in box)
    x1, y1 = max(math.floor(left), 0), max(math.floor(top), 0)
    x2, y2 = min(math.ceil(right), size_hw[1]), min(math.ceil(bottom), size_hw[0])
    if x1 >= x2 or y1 >= y2:
        return EMPTY_BITMAP
    rows = _interpolation(y1, y2, top, bottom, patch.shape[0])
    columns = _interpolation(x1, x2, left, right, patch.shape[1])
    return Bitmap(x1, y1, (rows @ patch) @ columns.T >= threshold)
