"""How well the anchors of a model can lie on the objects of a set, each where the grid of its level lets it lie.

References: Faster R-CNN (1506.01497), section 3.1.2.
Letters: N objects, P pictures, L levels, A anchors a cell.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.config import AnchorConfig, InputConfig, RPNConfig
from maskrcnn.data.dataset import Dataset
from maskrcnn.inspection.survey import Survey
from maskrcnn.model.fpn import STRIDES
from maskrcnn.ops.resize import padded_size, target_size
from maskrcnn.training.anchors import fit_anchors
from maskrcnn.training.devices import Devices
from maskrcnn.training.setup import choose_preset, fitting_size, object_sides


class Setting(NamedTuple):
    """What decides where anchors lie.

    Attributes:
        name: What it is called on the page.
        input: How large the network sees a picture.
        anchors: Their shapes.
        rpn: From which overlap on they learn.
    """

    name: str
    input: InputConfig
    anchors: AnchorConfig
    rpn: RPNConfig


class Fit(NamedTuple):
    """The best anchor of each object.

    Attributes:
        iou: (N) float64 in [0, 1]. How much it overlaps the object.
        level: (N) int64 in [0, L). Its level, the finer one of two that are as good.
    """

    iou: NDArray[np.float64]
    level: NDArray[np.int64]


def settings(dataset: Dataset) -> list[Setting]:
    """Return what `train` would choose from scratch on this machine, and what published models have."""
    preset = choose_preset(Devices().kind)
    picture = fitting_size(dataset, preset)
    fitted = fit_anchors(object_sides(dataset, picture))
    return [
        Setting(f"fitted by train, preset {preset}", picture, fitted, RPNConfig()),
        Setting("the usual ones of published models", InputConfig(), AnchorConfig(), RPNConfig()),
    ]


def seen_boxes(survey: Survey, picture: InputConfig) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Bring the objects' boxes to the size at which the network sees their pictures.

    Returns:
        (N, 4) float64 x1, y1, x2, y2 in the resized picture; and (N, 2) int64, its padded height and width.
    """
    sizes, which = np.unique(survey.size_hw, axis=0, return_inverse=True)
    targets = [target_size((h, w), picture) for h, w in sizes.tolist()]
    padded = np.array([padded_size(target, picture) for target in targets], dtype=np.int64)
    scale = (np.array(targets) / sizes)[:, ::-1]  # x, y
    own = which.reshape(-1)[survey.picture]
    return survey.boxes * np.tile(scale, 2)[own], padded[own]


def fit(boxes: NDArray[np.float64], padded_hw: NDArray[np.int64], anchors: AnchorConfig, rpn: RPNConfig) -> Fit:
    """Find for each object the anchor that overlaps it most, among all that its picture has.

    Moving an anchor away from an object, along either axis, never lets it overlap more. So of one shape the best
    is the one whose centre is nearest, and nothing has to be laid out.

    Args:
        boxes: (N, 4) float64 x1, y1, x2, y2. In the resized picture.
        padded_hw: (N, 2) int64. Height and width with padding, which end the grid.
        anchors: The shapes.
        rpn: The grid.
    """
    root = np.sqrt(np.array(anchors.ratios))
    centre, side = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    best = np.zeros((len(boxes), len(STRIDES)))
    for level, (sizes, stride) in enumerate(zip(anchors.sizes, STRIDES, strict=True)):
        away = np.abs(centre - _nearest(centre, padded_hw[:, ::-1], stride, rpn.stride))
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
