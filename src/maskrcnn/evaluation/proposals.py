"""Recall of the boxes that the first stage proposes: an object that is not proposed can't be found.

References: COCO's measure of proposals, without classes; 100, 300 and 1000 boxes a picture.
Letters: P proposals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.formats.coco_results import Result
from maskrcnn.evaluation.areas import ALL, AREAS
from maskrcnn.evaluation.averages import Averages
from maskrcnn.evaluation.coco import Kind, Number
from maskrcnn.evaluation.ground_truth import GroundTruth

LIMITS = (100, 300, 1000)
_ANY = 1  # the one class


@dataclass(frozen=True)
class ProposalRecall(Averages):
    """Average recall of proposals, whatever the classes of the objects."""

    numbers: tuple[Number, ...] = (
        *(Number(f"AR{limit}", "recall", None, ALL, limit) for limit in LIMITS),
        *(Number(f"AR_{area.name}", "recall", None, area, LIMITS[-1]) for area in AREAS[1:]),
    )
    kinds: tuple[Kind, ...] = ("box",)
    prefix: str = "proposals/"

    @property
    def meanings(self) -> Mapping[str, str]:
        """What the numbers are."""
        return {
            self.prefix
            + number.name: f"average recall of the RPN's proposals without classes, IoU {number.iou_range}, "
            f"{number.area.words}, at most {number.detections} proposals a picture"
            for number in self.numbers
        }


def without_classes(truth: GroundTruth) -> GroundTruth:
    """Return annotations as objects of one class, as far as proposals are measured: by their boxes."""
    objects = tuple(one._replace(category_id=_ANY, rle=None) for one in truth.objects)
    return replace(truth, names={_ANY: "object"}, objects=objects, labelled={}, frequencies={})


def as_results(image_id: int, boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> list[Result]:
    """Write the proposals of a picture as results of the one class.

    Args:
        image_id: The picture.
        boxes: (P, 4) float32 x1, y1, x2, y2. In pixels of the picture.
        scores: (P,) float32. Objectness.
    """
    x1, y1, x2, y2 = boxes.astype(np.float64).T
    sides = np.stack([x1, y1, x2 - x1, y2 - y1], axis=1)
    return [
        Result(image_id=image_id, category_id=_ANY, bbox=box, score=score)
        for box, score in zip(sides.tolist(), scores.astype(np.float64).tolist(), strict=True)
    ]
