"""Objects turned as EXIF turns their picture.

Letters: H, W height and width of a picture as its file holds it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from maskrcnn.data.dataset import Annotation, Box, Runs
from maskrcnn.data.images import upright
from maskrcnn.ops.rle import Bitmap


def turned_upright(annotation: Annotation, orientation: int, size_hw: tuple[int, int]) -> Annotation:
    """Turn an object as the EXIF orientation turns its picture.

    Args:
        annotation: Made for the picture as its file holds it.
        orientation: 1 to 8.
        size_hw: Height and width as the file holds it.
    """
    box = None if annotation.box is None else _turned_box(annotation.box, orientation, size_hw)
    if annotation.shape is None:
        return replace(annotation, box=box)
    bitmap = annotation.shape.bitmap(size_hw)
    h, w = bitmap.pixels.shape
    x, y, _, _ = _turned_box((bitmap.x, bitmap.y, bitmap.x + w, bitmap.y + h), orientation, size_hw)
    turned = Bitmap(int(x), int(y), upright(bitmap.pixels, orientation).astype(np.bool_))
    upright_hw = size_hw[::-1] if orientation >= 5 else size_hw
    return replace(annotation, shape=Runs.of(turned, upright_hw), box=box)


def _turned_box(box: Box, orientation: int, size_hw: tuple[int, int]) -> Box:
    (x1, y1, x2, y2), (H, W) = box, size_hw
    if orientation in (2, 3):
        x1, x2 = W - x2, W - x1
    if orientation in (3, 4):
        y1, y2 = H - y2, H - y1
    if orientation in (6, 7):
        y1, y2 = H - y2, H - y1
    if orientation in (7, 8):
        x1, x2 = W - x2, W - x1
    return (y1, x1, y2, x2) if orientation >= 5 else (x1, y1, x2, y2)
