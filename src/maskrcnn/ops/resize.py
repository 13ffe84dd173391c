"""Picture sizes, and pictures at another size; the same code in training and in prediction.

Letters: C bands, h, w height and width.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F


def short_edge(size_hw: tuple[int, int], min_size: int, max_size: int) -> tuple[int, int]:
    """Return the size at which the short edge is `min_size`, unless the long one would then pass `max_size`.

    >>> short_edge((480, 640), 800, 1333), short_edge((480, 1000), 800, 1333)
    ((800, 1067), (640, 1333))
    """
    scale = min(min_size / min(size_hw), max_size / max(size_hw))
    return _scaled(size_hw, scale)


def long_edge(size_hw: tuple[int, int], max_size: int) -> tuple[int, int]:
    """Return the size at which the long edge is `max_size`.

    >>> long_edge((480, 640), 1024)
    (768, 1024)
    """
    return _scaled(size_hw, max_size / max(size_hw))


def _scaled(size_hw: tuple[int, int], scale: float) -> tuple[int, int]:
    h, w = (max(1, math.floor(side * scale + 0.5)) for side in size_hw)
    return h, w


def target_size(resize: str, size_hw: tuple[int, int], min_size: int, max_size: int) -> tuple[int, int]:
    """Return the size that a way of resizing (a value of `InputConfig.resize`) gives a picture, without padding."""
    if resize == "short_edge":
        return short_edge(size_hw, min_size, max_size)
    if resize == "square":
        return long_edge(size_hw, max_size)
    return size_hw


def padded_size(resize: str, size_hw: tuple[int, int], max_size: int, divisor: int) -> tuple[int, int]:
    """Return the size that a resized picture is padded to: a square, or each side up to a multiple of `divisor`.

    >>> padded_size("short_edge", (800, 1067), 1333, 32), padded_size("square", (768, 1000), 1000, 32)
    ((800, 1088), (1024, 1024))
    """
    sides = (max_size, max_size) if resize == "square" else size_hw
    h, w = (math.ceil(side / divisor) * divisor for side in sides)
    return h, w


def to_tensor(image: NDArray[np.generic]) -> Tensor:
    """Turn (h, w, C) of any dtype into (C, h, w) uint8, or float32 for every other dtype, values unchanged."""
    dtype = np.uint8 if image.dtype == np.uint8 else np.float32
    return torch.from_numpy(np.array(image.transpose(2, 0, 1), dtype=dtype, order="C"))


def resize_image(image: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Resample bilinearly with half-pixel centres, averaging where the picture shrinks.

    Args:
        image: (C, h, w) uint8 or float32.
        size_hw: The height and width to reach.

    Returns:
        (C, *size_hw) of the same dtype; uint8 is rounded.
    """
    if tuple(image.shape[1:]) == size_hw:
        return image
    # torch's kernel for 8 bits gives wrong pixels where the result is one pixel wide
    values = image.float() if size_hw[1] == 1 else image
    resized = F.interpolate(values[None], size=size_hw, mode="bilinear", align_corners=False, antialias=True)[0]
    return resized.round().to(image.dtype) if size_hw[1] == 1 and image.dtype == torch.uint8 else resized
