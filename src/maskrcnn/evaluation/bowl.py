"""Scores that are taken picture by picture: the Data Science Bowl's and the Pose Bowl's.

References: the Data Science Bowl 2018, "mean average precision at different intersection over union thresholds"; the
Pose Bowl 2024, detection: the Jaccard index of the one box of each picture, as a mean over pictures.
Letters: T IoU thresholds, D detections, G objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from maskrcnn.errors import InputError
from maskrcnn.evaluation.areas import ALL
from maskrcnn.evaluation.averages import THRESHOLDS
from maskrcnn.evaluation.coco import KINDS, Kind
from maskrcnn.evaluation.counting import Tally, Times, mean
from maskrcnn.evaluation.ground_truth import GroundTruth
from maskrcnn.evaluation.matching import RIGHT, WRONG, Matcher
from maskrcnn.evaluation.scenes import Scene


@dataclass(frozen=True)
class DataScienceBowl:
    """Right detections, of the right, wrong and missed ones; a mean over IoU thresholds, then over pictures.

    Args:
        score: Detections that are less probable are left out, as a submission has no scores.

    Raises:
        InputError: The score is not between 0 and 1.
    """

    score: float = 0.5
    kinds: tuple[Kind, ...] = KINDS

    def __post_init__(self) -> None:
        if not 0 <= self.score <= 1:
            raise InputError(f"dsb: expected a probability between 0 and 1, got {self.score:g}")

    @property
    def meanings(self) -> Mapping[str, str]:
        """What the number is."""
        return {
            "dsb/score": "Data Science Bowl 2018: right / (right + wrong + missed), mean over IoU 0.50, 0.55 ... 0.95 "
            f"and over pictures; detections with a probability of at least {self.score:g}, IoU above the threshold; "
            "a picture with nothing in it and nothing found counts 1"
        }

    def start(self, kind: Kind, truth: GroundTruth) -> DataScienceBowlCount:  # noqa: ARG002 - the scenes are of that kind
        """Begin to count."""
        return DataScienceBowlCount(self.score, len(truth.names))


class _PictureScores:
    """A number of each picture; nan where it has none."""

    name: str

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._scores: list[float] = []

    def add(self, scene: Scene) -> None:
        """Count the next picture."""
        self._ids.append(scene.image_id)
        self._scores.append(self.score(scene))

    def score(self, scene: Scene) -> float:
        """Return the number of one picture."""
        raise NotImplementedError

    def tally(self, times: Times) -> Tally:
        """Return the mean over pictures; there is none for each class."""
        weights = times.of(np.array(self._ids, dtype=np.int64))
        return Tally({self.name: mean(np.array(self._scores), weights)}, [])


class DataScienceBowlCount(_PictureScores):
    """Counts what the Data Science Bowl's score needs.

    Args:
        sure: The least probability of a detection that counts.
        classes: K.
    """

    name = "dsb/score"

    def __init__(self, sure: float, classes: int) -> None:
        super().__init__()
        self._sure = sure
        self._classes = classes
        self._above = THRESHOLDS + 1e-9  # the IoU must be above it, which 3 of 5 pixels are not of 0.6

    def score(self, scene: Scene) -> float:
        """Return the mean over thresholds of one picture."""
        kept = scene.first(int(np.searchsorted(-scene.scores, -self._sure, side="right")))
        matcher = Matcher([ALL], self._above.tolist(), max(len(kept.scores), 1), self._classes)
        matcher.add(kept)
        came_to = matcher.outcomes().came_to[0]
        right, wrong = ((came_to == what).sum(axis=1) for what in (RIGHT, WRONG))
        together = wrong + np.count_nonzero(~scene.crowds)
        return float(np.where(together == 0, 1.0, right / np.maximum(together, 1)).mean())


@dataclass(frozen=True)
class PoseBowl:
    """IoU of the most probable detection of each picture, as a mean over pictures."""

    kinds: tuple[Kind, ...] = KINDS

    @property
    def meanings(self) -> Mapping[str, str]:
        """What the number is."""
        return {
            "pose/IoU": "Pose Bowl 2024: IoU of the most probable detection with the object that it overlaps most, of "
            "any class; 0 where nothing is found; mean over the pictures with objects"
        }

    def start(self, kind: Kind, truth: GroundTruth) -> PoseBowlCount:  # noqa: ARG002 - the scenes are of that kind
        """Begin to count."""
        return PoseBowlCount()


class PoseBowlCount(_PictureScores):
    """Counts what the Pose Bowl's score needs."""

    name = "pose/IoU"

    def score(self, scene: Scene) -> float:
        """Return the IoU of one picture; nan where there is nothing to find."""
        if scene.crowds.all():
            return float("nan")
        return float(scene.ious[0, ~scene.crowds].max()) if len(scene.scores) else 0.0
