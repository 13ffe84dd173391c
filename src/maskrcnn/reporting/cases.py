"""Which detections are right, which objects are missed, and which pictures and cases are worth showing.

References: Panoptic Segmentation (1801.00868), section 4.2: the quality of a picture.
Letters: G annotated objects of a picture, D detections in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.evaluation.errors import Case as Error
from maskrcnn.evaluation.scenes import Scene
from maskrcnn.evaluation.verdicts import NOTHING, Verdicts, judge

Wrong = Literal["missed", "false"]
IOU = 0.5
"""The overlap from which on a detection is right."""


class Judged(NamedTuple):
    """One picture, each detection held against the objects of its class.

    Attributes:
        scene: The picture.
        verdicts: Which of the G objects each detection is right about, and which are neither right nor wrong.
        sure: (D) bool. Its score is high enough to be shown.
    """

    scene: Scene
    verdicts: Verdicts
    sure: NDArray[np.bool_]

    @property
    def right(self) -> NDArray[np.bool_]:
        """(D) bool. Sure detections that are right."""
        right: NDArray[np.bool_] = self.sure & (self.verdicts.objects != NOTHING)
        return right

    @property
    def false(self) -> NDArray[np.bool_]:
        """(D) bool. Sure detections that are right about nothing."""
        return self.sure & self.verdicts.wrong

    @property
    def missed(self) -> NDArray[np.bool_]:
        """(G) bool. Objects that no sure detection is right about; never a crowd."""
        missed = ~self.scene.crowds
        missed[self.verdicts.objects[self.right]] = False
        return missed

    @property
    def quality(self) -> float:
        """Panoptic quality over all classes: the sum of the IoUs of right detections, divided by right + half of wrong.

        1 where nothing is there and nothing was found.
        """
        right = np.flatnonzero(self.right)
        wrong = int(self.false.sum()) + int(self.missed.sum())
        if not len(right) + wrong:
            return 1.0
        return float(self.scene.ious[right, self.verdicts.objects[right]].sum() / (len(right) + wrong / 2))


def judged(scene: Scene, least: NDArray[np.float64]) -> Judged:
    """Judge a picture at the overlap that is right.

    Args:
        scene: The picture.
        least: (K) float64. The score from which on a detection of each class is sure.
    """
    return Judged(scene, judge(scene, IOU), scene.scores >= least[scene.found_labels])


class Picture(NamedTuple):
    """How a picture went.

    Attributes:
        image_id: Its id in the data.
        quality: Panoptic quality, 0 to 1.
        right: Detections.
        false: Detections.
        missed: Objects.
    """

    image_id: int
    quality: float
    right: int
    false: int
    missed: int


class Near(NamedTuple):
    """What lies nearest to a missed object or a false detection.

    Attributes:
        label: Its class.
        iou: How much they overlap.
        score: Its score; 1 for an object.
    """

    label: int
    iou: float
    score: float


class Case(NamedTuple):
    """One missed object or one false detection.

    Attributes:
        image_id: Its picture.
        place: Which of the G objects, or which of the D detections of the picture.
        label: Its class.
        score: Of the detection; of a missed object that of the best detection near it, 0 where there is none.
        size: Area of the object in pixels; 0 for a detection.
        near: The detection that overlaps the object most, or the object that overlaps the detection most.
    """

    image_id: int
    place: int
    label: int
    score: float
    size: float
    near: Near | None


class Cases(NamedTuple):
    """All that a report shows of single pictures.

    Attributes:
        pictures: How every picture went, in the order of the data.
        missed: Missed objects, those whose nearest detection was surest first, then the largest.
        false: False detections, the surest first.
        missed_count: How many objects are missed altogether.
        false_count: How many detections are false altogether.
    """

    pictures: list[Picture]
    missed: list[Case]
    false: list[Case]
    missed_count: int
    false_count: int


class Collector:
    """Goes over pictures once, and keeps how each went and the most telling cases of both kinds.

    Args:
        most: Cases of a kind.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._pictures: list[Picture] = []
        self._missed: list[Case] = []
        self._false: list[Case] = []
        self._counts = np.zeros(2, dtype=np.int64)

    def add(self, one: Judged) -> None:
        """Take the next picture."""
        absent, wrong = np.flatnonzero(one.missed), np.flatnonzero(one.false)
        self._counts += (len(absent), len(wrong))
        self._pictures.append(Picture(one.scene.image_id, one.quality, int(one.right.sum()), len(wrong), len(absent)))
        self._missed = sorted([*self._missed, *(missed_case(one.scene, int(g)) for g in absent)], key=_surest)[
            : self.most
        ]
        self._false = sorted([*self._false, *(false_case(one.scene, int(d)) for d in wrong)], key=_surest)[: self.most]

    def cases(self) -> Cases:
        """Return what is worth showing of all pictures so far."""
        return Cases(self._pictures, self._missed, self._false, int(self._counts[0]), int(self._counts[1]))


def _surest(case: Case) -> tuple[float, float]:
    return -case.score, -case.size


def missed_case(scene: Scene, g: int) -> Case:
    """Say what lies nearest to a missed object."""
    overlap = scene.ious[:, g]
    near = None
    if len(overlap) and overlap.max() > 0:
        d = int(overlap.argmax())
        near = Near(int(scene.found_labels[d]), float(overlap[d]), float(scene.scores[d]))
    label, area = int(scene.labels[g]), float(scene.areas[g])
    return Case(scene.image_id, g, label, near.score if near else 0.0, area, near)


def false_case(scene: Scene, d: int) -> Case:
    """Say what lies nearest to a false detection."""
    overlap = np.where(scene.crowds, 0.0, scene.ious[d])
    near = None
    if len(overlap) and overlap.max() > 0:
        g = int(overlap.argmax())
        near = Near(int(scene.labels[g]), float(overlap[g]), 1.0)
    return Case(scene.image_id, d, int(scene.found_labels[d]), float(scene.scores[d]), 0.0, near)


def error_case(scene: Scene, error: Error) -> Case:
    """Find an error in its picture.

    Args:
        scene: The picture, with the places of its objects and detections among all.
        error: One of TIDE's.
    """
    if error.detection is None:
        return missed_case(scene, int(np.flatnonzero(scene.truths == error.object)[0]))
    return false_case(scene, int(np.flatnonzero(scene.found == error.detection)[0]))


def choose(pictures: Sequence[Picture], count: int) -> list[int]:
    """Choose pictures to show, the worst first: half of them the worst, a quarter the best, the others spread between.

    Args:
        pictures: How each went.
        count: How many.

    Returns:
        Places in `pictures`, by rising quality; all of them where there are no more than `count`.

    >>> choose([Picture(i, q, 0, 0, 0) for i, q in enumerate((0.5, 0.1, 0.9, 0.2, 0.8, 0.3, 0.7))], 4)
    [1, 3, 6, 2]
    """
    order = sorted(range(len(pictures)), key=lambda i: (pictures[i].quality, -pictures[i].missed - pictures[i].false))
    if len(order) <= count:
        return order
    worst, best = -(-count // 2), count // 4
    between = order[worst : len(order) - best]
    wanted = count - worst - best
    spread = [(2 * i + 1) * len(between) // (2 * wanted) for i in range(wanted)]
    return [*order[:worst], *(between[i] for i in spread), *order[len(order) - best :]]
