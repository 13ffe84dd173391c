"""COCO evaluation: the published numbers, pycocotools on random scenes, emptiness, errors."""

from __future__ import annotations

import contextlib
import copy
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from maskrcnn.data.dataset import Annotation, Dataset, LeftOut, Record, Rings
from maskrcnn.data.formats import coco
from maskrcnn.data.formats.coco_results import read_results, to_coco_results
from maskrcnn.data.formats.reading import Reading
from maskrcnn.errors import AnnotationError, InputError, OutputError
from maskrcnn.evaluation.coco import Metrics, class_table, numbers, table, write
from maskrcnn.evaluation.measuring import evaluate_results
from maskrcnn.ops.rle import Bitmap, encode

FAKE = Path(__file__).parents[2] / "../shared/data/coco_eval_fake100/dataset/cocoapi"
# design/formats.md, printed by the COCO authors' own evalDemo for these files
PUBLISHED = {
    "mask": [0.320, 0.562, 0.299, 0.387, 0.310, 0.327, 0.268, 0.415, 0.417, 0.469, 0.377, 0.381],
    "box": [0.505, 0.697, 0.573, 0.586, 0.519, 0.501, 0.387, 0.594, 0.595, 0.640, 0.566, 0.564],
}
NAMES = [number.name for number in numbers()]


@pytest.mark.skipif(not FAKE.is_dir(), reason="the official fake results are not here")
@pytest.mark.parametrize("kind", ["mask", "box"])
def test_official_fake_results_give_the_published_numbers(kind: str) -> None:
    truth = json.loads((FAKE / "instances_val2014_100.json").read_text())
    name = {"mask": "segm", "box": "bbox"}[kind]
    metrics = evaluate_results(truth, read_results(FAKE / f"instances_val2014_fake{name}100_results.json"))
    assert metrics.kinds == (kind,)
    assert [round(metrics[f"{kind}/{name}"] or 0, 3) for name in NAMES] == PUBLISHED[kind]
    assert (metrics.images, metrics.objects, metrics.crowds, metrics.detections) == (100, 830, 9, 734)
    other = "mask" if kind == "box" else "box"
    assert metrics.notes == (f"no {other} numbers: 734 of 734 results have no {other}",)


# ---- random scenes against pycocotools

SIDE = 12
Json = dict[str, Any]


@st.composite
def _square(draw: st.DrawFn) -> dict[str, Any]:
    x, y = draw(st.integers(0, SIDE - 2)), draw(st.integers(0, SIDE - 2))
    w, h = draw(st.integers(1, SIDE - x)), draw(st.integers(1, SIDE - y))
    return {
        "image_id": draw(st.sampled_from([3, 5])),
        "category_id": draw(st.sampled_from([2, 9])),
        "bbox": [float(x), float(y), float(w), float(h)],
        "segmentation": dict(encode(Bitmap(x, y, np.ones((h, w), dtype=np.bool_)), (SIDE, SIDE))),
    }


