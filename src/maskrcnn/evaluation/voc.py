"""Pascal VOC's average precision at IoU 0.50: every detection goes to the object that it overlaps most.

Unlike with COCO, a detection whose object is taken is wrong, also where it overlaps another one enough. There is no
limit of detections. What VOC calls difficult is a crowd here.

References: VOC's development kit of 2010 and 2012 (area under the curve) and of 2007 (11 levels of recall).
Letters: D detections, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from maskrcnn.evaluation.areas import ALL
from maskrcnn.evaluation.coco import KINDS, Kind, Values
from maskrcnn.evaluation.counting import Tally, Times, mean
from maskrcnn.evaluation.curves import precision_at, ranked
from maskrcnn.evaluation.ground_truth import GroundTruth
from maskrcnn.evaluation.matching import IGNORED, RIGHT, WRONG, Outcomes, joined, ranks_of
from maskrcnn.evaluation.scenes import Scene

IOU = 0.5
ELEVEN = np.linspace(0.0, 1.0, 11)


@dataclass(frozen=True)
class Voc:
    """Average precision of boxes and masks as VOC's development kit takes it."""

    kinds: tuple[Kind, ...] = KINDS

    @property
    def meanings(self) -> Mapping[str, str]:
        """What the two numbers are."""
        rule = f"IoU {IOU:.2f}, each detection goes to the object that it overlaps most"
        return {
            "voc/AP50": f"Pascal VOC's average precision since 2010, area under the curve, {rule}",
            "voc/AP50_2007": f"Pascal VOC's average precision of 2007, at 11 levels of recall, {rule}",
        }

    def start(self, kind: Kind, truth: GroundTruth) -> VocCount:  # noqa: ARG002 - the scenes are of that kind
        """Begin to count."""
        return VocCount(len(truth.names))


class VocCount:
    """Counts what VOC's numbers need.

    Args:
        classes: K.
    """

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._seen: list[tuple[Scene, NDArray[np.uint8]]] = []

    def add(self, scene: Scene) -> None:
        """Count the next picture."""
        # what overlaps is not needed any more
        self._seen.append((scene._replace(ious=np.zeros((0, 0))), assign(scene)))

    @cached_property
    def _outcomes(self) -> Outcomes:
        ids = np.array([scene.image_id for scene, _ in self._seen], dtype=np.int64)
        ordinary = [~scene.crowds for scene, _ in self._seen]
        labels = [scene.labels[here] for (scene, _), here in zip(self._seen, ordinary, strict=True)]
        return Outcomes(
            (ALL,),
            (IOU,),
            self._classes,
            np.repeat(ids, [len(scene.scores) for scene, _ in self._seen]),
            joined([scene.found_labels for scene, _ in self._seen], np.int32),
            joined([scene.scores for scene, _ in self._seen], np.float64),
            joined([ranks_of(scene.found_labels) for scene, _ in self._seen], np.int32),
            joined([came_to for _, came_to in self._seen], np.uint8)[None, None],
            np.repeat(ids, [len(each) for each in labels]),
            joined(labels, np.int32),
            np.ones((1, sum(map(len, labels))), dtype=np.bool_),
        )

    def tally(self, times: Times) -> Tally:
        """Return both numbers, over all classes and for each."""
        out = self._outcomes
        found, there = times.of(out.pictures), times.of(out.object_pictures)
        objects = np.bincount(out.object_labels, there, self._classes).astype(np.int64)
        rows: list[Values] = []
        for places, count in zip(ranked(out), objects.tolist(), strict=True):
            came_to, weights = out.came_to[0, 0, places], found[places]
            since, first = _area_under(came_to, weights, count), None
            if count:
                first = float(precision_at(came_to[None], count, ELEVEN, weights).mean())
            rows.append({"voc/AP50": since, "voc/AP50_2007": first})
        names = ("voc/AP50", "voc/AP50_2007")
        overall = {name: mean(np.array([row[name] for row in rows], dtype=np.float64)) for name in names}
        return Tally(overall, rows)


def assign(scene: Scene) -> NDArray[np.uint8]:
    """Say what each detection of a picture came to: (D,) uint8."""
    came_to = np.full(len(scene.scores), WRONG, dtype=np.uint8)
    came_to[scene.found_open] = IGNORED
    ious = np.where(scene.found_labels[:, None] == scene.labels, scene.ious, -1.0)
    if not ious.size:
        return came_to
    nearest = ious.argmax(axis=1)
    near = ious[np.arange(len(ious)), nearest] >= IOU
    taken = np.zeros(len(scene.labels), dtype=np.bool_)
    for i in np.flatnonzero(near):
        g = nearest[i]
        if scene.crowds[g]:
            came_to[i] = IGNORED
        else:
            came_to[i] = WRONG if taken[g] else RIGHT
            taken[g] = True
    return came_to


def _area_under(came_to: NDArray[np.uint8], times: NDArray[np.int64], objects: int) -> float | None:
    """Return the area under the best precision at each recall or a higher one."""
    if not objects:
        return None
    right, wrong = (np.cumsum(times * (came_to == what)) for what in (RIGHT, WRONG))
    precision = right / np.maximum(right + wrong, 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(right, prepend=0) * envelope) / objects)
