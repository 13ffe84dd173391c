"""A picture's overlaps are pycocotools', in the order of its scores."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as pycoco

from maskrcnn.data.formats.coco_results import Result
from maskrcnn.evaluation.coco import KINDS, Kind
from maskrcnn.evaluation.ground_truth import GroundTruth, Truth
from maskrcnn.evaluation.scenes import scenes
from maskrcnn.ops.rle import RLE, Bitmap, encode

SIZE_HW = (12, 16)


def drawn(x: int, y: int, w: int, h: int) -> RLE:
    return encode(Bitmap(x, y, np.ones((h, w), dtype=np.bool_)), SIZE_HW)


def thing(image_id: int, category_id: int, box: list[float], *, crowd: bool = False) -> Truth:
    x, y, w, h = map(int, box)
    return Truth(image_id, category_id, box, float(w * h), crowd, drawn(x, y, w, h))


def found(image_id: int, category_id: int, box: list[float], score: float) -> Result:
    x, y, w, h = map(int, box)
    return Result(image_id=image_id, category_id=category_id, bbox=box, score=score, segmentation=drawn(x, y, w, h))


TRUTH = GroundTruth(
    {5: SIZE_HW, 3: SIZE_HW, 4: SIZE_HW},
    {9: "cat", 2: "dog"},
    (thing(3, 2, [0, 0, 4, 4]), thing(5, 9, [1, 1, 5, 5]), thing(3, 9, [2, 2, 10, 8], crowd=True)),
)
RESULTS = [
    found(3, 2, [0, 0, 4, 2], 0.5),
    found(4, 2, [0, 0, 4, 2], 0.3),
    found(3, 9, [2, 2, 6, 6], 0.9),
    found(3, 9, [0, 0, 4, 4], 0.5),
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_in_its_order(kind: Kind) -> None:
    given = list(scenes(kind, TRUTH, RESULTS))
    assert [(one.image_id, one.truths.tolist(), one.found.tolist()) for one in given] == [
        (5, [1], []),
        (3, [0, 2], [2, 0, 3]),  # by falling score, equal ones as they came
        (4, [], [1]),
    ]
    assert [one.ious.shape for one in given] == [(0, 1), (3, 2), (1, 0)]
    assert given[1].labels.tolist() == [1, 0]
    assert given[1].found_labels.tolist() == [0, 1, 0]
    assert given[1].crowds.tolist() == [False, True]


@pytest.mark.parametrize("kind", KINDS)
def test_overlaps_by_hand_and_by_pycocotools(kind: Kind) -> None:
    scene = list(scenes(kind, TRUTH, RESULTS))[1]
    assert scene.ious.tolist() == [[4 / 48, 1.0], [0.5, 0.0], [1.0, 0.25]]
    things, records = [TRUTH.objects[i] for i in scene.truths], [RESULTS[i] for i in scene.found]
    if kind == "box":
        expected = pycoco.iou([one["bbox"] for one in records], [one.bbox for one in things], [0, 1])
    else:
        expected = pycoco.iou([one["segmentation"] for one in records], [one.rle for one in things], [0, 1])
    assert np.array_equal(scene.ious, expected)
