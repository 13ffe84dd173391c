"""Average precision and recall are pycocotools' to 1e-12, class by class, at any limits, sizes and thresholds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskrcnn.data.formats.coco_results import read_results
from maskrcnn.data.formats.lvis import read
from maskrcnn.data.formats.reading import Reading
from maskrcnn.errors import InputError
from maskrcnn.evaluation.averages import boundary, mapping, sizes
from maskrcnn.evaluation.coco import numbers
from maskrcnn.evaluation.lvis import Lvis
from maskrcnn.evaluation.measuring import evaluate_results, truth_of
from maskrcnn.ops.rle import decompress

SHARED = Path(__file__).parents[2] / "../shared/data"
FAKE = SHARED / "coco_eval_fake100/dataset/cocoapi"
LVIS = SHARED / "lvis"
LIMITS = (1, 3, 5)
AT = {None: slice(None), 0.5: slice(0, 1), 0.75: slice(5, 6)}
AREAS = ("all", "small", "medium", "large")


def theirs(evaluation: Any, limits: tuple[int, ...], k: int | slice = slice(None)) -> dict[str, float | None]:
    """Take COCO's numbers out of pycocotools' arrays, of all classes or of one."""
    values = {}
    for number in numbers(limits):
        array = evaluation.eval[number.quantity][AT[number.iou]]
        area, limit = AREAS.index(number.area.name), limits.index(number.detections)
        chosen = array[..., k, area, limit]
        values[number.name] = float(chosen[chosen > -1].mean()) if (chosen > -1).any() else None
    return values


def same(ours: dict[str, Any], expected: dict[str, float | None], kind: str) -> None:
    for name, value in expected.items():
        assert ours[f"{kind}/{name}"] == (None if value is None else pytest.approx(value, abs=1e-12)), name


def test_a_thousand_small_cases(draw_scene: Any, join_scenes: Any, measure_by_pycocotools: Any) -> None:
    """Each case has pictures and classes of its own, so many can be measured at once and told apart again."""
    random = np.random.default_rng(6)
    for _ in range(100):
        cases = [draw_scene(random, (2 * i + 1, 2 * i + 2), (3 * i + 2, 3 * i + 1)) for i in range(10)]
        truth, results = join_scenes(cases)
        metrics = evaluate_results(truth, results, detections=LIMITS)
        for kind in ("box", "mask"):
            evaluation = measure_by_pycocotools(truth, results, kind, LIMITS)
            same(metrics.values, theirs(evaluation, LIMITS), kind)
            for k, category_id in enumerate(evaluation.params.catIds):
                same(metrics.classes[f"class {category_id}"], theirs(evaluation, LIMITS, k), kind)


@pytest.mark.skipif(not FAKE.is_dir(), reason="the official fake results are not here")
@pytest.mark.parametrize("kind", ["box", "mask"])
def test_official_fake_results_to_the_last_digit(kind: str, measure_by_pycocotools: Any) -> None:
    truth = json.loads((FAKE / "instances_val2014_100.json").read_text())
    results = read_results(FAKE / f"instances_val2014_fake{'bbox' if kind == 'box' else 'segm'}100_results.json")
    metrics = evaluate_results(truth, results)
    same(metrics.values, theirs(measure_by_pycocotools(truth, results, kind), (1, 10, 100)), kind)


def lvis_results(dataset: Any, random: np.random.Generator) -> list[Any]:
    """Make results out of annotations: some moved, some of another class, some of classes nobody looked for."""
    results = []
    for record in dataset.records:
        for one in record.annotations:
            x1, y1, x2, y2 = (float(edge) for edge in one.extent())
            for _ in range(random.integers(0, 3)):
                dx, dy = random.normal(0, 0.1, 2) * (x2 - x1, y2 - y1)
                label = one.label if random.random() < 0.8 else int(random.integers(len(dataset.class_names)))
                results.append(
                    {
                        "image_id": record.image_id,
                        "category_id": dataset.category_ids[label],
                        "bbox": [x1 + dx, y1 + dy, x2 - x1, y2 - y1],
                        "score": float(random.choice([0.25, 0.5, 0.75])),
                    }
                )
    return results


@pytest.mark.skipif(not LVIS.is_dir(), reason="the LVIS sample is not here")
def test_the_lvis_sample_by_pycocotools_with_lvis_rules(
    measure_by_pycocotools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LVIS's program is pycocotools' but for what it ignores, and its limit, which is one of the picture."""
    from pycocotools.cocoeval import COCOeval

    dataset = read(LVIS / "data/lvis_val_100.json", Reading(pictures="optional"))
    results = lvis_results(dataset, np.random.default_rng(0))
    shown = {(one["image_id"], one["category_id"]) for one in results}
    shown |= {(each.image_id, dataset.category_ids[a.label]) for each in dataset.records for a in each.annotations}
    known = {
        (record.image_id, dataset.category_ids[label]) for record in dataset.records for label in record.labelled or ()
    }
    original = COCOeval.evaluateImg

    def evaluate(self: Any, image_id: int, category_id: int, *rest: Any) -> Any:
        found = original(self, image_id, category_id, *rest) if (image_id, category_id) in shown else None
        if found is not None and (image_id, category_id) not in known:
            found["dtIgnore"] = found["dtIgnore"].astype(bool) | (found["dtMatches"] == 0)
        return found

    monkeypatch.setattr(COCOeval, "evaluateImg", evaluate)
    objects = [
        {"image_id": one.image_id, "category_id": one.category_id, "bbox": one.bbox, "area": one.area, "iscrowd": 0}
        for one in truth_of(dataset).objects
    ]
    present = sorted({each["category_id"] for each in objects})
    truth = {
        "images": [
            {"id": each.image_id, "height": each.size_hw[0], "width": each.size_hw[1]} for each in dataset.records
        ],
        "categories": [{"id": i, "name": str(i)} for i in present],
        "annotations": [{"id": i, **one} for i, one in enumerate(objects, 1)],
    }
    expected = theirs(measure_by_pycocotools(truth, results, "box", (1, 10, 300)), (1, 10, 300))
    metrics = evaluate_results(dataset, results, measures=[Lvis()])
    for name, value in expected.items():
        if name not in ("AR1", "AR10"):
            assert metrics[f"box/lvis/{name}"] == (None if value is None else pytest.approx(value, abs=1e-12)), name
    assert 0.1 < metrics["box/lvis/AP"] < 0.9


