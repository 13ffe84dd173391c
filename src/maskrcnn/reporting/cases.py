"""Which detections are right, which objects are missed, and which pictures and cases are worth showing.

References: Panoptic Segmentation (1801.00868), section 4.2: the quality of a picture.
Letters: G annotated objects of a picture, D detections in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.evaluation.coco import Kind
from maskrcnn.evaluation.ground_truth import GroundTruth
from maskrcnn.evaluation.scenes import Scene, scenes

if TYPE_CHECKING:
    from maskrcnn.data.formats.coco_results import Result

Wrong = Literal["missed", "false"]
IOU = 0.5
"""The overlap from which on a detection is right."""

NONE = -1


class Judged(NamedTuple):
    """One picture, each detection held against the objects of its class.

    Attributes:
        scene: The picture.
        match: (D) int64. Which of the G objects a detection is right about; -1 for none.
        ignored: (D) bool. Neither right nor wrong: it lies in a crowd, or its class was not looked for.
        sure: (D) bool. Its score is high enough to be shown.
    """

    scene: Scene
    match: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    sure: NDArray[np.bool_]

    @property
    def right(self) -> NDArray[np.bool_]:
        """(D) bool. Sure detections that are right."""
        return self.sure & (self.match != NONE)

    @property
    def false(self) -> NDArray[np.bool_]:
        """(D) bool. Sure detections that are right about nothing."""
        return self.sure & (self.match == NONE) & ~self.ignored

    @property
    def missed(self) -> NDArray[np.bool_]:
        """(G) bool. Objects that no sure detection is right about; never a crowd."""
        missed = ~self.scene.crowds
        missed[self.match[self.right]] = False
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
        return float(self.scene.ious[right, self.match[right]].sum() / (len(right) + wrong / 2))


def judge(scene: Scene, least: NDArray[np.float64], unseen: Sequence[int] = (), iou: float = IOU) -> Judged:
    """Let detections choose among the objects of their class, by falling score, as the COCO evaluation does.

    Args:
        scene: The picture.
        least: (K) float64. The score from which on a detection of each class is sure.
        unseen: Labels of classes that were not looked for in the picture.
        iou: The overlap that is right.
    """
    D, G = scene.ious.shape
    match = np.full(D, NONE, dtype=np.int64)
    ignored = np.isin(scene.found_labels, list(unseen))
    free = ~scene.crowds
    for d in range(D if G else 0):
        own = scene.labels == scene.found_labels[d]
        overlap = np.where(own & free, scene.ious[d], 0.0)
        best = G - 1 - int(overlap[::-1].argmax())  # of equal ones the last, as pycocotools
        if overlap[best] >= iou:
            match[d], free[best] = best, False
        elif (scene.ious[d, own & scene.crowds] >= iou).any():
            ignored[d] = True
    return Judged(scene, match, ignored & (match == NONE), scene.scores >= least[scene.found_labels])


def judged(kind: Kind, truth: GroundTruth, results: Sequence[Result], least: NDArray[np.float64]) -> Iterator[Judged]:
    """Judge the pictures of the data one after another.

    Args:
        kind: Whether boxes or masks overlap.
        truth: What is there.
        results: What was found.
        least: (K) float64. The score from which on a detection of each class is sure.
    """
    label_of = {category_id: label for label, category_id in enumerate(truth.names)}
    for scene in scenes(kind, truth, results):
        seen = truth.labelled.get(scene.image_id)
        unseen = () if seen is None else [label for i, label in label_of.items() if i not in seen]
        yield judge(scene, least, unseen)


def only(truth: GroundTruth, results: Sequence[Result], image_ids: Collection[int]) -> tuple[GroundTruth, list[Result]]:
    """Leave out what is of other pictures."""
    kept = replace(
        truth,
        sizes_hw={i: size for i, size in truth.sizes_hw.items() if i in image_ids},
        objects=tuple(one for one in truth.objects if one.image_id in image_ids),
    )
    return kept, [result for result in results if result["image_id"] in image_ids]


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


def collect(judged: Iterable[Judged], most: int) -> Cases:
    """Go over the pictures once and keep how each went, and the most telling `most` cases of both kinds."""
    pictures: list[Picture] = []
    missed: list[Case] = []
    false: list[Case] = []
    counts = np.zeros(2, dtype=np.int64)
    for one in judged:
        absent, wrong = np.flatnonzero(one.missed), np.flatnonzero(one.false)
        counts += (len(absent), len(wrong))
        pictures.append(Picture(one.scene.image_id, one.quality, int(one.right.sum()), len(wrong), len(absent)))
        missed = sorted([*missed, *(_missed(one, int(g)) for g in absent)], key=_surest)[:most]
        false = sorted([*false, *(_false(one, int(d)) for d in wrong)], key=_surest)[:most]
    return Cases(pictures, missed, false, int(counts[0]), int(counts[1]))


def _surest(case: Case) -> tuple[float, float]:
    return -case.score, -case.size


def _missed(one: Judged, g: int) -> Case:
    scene = one.scene
    overlap = scene.ious[:, g]
    near = None
    if len(overlap) and overlap.max() > 0:
        d = int(overlap.argmax())
        near = Near(int(scene.found_labels[d]), float(overlap[d]), float(scene.scores[d]))
    label, area = int(scene.labels[g]), float(scene.areas[g])
    return Case(scene.image_id, g, label, near.score if near else 0.0, area, near)


def _false(one: Judged, d: int) -> Case:
    scene = one.scene
    overlap = np.where(scene.crowds, 0.0, scene.ious[d])
    near = None
    if len(overlap) and overlap.max() > 0:
        g = int(overlap.argmax())
        near = Near(int(scene.labels[g]), float(overlap[g]), 1.0)
    return Case(scene.image_id, d, int(scene.found_labels[d]), float(scene.scores[d]), 0.0, near)


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
