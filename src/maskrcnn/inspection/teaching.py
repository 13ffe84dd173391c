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

from maskrcnn.draw.heat import heat
from maskrcnn.draw.overlay import names
from maskrcnn.draw.page import Table
from maskrcnn.evaluation.pairs import pair
from maskrcnn.inspection.figures import Figure, Shape, rect
from maskrcnn.inspection.learning import Chosen, Lesson
from maskrcnn.inspection.stages import View, recall_table
from maskrcnn.structures import Sample

MOST_NEGATIVES = 60
MOST_OBJECTS = 24  # columns of the table of overlaps


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


def teach(view: View, lesson: Lesson, sample: Sample) -> Teaching:
    """Put what annotations tell of a trace into figures and tables; the sample is the picture that was traced."""
    return Teaching(
        _matches(view, lesson, sample),
        overlap_table(view, sample),
        recall_table(view, lesson.objects),
        [
            *_target_figures(view, lesson.anchors, "anchors", lesson.objects),
            *_target_figures(view, lesson.regions, "regions", lesson.objects),
        ],
        _mask_pairs(lesson, sample),
        _loss_table(lesson),
    )


def overlap_table(view: View, sample: Sample) -> Overlaps:
    """Measure how much the shown detections overlap the objects of the picture, and match them."""
    pairs = pair(sample.instances, view.trace.instances[: view.shown])
    objects = [f"{k + 1} {name}" for k, name in enumerate(names(sample.instances))]
    rows = [view.caption(d) for d in range(view.shown)]
    left_out = max(0, len(objects) - MOST_OBJECTS)
    return Overlaps(pairs.kind, rows, objects[:MOST_OBJECTS], pairs.ious[:, :MOST_OBJECTS], pairs.matches, left_out)


def _matches(view: View, lesson: Lesson, sample: Sample) -> Figure:
    learnt = sample.instances[~sample.instances.crowd].names
    shapes = [Shape(rect(box), "truth", f"object: {name}") for box, name in zip(lesson.objects, learnt, strict=True)]
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
    learnt = sample.instances[~sample.instances.crowd].names
    return [
        MaskPair(f"object {target + 1} {learnt[target]}", heat(wanted, 0, 1), heat(drawn, 0, 1))
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
