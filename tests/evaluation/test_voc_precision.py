"""Pascal VOC's average precision, against its definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from maskrcnn.evaluation.measuring import evaluate_results, truth_of
from maskrcnn.evaluation.scenes import scenes
from maskrcnn.evaluation.voc import Voc


def by_definition(kind: str, truth: Any, results: Any, label: int) -> tuple[float, float] | None:
    """Follow the development kit, line by line: VOC 2010's area and 2007's eleven levels."""
    views = {scene.image_id: scene for scene in scenes(kind, truth, results)}
    objects = sum(int(((scene.labels == label) & ~scene.crowds).sum()) for scene in views.values())
    if not objects:
        return None
    found = [
        (-scene.scores[d], image_id, d)
        for image_id, scene in views.items()
        for d in np.flatnonzero(scene.found_labels == label)
    ]
    taken, right, wrong = set(), [], []
    for _, image_id, d in sorted(found):
        scene = views[image_id]
        best, at = -1.0, None
        for g in np.flatnonzero(scene.labels == label):
            if scene.ious[d, g] > best:
                best, at = scene.ious[d, g], g
        hit = best >= 0.5
        difficult = hit and scene.crowds[at]
        right.append(hit and not difficult and (image_id, at) not in taken)
        wrong.append(not difficult and not right[-1])
        if right[-1]:
            taken.add((image_id, at))
    recall = np.cumsum(right) / objects
    precision = np.cumsum(right) / np.maximum(np.cumsum(right) + np.cumsum(wrong), 1)
    eleven = [max(precision[recall >= level], default=0.0) for level in np.linspace(0, 1, 11)]
    x, y = np.array([0.0, *recall, 1.0]), np.array([0.0, *precision, 0.0])
    for i in range(len(y) - 2, -1, -1):
        y[i] = max(y[i], y[i + 1])
    return float(sum((x[i + 1] - x[i]) * y[i + 1] for i in range(len(x) - 1))), float(np.mean(eleven))


@pytest.mark.parametrize("kind", ["box", "mask"])
def test_random_scenes(kind: Any, draw_scene: Any) -> None:
    random = np.random.default_rng(8)
    compared = 0
    for _ in range(100):
        truth, results = draw_scene(random, most=(8, 12))
        known = truth_of(truth)
        metrics = evaluate_results(known, results, measures=[Voc()])
        rows = [by_definition(kind, known, results, label) for label in range(2)]
        for name, row in zip(known.names.values(), rows, strict=True):
            ours = metrics.classes[name][f"{kind}/voc/AP50"], metrics.classes[name][f"{kind}/voc/AP50_2007"]
            assert ours == ((None, None) if row is None else pytest.approx(row, abs=1e-12))
        defined = [row[0] for row in rows if row]
        compared += len(defined)
        expected = pytest.approx(np.mean(defined), abs=1e-12) if defined else None
        assert metrics[f"{kind}/voc/AP50"] == expected
    assert compared > 100


def test_a_detection_whose_object_is_taken_is_wrong_though_another_overlaps_it_enough(draw_scene: Any) -> None:
    """Two objects side by side, each found by IoU 0.5 at least; COCO gives the second one to the second detection."""
    truth, _ = draw_scene(np.random.default_rng(0), most=(0, 0))
    truth["annotations"] = [
        {"id": i, "image_id": 3, "category_id": 2, "bbox": box, "area": 100.0, "iscrowd": 0}
        for i, box in enumerate(([0.0, 0.0, 10.0, 10.0], [2.0, 0.0, 10.0, 10.0]), 1)
    ]
    results = [
        {"image_id": 3, "category_id": 2, "bbox": [0.0, 0.0, 10.0, 10.0], "score": score} for score in (0.9, 0.8)
    ]
    metrics = evaluate_results(truth, results, measures=[Voc()])
    assert metrics["box/voc/AP50"] == pytest.approx(0.5)
    assert evaluate_results(truth, results)["box/AP50"] == pytest.approx(1.0)
