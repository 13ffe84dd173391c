"""One picture's objects and detections with their IoUs: what every measure beside COCO's own counts from.

References: pycocotools, `cocoeval.py` and `maskApi.c`: the IoU of crowds, the order of equal scores.
Letters: G annotated objects of the picture, D detections in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.evaluation.coco import Kind
from maskrcnn.evaluation.ground_truth import GroundTruth, Truth

if TYPE_CHECKING:
    from maskrcnn.data.formats.coco_results import Result


class Scene(NamedTuple):
    """One picture to be measured; labels count the classes in the order of `GroundTruth.names`.

    Attributes:
        image_id: The picture's id in the data.
        truths: (G,) int64. Where each object stands in `GroundTruth.objects`.
        labels: (G,) int64. Its class, in [0, K).
        crowds: (G,) bool. Whether it is a crowd.
        areas: (G,) float64. Its area in pixels, as its file states it.
        found: (D,) int64. Where each detection stands in the results, by falling score; equal ones keep their order.
        found_labels: (D,) int64. Its class, in [0, K).
        scores: (D,) float64. Its probability.
        ious: (D, G) float64. IoU of each detection with each object of any class; with a crowd it is the share of the
            detection that lies in it.
    """

    image_id: int
    truths: NDArray[np.int64]
    labels: NDArray[np.int64]
    crowds: NDArray[np.bool_]
    areas: NDArray[np.float64]
    found: NDArray[np.int64]
    found_labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    ious: NDArray[np.float64]


def scenes(kind: Kind, truth: GroundTruth, results: Sequence[Result]) -> Iterator[Scene]:
    """Give the pictures of the data one after another, those without objects and detections too.

    Args:
        kind: Whether boxes or masks overlap; results and objects must have them.
        truth: What is there.
        results: What was found, in any order, of pictures and classes of the data.
    """
    objects, records = defaultdict(list), defaultdict(list)
    for i, one in enumerate(truth.objects):
        objects[one.image_id].append(i)
    for i, result in enumerate(results):
        records[result["image_id"]].append(i)
    label_of = {category_id: label for label, category_id in enumerate(truth.names)}
    for image_id in truth.sizes_hw:
        there = [truth.objects[i] for i in objects[image_id]]
        scores = np.array([results[i]["score"] for i in records[image_id]], dtype=np.float64)
        order = np.argsort(-scores, kind="stable")
        found = np.array(records[image_id], dtype=np.int64)[order]
        detections = [results[i] for i in found]
        yield Scene(
            image_id,
            np.array(objects[image_id], dtype=np.int64),
            np.array([label_of[one.category_id] for one in there], dtype=np.int64),
            np.array([one.crowd for one in there], dtype=np.bool_),
            np.array([one.area for one in there], dtype=np.float64),
            found,
            np.array([label_of[one["category_id"]] for one in detections], dtype=np.int64),
            scores[order],
            overlaps(kind, detections, there),
        )


def overlaps(kind: Kind, detections: Sequence[Result], objects: Sequence[Truth]) -> NDArray[np.float64]:
    """Return the IoU of each of D detections with each of G objects of one picture, as pycocotools: (D, G) float64."""
    from faster_coco_eval.core.mask import iou

    if not detections or not objects:
        return np.zeros((len(detections), len(objects)))
    crowds = [int(one.crowd) for one in objects]
    if kind == "box":
        return np.asarray(iou([one["bbox"] for one in detections], [one.bbox for one in objects], crowds))
    return np.asarray(iou([one["segmentation"] for one in detections], [one.rle for one in objects], crowds))
