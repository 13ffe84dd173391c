"""One composed picture: a background, objects over it, and who owns which pixel.

Letters: H, W height and width of the picture; h, w of an object's window.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from maskrcnn.data.images import read_image
from maskrcnn.errors import ImageError
from maskrcnn.ops.rle import Bitmap, trim

if TYPE_CHECKING:
    from maskrcnn.data.compose import Look
    from maskrcnn.data.compose.cutouts import CutOut, CutOuts

TRIES = 12  # places that are tried for an object before it is given up
LEAST_PIXELS = 16
MOST_ENLARGED = 1.5  # times; beyond that the steps of a mask show
SOLID = 128  # alpha from which a pixel belongs to the object


class Layer(NamedTuple):
    """A changed object at its place.

    Attributes:
        x: First column of its window; it may lie outside the picture.
        y: First row of its window.
        rgba: (h, w, 4) uint8.
    """

    x: int
    y: int
    rgba: NDArray[np.uint8]


class Composed:
    """A picture with the objects that were pasted into it, back to front.

    Args:
        pixels: (H, W, 3) uint8. The background.
        background: The name of its file.

    Attributes:
        labels: The class of each object.
    """

    def __init__(self, pixels: NDArray[np.uint8], background: str) -> None:
        self.background = background
        self.labels: tuple[int, ...] = ()
        self._pixels = pixels.copy()
        self._owner: NDArray[np.uint8] = np.zeros(pixels.shape[:2], dtype=np.uint8)  # number of the object, from 1
        self._whole: list[int] = []

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width."""
        return self._pixels.shape[0], self._pixels.shape[1]

    def picture(self) -> NDArray[np.uint8]:
        """Return the picture: (H, W, 3) uint8 RGB."""
        return self._pixels

    def masks(self) -> list[Bitmap]:
        """Return the exact visible pixels of each object; no two share one."""
        return [trim(Bitmap(0, 0, self._owner == number)) for number in range(1, len(self.labels) + 1)]

    def add(self, layer: Layer, label: int, hidden: float) -> bool:
        """Paste an object over the others, unless it or one of them would be hidden too much.

        Args:
            layer: The object.
            label: Its class.
            hidden: Share of each object that the border and the objects before it may hide.

        Returns:
            Whether it was pasted.
        """
        rows, columns, rgba = self._inside(layer)
        solid = rgba[..., 3] >= SOLID
        whole = int(np.count_nonzero(layer.rgba[..., 3] >= SOLID))
        covered = np.bincount(self._owner[rows, columns][solid], minlength=len(self._whole) + 1)[1:]
        shown = np.bincount(self._owner.ravel(), minlength=len(self._whole) + 1)[1:] - covered
        visible = np.append(shown, np.count_nonzero(solid))
        if (visible < np.maximum((1 - hidden) * np.array([*self._whole, whole]), LEAST_PIXELS)).any():
            return False
        alpha = rgba[..., 3:].astype(np.float32) / 255
        under = self._pixels[rows, columns]
        under[:] = np.rint(rgba[..., :3] * alpha + under * (1 - alpha)).astype(np.uint8)
        self._owner[rows, columns][solid] = len(self._whole) + 1
        self._whole.append(whole)
        self.labels = (*self.labels, label)
        return True

    def _inside(self, layer: Layer) -> tuple[slice, slice, NDArray[np.uint8]]:
        """Return the rows and columns of the picture under a layer, and the part of the layer over them."""
        H, W = self.size_hw
        h, w = layer.rgba.shape[:2]
        y1, y2 = (min(max(y, 0), H) for y in (layer.y, layer.y + h))
        x1, x2 = (min(max(x, 0), W) for x in (layer.x, layer.x + w))
        part = layer.rgba[y1 - layer.y : y2 - layer.y, x1 - layer.x : x2 - layer.x]
        return slice(y1, y2), slice(x1, x2), part


def background(path: Path, size_hw: tuple[int, int] | None, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Read a background; where a size is wanted, enlarge it until it fills that and cut a random window.

    Raises:
        ImageError: It can't be read, or is not 8-bit RGB.
    """
    pixels = read_image(path)
    if pixels.dtype != np.uint8 or pixels.shape[2] != 3:
        raise ImageError(f"{path}: expected an 8-bit RGB background, got {pixels.dtype} with {pixels.shape[2]} bands")
    if size_hw is None:
        return pixels.astype(np.uint8)
    (H, W), (h, w) = size_hw, pixels.shape[:2]
    factor = max(H / h, W / w)
    grown = Image.fromarray(pixels.astype(np.uint8)).resize(
        (max(W, round(w * factor)), max(H, round(h * factor))), Image.Resampling.LANCZOS
    )
    x, y = int(rng.integers(grown.width - W + 1)), int(rng.integers(grown.height - H + 1))
    return np.array(grown.crop((x, y, x + W, y + H)))


def arrange(pixels: NDArray[np.uint8], name: str, cutouts: CutOuts, look: Look, rng: np.random.Generator) -> Composed:
    """Paste a random number of random objects over a background.

    Args:
        pixels: (H, W, 3) uint8. The background.
        name: Of its file.
        cutouts: The objects to choose from.
        look: How they are placed and changed.
        rng: Where everything random comes from.
    """
    composed = Composed(pixels, name)
    for _ in range(int(rng.integers(look.objects[0], look.objects[1] + 1))):
        cutout = cutouts[int(rng.integers(len(cutouts)))]
        for _ in range(TRIES):
            layer = _layer(cutout, composed.size_hw, look, rng)
            if composed.add(layer, cutout.label, look.hidden):
                break
    return composed


def _layer(cutout: CutOut, size_hw: tuple[int, int], look: Look, rng: np.random.Generator) -> Layer:
    """Mirror, scale, turn, light and place an object."""
    image = ImageOps.mirror(cutout.image) if rng.random() < 0.5 else cutout.image
    low, high = (math.log(share) for share in look.scale)  # every octave is as likely
    longest = max(1, round(min(size_hw) * math.exp(rng.uniform(low, high))))
    factor = min(longest / max(image.size), MOST_ENLARGED)
    side = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    image = image.resize(side, Image.Resampling.LANCZOS)
    image = image.rotate(rng.uniform(-look.turn, look.turn), Image.Resampling.BICUBIC, expand=True)
    rgba = _lit(np.array(image), look.light, rng)
    y, x = (int(rng.integers(length)) - n // 2 for length, n in zip(size_hw, rgba.shape[:2], strict=True))
    return Layer(x, y, rgba)


def _lit(rgba: NDArray[np.uint8], light: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change brightness and contrast, and shade the object from one side to the other."""
    h, w = rgba.shape[:2]
    gain, contrast = 1 + rng.uniform(-light, light, 2)
    direction, depth = rng.uniform(0, 2 * math.pi), rng.uniform(0, light)
    y, x = np.linspace(-1, 1, h)[:, None], np.linspace(-1, 1, w)
    shade = gain * (1 + depth * (x * math.cos(direction) + y * math.sin(direction)) / math.sqrt(2))
    colour = rgba[..., :3].astype(np.float32)
    solid = rgba[..., 3] >= SOLID
    mean = colour[solid].mean() if solid.any() else 0.0
    changed = ((colour - mean) * contrast + mean) * shade[..., None]
    return np.dstack([np.clip(np.rint(changed), 0, 255).astype(np.uint8), rgba[..., 3]])
