"""A mask patch into the pixels that its box covers.

Letters: N boxes, M side of the patch; h, w of the window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from maskrcnn.ops.rle import EMPTY_BITMAP, Bitmap

Floats = NDArray[np.float32]


def _interpolation(start: int, stop: int, low: float, high: float, side: int) -> Floats:
    """Weigh the M cells of a patch for the centres of pixels start to stop: (stop - start, M) float32."""
    at = (np.arange(start, stop) + 0.5 - low) * (side / max(high - low, 1e-6)) - 0.5
    distance = np.abs(at[:, None] - np.arange(side))
    weights: Floats = np.clip(1.0 - distance, 0.0, 1.0).astype(np.float32)
    return weights


class _Window(NamedTuple):
    """Whole pixels x, y of the window that a box touches, and the patch's values there, (h, w) float."""

    x: int
    y: int
    values: NDArray[np.floating]


def _sample(patch: Floats, box: Sequence[float], size_hw: tuple[int, int]) -> _Window | None:
    """Sample a patch at the centres of the pixels in its box; outside the patch it is zero.

    Two small matrix products over the box's own window, so time and memory follow the box and not the picture.
    """
    left, top, right, bottom = box
    x1, y1 = max(math.floor(left), 0), max(math.floor(top), 0)
    x2, y2 = min(math.ceil(right), size_hw[1]), min(math.ceil(bottom), size_hw[0])
    if x1 >= x2 or y1 >= y2:
        return None
    rows = _interpolation(y1, y2, top, bottom, patch.shape[0])
    columns = _interpolation(x1, x2, left, right, patch.shape[1])
    return _Window(x1, y1, (rows @ patch) @ columns.T)


class Paste(Protocol):
    """Turn a patch over a box into pixels.

    Args:
        patch: (M, M) float32. Probabilities, rows from the top.
        box: (4) float32 x1, y1, x2, y2. In pixels of the picture; may leave it.
        size_hw: Height and width of the picture.
        threshold: A pixel is set where the probability is at least this.

    Returns:
        The window of whole pixels that the box touches, clipped to the picture.
    """

    def __call__(self, patch: Floats, box: Floats, size_hw: tuple[int, int], threshold: float = 0.5) -> Bitmap:
        """Paste."""
        ...


def paste(patch: Floats, box: Floats, size_hw: tuple[int, int], threshold: float = 0.5) -> Bitmap:
    """Sample a patch bilinearly at the centres of the pixels in its box, as `Paste` says.

    >>> paste(np.ones((4, 4), dtype=np.float32), np.array([1.0, 1, 3, 2], dtype=np.float32), (5, 5))
    Bitmap(x=1, y=1, pixels=array([[ True,  True]]))
    """
    found = _sample(patch, box.tolist(), size_hw)
    return EMPTY_BITMAP if found is None else Bitmap(found.x, found.y, found.values >= threshold)


def paste_padded(patch: Floats, box: Floats, size_hw: tuple[int, int], threshold: float = 0.5) -> Bitmap:
    """Pad the patch by one cell of zeros, let the box grow with it and cut its corners to whole pixels.

    The last pixel belongs to the box, so it is one wider than its corners tell; a pixel needs more than the threshold.
    """
    side = patch.shape[0]
    half = (box[2:] - box[:2]) * np.float32(0.5) * np.float32((side + 2) / side)
    centre = (box[2:] + box[:2]) * np.float32(0.5)
    left, top = map(int, centre - half)
    right, bottom = (int(last) + 1 for last in centre + half)
    found = _sample(np.pad(patch, 1), (left, top, max(right, left + 1), max(bottom, top + 1)), size_hw)
    return EMPTY_BITMAP if found is None else Bitmap(found.x, found.y, found.values > threshold)


def paste_zero_edge(patch: Floats, box: Floats, size_hw: tuple[int, int], threshold: float = 0.5) -> Bitmap:
    """Sample as `paste` does, but let no pixel of the box have less than the least value of the patch."""
    found = _sample(patch, box.tolist(), size_hw)
    if found is None:
        return EMPTY_BITMAP
    return Bitmap(found.x, found.y, np.maximum(found.values, patch.min()) >= threshold)


class Pasting(NamedTuple):
    """A value of `MaskHeadConfig.paste`.

    Attributes:
        paste: A patch and its box to pixels.
        boxes: What boxes (N, 4) of results become, in the pixels of the picture.
        kept: Which of those are results, (N) bool.
    """

    paste: Paste
    boxes: Callable[[Floats], Floats]
    kept: Callable[[Floats], NDArray[np.bool_]]


def _as_they_are(boxes: Floats) -> Floats:
    return boxes


def _all(boxes: Floats) -> NDArray[np.bool_]:
    return np.ones(len(boxes), dtype=np.bool_)


def _with_pixels(boxes: Floats) -> NDArray[np.bool_]:
    return np.asarray((boxes[:, 2:] > boxes[:, :2]).all(axis=1))


PASTINGS = {
    "centres": Pasting(paste, _as_they_are, _all),
    "padded": Pasting(paste_padded, _as_they_are, _all),
    "zero_edge": Pasting(paste_zero_edge, np.round, _with_pixels),
}
