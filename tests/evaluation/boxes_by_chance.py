"""Small pictures with boxes by chance: objects, crowds, and detections near them or not."""

from __future__ import annotations

import numpy as np

from maskrcnn.data.formats.coco_results import Result
from maskrcnn.evaluation.ground_truth import GroundTruth, Truth
from maskrcnn.ops.rle import Bitmap, encode

SIZE_HW = (40, 48)
CLASSES = {3: "cat", 1: "dog", 7: "horse"}


def thing(image_id: int, category_id: int, box: list[int], *, crowd: bool = False) -> Truth:
    """Return an object that fills its box x, y, w, h."""
    x, y, w, h = box
    rle = encode(Bitmap(x, y, np.ones((h, w), dtype=np.bool_)), SIZE_HW)
    return Truth(image_id, category_id, [float(edge) for edge in box], float(w * h), crowd, rle)


def found(image_id: int, category_id: int, box: list[int], score: float) -> Result:
    """Return a detection that fills its box."""
    one = thing(image_id, category_id, box)
    assert one.rle is not None
    return Result(image_id=image_id, category_id=category_id, bbox=one.bbox, score=score, segmentation=one.rle)


def box_by_chance(rng: np.random.Generator, near: list[int] | None = None) -> list[int]:
    """Return a box inside of the picture, somewhere or a few pixels off another one."""
    x, y, w, h = [*rng.integers(0, 24, 2), *rng.integers(3, 16, 2)] if near is None else near + rng.integers(-3, 4, 4)
    x, y = min(max(int(x), 0), SIZE_HW[1] - 2), min(max(int(y), 0), SIZE_HW[0] - 2)
    return [x, y, min(max(int(w), 1), SIZE_HW[1] - x), min(max(int(h), 1), SIZE_HW[0] - y)]


def case_by_chance(seed: int, digits: int = 9) -> tuple[GroundTruth, list[Result]]:
    """Return what is there and what was found on one to three pictures, either of which may be nothing.

    Args:
        seed: All follows from it.
        digits: Of the scores; few make equal ones.
    """
    rng = np.random.default_rng(seed)
    ids = rng.permutation(9)[: rng.integers(1, 4)].tolist()
    classes = list(CLASSES)[: rng.integers(1, 4)]
    objects = [
        thing(image_id, int(rng.choice(classes)), box_by_chance(rng), crowd=bool(rng.random() < 0.15))
        for image_id in ids
        for _ in range(rng.integers(0, 6))
    ]
    results = []
    for _ in range(rng.integers(0, 20)):
        place = objects[rng.integers(len(objects))] if objects and rng.random() < 0.8 else None
        near = None if place is None else [int(edge) for edge in place.bbox]
        image_id = int(rng.choice(ids)) if place is None else place.image_id
        score = round(float(rng.random()), digits)
        results.append(found(image_id, int(rng.choice(classes)), box_by_chance(rng, near), score))
    return GroundTruth(dict.fromkeys(ids, SIZE_HW), CLASSES, tuple(objects)), results
