"""Numbers as colours: maps of a network, dark where they are low and bright where they are high.

Letters: C channels; h, w rows and columns of a map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.floating]

# black, violet, red, orange, light yellow: lightness rises evenly, so that it reads in grey and without red or green
_STOPS = (
    (0, 0, 4),
    (40, 11, 84),
    (101, 21, 110),
    (159, 42, 99),
    (212, 72, 66),
    (245, 125, 21),
    (250, 193, 39),
    (252, 255, 164),
)
_GAP = 4  # pixels between the tiles of a sheet
_LEAST_SIDE = 80  # pixels of a tile's longer side


def heat(values: Floats, low: float, high: float) -> Image.Image:
    """Draw a map, a pixel a cell; what is no number is black.

    Args:
        values: (h, w) float.
        low: The value that is black, and whatever is below it.
        high: The value that is brightest, and whatever is above it.

    >>> [heat(np.array([[0.0, 1.0, 7.0]]), 0, 1).getpixel((x, 0)) for x in range(3)]
    [(0, 0, 4), (252, 255, 164), (252, 255, 164)]
    """
    share = np.clip(np.nan_to_num((values - low) / max(high - low, 1e-12), nan=0.0, posinf=1.0, neginf=0.0), 0, 1)
    places = np.linspace(0, 1, len(_STOPS))
    bands = [np.interp(share, places, band) for band in zip(*_STOPS, strict=True)]
    return Image.fromarray(np.stack(bands, axis=-1).round().astype(np.uint8))


def shrink(maps: Floats, most: int) -> Floats:
    """Take means of whole blocks of cells until no side is longer than `most`.

    Args:
        maps: (C, h, w) float. Rows and columns that fill no block are left out.
        most: Cells.

    >>> shrink(np.arange(8.0).reshape(1, 2, 4), 2)
    array([[[2.5, 4.5]]])
    """
    C, h, w = maps.shape
    step = max(math.ceil(max(h, w) / most), 1)
    rows, columns = max(h // step, 1), max(w // step, 1)
    down, across = min(step, h), min(step, w)
    blocks = maps[:, : rows * down, : columns * across].reshape(C, rows, down, columns, across)
    means: Floats = blocks.mean(axis=(2, 4))
    return means


def tiles(maps: Sequence[Floats], columns: int) -> Image.Image:
    """Put maps of one size side by side, each from its own lowest to its own highest value; small ones are enlarged.

    Args:
        maps: Each (h, w) float; at least one.
        columns: How many a row.
    """
    zoom = math.ceil(_LEAST_SIDE / max(maps[0].shape))
    h, w = (zoom * side for side in maps[0].shape)
    columns = min(columns, len(maps))
    rows = math.ceil(len(maps) / columns)
    sheet = Image.new("RGB", (columns * (w + _GAP) - _GAP, rows * (h + _GAP) - _GAP), (128, 128, 128))
    for i, each in enumerate(maps):
        row, column = divmod(i, columns)
        finite = each[np.isfinite(each)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        tile = heat(each, low, high).resize((w, h), Image.Resampling.NEAREST)
        sheet.paste(tile, (column * (w + _GAP), row * (h + _GAP)))
    return sheet