@st.composite
def _scene(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    objects = draw(st.lists(_square(), max_size=6))
    for i, one in enumerate(objects, start=1):
        area = draw(st.sampled_from([10.0, 1024.0, 5000.0, 9216.0, 20000.0]))
        one.update(id=i, iscrowd=draw(st.integers(0, 1)), area=area)
    results = draw(st.lists(_square(), max_size=8))
    for one in results:
        one["score"] = draw(st.sampled_from([0.25, 0.5, 0.75]))
    truth = {
        "images": [{"id": i, "height": SIDE, "width": SIDE, "file_name": f"{i}.png"} for i in (3, 5)],
        "categories": [{"id": 9, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 4, "name": "never seen"}],
        "annotations": objects,
    }
    return truth, results


def _pycocotools(truth: dict[str, Any], results: list[dict[str, Any]], kind: str) -> list[float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    results = copy.deepcopy(results)
    with contextlib.redirect_stdout(io.StringIO()):
        annotated = COCO()
        annotated.dataset = copy.deepcopy(truth)
        annotated.createIndex()
        found = annotated.loadRes(results) if results else _nothing(truth)
        evaluation = COCOeval(annotated, found, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(number) for number in evaluation.stats]


def _nothing(truth: dict[str, Any]) -> Any:
    from pycocotools.coco import COCO

    found = COCO()
    found.dataset = {**copy.deepcopy(truth), "annotations": []}
    found.createIndex()
    return found


@settings(max_examples=60, deadline=None)
@given(_scene())
def test_numbers_are_those_of_pycocotools(scene: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    truth, results = scene
    metrics = evaluate_results(truth, results)  # type: ignore[arg-type]
    for kind, name in (("box", "bbox"), ("mask", "segm")):
        ours = [-1.0 if metrics[f"{kind}/{n}"] is None else metrics[f"{kind}/{n}"] for n in NAMES]
        assert ours == pytest.approx(_pycocotools(truth, results, name), abs=1e-12)


# ---- classes that were not looked for in a picture


def _lvis(scene: tuple[Json, list[Json]], labelled: dict[int, frozenset[int]], kind: str) -> list[float]:
    """Measure as LVIS's own evaluation: there, what matches nothing of a class that was not looked for is ignored."""
    from pycocotools.cocoeval import COCOeval

    original = COCOeval.evaluateImg

    def evaluate(self: Any, image_id: int, category_id: int, *rest: Any) -> Any:
        found = original(self, image_id, category_id, *rest)
        if found is not None and category_id not in labelled.get(image_id, {category_id}):
            found["dtIgnore"] = found["dtIgnore"].astype(bool) | (found["dtMatches"] == 0)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(COCOeval, "evaluateImg", evaluate)
        return _pycocotools(*scene, kind)


def _partly(truth: Json, labelled: dict[int, frozenset[int]]) -> Dataset:
    """Return the scene as a set that says which classes, by their ids, were looked for."""
    path = Path("scene.json")
    dataset = coco.read(path, Reading(pictures="optional", parsed={path: truth}))
    looked_for = {i: frozenset(map(dataset.category_ids.index, ids)) for i, ids in labelled.items()}
    records = [replace(each, labelled=looked_for.get(each.image_id)) for each in dataset.records]
    return dataset.change(records=records)


@settings(max_examples=60, deadline=None)
@given(_scene(), st.dictionaries(st.sampled_from([3, 5]), st.frozensets(st.sampled_from([2, 4, 9]))))
def test_classes_that_were_not_looked_for_count_as_in_lvis(
    scene: tuple[Json, list[Json]], labelled: dict[int, frozenset[int]]
) -> None:
    metrics = evaluate_results(_partly(scene[0], labelled), scene[1])  # type: ignore[arg-type]
    for kind, name in (("box", "bbox"), ("mask", "segm")):
        ours = [-1.0 if metrics[f"{kind}/{n}"] is None else metrics[f"{kind}/{n}"] for n in NAMES]
        assert ours == pytest.approx(_lvis(scene, labelled, name), abs=1e-12)


# ---- by hand


def _truth(*objects: dict[str, Any]) -> dict[str, Any]:
    return {
        "images": [{"id": 1, "height": 100, "width": 200, "file_name": "1.png"}],
        "categories": [{"id": 5, "name": "cat"}, {"id": 7, "name": "dog"}],
        "annotations": [
            {"id": i, "image_id": 1, **one} for i, one in enumerate(objects, start=1)
        ],  # 0 means unmatched there
    }


def _rectangle(x: int, y: int, w: int, h: int) -> dict[str, Any]:
    return dict(encode(Bitmap(x, y, np.ones((h, w), dtype=np.bool_)), (100, 200)))


def _object(x: int, y: int, w: int, h: int, category_id: int = 5, **more: Any) -> dict[str, Any]:
    outline = _rectangle(x, y, w, h)
    return {
        "category_id": category_id,
        "bbox": [x, y, w, h],
        "area": w * h,
        "segmentation": outline,
        "iscrowd": 0,
        **more,
    }


def _found(x: int, y: int, w: int, h: int, score: float = 0.9, category_id: int = 5) -> Any:
    box = [float(x), float(y), float(w), float(h)]
    return {
        "image_id": 1,
        "category_id": category_id,
        "bbox": box,
        "score": score,
        "segmentation": _rectangle(x, y, w, h),
    }


def test_one_detection_of_two_thirds_overlap_counts_at_the_thresholds_below_it() -> None:
    # 20 x 10 of 30 x 10: IoU 2/3, so right at 0.50, 0.55, 0.60, 0.65 of the ten thresholds
    metrics = evaluate_results(_truth(_object(0, 0, 30, 10)), [_found(0, 0, 20, 10)])
    assert metrics["box/AP"] == pytest.approx(0.4)
    assert metrics["mask/AP"] == pytest.approx(0.4)
    assert (metrics["box/AP50"], metrics["box/AP75"]) == (1.0, 0.0)
    assert metrics["box/AP_small"] == pytest.approx(0.4)
    assert metrics["box/AP_medium"] is None
    assert metrics.classes["cat"]["mask/AP50"] == 1.0
    assert metrics.classes["dog"] == {"objects": 0, "detections": 0} | {
        f"{kind}/{name}": None for kind in ("box", "mask") for name in NAMES
    }


def test_a_mask_counts_as_large_by_its_records_box_and_without_one_by_its_pixels() -> None:
    # A stray mask of 10 pixels in a box of 150 x 90 lowers AP_large of masks only while the record has its box.
    truth = _truth(_object(0, 0, 100, 95))
    results = [{**_found(0, 0, 150, 90, score=0.95), "segmentation": _rectangle(190, 90, 10, 1)}, _found(0, 0, 100, 95)]
    boxless = [{key: value for key, value in result.items() if key != "bbox"} for result in results]
    assert evaluate_results(truth, results)["mask/AP_large"] == pytest.approx(0.5)
    assert evaluate_results(truth, boxless)["mask/AP_large"] == 1.0
    for each in (results, boxless):
        expected = dict(zip(NAMES, _pycocotools(truth, each, "segm"), strict=True))
        assert evaluate_results(truth, each)["mask/AP_large"] == pytest.approx(expected["AP_large"])


def test_detections_on_a_crowd_are_neither_right_nor_wrong() -> None:
    truth = _truth(_object(100, 0, 50, 50, iscrowd=1), _object(0, 0, 10, 10))
    results = [_found(105, 5, 10, 10, 0.99), _found(120, 5, 10, 10, 0.98), _found(0, 0, 10, 10, 0.5)]
    metrics = evaluate_results(truth, results)
    assert (metrics["box/AP"], metrics["mask/AP"]) == (1.0, 1.0)
    assert (metrics.objects, metrics.crowds) == (1, 1)
    assert metrics.classes["cat"]["objects"] == 1


def test_a_detection_of_a_class_that_was_not_looked_for_is_neither_right_nor_wrong() -> None:
    """A cat is found, and two dogs, one partly outside of the picture; whether there are dogs nobody knows."""
    dogs = [_found(100, 10, 40, 40, 0.99, 7), {**_found(0, 50, 30, 30, 0.98, 7), "bbox": [-20.0, 50.0, 50.0, 30.0]}]
    results = [_found(10, 10, 40, 40), *dogs]
    no_dog, a_dog = _truth(_object(10, 10, 40, 40)), _truth(_object(10, 10, 40, 40), _object(100, 10, 40, 40, 7))
    metrics = evaluate_results(_partly(no_dog, {1: frozenset({5})}), results)
    assert (metrics["mask/AP"], metrics["box/AP"]) == (1.0, 1.0)
    assert metrics.notes == (
        "2 of 3 detections are of a class that was not looked for in their picture: "
        "they are right where they match an object and else not counted",
    )
    for order in (results, [{**each, "score": 1 - each["score"]} for each in results]):
        metrics = evaluate_results(_partly(a_dog, {1: frozenset({5})}), order)
        assert (metrics.classes["dog"]["mask/AP"], metrics.classes["dog"]["box/AP"]) == (1.0, 1.0)
    assert evaluate_results(a_dog, order).notes == ()
    assert evaluate_results(a_dog, order).classes["dog"]["mask/AP"] == pytest.approx(0.5)


def test_limits_name_the_recalls() -> None:
    truth = _truth(_object(0, 0, 10, 10), _object(50, 0, 10, 10))
    results = [_found(0, 0, 10, 10, 0.9), _found(50, 0, 10, 10, 0.8)]
    metrics = evaluate_results(truth, results, detections=(2, 1))
    assert (metrics["box/AR1"], metrics["box/AR2"]) == (0.5, 1.0)
    assert "box/AR100" not in metrics.values
    assert metrics.to_json()["meaning"]["AR2"].endswith("at most 2 detections a picture and class")


@pytest.mark.parametrize("limits", [(), (0, 10)])
def test_a_limit_below_one_is_refused(limits: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected one or more limits of at least 1"):
        evaluate_results(_truth(), [], detections=limits)


def test_nothing_annotated_and_nothing_found_are_ordinary() -> None:
    nothing = evaluate_results(_truth(), [])
    assert set(nothing.values.values()) == {None}
    assert nothing.kinds == ("box", "mask")
    found = evaluate_results(_truth(), [_found(0, 0, 5, 5)])
    assert found["box/AP"] is None
    missed = evaluate_results(_truth(_object(0, 0, 10, 10)), [])
    assert (missed["box/AP"], missed["mask/AR100"], missed["mask/AP_large"]) == (0.0, 0.0, None)
    crowds_only = evaluate_results(_truth(_object(0, 0, 10, 10, iscrowd=1)), [_found(0, 0, 10, 10)])
    assert crowds_only["box/AP"] is None


def test_boxes_alone_give_box_numbers_and_say_so() -> None:
    result = _found(0, 0, 10, 10)
    del result["segmentation"]
    metrics = evaluate_results(_truth(_object(0, 0, 10, 10)), [result])
    assert metrics.kinds == ("box",)
    assert metrics["box/AP"] == 1.0
    assert metrics.notes == ("no mask numbers: 1 of 1 results have no mask",)
    boxes_only = _object(0, 0, 10, 10)
    del boxes_only["segmentation"]
    metrics = evaluate_results(_truth(boxes_only), [_found(0, 0, 10, 10)])
    assert (metrics.kinds, metrics["box/AP"]) == (("box",), 1.0)
    assert metrics.notes == ("no mask numbers: 1 of 1 annotated objects have no mask",)


def test_the_caller_s_annotations_and_results_stay_as_they_are(capfd: pytest.CaptureFixture[str]) -> None:
    truth, results = _truth(_object(0, 0, 10, 10)), [_found(0, 0, 10, 10)]
    before = copy.deepcopy((truth, results))
    evaluate_results(truth, results)
    assert (truth, results) == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"image_id": 8},
            "r.json: expected the image_id of pictures in the data, got others in 1 of 2 records: 8",
        ),
        (
            {"category_id": 6},
            "r.json: expected the category_id of classes in the data, got others in 1 of 2 records: 6",
        ),
        (
            {"segmentation": {"size": [200, 100], "counts": "P`d0"}},
            "r.json: record 1: segmentation: expected size [100, 200] of picture 1, got [200, 100]; "
            "height and width are swapped",
        ),
    ],
)
def test_results_of_other_data_are_refused(change: dict[str, Any], sentence: str) -> None:
    results = [_found(0, 0, 10, 10), {**_found(0, 0, 10, 10), **change}]
    with pytest.raises(AnnotationError) as caught:
        evaluate_results(_truth(_object(0, 0, 10, 10)), results, source="r.json")
    assert str(caught.value) == sentence


