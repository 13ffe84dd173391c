"""Average precision and recall as COCO takes them: at its own areas and thresholds, at free ones, of boundaries.

References: pycocotools, `cocoeval.py`; Boundary IoU (2103.16562); the Mapping Challenge, which asks for IoU 0.50 alone.
Letters: A area ranges, T IoU thresholds, D detections, K classes, R levels of recall.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from maskrcnn.errors import InputError
from maskrcnn.evaluation.areas import ALL, between
from maskrcnn.evaluation.coco import KINDS, Kind, Number, numbers
from maskrcnn.evaluation.counting import Tally, Times, mean
from maskrcnn.evaluation.curves import precision_at, ranked
from maskrcnn.evaluation.ground_truth import GroundTruth
from maskrcnn.evaluation.matching import RIGHT, Matcher, Outcomes
from maskrcnn.evaluation.scenes import Scene

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""COCO's IoU thresholds."""


@dataclass(frozen=True)
class Averages:
    """Average precision and recall.

    Args:
        numbers: Which ones.
        kinds: The kinds of overlap.
        prefix: Stands before their names.
    """

    numbers: tuple[Number, ...]
    kinds: tuple[Kind, ...] = KINDS
    prefix: str = ""

    @property
    def meanings(self) -> Mapping[str, str]:
        """Their definitions."""
        return {self.prefix + number.name: number.describe() for number in self.numbers}

    def start(self, kind: Kind, truth: GroundTruth) -> AveragesCount:  # noqa: ARG002 - the scenes are of that kind
        """Begin to count."""
        return AveragesCount(self.numbers, self.prefix, len(truth.names))


def coco(detections: Sequence[int]) -> Averages:
    """Take COCO's numbers of boxes and masks, with these limits of detections."""
    return Averages(numbers(detections))


def boundary(detections: Sequence[int]) -> Averages:
    """Take COCO's numbers of the boundaries of masks."""
    return Averages(numbers(detections), ("boundary",))


def sizes(detections: Sequence[int], sides: Sequence[float]) -> Averages:
    """Take average precision and recall in ranges of areas; borders are sides of squares in pixels.

    Raises:
        InputError: The borders do not rise, or one is not above 0.
    """
    ranges = between(sides)
    most = max(detections)
    chosen = (
        *(Number(f"AP_{area.name}", "precision", None, area, most) for area in ranges),
        *(Number(f"AR_{area.name}", "recall", None, area, most) for area in ranges),
    )
    return Averages(chosen, prefix="sizes/")


def mapping(detections: Sequence[int], ious: Sequence[float]) -> Averages:
    """Take average precision and recall at single IoU thresholds, as the Mapping Challenge does at 0.50.

    Raises:
        InputError: One is not between 0 and 1.
    """
    wrong = [iou for iou in ious if not 0 < iou <= 1]
    if wrong:
        raise InputError(f"mapping: expected IoUs between 0 and 1, got {wrong[0]:g}")
    most = max(detections)
    chosen = [
        number
        for iou in ious
        for number in (
            Number(f"AP{round(100 * iou)}", "precision", iou, ALL, most),
            Number(f"AR{round(100 * iou)}", "recall", iou, ALL, most),
        )
    ]
    return Averages(tuple(chosen), prefix="mapping/")


class AveragesCount:
    """Counts what average precision and recall need.

    Args:
        chosen: The numbers.
        prefix: Stands before their names.
        classes: K.
    """

    def __init__(self, chosen: Sequence[Number], prefix: str, classes: int) -> None:
        self.numbers = tuple(chosen)
        self.prefix = prefix
        self._areas = tuple(dict.fromkeys(number.area for number in chosen))
        self._thresholds = _thresholds(number.iou for number in chosen)
        self._matcher = Matcher(self._areas, self._thresholds, max(each.detections for each in chosen), classes)

    def add(self, scene: Scene) -> None:
        """Count the next picture."""
        self._matcher.add(scene)

    @cached_property
    def ranking(self) -> Ranking:
        """What all detections came to, class by class."""
        return Ranking(self._matcher.outcomes())

    def tally(self, times: Times) -> Tally:
        """Return the numbers over all classes and for each."""
        rows = [self._row(one) for one in self.ranking.classes(times)]
        overall = {name: mean(np.array([row[name] for row in rows])) for name in self._names}
        return Tally(overall, [{name: _plain(value) for name, value in row.items()} for row in rows])

    @property
    def _names(self) -> list[str]:
        return [self.prefix + number.name for number in self.numbers]

    def _row(self, one: ClassRanking) -> dict[str, float]:
        """Return the numbers of one class; nan where it has no object."""
        return {
            name: one.average(number, self._areas.index(number.area), self._at(number))
            for name, number in zip(self._names, self.numbers, strict=True)
        }

    def _at(self, number: Number) -> slice | int:
        """Say at which of the thresholds a number is taken."""
        if number.iou is None:
            return slice(0, len(THRESHOLDS))
        return int(np.argmin(np.abs(np.subtract(self._thresholds, number.iou))))


def _thresholds(ious: Iterable[float | None]) -> list[float]:
    """Return COCO's thresholds where any number is their mean, then the others."""
    asked = list(dict.fromkeys(ious))
    begin = THRESHOLDS.tolist() if None in asked else []
    return begin + [iou for iou in asked if iou is not None and not np.isclose(begin, iou).any()]


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else value


class Ranking:
    """The detections of each class by falling score.

    Args:
        outcomes: What they came to.
    """

    def __init__(self, outcomes: Outcomes) -> None:
        self.outcomes = outcomes
        self._places = list(ranked(outcomes))
        self._objects = [np.flatnonzero(outcomes.object_labels == k) for k in range(outcomes.classes)]

    def classes(self, times: Times) -> Iterator[ClassRanking]:
        """Give each class, where every picture counts so often."""
        out = self.outcomes
        found, there = times.of(out.pictures), times.of(out.object_pictures)
        for places, objects in zip(self._places, self._objects, strict=True):
            counts = out.counted[:, objects] @ there[objects]
            yield ClassRanking(out.came_to[..., places], out.ranks[places], found[places], counts)


class ClassRanking:
    """The detections of one class by falling score.

    Args:
        came_to: (A, T, D) uint8. What they came to.
        ranks: (D,) int32. How many of a detection's picture come before it.
        times: (D,) int64. How often each one counts.
        objects: (A,) int64. How many objects there are to find.
    """

    def __init__(
        self,
        came_to: NDArray[np.uint8],
        ranks: NDArray[np.int32],
        times: NDArray[np.int64],
        objects: NDArray[np.int64],
    ) -> None:
        self.came_to = came_to
        self.ranks = ranks
        self.times = times
        self.objects = objects
        self._precisions: dict[int, NDArray[np.float64]] = {}

    def average(self, number: Number, area: int, thresholds: slice | int) -> float:
        """Return a number of this class; nan where there is nothing to find."""
        objects = int(self.objects[area])
        if objects == 0:
            return float("nan")
        if number.quantity == "recall":
            seen = self.times * (self.ranks < number.detections)
            return float(((self.came_to[area, thresholds] == RIGHT) @ seen / objects).mean())
        return float(self._precision(area, objects)[thresholds].mean())

    def _precision(self, area: int, objects: int) -> NDArray[np.float64]:
        """Return average precision at each threshold: (T,) float64."""
        if area not in self._precisions:
            self._precisions[area] = precision_at(self.came_to[area], objects, times=self.times).mean(axis=-1)
        return self._precisions[area]
