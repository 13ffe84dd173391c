"""A picture's pairs are those that pycocotools counts at one IoU."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn.data.formats.coco_results import to_coco_results
from maskrcnn.errors import InputError
from maskrcnn.evaluation.pairs import pair
from maskrcnn.ops.rle import Bitmap
from maskrcnn.structures import Bitmaps, Instances

SIZE_HW = (40, 40)
CLASSES = ("cat", "dog")


def _random(rng: np.random.Generator, n: int, crowds: float = 0.0) -> Instances:
    """Draw rectangles on a coarse grid, so that many overlap and some overlap alike."""
    bitmaps = []
    for _ in range(n):
        x, y, w, h = (int(8 * each) for each in rng.integers((0, 0, 2, 2), (3, 3, 4, 4)))
        bitmaps.append(Bitmap(x, y, np.ones((min(h, 40 - y), min(w, 40 - x)), dtype=np.bool_)))
    masks = Bitmaps(bitmaps, SIZE_HW)
    scores = rng.integers(1, 9, n).astype(np.float32) / 10
    return Instances(SIZE_HW, masks.boxes(), rng.integers(0, 2, n), CLASSES, masks, scores, rng.random(n) < crowds)


def _reference(truth: Instances, found: Instances, iou: float) -> list[int]:
    """Ask pycocotools which object each detection is matched with."""
    annotations = [
        {**result, "id": i + 1, "iscrowd": int(truth.crowd[i]), "area": 100.0}
        for i, result in enumerate(to_coco_results(truth, 1, (0, 1)))
    ]
    gt, dt = COCO(), COCO()
    pictures = [{"id": 1, "height": 40, "width": 40}]
    categories = [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]
    gt.dataset = {"images": pictures, "annotations": annotations, "categories": categories}
    results = [
        {**result, "id": i + 1, "iscrowd": 0, "area": 100.0}
        for i, result in enumerate(to_coco_results(found, 1, (0, 1)))
    ]
    dt.dataset = {"images": pictures, "annotations": results, "categories": categories}
    gt.createIndex()
    dt.createIndex()
    run = COCOeval(gt, dt, "segm")
    run.params.iouThrs = np.array([iou])
    run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
    run.evaluate()
    matches = [-1] * len(found)
    for picture in filter(None, run.evalImgs):
        for dt_id, match in zip(picture["dtIds"], picture["dtMatches"][0], strict=True):
            matches[dt_id - 1] = int(match) - 1
    return matches


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools with numpy 2
@pytest.mark.parametrize("crowds", [0.0, 0.4])
@pytest.mark.parametrize("iou", [0.3, 0.5, 1.0])
def test_random_pictures_are_paired_as_pycocotools_does(crowds: float, iou: float) -> None:
    rng = np.random.default_rng(0)
    paired = 0
    for _ in range(60):
        truth, found = _random(rng, int(rng.integers(0, 9)), crowds), _random(rng, int(rng.integers(0, 9)))
        expected = _reference(truth, found, iou)
        assert pair(truth, found, iou).matches.tolist() == expected
        paired += sum(match >= 0 for match in expected)
    assert paired > 5


def test_classes_are_matched_by_name() -> None:
    there = _random(np.random.default_rng(1), 4)
    turned = Instances(SIZE_HW, there.boxes, 1 - there.labels, CLASSES[::-1], there.masks)
    assert (pair(there, turned, 1.0).matches >= 0).all()
    assert (pair(there, Instances(SIZE_HW, there.boxes, there.labels, ("cow", "pig")), 1.0).matches == -1).all()


def test_boxes_alone_are_paired_by_boxes() -> None:
    there = _random(np.random.default_rng(1), 3)
    boxes = Instances(SIZE_HW, there.boxes, there.labels, CLASSES, None)
    pairs = pair(boxes, there)
    assert (pairs.kind, pairs.ious.shape) == ("box", (3, 3))
    assert pairs.ious.diagonal().tolist() == [1.0, 1.0, 1.0]


def test_nothing_is_an_ordinary_value() -> None:
    nothing, some = Instances.empty(SIZE_HW, CLASSES), _random(np.random.default_rng(2), 3)
    assert pair(nothing, some).matches.tolist() == [-1, -1, -1]
    assert pair(some, nothing).ious.shape == (0, 3)
    assert pair(nothing, nothing).matches.tolist() == []


def test_what_does_not_fit_is_refused() -> None:
    nothing = Instances.empty(SIZE_HW, CLASSES)
    with pytest.raises(InputError, match=r"iou: expected above 0 and at most 1, got 50"):
        pair(nothing, nothing, 50)
    with pytest.raises(InputError, match=r"found: expected the size of the annotations \(40, 40\), got \(5, 5\)"):
        pair(nothing, Instances.empty((5, 5), CLASSES))
