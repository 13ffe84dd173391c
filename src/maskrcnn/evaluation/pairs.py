"""Which object each detection of one picture found, by COCO's rule at one IoU.

References: pycocotools, `cocoeval.py`, `evaluateImg`.
Letters: G annotated objects, D detections, K classes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.formats.coco_results import to_coco_results
from maskrcnn.errors import InputError
from maskrcnn.evaluation.coco import Kind
from maskrcnn.evaluation.ground_truth import Truth
from maskrcnn.evaluation.scenes import overlaps
from maskrcnn.structures import Instances


class Pairs(NamedTuple):
    """The detections of one picture beside its annotations.

    Attributes:
        matches: (D,) int64. The object that each detection found, -1 for none; a crowd may be named many times.
        ious: (D, G) float64. IoU of each detection with each object of any class; with a crowd it is the share of the
            detection that lies in it.
        kind: What overlaps: `mask` where both have masks, else `box`.
    """

    matches: NDArray[np.int64]
    ious: NDArray[np.float64]
    kind: Kind


def pair(truth: Instances, found: Instances, iou: float = 0.5) -> Pairs:
    """Let each detection, the most probable first, take the free object of its class that it overlaps most.

    What overlaps no free object enough but lies in a crowd of its class is paired with the crowd.

    Args:
        truth: The G objects that are annotated.
        found: The D detections, in any order; classes are matched by name.
        iou: The least IoU of a pair, above 0.

    Raises:
        InputError: The two are of pictures of different sizes, or the IoU is not in (0, 1].

    >>> boxes = np.array([[0, 0, 4, 4], [4, 4, 8, 8]], dtype=np.float32)
    >>> there = Instances((8, 8), boxes, np.array([0, 0]), ("cat",))
    >>> pair(there, there[[1]]).matches
    array([1])
    """
    if truth.size_hw != found.size_hw:
        raise InputError(f"found: expected the size of the annotations {truth.size_hw}, got {found.size_hw}")
    if not 0 < iou <= 1:
        raise InputError(f"iou: expected above 0 and at most 1, got {iou:g}")
    kind: Kind = "box" if truth.masks is None or found.masks is None else "mask"
    ious = _ious(kind, truth, found)
    same = np.array(found.names)[:, None] == np.array(truth.names)[None, :]
    return Pairs(_matches(np.where(same, ious, -1.0), found.scores, truth.crowd, min(iou, 1 - 1e-10)), ious, kind)


def _ious(kind: Kind, truth: Instances, found: Instances) -> NDArray[np.float64]:
    results = to_coco_results(found, 0, range(len(found.class_names)))
    runs = [None] * len(truth) if truth.masks is None else truth.masks.rle()
    x1, y1, x2, y2 = truth.boxes.astype(np.float64).T
    boxes = np.stack([x1, y1, x2 - x1, y2 - y1], axis=1).tolist()
    objects = [
        Truth(0, label, box, 0.0, crowd, rle)
        for label, box, crowd, rle in zip(truth.labels.tolist(), boxes, truth.crowd.tolist(), runs, strict=True)
    ]
    return overlaps(kind, results, objects)


def _matches(
    ious: NDArray[np.float64], scores: NDArray[np.float32], crowd: NDArray[np.bool_], least: float
) -> NDArray[np.int64]:
    """Match greedily; `ious` (D, G) is negative where the classes differ."""
    matches = np.full(len(scores), -1, dtype=np.int64)
    free = ious.copy()
    free[:, crowd] = -1.0
    crowded = np.where(crowd[None, :], ious, -1.0)
    for d in np.argsort(-scores, kind="stable").tolist():
        for overlap in (free[d], crowded[d]):
            if len(overlap) and overlap.max() >= least:
                matches[d] = len(overlap) - 1 - int(np.argmax(overlap[::-1]))  # of equal ones the last, as pycocotools
                break
        if matches[d] >= 0 and not crowd[matches[d]]:
            free[:, matches[d]] = -1.0
    return matches
