"""Precision over recall: a curve for each class, and the averages that are taken of it.

References: pycocotools, `cocoeval.py`.
Letters: A area ranges, T IoU thresholds, D detections, K classes, N points of a curve, R levels of recall.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.evaluation.areas import ALL, Area
from maskrcnn.evaluation.coco import Kind
from maskrcnn.evaluation.matching import IGNORED, RIGHT, Matcher, Outcomes
from maskrcnn.evaluation.scenes import scenes

if TYPE_CHECKING:
    from maskrcnn.data.formats.coco_results import Result
    from maskrcnn.evaluation.ground_truth import GroundTruth

LEVELS = np.linspace(0.0, 1.0, 101)
"""COCO's levels of recall."""


class Curve(NamedTuple):
    """Precision over recall of one class, a point after each of its detections by falling score.

    Attributes:
        recall: (N,) float64. Share of the objects that are found, in [0, 1]; nan where there are none.
        precision: (N,) float64. Share of the detections that are right, in [0, 1]; nan before the first that counts.
        scores: (N,) float64. Probability of the detection: the threshold that leads to this point.
        objects: Number of objects to find, without crowds.
    """

    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    scores: NDArray[np.float64]
    objects: int

    @property
    def envelope(self) -> NDArray[np.float64]:
        """(N,) float64. The best precision at each point's recall or a higher one, which COCO averages."""
        best: NDArray[np.float64] = np.maximum.accumulate(np.nan_to_num(self.precision)[::-1])[::-1]
        return best

    @property
    def average(self) -> float | None:
        """Average precision at COCO's 101 levels of recall; None without objects."""
        if not self.objects:
            return None
        at = np.searchsorted(self.recall, LEVELS)
        return float(np.append(self.envelope, 0.0)[at].mean())


def precision_recall(
    kind: Kind,
    truth: GroundTruth,
    results: Sequence[Result],
    iou: float = 0.5,
    *,
    area: Area = ALL,
    limit: int = 100,
) -> dict[str, Curve]:
    """Return precision over recall of each class by name, in the order of `truth.names`.

    Detections in crowds and of classes that were not looked for are left out, where they match no object.

    Args:
        kind: What overlaps.
        truth: What is there.
        results: What was found, in any order.
        iou: From where on a detection is right.
        area: Objects of which size are to be found.
        limit: Detections of a picture and class that are looked at.
    """
    matcher = Matcher([area], [iou], limit, len(truth.names))
    for scene in scenes(kind, truth, results):
        matcher.add(scene)
    outcomes = matcher.outcomes()
    objects = outcomes.objects(0)
    return {
        name: _curve(outcomes.came_to[0, 0, places], outcomes.scores[places], int(count))
        for name, places, count in zip(truth.names.values(), ranked(outcomes), objects, strict=True)
    }


def _curve(came_to: NDArray[np.uint8], scores: NDArray[np.float64], objects: int) -> Curve:
    counts = came_to <= RIGHT
    right = np.cumsum(came_to[counts] == RIGHT)
    seen = np.arange(1, len(right) + 1)
    return Curve(right / objects if objects else np.full(len(right), np.nan), right / seen, scores[counts], objects)


def ranked(outcomes: Outcomes) -> Iterator[NDArray[np.int64]]:
    """Give for each class where its detections stand, by falling score; equal ones by picture, then as they came."""
    order = np.lexsort((outcomes.ranks, outcomes.pictures, -outcomes.scores, outcomes.labels))
    ends = np.cumsum(np.bincount(outcomes.labels, minlength=outcomes.classes))
    for begin, end in zip([0, *ends[:-1]], ends, strict=True):
        yield order[begin:end]


def precision_at(
    came_to: NDArray[np.uint8],
    objects: int,
    levels: NDArray[np.float64] = LEVELS,
    times: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Return the best precision at each level of recall or a higher one, as pycocotools: (..., R) float64.

    Args:
        came_to: (..., D) uint8. What the detections of one class came to, by falling score.
        objects: How many there were to find, at least one.
        levels: (R,) float64. Levels of recall, rising.
        times: (D,) int64. How often each detection counts; once if not given.
    """
    lanes = came_to.reshape(math.prod(came_to.shape[:-1]), came_to.shape[-1])
    seen = np.arange(1, lanes.shape[-1] + 1) if times is None else np.cumsum(times)
    out = np.zeros((len(lanes), len(levels)))
    needed = np.searchsorted(np.arange(objects + 1) / objects, levels)  # objects that must be found for each level
    for lane, best in zip(lanes, out, strict=True):
        at = np.flatnonzero(lane == RIGHT)
        if len(at):
            right = np.cumsum(np.ones(len(at), dtype=np.int64) if times is None else times[at])
            wrong = seen[at] - right - _ignored_before(lane, at, times)
            precision = right / np.maximum(wrong + right, 1)  # pycocotools adds 2e-16 below, so that 1 is not 1
            envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
            best[:] = envelope[np.searchsorted(right, np.maximum(needed, 1))]
    return out.reshape(*came_to.shape[:-1], len(levels))


def _ignored_before(
    lane: NDArray[np.uint8], at: NDArray[np.int64], times: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """Count the detections before each of some places that are neither right nor wrong."""
    ignored = np.flatnonzero(lane == IGNORED)
    counts = np.cumsum(np.append(0, np.ones(len(ignored), dtype=np.int64) if times is None else times[ignored]))
    return counts[np.searchsorted(ignored, at)]