def test_results_half_boxes_half_masks_can_not_be_measured() -> None:
    box, mask = _found(0, 0, 10, 10), _found(0, 0, 10, 10)
    del box["segmentation"], mask["bbox"]
    with pytest.raises(AnnotationError, match="nothing can be measured: no box numbers: 1 of 2 results have no box"):
        evaluate_results(_truth(), [box, mask])


# ---- printed and written


def _print(metrics: Metrics) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(table(metrics))
    console.print(class_table(metrics))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_labels_every_number() -> None:
    shown = _print(evaluate_results(_truth(_object(0, 0, 30, 10)), [_found(0, 0, 20, 10)]))
    lines = [" ".join(line.replace("│", " ").split()) for line in shown.splitlines()]
    assert "AP 0.50:0.95 all ≤ 100 0.400 0.400" in lines
    assert "AP 0.50 all ≤ 100 1.000 1.000" in lines
    assert "AP 0.50:0.95 large ≤ 100 - -" in lines
    assert "AR 0.50:0.95 all ≤ 1 0.400 0.400" in lines
    assert "cat 1 0.400 1.000 0.000 0.400 1.000 0.000" in lines
    assert "dog 0 - - - - - -" in lines


def test_the_file_has_the_numbers_on_top_and_null_for_undefined_ones(tmp_path: Path) -> None:
    metrics = evaluate_results(_truth(_object(0, 0, 30, 10)), [_found(0, 0, 20, 10)])
    write(metrics, tmp_path / "new" / "metrics.json")
    written = json.loads((tmp_path / "new" / "metrics.json").read_text())
    assert written["box/AP50"] == 1.0
    assert written["mask/AP_large"] is None
    assert written["classes"]["cat"]["objects"] == 1
    assert (written["images"], written["objects"], written["detections"]) == (1, 1, 1)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["metrics.json"]


