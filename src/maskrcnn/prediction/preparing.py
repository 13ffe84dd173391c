"""Pictures of any kind to what the network takes, those of one size together.

Letters: B pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from maskrcnn.config import InputConfig
from maskrcnn.data.images import to_array
from maskrcnn.errors import ImageError
from maskrcnn.ops.resize import padded_size, place, resize_image, target_size, to_tensor

Picture = str | Path | Image.Image | NDArray[np.generic]
Result = TypeVar("Result")
CPU = torch.device("cpu")


class Prepared(NamedTuple):
    """A picture as the network takes it.

    Attributes:
        pixels: (bands, h, w) uint8 or float32. Resized, not padded.
        size_hw: Height and width of the picture that came in.
    """

    pixels: Tensor
    size_hw: tuple[int, int]

    @property
    def resized_hw(self) -> tuple[int, int]:
        """The size that the network sees, without padding."""
        return self.pixels.shape[1], self.pixels.shape[2]

    def padded_hw(self, config: InputConfig) -> tuple[int, int]:
        """Return the size that it sees with padding."""
        return padded_size(self.resized_hw, config)


def prepare(picture: Picture, config: InputConfig, path: Path | None = None, device: torch.device = CPU) -> Prepared:
    """Read and resize one picture.

    Args:
        picture: What holds it.
        config: What the network sees.
        path: Where a decoded picture came from, for the error.
        device: Where to resize.

    Raises:
        ImageError: It can't be read, or its bands are not those of the model.
    """
    if isinstance(picture, np.ndarray) and picture.ndim == 2 and config.bands == 1:
        picture = picture[..., None]  # not grey RGB, which 8 bits of two axes are otherwise
    array = to_array(picture)
    if array.shape[2] != config.bands:
        name = picture if isinstance(picture, str | Path) else path or "image"
        raise ImageError(
            f"{name}: expected {_bands(config.bands)}, as the model was trained on, got {_bands(array.shape[2])}"
        )
    size_hw = (array.shape[0], array.shape[1])
    pixels = to_tensor(array).to(device)
    return Prepared(resize_image(pixels, target_size(size_hw, config), config.sampling), size_hw)


def _bands(count: int) -> str:
    return f"{count} band" if count == 1 else f"{count} bands"


def pad(pictures: Sequence[Prepared], config: InputConfig, device: torch.device) -> tuple[Tensor, Tensor]:
    """Put pictures of one padded size into a batch: images (B, bands, H, W) and their sizes (B, 2).

    Args:
        pictures: Of one padded size.
        config: What the network sees.
        device: Where the batch will go. Not that it is there.
    """
    H, W = pictures[0].padded_hw(config)
    pixels = pictures[0].pixels
    pinned = device.type == "cuda" and pixels.device.type == "cpu"  # else the copy to the device waits
    size = (len(pictures), config.bands, H, W)
    images = torch.zeros(size, dtype=pixels.dtype, device=pixels.device, pin_memory=pinned)
    for image, (pixels, _) in zip(images, pictures, strict=True):
        place(pixels, image, config.resize)
    return images, torch.tensor([pixels.shape[1:] for pixels, _ in pictures])


def in_groups(
    pictures: Sequence[Prepared], config: InputConfig, run: Callable[[Sequence[Prepared]], Sequence[Result]]
) -> list[Result]:
    """Run pictures of one padded size together, and give the results in the order of the pictures."""
    results: dict[int, Result] = {}
    for group in _same_shape(pictures, config):
        results |= zip(group, run([pictures[i] for i in group]), strict=True)
    return [results[i] for i in range(len(pictures))]


def _same_shape(pictures: Sequence[Prepared], config: InputConfig) -> Iterator[list[int]]:
    groups: dict[tuple[tuple[int, int], torch.dtype], list[int]] = {}
    for i, picture in enumerate(pictures):
        groups.setdefault((picture.padded_hw(config), picture.pixels.dtype), []).append(i)
    yield from groups.values()
