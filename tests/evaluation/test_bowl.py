"""Scores taken picture by picture, against their definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from maskrcnn.errors import InputError
from maskrcnn.evaluation.bowl import DataScienceBowl, PoseBowl
from maskrcnn.evaluation.measuring import evaluate_results, truth_of
from maskrcnn.evaluation.scenes import scenes


def without_crowds(drawn: tuple[Any, Any]) -> tuple[Any, Any]:
    truth, results = drawn
    truth["annotations"] = [one for one in truth["annotations"] if not one["iscrowd"]]
    return truth, results


def by_definition(scene: Any, sure: float) -> float:
    """Count right, wrong and missed ones at each threshold; the more probable detection takes the better object."""
    kept = [d for d in range(len(scene.scores)) if scene.scores[d] >= sure]
    scores = []
    for threshold in np.arange(0.5, 1.0, 0.05):
        taken: set[int] = set()
        for d in kept:
            near = [
                (scene.ious[d, g], g)
                for g in range(len(scene.labels))
                if g not in taken and scene.labels[g] == scene.found_labels[d] and scene.ious[d, g] > threshold + 1e-9
            ]
            if near:
                taken.add(max(near)[1])
        right, wrong, missed = len(taken), len(kept) - len(taken), len(scene.labels) - len(taken)
        scores.append(right / (right + wrong + missed) if right + wrong + missed else 1.0)
    return float(np.mean(scores))


@pytest.mark.parametrize("sure", [0.0, 0.5])
def test_data_science_bowl_on_random_scenes(sure: float, draw_scene: Any) -> None:
    random = np.random.default_rng(9)
    for _ in range(100):
        truth, results = without_crowds(draw_scene(random, most=(8, 8)))
        known = truth_of(truth)
        metrics = evaluate_results(known, results, measures=[DataScienceBowl(sure)])
        for kind in ("box", "mask"):
            expected = np.mean([by_definition(scene, sure) for scene in scenes(kind, known, results)])
            assert metrics[f"{kind}/dsb/score"] == pytest.approx(expected, abs=1e-12)


def one_picture(draw_scene: Any, *boxes: list[float]) -> Any:
    truth, _ = draw_scene(np.random.default_rng(0), most=(0, 0))
    truth["images"] = truth["images"][:1]
    truth["annotations"] = [
        {"id": i, "image_id": 3, "category_id": 2, "bbox": box, "area": 100.0, "iscrowd": 0}
        for i, box in enumerate(boxes, 1)
    ]
    return truth


def found(box: list[float], score: float = 0.9, category_id: int = 2) -> Any:
    return {"image_id": 3, "category_id": category_id, "bbox": box, "score": score}


def test_an_iou_of_just_the_threshold_is_not_above_it(draw_scene: Any) -> None:
    truth = one_picture(draw_scene, [0.0, 0.0, 10.0, 10.0])
    half = evaluate_results(truth, [found([0.0, 0.0, 10.0, 5.0])], measures=[DataScienceBowl()])
    assert half["box/dsb/score"] == 0.0
    more = evaluate_results(truth, [found([0.0, 0.0, 10.0, 5.2])], measures=[DataScienceBowl()])
    assert more["box/dsb/score"] == pytest.approx(0.1)


def test_detections_that_are_not_probable_enough_are_left_out(draw_scene: Any) -> None:
    truth = one_picture(draw_scene, [0.0, 0.0, 10.0, 10.0])
    results = [found([0.0, 0.0, 10.0, 10.0], 0.5), found([0.0, 0.0, 3.0, 3.0], 0.49)]
    assert evaluate_results(truth, results, measures=[DataScienceBowl()])["box/dsb/score"] == 1.0
    assert evaluate_results(truth, results, measures=[DataScienceBowl(0.4)])["box/dsb/score"] == 0.5
    with pytest.raises(InputError, match=r"^dsb: expected a probability between 0 and 1, got 2$"):
        DataScienceBowl(2)


def test_nothing_in_a_picture_and_nothing_found_is_right(draw_scene: Any) -> None:
    truth = one_picture(draw_scene)
    assert evaluate_results(truth, [], measures=[DataScienceBowl()])["box/dsb/score"] == 1.0
    one = [found([0.0, 0.0, 3.0, 3.0])]
    assert evaluate_results(truth, one, measures=[DataScienceBowl()])["box/dsb/score"] == 0.0


# ---- the Pose Bowl


def test_the_most_probable_box_alone_counts(draw_scene: Any) -> None:
    truth = one_picture(draw_scene, [0.0, 0.0, 10.0, 10.0])
    results = [found([0.0, 0.0, 10.0, 10.0], 0.5), found([0.0, 0.0, 10.0, 6.0], 0.6, 9)]
    assert evaluate_results(truth, results, measures=[PoseBowl()])["box/pose/IoU"] == pytest.approx(0.6)
    assert evaluate_results(truth, [], measures=[PoseBowl()])["box/pose/IoU"] == 0.0


def test_pictures_without_objects_are_left_out_and_the_rest_averaged(draw_scene: Any) -> None:
    truth = one_picture(draw_scene, [0.0, 0.0, 10.0, 10.0])
    truth["images"] += [{"id": i, "height": 14, "width": 14, "file_name": f"{i}.png"} for i in (7, 8)]
    truth["annotations"].append(
        {"id": 9, "image_id": 8, "category_id": 2, "bbox": [0.0, 0.0, 4.0, 4.0], "area": 16.0, "iscrowd": 0}
    )
    results = [found([0.0, 0.0, 10.0, 8.0])]
    assert evaluate_results(truth, results, measures=[PoseBowl()])["box/pose/IoU"] == pytest.approx(0.4)
    assert evaluate_results(one_picture(draw_scene), [], measures=[PoseBowl()])["box/pose/IoU"] is None
