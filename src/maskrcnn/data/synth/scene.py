"""One drawn picture with its ground truth, before it is written anywhere.

Letters: H, W height and width of the picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.synth.canvas import Canvas
from maskrcnn.ops.rle import Bitmap

MIN_PIXELS = 20


@dataclass(frozen=True)
class Scene:
    """A picture and what is in it.

    Attributes:
        canvas: The objects, back to front.
        labels: The class of each, counted from 0.
        backdrop: (H, W, 3) float32. Linear light behind the objects.
        develop: Turns linear light (H, W, 3) float32 into a picture (H, W, 3) uint8.
    """

    canvas: Canvas
    labels: tuple[int, ...]
    backdrop: NDArray[np.float32]
    develop: Callable[[NDArray[np.float32]], NDArray[np.uint8]]

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width."""
        return self.canvas.size_hw

    def picture(self) -> NDArray[np.uint8]:
        """Return the picture: (H, W, 3) uint8 RGB."""
        return self.develop(self.canvas.over(self.backdrop))

    def masks(self) -> list[Bitmap]:
        """Return the exact visible pixels of each object; no two share one."""
        return [self.canvas.mask(index) for index in range(len(self.labels))]

    def cutout(self) -> NDArray[np.uint8]:
        """Return the objects alone: (H, W, 4) uint8 RGBA, alpha 255 on the masks and 0 elsewhere."""
        alpha = np.zeros((*self.canvas.size_hw, 1), dtype=np.uint8)
        for x, y, pixels in self.masks():
            alpha[y : y + pixels.shape[0], x : x + pixels.shape[1]][pixels] = 255
        return np.concatenate([self.develop(self.canvas.alone()) * (alpha > 0), alpha], axis=2)


class Artist(Protocol):
    """Draws scenes of one kind."""

    def __call__(
        self,
        rng: np.random.Generator,
        backdrop_rng: np.random.Generator,
        size_hw: tuple[int, int],
        objects: tuple[int, int],
    ) -> Scene:
        """Draw a scene.

        Args:
            rng: Where the objects come from.
            backdrop_rng: Where the background comes from.
            size_hw: Height and width in pixels.
            objects: Fewest and most objects, whatever the kind usually has.
        """
