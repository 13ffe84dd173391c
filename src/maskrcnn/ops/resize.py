"""Picture sizes, and pictures at another size; the same code in training and in prediction.

Letters: C bands, h, w height and width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from maskrcnn.config import InputConfig

Size = tuple[int, int]
Count = TypeVar("Count", int, Tensor)


def short_edge(size_hw: Size, config: InputConfig) -> float:
    """Return the scale at which the short edge is `min_size`, unless the long one would then pass `max_size`."""
    return min(config.min_size / min(size_hw), config.max_size / max(size_hw))


def long_edge(size_hw: Size, config: InputConfig) -> float:
    """Return the scale at which the long edge is `max_size`."""
    return config.max_size / max(size_hw)


def enlarging(size_hw: Size, config: InputConfig) -> float:
    """Return the scale at which the short edge is at least `min_size` and which is at least `min_scale`."""
    return max(1.0, config.min_size / min(size_hw), config.min_scale)


def enlarging_within(size_hw: Size, config: InputConfig) -> float:
    """Return the same scale, or that at which the long edge is `max_size` where it would pass it."""
    scale = enlarging(size_hw, config)
    return scale if round(max(size_hw) * scale) <= config.max_size else long_edge(size_hw, config)


class Way(NamedTuple):
    """A way of resizing: a value of `InputConfig.resize`.

    Attributes:
        scale: Of a picture, before its sides are whole numbers again.
        square: Whether the result is padded to a square of `max_size`.
        centred: Whether it lies in the middle of the padding, which is black then and seen by the network; else it
            lies in the upper left corner, and the padding is nothing.
    """

    scale: Callable[[Size, InputConfig], float]
    square: bool = False
    centred: bool = False

    def before(self, padding: Count) -> Count:
        """Return how many of the pixels that an axis is padded by lie before the picture."""
        return padding // 2 if self.centred else padding * 0

    def shown(self, padding: Count) -> Count:
        """Return how many of these pixels the network sees."""
        return padding if self.centred else padding * 0


WAYS = {
    "short_edge": Way(short_edge),
    "square": Way(long_edge, square=True),
    "centred_square": Way(enlarging_within, square=True, centred=True),
    "centred": Way(enlarging, centred=True),
    "none": Way(lambda size_hw, config: 1.0),  # noqa: ARG005  # as every way
}


def _nearest(side: int, scale: float) -> int:
    return math.floor(side * scale + 0.5)


def _whole_pixels(side: int, scale: float) -> int:
    return math.floor(side * scale)


def _half_to_even(side: int, scale: float) -> int:
    return round(side * scale)


def _antialias(image: Tensor, size_hw: Size) -> Tensor:
    # torch has a kernel for 8 bits on a CPU only, which gives wrong pixels where the result is one pixel wide
    exact = image.device.type == "cpu" and size_hw[1] > 1
    values = image if exact else image.float()
    resized = F.interpolate(values[None], size=size_hw, mode="bilinear", align_corners=False, antialias=True)[0]
    return resized if exact or image.is_floating_point() else resized.round().to(image.dtype)


def _plain(image: Tensor, size_hw: Size) -> Tensor:
    return F.interpolate(image.float()[None], size=size_hw, mode="bilinear", align_corners=False)[0]


def _zero_edge(image: Tensor, size_hw: Size) -> Tensor:
    values = F.pad(image.double(), (1, 1, 1, 1))
    for axis, side in zip((1, 2), size_hw, strict=True):
        old = image.shape[axis]
        at = (torch.arange(side, dtype=torch.float64, device=image.device) + 0.5) * (
            old / side
        ) + 0.5  # of the padded picture
        below = at.floor().clamp(max=old).long()
        share = (at - below).view([-1 if i == axis else 1 for i in range(3)])
        values = torch.lerp(values.index_select(axis, below), values.index_select(axis, below + 1), share)
    return values.clamp(image.min(), image.max()).to(image.dtype)


class Sampling(NamedTuple):
    """A value of `InputConfig.sampling`: how a `side` times a scale becomes whole, and (C, h, w) another size."""

    side: Callable[[int, float], int]
    resample: Callable[[Tensor, Size], Tensor]


SAMPLINGS = {
    "antialias": Sampling(_nearest, _antialias),
    "plain": Sampling(_whole_pixels, _plain),
    "zero_edge": Sampling(_half_to_even, _zero_edge),
}


def target_size(size_hw: Size, config: InputConfig) -> Size:
    """Return the size that the settings give a picture, without padding.

    >>> from maskrcnn.config import InputConfig
    >>> target_size((480, 640), InputConfig()), target_size((480, 1000), InputConfig())
    ((800, 1067), (640, 1333))
    >>> target_size((480, 640), InputConfig(resize="square", max_size=1024))
    (768, 1024)
    """
    scale = WAYS[config.resize].scale(size_hw, config)
    h, w = (max(1, SAMPLINGS[config.sampling].side(side, scale)) for side in size_hw)
    return h, w


def padded_size(size_hw: Size, config: InputConfig) -> Size:
    """Return the size that a resized picture is padded to: a square, or each side up to a multiple of `divisor`.

    >>> from maskrcnn.config import InputConfig
    >>> padded_size((800, 1067), InputConfig()), padded_size((768, 1000), InputConfig(resize="square", max_size=1000))
    ((800, 1088), (1024, 1024))
    """
    sides = (config.max_size, config.max_size) if WAYS[config.resize].square else size_hw
    h, w = (math.ceil(side / config.divisor) * config.divisor for side in sides)
    return h, w


def corner(size_hw: Size, room_hw: Size, resize: str) -> tuple[int, int]:
    """Return the row and the column of a padded picture at which the picture itself begins.

    Args:
        size_hw: Height and width of the picture.
        room_hw: Height and width with the padding.
        resize: The way, a value of `InputConfig.resize`.

    >>> corner((4, 6), (8, 8), "short_edge"), corner((4, 6), (8, 8), "centred")
    ((0, 0), (2, 1))
    """
    way = WAYS[resize]
    return way.before(room_hw[0] - size_hw[0]), way.before(room_hw[1] - size_hw[1])


def place(image: Tensor, room: Tensor, resize: str) -> tuple[int, int]:
    """Copy a picture to its place in a padded one.

    Args:
        image: (C, h, w). The picture.
        room: (C, H, W). Where to; what lies outside the picture stays as it is.
        resize: The way, a value of `InputConfig.resize`.

    Returns:
        Row and column of its first pixel.
    """
    h, w = image.shape[1:]
    y, x = corner((h, w), (room.shape[1], room.shape[2]), resize)
    room[:, y : y + h, x : x + w] = image
    return y, x


def to_tensor(image: NDArray[np.generic]) -> Tensor:
    """Turn (h, w, C) of any dtype into (C, h, w) uint8, or float32 for every other dtype, values unchanged."""
    dtype = np.uint8 if image.dtype == np.uint8 else np.float32
    return torch.from_numpy(np.array(image.transpose(2, 0, 1), dtype=dtype, order="C"))


def resize_image(image: Tensor, size_hw: Size, sampling: str = "antialias") -> Tensor:
    """Resample bilinearly with half-pixel centres.

    Args:
        image: (C, h, w) uint8 or float32.
        size_hw: The height and width to reach.
        sampling: A value of `InputConfig.sampling`. `antialias` averages where the picture shrinks.

    Returns:
        (C, *size_hw) of the same dtype, rounded by `antialias` and cut by `zero_edge`; of `plain` float32.
    """
    return image if tuple(image.shape[1:]) == size_hw else SAMPLINGS[sampling].resample(image, size_hw)
