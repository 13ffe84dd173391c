"""What the page of one picture shows where its objects are annotated: matches, training targets and losses.

Letters: G objects, D detections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.coco_results import to_coco_results
from maskrcnn.draw.heat import heat
from maskrcnn.draw.page import Table
from maskrcnn.evaluation.coco import Kind
from maskrcnn.evaluation.ground_truth import from_dataset
from maskrcnn.evaluation.run import matching_categories
from maskrcnn.evaluation.scenes import overlaps
from maskrcnn.inspection.figures import Figure, Shape, rect
from maskrcnn.inspection.learning import Chosen, Lesson
from maskrcnn.inspection.stages import View, recall_table
from maskrcnn.structures import Sample

MOST_NEGATIVES = 60
MOST_OBJECTS = 24  # columns of the table of overlaps
MATCHING_IOU = 0.5


class Overlaps(NamedTuple):
    """How much every detection overlaps every object, and which of them belong together.

    Attributes:
        kind: Of what: `mask` or `box`.
        detections: Name of each row.
        objects: Name of each column.
        iou: (D, G) float64.
        match: (D) int64. The object that the detection found; -1 for none.
        left_out: Objects that are not in the table.
    """

    kind: str
    detections: Sequence[str]
    objects: Sequence[str]
    iou: NDArray[np.float64]
    match: NDArray[np.int64]
    left_out: int


class MaskPair(NamedTuple):
    """What the mask head should have said of a region, and what it said."""

    name: str
    wanted: Image.Image
    drawn: Image.Image


@dataclass(frozen=True)
class Teaching:
    """The part of the page that needs annotations.

    Attributes:
        matches: Objects and detections over the picture.
        overlaps: Their table.
        recall: How many objects every stage still has.
        targets: Anchors and regions to learn from.
        masks: What the mask head should say.
        losses: Each term.
    """

    matches: Figure
    overlaps: Overlaps
    recall: Table
    targets: Sequence[Figure]
    masks: Sequence[MaskPair]
    losses: Table


def teach(view: View, lesson: Lesson, sample: Sample, dataset: Dataset, i: int) -> Teaching:
    """Put what annotations tell of a trace into figures and tables; picture i of the set is the one traced."""
    return Teaching(
        _matches(view, lesson, sample),
        overlap_table(view, dataset, i),
        recall_table(view, lesson.objects),
        [
            *_target_figures(view, lesson.anchors, "anchors", lesson.objects),
            *_target_figures(view, lesson.regions, "regions", lesson.objects),
        ],
        _mask_pairs(lesson, sample),
        _loss_table(lesson),
    )


def overlap_table(view: View, dataset: Dataset, i: int) -> Overlaps:
    """Measure how much the shown detections overlap the objects of picture i, and match them."""
    single = dataset.select([i])
    truth = from_dataset(single)
    found = view.trace.instances[: view.shown]
    results = to_coco_results(found, dataset.image_id(i), matching_categories(found.class_names, single))
    kind: Kind = "mask" if all(each.rle is not None for each in truth.objects) else "box"
    iou = overlaps(kind, results, truth.objects)
    categories = [each.category_id for each in truth.objects]
    match = match_greedily(
        iou,
        np.array([result["category_id"] for result in results], dtype=np.int64),
        np.array(categories, dtype=np.int64),
        np.array([each.crowd for each in truth.objects], dtype=np.bool_),
    )
    objects = [f"{k + 1} {truth.names.get(category, '')}" for k, category in enumerate(categories)]
    objects = [f"{name} (crowd)" if one.crowd else name for name, one in zip(objects, truth.objects, strict=True)]
    rows = [view.caption(d) for d in range(view.shown)]
    return Overlaps(
        kind, rows, objects[:MOST_OBJECTS], iou[:, :MOST_OBJECTS], match, max(0, len(objects) - MOST_OBJECTS)
    )


def match_greedily(
    iou: NDArray[np.float64], found: NDArray[np.int64], there: NDArray[np.int64], crowd: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Give each detection, best first, the object of its class that it overlaps most and that is still free.

    Args:
        iou: (D, G) float64. Detections by falling score.
        found: (D) int64. Their classes.
        there: (G) int64. The classes of the objects.
        crowd: (G) bool. Objects that are many, and stay free.

    Returns:
        (D) int64. The object, or -1 where none is overlapped by half.

    >>> match_greedily(np.array([[0.9, 0.6], [0.8, 0.7]]), np.zeros(2), np.zeros(2), np.zeros(2, bool)).tolist()
    [0, 1]
    """
    match = np.full(len(found), -1, dtype=np.int64)
    free = np.ones(len(there), dtype=np.bool_)
    for d in range(len(found)):
        own = np.where(free & (there == found[d]) & ~crowd, iou[d], -1.0)
        if len(own) and own.max() >= MATCHING_IOU:
            match[d] = own.argmax()
            free[match[d]] = False
    return match


