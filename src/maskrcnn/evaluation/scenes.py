"""One picture's objects and detections with their IoUs: what every measure counts from.

References: pycocotools, `cocoeval.py` and `maskApi.c`: the IoU of crowds, the order of equal scores; Boundary IoU
(2103.16562).
Letters: G annotated objects of the picture, D detections in it, K classes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.evaluation.boundary import boundaries
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
        found_areas: (D,) float64. Area in pixels that decides whether a detection is small or large: of its box, and
            where its record has none, of its mask.
        found_open: (D,) bool. Whether its class was not looked for in the picture: where it matches no object, it is
            neither right nor wrong.
        heights: (G,) float64. Height of each object's box in pixels.
        found_heights: (D,) float64. Height of each detection's box in pixels; nan where its record has none.
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
    found_areas: NDArray[np.float64]
    found_open: NDArray[np.bool_]
    heights: NDArray[np.float64]
    found_heights: NDArray[np.float64]

    def first(self, count: int) -> Scene:
        """Return the scene with its most probable detections alone."""
        return self._replace(
            found=self.found[:count],
            found_labels=self.found_labels[:count],
            scores=self.scores[:count],
            ious=self.ious[:count],
            found_areas=self.found_areas[:count],
            found_open=self.found_open[:count],
            found_heights=self.found_heights[:count],
        )


class Viewer:
    """Makes the scene of one picture after another.

    Args:
        truth: What is there.
    """

    def __init__(self, truth: GroundTruth) -> None:
        self.truth = truth
        self._label_of = {category_id: label for label, category_id in enumerate(truth.names)}
        self._objects: defaultdict[int, list[int]] = defaultdict(list)
        for i, one in enumerate(truth.objects):
            self._objects[one.image_id].append(i)

    def see(self, kind: Kind, image_id: int, results: Sequence[Result], first: int | Sequence[int] = 0) -> Scene:
        """Put a picture's objects and detections beside each other.

        Args:
            kind: What overlaps; results and objects must have it.
            image_id: Of a picture of the data.
            results: What was found in it, in any order.
            first: Where its first detection stands among all results, or where each one does.
        """
        places = self._objects.get(image_id, [])
        there = [self.truth.objects[i] for i in places]
        scores = np.array([result["score"] for result in results], dtype=np.float64)
        order = np.argsort(-scores, kind="stable")
        at = first + np.arange(len(results)) if isinstance(first, int) else np.array(first, dtype=np.int64)
        detections = [results[i] for i in order]
        looked_for = self.truth.labelled.get(image_id)
        return Scene(
            image_id,
            np.array(places, dtype=np.int64),
            np.array([self._label_of[one.category_id] for one in there], dtype=np.int64),
            np.array([one.crowd for one in there], dtype=np.bool_),
            np.array([one.area for one in there], dtype=np.float64),
            at[order],
            np.array([self._label_of[one["category_id"]] for one in detections], dtype=np.int64),
            scores[order],
            overlaps(kind, detections, there),
            _areas(detections),
            np.array([looked_for is not None and one["category_id"] not in looked_for for one in detections], np.bool_),
            np.array([one.bbox[3] for one in there], dtype=np.float64),
            np.array([one["bbox"][3] if "bbox" in one else np.nan for one in detections], dtype=np.float64),
        )


def scenes(kind: Kind, truth: GroundTruth, results: Sequence[Result]) -> Iterator[Scene]:
    """Give the pictures of the data one after another, those without objects and detections too.

    Args:
        kind: Whether boxes, masks or the boundaries of masks overlap; results and objects must have them.
        truth: What is there.
        results: What was found, in any order, of pictures and classes of the data.
    """
    viewer = Viewer(truth)
    records = by_picture(results)
    for image_id in truth.sizes_hw:
        places = records.get(image_id, [])
        yield viewer.see(kind, image_id, [results[i] for i in places], places)


def by_picture(results: Sequence[Result]) -> dict[int, list[int]]:
    """Return where the results of each picture stand, by its id."""
    records: dict[int, list[int]] = {}
    for i, result in enumerate(results):
        records.setdefault(result["image_id"], []).append(i)
    return records


def overlaps(kind: Kind, detections: Sequence[Result], objects: Sequence[Truth]) -> NDArray[np.float64]:
    """Return the IoU of each of D detections with each of G objects of one picture, as pycocotools: (D, G) float64.

    For boundaries it is the smaller one of the IoU of the masks and that of their boundaries; in a crowd, that of the
    masks alone.
    """
    from faster_coco_eval.core.mask import iou

    if not detections or not objects:
        return np.zeros((len(detections), len(objects)))
    crowds = np.array([one.crowd for one in objects])
    if kind == "box":
        return np.asarray(iou([one["bbox"] for one in detections], [one.bbox for one in objects], crowds.tolist()))
    found, there = [one["segmentation"] for one in detections], [one.rle for one in objects if one.rle is not None]
    ious: NDArray[np.float64] = np.asarray(iou(found, there, crowds.tolist()))
    if kind == "boundary":
        touching = ious * ~crowds > 0
        rows, columns = np.flatnonzero(touching.any(axis=1)), np.flatnonzero(touching.any(axis=0))
        if len(rows):
            rims = boundaries([found[i] for i in rows]), boundaries([there[i] for i in columns])
            at = np.ix_(rows, columns)
            ious[at] = np.minimum(ious[at], iou(*rims, [0] * len(columns)))
    return ious


def _areas(results: Sequence[Result]) -> NDArray[np.float64]:
    """Return areas as pycocotools: a record's box, where it has one, decides whether it is small or large."""
    from faster_coco_eval.core.mask import area

    boxless = [i for i, one in enumerate(results) if "bbox" not in one]
    areas = np.array([one["bbox"][2] * one["bbox"][3] if "bbox" in one else 0.0 for one in results], dtype=np.float64)
    if boxless:
        areas[boxless] = area([results[i]["segmentation"] for i in boxless])
    return areas
