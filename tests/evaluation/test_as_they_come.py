"""Pictures are measured as they come: in any number, with any number of objects, and nothing is kept of them."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from maskrcnn.errors import AnnotationError, InputError
from maskrcnn.evaluation.choosing import choose_measures
from maskrcnn.evaluation.ground_truth import GroundTruth, Truth
from maskrcnn.evaluation.measuring import Evaluation, evaluate_results, truth_of
from maskrcnn.evaluation.proposals import ProposalRecall, as_results, without_classes


def squares(count: int, image_id: int = 1) -> list[Truth]:
    """Draw 8 by 8 squares side by side."""
    return [Truth(image_id, 1, [10.0 * (i % 50), 10.0 * (i // 50), 8.0, 8.0], 64.0, False, None) for i in range(count)]


def found(one: Truth, score: float, by: float = 0.0) -> Any:
    x, y, w, h = one.bbox
    return {"image_id": one.image_id, "category_id": 1, "bbox": [x + by, y, w, h], "score": score}


def test_two_thousand_objects_in_a_picture() -> None:
    there = squares(2000)
    truth = GroundTruth({1: (500, 500)}, {1: "cell"}, tuple(there))
    results = [found(one, 1 - i / 4000, by=1.0 if i % 2 else 4.0) for i, one in enumerate(there)]
    metrics = evaluate_results(truth, results, detections=(1, 100, 2000))
    # 7 of 9 columns shared at every second one, so right up to 0.75; 4 of 12 at the others, right nowhere
    assert metrics["box/AR2000"] == pytest.approx(0.5 * 0.6)
    assert metrics["box/AR100"] == pytest.approx(0.5 * 0.6 * 100 / 2000)
    assert metrics["box/AP50"] == pytest.approx(0.5 * 51 / 101, abs=0.001)


def test_memory_grows_by_bytes_a_detection_and_not_with_what_overlaps() -> None:
    pictures = 60
    truth = GroundTruth(dict.fromkeys(range(pictures), (500, 500)), {1: "cell"}, tuple(squares(100, 0)))
    evaluation = Evaluation(truth)
    results = [found(one, 0.5) for one in squares(1000, 0)]
    evaluation.add(0, results)
    tracemalloc.start()
    for image_id in range(1, pictures):
        evaluation.add(image_id, [{**one, "image_id": image_id} for one in results])
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 300 * 100 * pictures  # of which the best 100 a picture are kept


def test_pictures_one_by_one_are_pictures_at_once(draw_scene: Any, join_scenes: Any) -> None:
    random = np.random.default_rng(3)
    truth, results = join_scenes([draw_scene(random, (2 * i, 2 * i + 1), (1, 2)) for i in range(10)])
    truth["categories"] = truth["categories"][:2]
    measures = choose_measures("coco,voc,dsb")
    evaluation = Evaluation(truth_of(truth), measures)
    for image in reversed(truth["images"]):
        evaluation.add(image["id"], [one for one in results if one["image_id"] == image["id"]])
    ours, expected = evaluation.metrics(), evaluate_results(truth, results, measures=measures)
    assert ours.values == pytest.approx(expected.values, abs=1e-12)
    assert (ours.notes, ours.detections, ours.objects) == (expected.notes, expected.detections, expected.objects)


def test_every_number_has_a_definition(draw_scene: Any) -> None:
    truth, results = draw_scene(np.random.default_rng(1))
    measures = choose_measures("coco,boundary,lvis,voc,kitti,dsb,pose,mapping,sizes")
    metrics = evaluate_results(truth, results, measures=measures)
    assert set(metrics.meanings) == set(metrics.values)
    written = metrics.to_json()
    for name in metrics.values:
        assert name in written["meaning"] or name.partition("/")[2] in written["meaning"], name


# ---- proposals


def test_proposals_are_measured_whatever_their_class() -> None:
    there = [one._replace(category_id=1 + i % 2) for i, one in enumerate(squares(4))]
    truth = without_classes(GroundTruth({1: (500, 500)}, {1: "a", 2: "b"}, tuple(there)))
    evaluation = Evaluation(truth, [ProposalRecall()])
    boxes = np.array([[0, 0, 8, 8], [10, 0, 18, 8], [300, 300, 310, 310]], dtype=np.float32)
    far = np.tile(boxes[2:], (99, 1))
    scores = np.linspace(1, 0, 102).astype(np.float32)
    evaluation.add(1, as_results(1, np.concatenate([boxes[:1], far, boxes[1:]]), scores))
    metrics = evaluation.metrics()
    assert metrics["box/proposals/AR100"] == pytest.approx(1 / 4)  # the second one stands behind a hundred others
    assert metrics["box/proposals/AR300"] == pytest.approx(2 / 4)
    assert metrics["box/proposals/AR_large"] is None


def test_results_alone_have_no_proposals(draw_scene: Any) -> None:
    truth, results = draw_scene(np.random.default_rng(1))
    with pytest.raises(InputError, match=r"^proposals: expected a model, whose first stage proposes boxes"):
        evaluate_results(truth, results, measures=choose_measures("proposals"))


def test_what_needs_masks_says_so_where_there_are_none(draw_scene: Any) -> None:
    truth, _ = draw_scene(np.random.default_rng(1))
    results = [{"image_id": 3, "category_id": 2, "bbox": [0.0, 0.0, 3.0, 3.0], "score": 0.5}]
    with pytest.raises(AnnotationError, match="nothing can be measured: no mask numbers: 1 of 1 results have no mask"):
        evaluate_results(truth, results, measures=choose_measures("boundary"))