def test_a_place_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"metrics\.json: could not be written: "):
        write(evaluate_results(_truth(), []), tmp_path / "file" / "metrics.json")


# ---- any data set


def _dataset(*annotations: Annotation) -> Dataset:
    """Two pictures of a format that states neither ids nor boxes; the second one is empty."""
    records = [
        Record("a.png", Path("a.png"), 1, (100, 200), annotations),
        Record("b.png", Path("b.png"), 2, (30, 40), ()),
    ]
    left_out = [LeftOut(Path("via.json"), "a.png", "region 3", "it is a point", "G202")]
    return Dataset(Path("via.json"), "via", ("cat", "dog"), (1, 2), records, left_out)


def _rings(x: int, y: int, w: int, h: int) -> Rings:
    return Rings((np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], dtype=np.float64),))


def test_a_data_set_goes_in_with_its_masks_and_crowds() -> None:
    dataset = _dataset(
        Annotation("region 0", 1, _rings(5, 6, 10, 10)),
        Annotation("region 1", 0, _rings(50, 0, 20, 20), crowd=True),
    )
    results = to_coco_results(dataset.instances(0)[[0]], 1, dataset.category_ids)
    metrics = evaluate_results(dataset, results)
    assert (metrics["box/AP"], metrics["mask/AP"], metrics["mask/AP_small"]) == (1.0, 1.0, 1.0)
    assert (metrics.images, metrics.objects, metrics.crowds) == (2, 1, 1)
    assert metrics.classes["dog"]["mask/AP"] == 1.0
    assert metrics.classes["cat"]["mask/AP"] is None
    assert metrics.notes == (
        "1 annotations are left out, such as via.json: region 3 of a.png: left out: it is a point",
    )


def test_a_data_set_of_boxes_gives_box_numbers() -> None:
    dataset = _dataset(Annotation("region 0", 0, None, (0.0, 0.0, 100.0, 97.0)))
    metrics = evaluate_results(dataset, [_found(0, 0, 100, 97, category_id=1)])
    assert (metrics.kinds, metrics["box/AP"], metrics["box/AP_large"]) == (("box",), 1.0, 1.0)