def test_lvis_looks_at_the_300_best_detections_of_a_picture(draw_scene: Any) -> None:
    truth, _ = draw_scene(np.random.default_rng(1), most=(0, 0))
    truth["annotations"] = [
        {"id": 1, "image_id": 3, "category_id": 2, "bbox": [0.0, 0.0, 5.0, 5.0], "area": 25.0, "iscrowd": 0}
    ]
    right = {"image_id": 3, "category_id": 2, "bbox": [0.0, 0.0, 5.0, 5.0], "score": 0.1}
    better = [{**right, "category_id": 9, "score": 0.5} for _ in range(300)]
    seen = [evaluate_results(truth, [right, *better[:n]], measures=[Lvis()])["box/lvis/AP"] for n in (299, 300)]
    assert seen == [1.0, 0.0]


def test_lvis_takes_rare_common_and_frequent_classes_apart(draw_scene: Any) -> None:
    from dataclasses import replace

    truth, results = draw_scene(np.random.default_rng(3))
    known = replace(truth_of(truth), frequencies={9: "r", 2: "f"})
    metrics = evaluate_results(known, results, measures=[Lvis()])
    assert metrics["box/lvis/AP_r"] == metrics.classes["class 9"]["box/lvis/AP"]
    assert metrics["box/lvis/AP_f"] == metrics.classes["class 2"]["box/lvis/AP"]
    assert metrics["box/lvis/AP_c"] is None


# ---- free sizes, single thresholds


def test_free_sizes_are_pycocotools_with_those_areas(
    draw_scene: Any, join_scenes: Any, measure_by_pycocotools: Any
) -> None:
    random = np.random.default_rng(2)
    truth, results = join_scenes([draw_scene(random, (2 * i, 2 * i + 1), (1, 2)) for i in range(20)])
    truth["categories"] = truth["categories"][:2]
    for one in truth["annotations"]:
        one["area"] = one["bbox"][2] * one["bbox"][3]
    metrics = evaluate_results(truth, results, measures=[sizes((1, 10, 100), (4, 8))])
    ranges = {"under_4": [0, 16], "4_to_8": [16, 64], "over_8": [64, 1e10]}
    for kind in ("box", "mask"):
        found = measure_by_pycocotools(
            truth, results, kind, areaRng=list(ranges.values()), areaRngLbl=list(ranges)
        ).eval
        for a, name in enumerate(ranges):
            precision, recall = found["precision"][..., a, 2], found["recall"][..., a, 2]
            assert metrics[f"{kind}/sizes/AP_{name}"] == pytest.approx(precision[precision > -1].mean(), abs=1e-12)
            assert metrics[f"{kind}/sizes/AR_{name}"] == pytest.approx(recall[recall > -1].mean(), abs=1e-12)


