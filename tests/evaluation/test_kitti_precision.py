"""KITTI's average precision, against its development kit's steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from maskrcnn.data.dataset import View
from maskrcnn.errors import InputError
from maskrcnn.evaluation.ground_truth import GroundTruth
from maskrcnn.evaluation.kitti import Difficulty, Kitti
from maskrcnn.evaluation.measuring import evaluate_results, truth_of
from maskrcnn.evaluation.scenes import scenes


def count(  # noqa: C901 - as the kit has it
    scene: Any, wanted: list[bool], label: int, iou: float, least: float, cut: float | None
) -> tuple[list[float], int, int]:
    """Give every object a detection as the kit's `computeStatistics` does: scores of right ones, right, wrong."""
    found = [d for d in range(len(scene.scores)) if scene.found_labels[d] == label]
    assigned: set[int] = set()
    scores = []
    for g in range(len(scene.labels)):
        if scene.labels[g] != label or scene.crowds[g]:
            continue
        chosen, best, low_chosen = None, 0.0, False
        for d in found:
            if d in assigned or (cut is not None and scene.scores[d] < cut) or not scene.ious[d, g] > iou:
                continue
            low = scene.found_heights[d] < least
            if cut is None:
                if chosen is None or scene.scores[d] > scene.scores[chosen]:
                    chosen = d
            elif not low and (scene.ious[d, g] > best or low_chosen):
                chosen, best, low_chosen = d, scene.ious[d, g], False
            elif low and chosen is None:
                chosen, low_chosen = d, True
        if chosen is not None:
            assigned.add(chosen)
            if wanted[g] and not scene.found_heights[chosen] < least:
                scores.append(scene.scores[chosen])
    wrong = 0
    if cut is not None:
        for d in found:
            if d in assigned or scene.scores[d] < cut or scene.found_heights[d] < least:
                continue
            ignored = [
                scene.ious[d, g] for g in range(len(scene.labels)) if scene.labels[g] == label and scene.crowds[g]
            ]
            wrong += not any(each > iou for each in ignored)
    return scores, len(scores), wrong


def by_definition(truth: GroundTruth, views: list[Any], label: int, iou: float, limits: Any) -> float | None:
    least, hidden, outside = limits
    wanted = []
    for scene in views:
        seen = [truth.objects[i].view or (0, 0.0) for i in scene.truths]
        wanted.append(
            [
                bool(scene.heights[g] >= least and seen[g][0] <= hidden and seen[g][1] <= outside)
                for g in range(len(scene.labels))
            ]
        )
    objects = sum(
        scene.labels[g] == label and not scene.crowds[g] and mine[g]
        for scene, mine in zip(views, wanted, strict=True)
        for g in range(len(mine))
    )
    if not objects:
        return None
    pairs = list(zip(views, wanted, strict=True))
    scores = sorted((score for pair in pairs for score in count(*pair, label, iou, least, None)[0]), reverse=True)
    cuts, recall = [], 0.0
    for i, score in enumerate(scores):
        left = (i + 1) / objects
        right = (i + 2) / objects if i < len(scores) - 1 else left
        if right - recall < recall - left and i < len(scores) - 1:
            continue
        cuts.append(score)
        recall += 1 / 40
    precision = [0.0] * 41
    for i, cut in enumerate(cuts):
        counts = [count(*pair, label, iou, least, cut) for pair in pairs]
        right, wrong = sum(each[1] for each in counts), sum(each[2] for each in counts)
        precision[i] = right / (right + wrong)
    return sum(max(precision[i:]) for i in range(1, 41)) / 40


def test_random_scenes(draw_scene: Any, join_scenes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"easy": (6.0, 0, 0.15), "moderate": (3.0, 1, 0.3), "hard": (3.0, 2, 0.5)}
    lower = {name: Difficulty(*each, words="") for name, each in limits.items()}
    monkeypatch.setattr("maskrcnn.evaluation.kitti.DIFFICULTIES", lower)
    random = np.random.default_rng(10)
    values = []
    for _ in range(3):
        truth, results = join_scenes([draw_scene(random, (2 * i, 2 * i + 1), (9, 2), (20, 4)) for i in range(20)])
        truth["categories"] = truth["categories"][:2]
        for one in results:
            one["score"] = float(random.random())  # the kit leaves open what equal scores do
        known = truth_of(truth)
        views = [View(int(random.choice(4, p=[0.6, 0.2, 0.1, 0.1])), random.random() ** 4) for _ in known.objects]
        objects = [one._replace(view=view) for one, view in zip(known.objects, views, strict=True)]
        known = replace(known, objects=tuple(objects))
        metrics = evaluate_results(known, results, measures=[Kitti()])
        seen_scenes = list(scenes("box", known, results))
        for label, name in enumerate(known.names.values()):
            for iou in (0.7, 0.5):
                for difficulty, each in limits.items():
                    expected = by_definition(known, seen_scenes, label, iou, each)
                    values.append(expected)
                    ours = metrics.classes[name][f"box/kitti/AP{round(100 * iou)}_{difficulty}"]
                    assert ours == (None if expected is None else pytest.approx(expected, abs=1e-12))
    assert 0.05 < np.mean([value for value in values if value is not None]) < 0.95