def _matches(view: View, lesson: Lesson, sample: Sample) -> Figure:
    names = [name for name, crowd in zip(sample.instances.names, sample.instances.crowd, strict=True) if not crowd]
    shapes = [Shape(rect(box), "truth", f"object: {name}") for box, name in zip(lesson.objects, names, strict=True)]
    slots, boxes = view.trace.origins.slot, view.tensor("masks", "boxes")
    shapes += [Shape(rect(boxes[slots[i]]), "found", view.caption(i), (i,), view.colour(i)) for i in range(view.shown)]
    return Figure("Annotated and found", view.whole, "dashed white is annotated, solid is found", shapes)


def _target_figures(view: View, chosen: Chosen, what: str, objects: NDArray[np.float32]) -> list[Figure]:
    positive, negative, neither = chosen.counts
    taken = int(chosen.positive.sum())
    truths = [Shape(rect(box), "truth", f"object {i + 1}") for i, box in enumerate(objects)]
    good = [
        Shape(rect(box), "positive", f"learns object {target + 1}, IoU {value:.2f}")
        for box, target, value in zip(
            chosen.boxes[chosen.positive],
            chosen.target[chosen.positive].tolist(),
            chosen.iou[chosen.positive].tolist(),
            strict=True,
        )
    ]
    bad = [
        Shape(rect(box), "negative", f"learns background, best IoU {value:.2f}")
        for box, value in zip(chosen.boxes[~chosen.positive], chosen.iou[~chosen.positive].tolist(), strict=True)
    ]
    shown = f", {MOST_NEGATIVES} of them drawn" if len(bad) > MOST_NEGATIVES else ""
    rest = f"; {neither:,} are neither" if neither else ""
    return [
        Figure(
            f"Positive {what}", view.whole, f"{taken} taken of {positive:,} that lie on an object", [*truths, *good]
        ),
        Figure(
            f"Negative {what}",
            view.whole,
            f"{len(bad)} taken of {negative:,} that lie on none{shown}{rest}",
            [*truths, *bad[:MOST_NEGATIVES]],
        ),
    ]


def _mask_pairs(lesson: Lesson, sample: Sample) -> list[MaskPair]:
    names = [name for name, crowd in zip(sample.instances.names, sample.instances.crowd, strict=True) if not crowd]
    return [
        MaskPair(f"object {target + 1} {names[target]}", heat(wanted, 0, 1), heat(drawn, 0, 1))
        for target, wanted, drawn in zip(
            lesson.masks.target.tolist(), lesson.masks.wanted, lesson.masks.drawn, strict=True
        )
    ]


TERMS = {
    "objectness": "is there something at this anchor?",
    "proposal_box": "how should the anchor move?",
    "class": "what does this region show?",
    "box": "how should its box move?",
    "mask": "which cells belong to the object?",
}


def _loss_table(lesson: Lesson) -> Table:
    rows: list[list[Any]] = [
        [name.replace("_", " "), TERMS[name], value, count] for name, (value, count) in lesson.losses.items()
    ]
    rows.append(["all", "their sum", sum(value for value, _ in lesson.losses.values()), None])
    note = "As in training, with as many proposals and samples; weights and statistics of norms as they are."
    return Table("Losses", ("term", "question", "mean", "samples"), rows, note, digits=4)
