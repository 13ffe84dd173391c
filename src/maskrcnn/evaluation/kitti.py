"""KITTI's average precision of boxes, easy, moderate and hard, at 40 levels of recall.

Objects choose detections, once at each of up to 41 scores at which another fortieth of them is found. How much of an
object is hidden or outside the picture is known where the data says so, as KITTI's own does. Elsewhere the box's height
alone says how hard an object is, and there is no hard.
Only detections of the class itself are looked at. Of fewer than 40 objects found, fewer levels are reached, and the
number is lower than the curve: that is so in KITTI's own program.

References: the KITTI object benchmark's development kit, `evaluate_object.cpp`; Simonelli et al. (1905.12365) for the
40 levels.
Letters: K classes, L scores that detections are cut off at, D detections, G objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import View
from maskrcnn.errors import InputError
from maskrcnn.evaluation.coco import Kind, Values
from maskrcnn.evaluation.counting import Tally, Times, mean
from maskrcnn.evaluation.ground_truth import GroundTruth
from maskrcnn.evaluation.scenes import Scene

LEVELS = 40


class Difficulty(NamedTuple):
    """Which objects are to be found.

    Attributes:
        height: Of their boxes at least, in pixels.
        hidden: How much of them at most, as in `View`.
        outside: Which share of them at most.
        words: The same for people.
    """

    height: float
    hidden: int
    outside: float
    words: str


DIFFICULTIES = {
    "easy": Difficulty(40.0, 0, 0.15, "nothing hidden, at most 15 % outside"),
    "moderate": Difficulty(25.0, 1, 0.30, "at most a part hidden, at most 30 % outside"),
    "hard": Difficulty(25.0, 2, 0.50, "hidden or not, at most 50 % outside"),
}
_NEEDS_VIEWS = "hard"  # without them it would be moderate under another name
_NEIGHBOURS = {"car": "van", "pedestrian": "person_sitting"}  # neither missed nor wrong to find


@dataclass(frozen=True)
class Kitti:
    """Average precision of boxes as KITTI's development kit takes it.

    Args:
        ious: From where on a box is right; KITTI asks 0.70 of cars, 0.50 of pedestrians and cyclists.

    Raises:
        InputError: An IoU is not between 0 and 1.
    """

    ious: tuple[float, ...] = (0.7, 0.5)
    kinds: tuple[Kind, ...] = ("box",)

    def __post_init__(self) -> None:
        wrong = [iou for iou in self.ious if not 0 < iou < 1]
        if wrong:
            raise InputError(f"kitti: expected IoUs between 0 and 1, got {wrong[0]:g}")

    @property
    def meanings(self) -> Mapping[str, str]:
        """What the numbers are."""
        return {
            _name(
                iou, name
            ): f"KITTI's average precision, IoU above {iou:.2f}, boxes at least {limits.height:g} pixels "
            f"high, {limits.words} where the data says so, {LEVELS} levels of recall"
            for iou in self.ious
            for name, limits in DIFFICULTIES.items()
        }

    def start(self, kind: Kind, truth: GroundTruth) -> KittiCount:  # noqa: ARG002 - boxes only
        """Begin to count."""
        return KittiCount(self.ious, truth)


def _name(iou: float, difficulty: str) -> str:
    return f"kitti/AP{round(100 * iou)}_{difficulty}"


class _Objects(NamedTuple):
    """What makes G objects hard: `heights` in pixels, `hidden`, `outside`, (G,) float64 each; 0 is not known."""

    heights: NDArray[np.float64]
    hidden: NDArray[np.float64]
    outside: NDArray[np.float64]

    def take(self, there: NDArray[np.bool_]) -> _Objects:
        """Return some of them."""
        return _Objects._make(each[there] for each in self)


class _Picture(NamedTuple):
    """What one picture has of a class.

    Attributes:
        image_id: The picture.
        scores: (D,) float64.
        heights: (D,) float64.
        objects: G objects of the class and of its neighbour.
        own: (G,) bool. Whether it is of the class itself.
        ious: (D, G) float64.
        beside: (D,) float64. The largest share of a detection that lies in a region to be ignored.
    """

    image_id: int
    scores: NDArray[np.float64]
    heights: NDArray[np.float64]
    objects: _Objects
    own: NDArray[np.bool_]
    ious: NDArray[np.float64]
    beside: NDArray[np.float64]

    def wanted(self, limits: Difficulty) -> NDArray[np.bool_]:
        """Say which objects are to be found: (G,) bool."""
        heights, hidden, outside = self.objects
        return self.own & (heights >= limits.height) & (hidden <= limits.hidden) & (outside <= limits.outside)


class KittiCount:
    """Counts what KITTI's numbers need.

    Args:
        ious: From where on a box is right.
        truth: What is there.
    """

    def __init__(self, ious: Sequence[float], truth: GroundTruth) -> None:
        self.ious = tuple(ious)
        views = [one.view or View(0, 0.0) for one in truth.objects]
        self._seen = np.array(views, dtype=np.float64).reshape(len(views), 2)
        self._views_known = any(one.view for one in truth.objects)
        lower = [name.lower() for name in truth.names.values()]
        self._neighbours = [lower.index(_NEIGHBOURS[name]) if _NEIGHBOURS.get(name) in lower else -1 for name in lower]
        self._pictures: list[list[_Picture]] = [[] for _ in lower]

    def add(self, scene: Scene) -> None:
        """Count the next picture."""
        objects = _Objects(scene.heights, *self._seen[scene.truths].T)
        for k in np.union1d(scene.labels, scene.found_labels).tolist():
            found = (scene.found_labels == k) & ~scene.found_open
            own = (scene.labels == k) & ~scene.crowds
            there = own | ((scene.labels == self._neighbours[k]) & ~scene.crowds)
            ignored = (scene.labels == k) & scene.crowds
            picture = _Picture(
                scene.image_id,
                scene.scores[found],
                scene.found_heights[found],
                objects.take(there),
                own[there],
                scene.ious[np.ix_(found, there)],
                scene.ious[np.ix_(found, ignored)].max(axis=1, initial=0.0),
            )
            self._pictures[k].append(picture)

    def tally(self, times: Times) -> Tally:
        """Return the numbers over all classes and for each."""
        rows: list[Values] = [
            {
                _name(iou, name): average(pictures, iou, limits, times)
                if self._views_known or name != _NEEDS_VIEWS
                else None
                for iou in self.ious
                for name, limits in DIFFICULTIES.items()
            }
            for pictures in self._pictures
        ]
        names = rows[0] if rows else {}
        overall = {name: mean(np.array([row[name] for row in rows], dtype=np.float64)) for name in names}
        return Tally(overall, rows)


def average(pictures: Sequence[_Picture], iou: float, limits: Difficulty, times: Times) -> float | None:
    """Return average precision of one class; None where there is nothing to find.

    Args:
        pictures: What the pictures have of the class.
        iou: A box is right above it.
        limits: Objects and detections beyond them are ignored.
        times: How often each picture counts.
    """
    counts = times.of(np.array([picture.image_id for picture in pictures], dtype=np.int64))
    objects = sum(n * int(picture.wanted(limits).sum()) for n, picture in zip(counts, pictures, strict=True))
    if not objects:
        return None
    scores = [np.repeat(found_scores(picture, iou, limits), n) for n, picture in zip(counts, pictures, strict=True)]
    cuts = cut_offs(np.sort(np.concatenate(scores))[::-1], int(objects))
    right, wrong = np.zeros(len(cuts)), np.zeros(len(cuts))
    for n, picture in zip(counts, pictures, strict=True):
        if n:
            here = counted(picture, iou, limits, cuts)
            right += n * here[0]
            wrong += n * here[1]
    precision = np.zeros(LEVELS + 1)
    precision[: len(cuts)] = right / np.maximum(right + wrong, 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[1:].sum() / LEVELS)


def found_scores(picture: _Picture, iou: float, limits: Difficulty) -> NDArray[np.float64]:
    """Return the scores at which objects of a picture are found, where each takes its most probable detection."""
    free = np.ones(len(picture.scores), dtype=np.bool_)
    wanted = picture.wanted(limits)
    scores = []
    for g in range(len(picture.own)):
        may = np.flatnonzero(free & (picture.ious[:, g] > iou))
        if len(may):
            d = may[0]  # by falling score
            free[d] = False
            if wanted[g] and not picture.heights[d] < limits.height:
                scores.append(picture.scores[d])
    return np.array(scores, dtype=np.float64)


def cut_offs(scores: NDArray[np.float64], objects: int) -> NDArray[np.float64]:
    """Choose the scores that are nearest to the levels of recall: (L,) float64.

    Args:
        scores: At which objects are found, falling.
        objects: How many there are.
    """
    chosen, level = [], 0.0
    for i, score in enumerate(scores.tolist()):
        last = i == len(scores) - 1
        here, after = (i + 1) / objects, (i + 1 if last else i + 2) / objects
        if after - level < level - here and not last:
            continue
        chosen.append(score)
        level += 1 / LEVELS
    return np.array(chosen, dtype=np.float64)


def counted(
    picture: _Picture, iou: float, limits: Difficulty, cuts: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count right and wrong detections of a picture at each cut-off, where objects take what they overlap most.

    Returns:
        (L,) int64 and (L,) int64.
    """
    low, wanted = picture.heights < limits.height, picture.wanted(limits)
    shown = picture.scores >= cuts[:, None]
    free = shown.copy()
    right = np.zeros(len(cuts), dtype=np.int64)
    # any that is high enough is better than any that is not; of those, the first is taken
    worth = np.where(low[:, None], np.arange(len(low), 0, -1)[:, None] / (len(low) + 1) - 1, picture.ious)
    for g in range(len(picture.own)):
        may = free & (picture.ious[:, g] > iou)
        lanes = np.flatnonzero(may.any(axis=1))
        if not len(lanes):
            continue
        d = np.where(may[lanes], worth[:, g], -2.0).argmax(axis=1)
        free[lanes, d] = False
        if wanted[g]:
            right[lanes] += ~low[d]
    wrong = (free & ~low & ~(picture.beside > iou)).sum(axis=1)
    return right, wrong
