"""How well anchors can lie on objects, each where the grid of its level lets it lie; plain arithmetic, no tensors.

References: Faster R-CNN (1506.01497), section 3.1.2.
Letters: N objects, P pictures, L levels, A anchors a cell.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.config import AnchorConfig, InputConfig, RPNConfig
from maskrcnn.model.fpn import STRIDES
from maskrcnn.ops.resize import WAYS, padded_size, target_size


class Seen(NamedTuple):
    """Objects as the network sees them.

    Attributes:
        boxes: (N, 4) float64 x1, y1, x2, y2. In the padded picture.
        padded_hw: (N, 2) int64. Height and width of the padded picture of each.
    """

    boxes: NDArray[np.float64]
    padded_hw: NDArray[np.int64]

    def select(self, index: NDArray[np.bool_]) -> Seen:
        """Return some of the objects."""
        return Seen(self.boxes[index], self.padded_hw[index])


class Fit(NamedTuple):
    """The best anchor of each object.

    Attributes:
        iou: (N) float64 in [0, 1]. How much it overlaps the object.
        level: (N) int64 in [0, L). Its level, the finer one of two that are as good.
    """

    iou: NDArray[np.float64]
    level: NDArray[np.int64]


def see(
    boxes: NDArray[np.float64], picture: NDArray[np.int64], size_hw: NDArray[np.int64], config: InputConfig
) -> Seen:
    """Bring objects to the size and the place at which the network sees them.

    Args:
        boxes: (N, 4) float64 x1, y1, x2, y2. In pixels of their pictures.
        picture: (N) int64 in [0, P). The picture of each.
        size_hw: (P, 2) int64. Height and width of each picture.
        config: How pictures are resized and padded.

    >>> whole = np.array([[0.0, 0.0, 100.0, 60.0]]), np.array([0]), np.array([[60, 100]])
    >>> see(*whole, InputConfig(min_size=30, max_size=50)).boxes.tolist()
    [[0.0, 0.0, 50.0, 30.0]]
    """
    sizes, which = np.unique(size_hw, axis=0, return_inverse=True)
    targets = np.array([target_size((h, w), config) for h, w in sizes.tolist()], dtype=np.int64).reshape(-1, 2)
    padded = np.array([padded_size((h, w), config) for h, w in targets.tolist()], dtype=np.int64).reshape(-1, 2)
    before = [[WAYS[config.resize].before(side) for side in sides] for sides in (padded - targets).tolist()]
    scale, offset = (targets / sizes)[:, ::-1], np.array(before, dtype=np.int64).reshape(-1, 2)[:, ::-1]  # x, y
    own = which.reshape(-1)[picture]
    return Seen(boxes * np.tile(scale, 2)[own] + np.tile(offset, 2)[own], padded[own])


def fit(seen: Seen, anchors: AnchorConfig, rpn: RPNConfig) -> Fit:
    """Find for each object the anchor that overlaps it most, among all that its picture has.

    Moving an anchor away from an object, along either axis, never lets it overlap more. So of one shape the best
    is the one whose centre is nearest, and nothing has to be laid out.

    Args:
        seen: The objects, and the padding, which ends the grid.
        anchors: The shapes.
        rpn: The grid.
    """
    root = np.sqrt(np.array(anchors.ratios))
    centre, side = (seen.boxes[:, :2] + seen.boxes[:, 2:]) / 2, seen.boxes[:, 2:] - seen.boxes[:, :2]
    best = np.zeros((len(side), len(STRIDES)))
    for level, (sizes, stride) in enumerate(zip(anchors.sizes, STRIDES, strict=True)):
        away = np.abs(centre - _nearest(centre, seen.padded_hw[:, ::-1], stride, rpn.stride))
        for size in sizes:
            for anchor in zip(size / root, size * root, strict=True):
                best[:, level] = np.maximum(best[:, level], _iou(side, np.array(anchor), away))
    return Fit(best.max(axis=1), best.argmax(axis=1))


def _nearest(centre: NDArray[np.float64], padded_wh: NDArray[np.int64], stride: int, every: int) -> NDArray[np.float64]:
    """Return the places x, y of anchors that are nearest to points: (N, 2) float64."""
    cells = -(-padded_wh // stride)
    last = (cells - 1) // every
    nearest: NDArray[np.float64] = np.clip(np.round(centre / (stride * every)), 0, last) * stride * every
    return nearest


def _iou(side: NDArray[np.float64], anchor: NDArray[np.float64], away: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU of boxes with an anchor whose centre is some pixels away along either axis: (N) float64."""
    along = np.minimum(np.minimum(side, anchor), (side + anchor) / 2 - away)
    shared = np.maximum(along, 0.0).prod(axis=1)
    overlap: NDArray[np.float64] = shared / (side.prod(axis=1) + anchor.prod() - shared)
    return overlap
