"""Anchors that fit the data: how well do boxes of given sizes and ratios cover the objects' shapes?

Letters: N objects, A anchor shapes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskrcnn.config import AnchorConfig

BASES = (4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)


def shape_iou(sides: NDArray[np.float64], config: AnchorConfig) -> NDArray[np.float64]:
    """Return the IoU of each object with the best anchor laid on its own centre.

    Args:
        sides: (N, 2) float64 width, height. In pixels of the resized picture.
        config: The anchors.

    Returns:
        (N) float64 in [0, 1].

    >>> shape_iou(np.array([[32.0, 32.0], [16.0, 32.0]]), AnchorConfig(ratios=(1.0,)))
    array([1. , 0.5])
    """
    size = np.array([size for level in config.sizes for size in level])[:, None]
    root = np.sqrt(np.array(config.ratios))[None, :]
    width, height = (size / root).ravel(), (size * root).ravel()  # (A)
    shared = np.minimum(sides[:, :1], width) * np.minimum(sides[:, 1:], height)
    union = sides.prod(axis=1)[:, None] + width * height - shared
    best: NDArray[np.float64] = (shared / union).max(axis=1)
    return best


def fit_anchors(sides: NDArray[np.float64]) -> AnchorConfig:
    """Choose the smallest anchor of five doubling sizes by the mean IoU with the objects.

    Args:
        sides: (N, 2) float64 width, height. In pixels of the resized picture; none keeps the usual anchors.
    """
    sides = sides[(sides > 0).all(axis=1)]
    if len(sides) == 0:
        return AnchorConfig()
    choices = [AnchorConfig(sizes=tuple((base * 2**i,) for i in range(5))) for base in BASES]
    return max(choices, key=lambda choice: float(shape_iou(sides, choice).mean()))
