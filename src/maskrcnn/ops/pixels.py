"""What is done to the pixels of a training picture, step by step: now, or later on another device.

A step is made where the picture is read, with all that is random in it decided. `change` takes it at once; a `Deferred`
picture only notes it, and takes all its steps where its pixels have been brought to.

Letters: C bands; h, w height and width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskrcnn.ops.resize import Size, resize_image

T = TypeVar("T")
_SIGNED = {torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64}


def _signed(image: Tensor) -> Tensor:
    """Look at unsigned integers of more than 8 bits, which torch can't move about, as signed ones."""
    return image.view(_SIGNED.get(image.dtype, image.dtype))


class Step(Protocol):
    """A change of a picture; a named tuple of numbers, tensors and other such tuples."""

    def __call__(self, image: Tensor, /) -> Tensor:
        """Return the changed picture, (C, h, w), on the same device; the given one stays as it is."""
        ...


class Flip(NamedTuple):
    """Swap left and right (`axis` 2), or top and bottom (`axis` 1)."""

    axis: int

    def __call__(self, image: Tensor) -> Tensor:
        """Flip."""
        return _signed(image).flip(self.axis).view(image.dtype)


class TurnLeft(NamedTuple):
    """Turn by 90 degrees against the clock."""

    def __call__(self, image: Tensor) -> Tensor:
        """Turn."""
        return _signed(image).rot90(1, (1, 2)).view(image.dtype)


class Window(NamedTuple):
    """Cut out the pixels from column `x` and row `y` on."""

    x: int
    y: int
    size_hw: Size

    def __call__(self, image: Tensor) -> Tensor:
        """Cut."""
        h, w = self.size_hw
        return image[:, self.y : self.y + h, self.x : self.x + w]


class Resample(NamedTuple):
    """Bring the picture to a size as `resize_image` does; what is not uint8 becomes float32."""

    size_hw: Size
    sampling: str = "antialias"

    def __call__(self, image: Tensor) -> Tensor:
        """Resample."""
        values = image if image.dtype == torch.uint8 else image.to(torch.float32)
        return resize_image(values, self.size_hw, self.sampling)


class Recolour(NamedTuple):
    """Mix the bands of each pixel and add a share of the picture's mean.

    Whole-number pictures are rounded and clipped to what their type holds; others are not clipped.

    Attributes:
        mixing: (C, C) float32, applied from the left.
        mean_share: How many times the mean of all values is added.
    """

    mixing: Tensor
    mean_share: float

    def __call__(self, image: Tensor) -> Tensor:
        """Change the colours."""
        values = image.to(torch.promote_types(image.dtype, torch.float32))
        mixed = (self.mixing.to(values.dtype) @ values.flatten(1)).view_as(values)
        mixed += self.mean_share * values.mean()
        if image.is_floating_point():
            return mixed
        limits = torch.iinfo(image.dtype)
        return mixed.round_().clamp_(limits.min, limits.max).to(image.dtype)


class Deferred(NamedTuple):
    """A picture whose steps are still to be taken: it has the shape of an array (h, w, C), and no values yet.

    Attributes:
        pixels: (C, ...) of any dtype. As read.
        size_hw: Height and width after all steps.
        steps: In order.
    """

    pixels: Tensor
    size_hw: Size
    steps: tuple[Step, ...] = ()

    @classmethod
    def of(cls, image: NDArray[np.generic] | Deferred) -> Deferred:
        """Begin with an array (h, w, C); what is deferred already stays as it is."""
        if isinstance(image, Deferred):
            return image
        return cls(_view(image), (image.shape[0], image.shape[1]))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and bands."""
        return *self.size_hw, self.pixels.shape[0]

    @property
    def ndim(self) -> int:
        """The axes of `shape`."""
        return 3

    def then(self, step: Step, size_hw: Size) -> Deferred:
        """Note one more step."""
        return Deferred(self.pixels, size_hw, (*self.steps, step))

    def made(self) -> Tensor:
        """Take all steps: (C, *size_hw) on the device of the pixels."""
        image = self.pixels
        for step in self.steps:
            image = step(image)
        return image

    def as_image(self) -> NDArray[np.generic]:
        """Stand in for an array in a sample, until a batch is made of it."""
        return cast("NDArray[np.generic]", self)


class Paste(NamedTuple):
    """Take the pixels of another picture where they cover this one; both begin in the upper left corner.

    Attributes:
        other: The other picture, of any size.
        covered: (h, w) bool. Where; nowhere outside the other picture.
    """

    other: Deferred
    covered: Tensor

    def __call__(self, image: Tensor) -> Tensor:
        """Paste."""
        h, w = (min(sides) for sides in zip(image.shape[1:], self.other.size_hw, strict=True))
        pasted = image.clone()
        region, other = pasted[:, :h, :w], self.other.made()[:, :h, :w].to(image.dtype)
        region.copy_(torch.where(self.covered[:h, :w], other, region))
        return pasted


def change(image: NDArray[np.generic] | Deferred, step: Step, size_hw: Size) -> NDArray[np.generic]:
    """Take a step, or note it where the picture is deferred.

    Args:
        image: (h, w, C) of any dtype.
        step: What to do.
        size_hw: Height and width afterwards.

    Returns:
        (*size_hw, C).

    >>> change(np.array([[[1], [2]]]), Flip(2), (1, 2))[0, :, 0]
    array([2, 1])
    """
    if isinstance(image, Deferred):
        return image.then(step, size_hw).as_image()
    return step(_view(image)).permute(1, 2, 0).numpy()


def _view(image: NDArray[np.generic]) -> Tensor:
    """Look at (h, w, C) as (C, h, w), without a copy where torch can."""
    plain = image.flags.writeable and image.dtype.isnative and min(image.strides, default=0) >= 0
    own = image if plain else np.array(image, dtype=image.dtype.newbyteorder("="), order="C")
    return torch.from_numpy(own).permute(2, 0, 1)


def with_tensors(value: T, move: Callable[[Tensor], Tensor]) -> T:
    """Return tuples, named or not and within each other, with `move` done to every tensor in them."""
    moved: Any = value
    if isinstance(value, Tensor):
        moved = move(value)
    elif isinstance(value, tuple):
        parts = [with_tensors(part, move) for part in value]
        moved = type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return cast("T", moved)
