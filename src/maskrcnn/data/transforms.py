"""Random changes to a sample for training, each drawn from the generator that it is given.

A transform is a small frozen object, called with a sample and a generator, so the same generator gives the
same picture; what is done to masks and boxes is in `geometry`.

References: Ghiasi et al., Simple Copy-Paste (large scale jittering); Rodrigues' rotation formula for the hue.
Letters: H, W height and width of the picture; C bands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from maskrcnn.config import InputConfig
from maskrcnn.data.geometry import crop, flip_horizontally, flip_vertically, resize, turn_left
from maskrcnn.errors import InputError
from maskrcnn.ops.pixels import Deferred, Recolour, change
from maskrcnn.ops.resize import target_size
from maskrcnn.structures import Sample


class Transform(Protocol):
    """Anything that makes a sample from a sample; its randomness comes from `rng` alone."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the changed sample and leave the given one as it is."""
        ...


def _check(part: object, name: str, low: float, high: float) -> None:
    value = getattr(part, name)
    if not low <= value <= high:
        raise InputError(f"{type(part).__name__}: {name}: expected {low:g} to {high:g}, got {value}")


@dataclass(frozen=True)
class Compose:
    """One transform after the other."""

    transforms: tuple[Transform, ...] = ()

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Apply all of them, in order."""
        for transform in self.transforms:
            sample = transform(sample, rng)
        return sample


@dataclass(frozen=True)
class Defer:
    """Leave the pixels as they are from here on: what follows notes what is to be done to them.

    A batch of such samples is a `DeferredBatch`, which does it on the device that it was brought to. Boxes and masks
    move at once.

    Attributes:
        most_pixels: Of a picture; a larger one is not deferred, as more would travel to the device than is used there.
    """

    most_pixels: int = 1 << 22

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:  # noqa: ARG002  # as every transform
        """Defer; nothing is random in it."""
        if math.prod(sample.instances.size_hw) > self.most_pixels:
            return sample
        return replace(sample, image=Deferred.of(sample.image).as_image())


@dataclass(frozen=True)
class Resize:
    """Bring the picture to the size that the network wants, without padding.

    Attributes:
        config: Sizes and ways, as the model's settings have them.
    """

    config: InputConfig

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:  # noqa: ARG002  # as every transform
        """Resize; nothing is random in it."""
        return resize(sample, target_size(sample.instances.size_hw, self.config), self.config.sampling)


@dataclass(frozen=True)
class HorizontalFlip:
    """Swap left and right with probability `p`."""

    p: float = 0.5

    def __post_init__(self) -> None:
        _check(self, "p", 0, 1)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Flip or not."""
        return flip_horizontally(sample) if rng.random() < self.p else sample


@dataclass(frozen=True)
class VerticalFlip:
    """Swap top and bottom with probability `p`."""

    p: float = 0.5

    def __post_init__(self) -> None:
        _check(self, "p", 0, 1)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Flip or not."""
        return flip_vertically(sample) if rng.random() < self.p else sample


@dataclass(frozen=True)
class Turn90:
    """Turn by 90, 180 or 270 degrees, each as likely, with probability `p` together."""

    p: float = 0.75

    def __post_init__(self) -> None:
        _check(self, "p", 0, 1)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Turn or not."""
        if rng.random() < self.p:
            for _ in range(rng.integers(1, 4)):
                sample = turn_left(sample)
        return sample


@dataclass(frozen=True)
class RandomCrop:
    """Cut out a window somewhere in the picture.

    Attributes:
        low: Least share of the height, and of the width, that is kept; drawn apart.
        high: Largest such share, at most 1.
        min_share: An object of which less than this share remains is ignored (`geometry.crop`).
    """

    low: float = 0.5
    high: float = 1.0
    min_share: float = 0.1

    def __post_init__(self) -> None:
        _check(self, "high", 0, 1)
        _check(self, "low", 0, self.high)
        _check(self, "min_share", 0, 1)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Draw size and place, and cut."""
        h, w = (max(1, round(side * rng.uniform(self.low, self.high))) for side in sample.instances.size_hw)
        return _crop_somewhere(sample, (h, w), self.min_share, rng)


@dataclass(frozen=True)
class ScaleJitter:
    """Resize by a random factor; what grows beyond the old size is cropped to it, what shrinks stays smaller.

    It follows `Resize`, so that no picture passes the size that the network wants.

    Attributes:
        low: Least factor.
        high: Largest factor.
        min_share: An object of which less than this share remains is ignored (`geometry.crop`).
    """

    low: float = 0.8
    high: float = 1.25
    min_share: float = 0.1

    def __post_init__(self) -> None:
        _check(self, "high", 0.01, 100)
        _check(self, "low", 0.01, self.high)
        _check(self, "min_share", 0, 1)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Draw a factor and a place, resize and cut."""
        H, W = sample.instances.size_hw
        factor = rng.uniform(self.low, self.high)
        h, w = (max(1, math.floor(side * factor + 0.5)) for side in (H, W))
        return _crop_somewhere(resize(sample, (h, w)), (min(h, H), min(w, W)), self.min_share, rng)


def _crop_somewhere(sample: Sample, size_hw: tuple[int, int], min_share: float, rng: np.random.Generator) -> Sample:
    y, x = (int(rng.integers(a - b + 1)) for a, b in zip(sample.instances.size_hw, size_hw, strict=True))
    return crop(sample, x, y, size_hw, min_share)


@dataclass(frozen=True)
class Colour:
    """Change the light of a picture with any number of bands; all four are one affine map of the bands.

    Whole-number pictures are rounded and clipped to what their type holds; others are not clipped.

    Attributes:
        brightness: Values are multiplied by 1, give or take this.
        contrast: Differences to the picture's mean are multiplied by 1, give or take this.
        saturation: Differences of the bands of a pixel to their mean are multiplied by 1, give or take this.
        hue: Colours are turned about the grey axis by up to this share of a full turn, at most 0.5, either
            way; only pictures with three bands are.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        for name, high in (("brightness", 1), ("contrast", 1), ("saturation", 1), ("hue", 0.5)):
            _check(self, name, 0, high)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Draw the four amounts and apply them."""
        amounts = (self.brightness, self.contrast, self.saturation)
        brightness, contrast, saturation = (1 + rng.uniform(-amount, amount) for amount in amounts)
        angle = 2 * math.pi * rng.uniform(-self.hue, self.hue)
        mixing = brightness * contrast * _mixing(sample.image.shape[2], saturation, angle)
        step = Recolour(torch.from_numpy(mixing.astype(np.float32)), brightness * (1 - contrast))
        return replace(sample, image=change(sample.image, step, sample.instances.size_hw))


def _mixing(bands: int, saturation: float, angle: float) -> NDArray[np.float64]:
    """Return the (C, C) matrix, applied from the left, that keeps a pixel's grey and changes the rest."""
    identity, grey = np.eye(bands), np.full((bands, bands), 1 / bands)
    mixing: NDArray[np.float64] = saturation * identity + (1 - saturation) * grey
    if bands != 3:
        return mixing
    across = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    turn = math.cos(angle) * identity + math.sin(angle) * across + (1 - math.cos(angle)) * grey
    return turn @ mixing
