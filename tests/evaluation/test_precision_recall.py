"""Curves of precision over recall, by hand and by COCO's average of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from maskrcnn.evaluation.curves import precision_recall
from maskrcnn.evaluation.ground_truth import GroundTruth, Truth
from maskrcnn.evaluation.measuring import evaluate_results, truth_of

BOXES = [[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 10.0, 10.0]]
TRUTH = GroundTruth({1: (50, 50)}, {5: "cat", 6: "dog"}, tuple(Truth(1, 5, box, 100.0, False, None) for box in BOXES))


def found(box: list[float], score: float, category_id: int = 5) -> Any:
    return {"image_id": 1, "category_id": category_id, "bbox": box, "score": score}


def test_a_curve_by_hand() -> None:
    results = [found(BOXES[0], 0.9), found([40.0, 40.0, 5.0, 5.0], 0.8), found(BOXES[1], 0.7), found(BOXES[1], 0.6)]
    curves = precision_recall("box", TRUTH, results)
    cat = curves["cat"]
    assert cat.recall.tolist() == [0.5, 0.5, 1.0, 1.0]
    assert cat.precision.tolist() == pytest.approx([1, 1 / 2, 2 / 3, 2 / 4])
    assert cat.envelope.tolist() == pytest.approx([1, 2 / 3, 2 / 3, 1 / 2])
    assert cat.scores.tolist() == [0.9, 0.8, 0.7, 0.6]
    assert cat.objects == 2
    assert cat.average == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)  # recall 0 to 0.50, and above


def test_a_class_without_objects_has_no_recall() -> None:
    dog = precision_recall("box", TRUTH, [found(BOXES[0], 0.9, 6)])["dog"]
    assert (dog.objects, dog.average, dog.precision.tolist()) == (0, None, [0.0])
    assert np.isnan(dog.recall).all()
    nothing = precision_recall("box", TRUTH, [])["cat"]
    assert (nothing.recall.tolist(), nothing.average) == ([], 0.0)


@pytest.mark.parametrize("kind", ["box", "mask"])
def test_their_average_is_cocos(kind: Any, draw_scene: Any) -> None:
    random = np.random.default_rng(11)
    for _ in range(20):
        truth, results = draw_scene(random)
        metrics = evaluate_results(truth, results)
        for iou, name in ((0.5, "AP50"), (0.75, "AP75")):
            curves = precision_recall(kind, truth_of(truth), results, iou)
            for label, curve in curves.items():
                expected = metrics.classes[label][f"{kind}/{name}"]
                assert curve.average == (None if expected is None else pytest.approx(expected, abs=1e-12))


def test_what_lies_in_a_crowd_is_no_point() -> None:
    crowd = Truth(1, 5, [30.0, 30.0, 20.0, 20.0], 400.0, True, None)
    truth = GroundTruth(TRUTH.sizes_hw, TRUTH.names, (*TRUTH.objects, crowd))
    curve = precision_recall("box", truth, [found([32.0, 32.0, 5.0, 5.0], 0.9), found(BOXES[0], 0.5)])["cat"]
    assert (curve.scores.tolist(), curve.precision.tolist(), curve.objects) == ([0.5], [1.0], 2)