def street(*names: str) -> Any:
    return {
        "images": [{"id": 1, "height": 400, "width": 9000, "file_name": "1.png"}],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names, 1)],
        "annotations": [],
    }


def put(truth: Any, x: float, height: float, category_id: int = 1, crowd: int = 0) -> None:
    box = [x, 0.0, 40.0, height]
    one = {"id": len(truth["annotations"]) + 1, "image_id": 1, "category_id": category_id, "bbox": box}
    truth["annotations"].append({**one, "area": 40.0 * height, "iscrowd": crowd})


def seen(x: float, height: float, score: float) -> Any:
    return {"image_id": 1, "category_id": 1, "bbox": [x, 0.0, 40.0, height], "score": score}


def test_eighty_objects_found_give_one_and_half_of_them_half() -> None:
    truth = street("car")
    for i in range(80):
        put(truth, 100.0 * i, 50.0)
    results = [seen(100.0 * i, 50.0, 1 - i / 100) for i in range(80)]
    whole = evaluate_results(truth, results, measures=[Kitti()])
    assert whole["box/kitti/AP70_easy"] == pytest.approx(1.0)
    # 40 of 80 objects: scores are cut off at recalls 1/80, 3/80 ... until none are left, and level 0 is not averaged
    half = evaluate_results(truth, results[:40], measures=[Kitti()])
    assert half["box/kitti/AP70_easy"] == pytest.approx(0.5, abs=0.03)


def test_low_objects_vans_and_regions_to_be_ignored_are_neither_missed_nor_wrong() -> None:
    truth = street("Car", "Van")
    for i in range(60):
        put(truth, 100.0 * i, 50.0)
    results = [seen(100.0 * i, 50.0, 0.9 - i / 1000) for i in range(60)]
    plain = evaluate_results(truth, results, measures=[Kitti()])["box/kitti/AP70_easy"]
    put(truth, 6000.0, 30.0)
    put(truth, 6100.0, 50.0, category_id=2)
    put(truth, 6200.0, 200.0, crowd=1)
    more = [*results, seen(6000.0, 30.0, 0.99), seen(6100.0, 50.0, 0.98), seen(6200.0, 60.0, 0.97)]
    car = evaluate_results(truth, more, measures=[Kitti()]).classes["Car"]
    assert car["box/kitti/AP70_easy"] == plain == pytest.approx(1.0)
    assert car["box/kitti/AP70_moderate"] == pytest.approx(1.0)  # from 25 pixels on, so the low one is to be found
    low = evaluate_results(truth, [*more, seen(6600.0, 30.0, 0.99)], measures=[Kitti()]).classes["Car"]
    assert low["box/kitti/AP70_easy"] == 1.0  # what is found is too low to be wrong, but from 25 pixels on it is not
    assert low["box/kitti/AP70_moderate"] < 1.0
    wrong = [*results, seen(6400.0, 50.0, 0.99)]
    assert evaluate_results(truth, wrong, measures=[Kitti()]).classes["Car"]["box/kitti/AP70_easy"] < 1.0


def test_what_is_hidden_is_to_be_found_as_far_as_the_difficulty_asks() -> None:
    """Of 80 objects 60 in full view are found, and 20 of another view are not: they lack where they are wanted."""
    truth = street("car")
    for i in range(80):
        put(truth, 100.0 * i, 50.0)
    results = [seen(100.0 * i, 50.0, 1 - i / 100) for i in range(60)]
    known = truth_of(truth)

    def wanted(view: View) -> list[bool]:
        others = [one._replace(view=view) for one in known.objects[60:]]
        there = replace(known, objects=(*known.objects[:60], *others))
        metrics = evaluate_results(there, results, measures=[Kitti((0.7,))])
        values = [metrics[f"box/kitti/AP70_{name}"] for name in ("easy", "moderate", "hard")]
        assert all(value in (pytest.approx(1.0), pytest.approx(0.75, abs=0.03)) for value in values)
        return [value < 0.9 for value in values]

    assert wanted(View(0, 0.15)) == [True, True, True]
    assert wanted(View(0, 0.16)) == wanted(View(1, 0.0)) == wanted(View(1, 0.3)) == [False, True, True]
    assert wanted(View(1, 0.31)) == wanted(View(2, 0.5)) == [False, False, True]
    assert wanted(View(2, 0.51)) == wanted(View(3, 0.0)) == [False, False, False]


def test_there_is_no_hard_where_nothing_says_how_much_can_be_seen() -> None:
    truth = street("car")
    put(truth, 0.0, 50.0)
    metrics = evaluate_results(truth, [seen(0.0, 50.0, 0.9)], measures=[Kitti()])
    assert metrics["box/kitti/AP70_moderate"] is not None
    assert metrics["box/kitti/AP70_hard"] is None
    assert "box/kitti/AP70_hard" in metrics.meanings


def test_an_iou_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match=r"^kitti: expected IoUs between 0 and 1, got 70$"):
        Kitti((70.0,))