def test_single_thresholds_are_pycocotools_with_those_thresholds(
    draw_scene: Any, join_scenes: Any, measure_by_pycocotools: Any
) -> None:
    random = np.random.default_rng(4)
    truth, results = join_scenes([draw_scene(random, (2 * i, 2 * i + 1), (1, 2)) for i in range(20)])
    truth["categories"] = truth["categories"][:2]
    metrics = evaluate_results(truth, results, measures=[mapping((1, 10, 100), (0.3, 0.5))])
    found = measure_by_pycocotools(truth, results, "mask", iouThrs=np.array([0.3, 0.5])).eval
    for t, iou in enumerate((30, 50)):
        precision, recall = found["precision"][t, ..., 0, 2], found["recall"][t, ..., 0, 2]
        assert metrics[f"mask/mapping/AP{iou}"] == pytest.approx(precision[precision > -1].mean(), abs=1e-12)
        assert metrics[f"mask/mapping/AR{iou}"] == pytest.approx(recall[recall > -1].mean(), abs=1e-12)


@pytest.mark.parametrize("sides", [(), (0, 32), (96, 32), (32, 32)])
def test_borders_that_do_not_rise_are_refused(sides: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"^sizes: expected borders above 0 that rise"):
        sizes((100,), sides)


def test_an_iou_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match=r"^mapping: expected IoUs between 0 and 1, got 1\.5$"):
        mapping((100,), (0.5, 1.5))


# ---- boundaries


def edge(mask: np.ndarray[Any, Any], width: int) -> np.ndarray[Any, Any]:
    """Keep the pixels from which a square of that reach does not stay inside, by its definition."""
    h, w = mask.shape
    framed = np.zeros((h + 2 * width, w + 2 * width), dtype=np.bool_)
    framed[width : width + h, width : width + w] = mask
    inside = np.ones_like(mask)
    for dy in range(2 * width + 1):
        for dx in range(2 * width + 1):
            inside &= framed[dy : dy + h, dx : dx + w]
    return mask & ~inside


def pixels(rle: Any) -> np.ndarray[Any, Any]:
    text = rle["counts"] if isinstance(rle["counts"], str) else rle["counts"].decode()
    runs = decompress(text)
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(rle["size"][::-1]).T


def test_boundary_ap_is_pycocotools_with_boundary_ious(
    draw_scene: Any, join_scenes: Any, measure_by_pycocotools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pycocotools.cocoeval import COCOeval

    def ious(self: Any, image_id: int, category_id: int) -> Any:
        there, found = self._gts[image_id, category_id], self._dts[image_id, category_id]
        order = np.argsort([-one["score"] for one in found], kind="mergesort")
        found = [pixels(found[i]["segmentation"]) for i in order]
        values = np.zeros((len(found), len(there)))
        for g, one in enumerate(there):
            other = pixels(one["segmentation"])
            for d, mask in enumerate(found):
                if one["iscrowd"]:
                    values[d, g] = (mask & other).sum() / mask.sum()
                else:
                    pairs = [(mask, other), (edge(mask, 1), edge(other, 1))]  # 2 % of 20 pixels is less than one
                    values[d, g] = min((a & b).sum() / (a | b).sum() for a, b in pairs)
        return values if values.size else []

    random = np.random.default_rng(5)
    truth, results = join_scenes([draw_scene(random, (2 * i, 2 * i + 1), (1, 2)) for i in range(30)])
    truth["categories"] = truth["categories"][:2]
    metrics = evaluate_results(truth, results, measures=[boundary((1, 10, 100))])
    plain = theirs(measure_by_pycocotools(truth, results, "mask"), (1, 10, 100))
    monkeypatch.setattr(COCOeval, "computeIoU", ious)
    expected = theirs(measure_by_pycocotools(truth, results, "mask"), (1, 10, 100))
    same(metrics.values, expected, "boundary")
    assert metrics["boundary/AP"] < plain["AP"]
