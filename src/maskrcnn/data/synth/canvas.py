"""Objects painted over each other at several samples a pixel, so that edges are smooth and masks are exact.

Letters: H, W height and width of the picture; S samples a side of a pixel;
h, w of a layer's window in samples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.ops.rle import Bitmap, trim

SAMPLES = 3


class Layer(NamedTuple):
    """One object alone, in a window that starts and ends at whole pixels.

    Attributes:
        x: First column of the window, in pixels; it may lie outside the picture.
        y: First row of the window, in pixels.
        colour: (h, w, 3) float32. Linear light of each sample, 0 where the object is not.
        covered: (h, w) bool. The samples that the object covers.
    """

    x: int
    y: int
    colour: NDArray[np.float32]
    covered: NDArray[np.bool_]


def per_pixel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average the S·S samples of every pixel: (S·H, S·W, C) float32 to (H, W, C) float32."""
    total = samples[::SAMPLES, ::SAMPLES].copy()
    for offset in range(1, SAMPLES * SAMPLES):
        total += samples[offset // SAMPLES :: SAMPLES, offset % SAMPLES :: SAMPLES]
    total *= np.float32(1 / SAMPLES**2)
    return total


def _clip(layer: Layer, size_hw: tuple[int, int]) -> Layer:
    h, w = (side // SAMPLES for side in layer.covered.shape)
    x1, y1 = (min(max(at, 0), side) for at, side in ((layer.x, size_hw[1]), (layer.y, size_hw[0])))
    x2, y2 = max(min(layer.x + w, size_hw[1]), x1), max(min(layer.y + h, size_hw[0]), y1)
    rows = slice((y1 - layer.y) * SAMPLES, (y2 - layer.y) * SAMPLES)
    columns = slice((x1 - layer.x) * SAMPLES, (x2 - layer.x) * SAMPLES)
    return Layer(x1, y1, layer.colour[rows, columns], layer.covered[rows, columns])


class Canvas:
    """A picture's objects, back to front.

    Args:
        size_hw: Height and width in pixels.
    """

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self.size_hw = size_hw
        self._owner = np.zeros((size_hw[0] * SAMPLES, size_hw[1] * SAMPLES), dtype=np.uint8)
        self._layers: list[Layer] = []
        self._whole: list[float] = []

    def __len__(self) -> int:
        return len(self._layers)

    def add(self, layer: Layer, min_share: float, min_pixels: int) -> bool:
        """Paint an object over the others, unless it would leave one of them, or itself, hardly visible.

        Args:
            layer: The object.
            min_share: Share of its samples that each object must show, those outside the picture included.
            min_pixels: Pixels that each mask must have.

        Returns:
            Whether it was painted.
        """
        clipped = _clip(layer, self.size_hw)
        window = self._window(clipped)
        before = window.copy()
        self._layers.append(clipped)
        self._whole.append(float(layer.covered.sum()))
        window[clipped.covered] = len(self)
        if all(self._shows(index, min_share, min_pixels) for index in range(len(self))):
            return True
        window[:] = before
        self._layers.pop()
        self._whole.pop()
        return False

    def mask(self, index: int) -> Bitmap:
        """Return the pixels of which an object shows in at least half; no pixel belongs to two objects."""
        layer = self._layers[index]
        visible = per_pixel(self._visible(index).astype(np.float32))
        return trim(Bitmap(layer.x, layer.y, visible >= 0.5))

    def over(self, backdrop: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the picture with all objects before a backdrop: (H, W, 3) float32 linear light, both."""
        picture = backdrop.copy()
        for index, layer in enumerate(self._layers):
            visible = self._visible(index).astype(np.float32)[:, :, None]
            share = per_pixel(visible)
            rows = slice(layer.y, layer.y + share.shape[0])
            columns = slice(layer.x, layer.x + share.shape[1])
            # Every sample has one owner, so the shares add up and the order does not matter.
            picture[rows, columns] += per_pixel(layer.colour * visible) - share * backdrop[rows, columns]
        return picture

    def alone(self) -> NDArray[np.float32]:
        """Return the objects alone, (H, W, 3) float32; at edges their own light, not a mixture."""
        black = np.zeros((*self.size_hw, 3), dtype=np.float32)
        share = per_pixel((self._owner > 0).astype(np.float32)[:, :, None])
        own: NDArray[np.float32] = self.over(black)
        own /= np.maximum(share, np.float32(1 / SAMPLES**2))
        return own

    def _window(self, layer: Layer) -> NDArray[np.uint8]:
        h, w = layer.covered.shape
        y, x = layer.y * SAMPLES, layer.x * SAMPLES
        return self._owner[y : y + h, x : x + w]

    def _visible(self, index: int) -> NDArray[np.bool_]:
        visible: NDArray[np.bool_] = self._window(self._layers[index]) == index + 1
        return visible

    def _shows(self, index: int, min_share: float, min_pixels: int) -> bool:
        samples = int(np.count_nonzero(self._visible(index)))
        if samples < min_share * self._whole[index] or samples == 0:
            return False
        return int(np.count_nonzero(self.mask(index).pixels)) >= min_pixels
