"""Boxes that are no objects over their picture: anchors, proposals, regions.

Letters: N boxes of a group, H, W height and width of the picture.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from maskrcnn.draw.overlay import displayable, overlay
from maskrcnn.structures import Instances


def draw_boxes(image: NDArray[np.generic], groups: Mapping[str, ArrayLike], *, zoom: int = 1) -> Image.Image:
    """Draw groups of boxes, each group in the colour of its name, which stands on its first box.

    Args:
        image: (H, W, bands) or (H, W) of any dtype. The picture.
        groups: (N, 4) x1, y1, x2, y2 by name. Continuous pixels of the picture; what leaves it is drawn at its border.
        zoom: How many times to enlarge the picture first.

    Raises:
        ImageError: It is no picture.

    >>> draw_boxes(np.zeros((8, 9, 3), dtype=np.uint8), {"anchor": [[1, 1, 4, 4]], "moved": []}, zoom=2).size
    (18, 16)
    """
    picture = displayable(image)
    boxes = [np.asarray(group, dtype=np.float32).reshape(-1, 4) for group in groups.values()]
    captions = [name if i == 0 else "" for name, group in zip(groups, boxes, strict=True) for i in range(len(group))]
    labels = np.repeat(np.arange(len(boxes)), [len(group) for group in boxes])
    every = np.concatenate([np.zeros((0, 4), dtype=np.float32), *boxes])
    h, w = picture.shape[:2]
    return overlay(picture, Instances((h, w), every, labels, tuple(groups)), captions=captions, zoom=zoom)
