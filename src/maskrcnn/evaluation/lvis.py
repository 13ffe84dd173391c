"""LVIS's average precision and recall: 300 detections a picture, classes apart by how often they occur.

References: LVIS (1908.03195) and its API, `eval.py`.
Letters: K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from maskrcnn.evaluation.areas import ALL, AREAS
from maskrcnn.evaluation.averages import AveragesCount
from maskrcnn.evaluation.coco import KINDS, Kind, Number
from maskrcnn.evaluation.counting import Tally, Times, mean
from maskrcnn.evaluation.ground_truth import GroundTruth
from maskrcnn.evaluation.scenes import Scene

LIMIT = 300
_FREQUENCIES = {"r": "rare classes", "c": "common classes", "f": "frequent classes"}
_NUMBERS = (
    Number("AP", "precision", None, ALL, LIMIT),
    Number("AP50", "precision", 0.5, ALL, LIMIT),
    Number("AP75", "precision", 0.75, ALL, LIMIT),
    *(Number(f"AP_{area.name}", "precision", None, area, LIMIT) for area in AREAS[1:]),
    Number(f"AR{LIMIT}", "recall", None, ALL, LIMIT),
    *(Number(f"AR_{area.name}", "recall", None, area, LIMIT) for area in AREAS[1:]),
)


@dataclass(frozen=True)
class Lvis:
    """LVIS's numbers of boxes and masks."""

    kinds: tuple[Kind, ...] = KINDS

    @property
    def meanings(self) -> Mapping[str, str]:
        """What the numbers are."""
        limit = f"at most {LIMIT} detections a picture, those of classes not looked for in it left out"
        meanings = {
            f"lvis/{number.name}": f"average {number.quantity}, IoU {number.iou_range}, {number.area.words}, {limit}"
            for number in _NUMBERS
        }
        return meanings | {
            f"lvis/AP_{letter}": f"average precision of {words}, IoU 0.50:0.95, all areas, {limit}"
            for letter, words in _FREQUENCIES.items()
        }

    def start(self, kind: Kind, truth: GroundTruth) -> LvisCount:  # noqa: ARG002 - the scenes are of that kind
        """Begin to count."""
        return LvisCount(truth)


class LvisCount(AveragesCount):
    """Counts what LVIS's numbers need.

    Args:
        truth: What is there, with how often its classes occur.
    """

    def __init__(self, truth: GroundTruth) -> None:
        super().__init__(_NUMBERS, "lvis/", len(truth.names))
        self._frequencies = [truth.frequencies.get(category_id) for category_id in truth.names]

    def add(self, scene: Scene) -> None:
        """Count the next picture."""
        super().add(scene.first(LIMIT))

    def tally(self, times: Times) -> Tally:
        """Return the numbers over all classes, for each, and for classes that occur equally often."""
        tally = super().tally(times)
        precisions = np.array([row["lvis/AP"] for row in tally.classes], dtype=np.float64)
        groups = {
            f"lvis/AP_{letter}": mean(precisions[[each == letter for each in self._frequencies]])
            for letter in _FREQUENCIES
        }
        return Tally(tally.overall | groups, tally.classes)
