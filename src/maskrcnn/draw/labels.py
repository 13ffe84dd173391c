"""Labels that can be read: a plate in the class's colour at its box, clear of all other plates.

Letters: N labels, P places tried for one label.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from maskrcnn.draw.palette import RGB, ink_on

PixelBox = tuple[int, int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_SMALLEST = 9
_STEPS = (-2, 1, -3, 2, -4, 3)  # heights of a plate, down from the upper edge of its box
_CROWDED = 0.2  # share of the picture that all plates together may take before the letters get smaller


@lru_cache(maxsize=32)
def font(size: int) -> Font:
    """Return the font that comes with Pillow, so that pictures look the same everywhere."""
    return ImageFont.load_default(size)


def text_size(size_hw: tuple[int, int]) -> int:
    """Return the height in pixels of letters that suit a picture.

    >>> text_size((480, 640)), text_size((3000, 4000)), text_size((100, 100))
    (14, 87, 10)
    """
    return max(10, round(math.sqrt(size_hw[0] * size_hw[1]) / 40))


def draw_labels(
    picture: Image.Image, captions: Sequence[str], boxes: Sequence[PixelBox], colours: Sequence[RGB]
) -> None:
    """Draw N labels; the first ones choose their place first.

    An empty text is not drawn, and neither is a label that would hide a part of another one wherever it stood.

    Args:
        picture: RGB. Drawn on.
        captions: The N texts.
        boxes: Pixels x1, y1, x2, y2 that each label belongs to, the last ones excluded.
        colours: The colour of each plate.
    """
    lines = [" ".join(caption.split()) for caption in captions]
    kept = [i for i, line in enumerate(lines) if line]
    size = _fitting_size([lines[i] for i in kept], picture.size)
    pen = ImageDraw.Draw(picture)
    plates: list[tuple[PixelBox, str, RGB]] = []
    taken = np.zeros((len(kept), 4), dtype=np.int64)
    for i in kept:
        line, extent = _shorten(lines[i], size, picture.width)
        standing = taken[: len(plates)]
        plate = place(extent, boxes[i], standing, picture.size)
        if not _overlap(np.array([plate]), standing).any():
            taken[len(plates)] = plate
            plates.append((plate, line, colours[i]))
    for (x1, y1, x2, y2), line, colour in plates:
        pen.rectangle((x1, y1, x2 - 1, y2 - 1), fill=colour)
        pen.text(((x1 + x2) / 2, (y1 + y2) / 2), line, fill=ink_on(colour), font=font(size), anchor="mm")


def _extent(line: str, size: int) -> tuple[int, int]:
    """Return width and height of a line's plate in pixels."""
    return math.ceil(font(size).getlength(line)) + size // 2 + 1, math.ceil(size * 1.3)


def _fitting_size(lines: Iterable[str], size_wh: tuple[int, int]) -> int:
    """Return the size of letters, smaller where the plates would cover the picture."""
    size = text_size((size_wh[1], size_wh[0]))
    covered = sum(w * h for w, h in (_extent(line, size) for line in lines)) / (size_wh[0] * size_wh[1])
    if covered <= _CROWDED:
        return size
    return max(_SMALLEST, min(size, round(size * math.sqrt(_CROWDED / covered))))


def _shorten(line: str, size: int, width: int) -> tuple[str, tuple[int, int]]:
    """Cut a line that is wider than the picture."""
    extent = _extent(line, size)
    if extent[0] <= width:
        return line, extent
    kept = max(1, int(len(line) * width / extent[0]) - 2)
    line = f"{line[:kept]}.."
    return line, (min(_extent(line, size)[0], width), extent[1])


def place(
    extent: tuple[int, int], box: PixelBox, taken: Sequence[PixelBox] | NDArray[np.int64], size_wh: tuple[int, int]
) -> PixelBox:
    """Find a place for a plate at its box: the first that is free, else the one that hides least.

    Args:
        extent: Width and height of the plate.
        box: x1, y1, x2, y2 that it belongs to.
        taken: Plates that stand already.
        size_wh: Width and height of the picture, which the plate does not leave.

    >>> place((10, 5), (20, 20, 40, 40), [], (100, 100))
    (20, 15, 30, 20)
    >>> place((10, 5), (20, 20, 40, 40), [(20, 15, 30, 20)], (100, 100))
    (20, 20, 30, 25)
    """
    w, h = extent
    corners = np.clip(_corners(w, h, box), 0, np.maximum(np.subtract(size_wh, extent), 0))
    places = np.hstack([corners, corners + np.array(extent)])
    hidden = _overlap(places, np.array(taken, dtype=np.int64).reshape(-1, 4))
    x1, y1, x2, y2 = places[np.argmin(hidden)].tolist()
    return x1, y1, x2, y2


def _corners(w: int, h: int, box: PixelBox) -> NDArray[np.int64]:
    """List the upper left corners (P, 2) that a plate may have at its box, the best first."""
    x1, y1, x2, y2 = box
    sides = [
        (x1, y1 - h),
        (x1, y1),
        (x1, y2),
        (x2 - w, y1 - h),
        (x2 - w, y2),
        (x1, y2 - h),
        (x2, y1),
        (x1 - w, y1),
    ]
    steps = [(x, y1 + step * h) for step in _STEPS for x in (x1, x2 - w, (x1 + x2 - w) // 2)]
    return np.array(sides + steps, dtype=np.int64)


def _overlap(places: NDArray[np.int64], taken: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum for each of P places the pixels that it shares with plates that stand already: (P) int64."""
    x1, y1, x2, y2 = places.T[:, :, None]
    u1, v1, u2, v2 = taken.T
    width = np.maximum(np.minimum(x2, u2) - np.maximum(x1, u1), 0)
    height = np.maximum(np.minimum(y2, v2) - np.maximum(y1, v1), 0)
    shared: NDArray[np.int64] = (width * height).sum(axis=1)
    return shared
