"""Errors are those of TIDE: by hand, against a slow reference, and AP as COCO has it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from boxes_by_chance import CLASSES, SIZE_HW, case_by_chance, found, thing
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn.data.formats.coco_results import Result, read_results
from maskrcnn.errors import AnnotationError
from maskrcnn.evaluation import analyse_results, evaluate_results
from maskrcnn.evaluation.choosing import choose_measures
from maskrcnn.evaluation.coco import Kind
from maskrcnn.evaluation.counting import Times
from maskrcnn.evaluation.errors import ERRORS, SUMMARY, Case, ErrorCounter, Errors, TideErrors
from maskrcnn.evaluation.ground_truth import GroundTruth, Truth
from maskrcnn.evaluation.scenes import scenes
from maskrcnn.evaluation.verdicts import judge

CAT, DOG, HORSE = CLASSES


def errors_of(truth: GroundTruth, results: Sequence[Result], iou: float = 0.5, background: float = 0.1) -> Errors:
    counter = ErrorCounter("box", list(truth.names.values()), iou, background)
    for scene in scenes("box", truth, results):
        counter.add(scene)
    return counter.errors()


def on_one_picture(*objects: Truth) -> GroundTruth:
    return GroundTruth({1: SIZE_HW}, CLASSES, objects)


# ---- by hand

OBJECT = [10, 10, 10, 10]
HALF_OFF = [15, 10, 10, 10]  # IoU 50 / 150
NEXT_TO = [19, 19, 10, 10]  # IoU 1 / 199


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([], {"missed": 1}),
        ([found(1, CAT, OBJECT, 0.9)], {}),
        ([found(1, DOG, OBJECT, 0.9)], {"class": 1}),
        ([found(1, CAT, HALF_OFF, 0.9)], {"localisation": 1}),
        ([found(1, DOG, HALF_OFF, 0.9)], {"both": 1, "missed": 1}),
        ([found(1, CAT, OBJECT, 0.9), found(1, CAT, OBJECT, 0.8)], {"duplicate": 1}),
        ([found(1, CAT, NEXT_TO, 0.9)], {"background": 1, "missed": 1}),
        ([found(1, CAT, OBJECT, 0.9), found(1, CAT, HALF_OFF, 0.95)], {"localisation": 1}),
        # what is in the right place twice is a mistaken class before it is a duplicate
        ([found(1, CAT, OBJECT, 0.9), found(1, DOG, OBJECT, 0.8)], {"class": 1}),
    ],
)
def test_each_class_of_error(results: list[Result], expected: dict[str, int]) -> None:
    errors = errors_of(on_one_picture(thing(1, CAT, OBJECT)), results)
    assert errors.counts == {**dict.fromkeys(ERRORS, 0), **expected}


def test_an_error_says_which_detection_and_which_object_it_is_about() -> None:
    truth = on_one_picture(thing(1, CAT, OBJECT), thing(1, DOG, [30, 25, 5, 5]))
    results = [found(1, HORSE, OBJECT, 0.4), found(1, CAT, HALF_OFF, 0.7), found(1, CAT, [0, 30, 4, 4], 0.6)]
    cases = errors_of(truth, results).cases
    assert cases.of("class") == [Case("class", 1, 0, 0, 1.0, 0.4)]
    assert cases.of("localisation") == [Case("localisation", 1, 1, 0, pytest.approx(1 / 3), 0.7)]
    assert cases.of("background") == [Case("background", 1, 2, None, 0.0, 0.6)]
    assert cases.of("missed") == [Case("missed", 1, None, 1, 0.0, None)]


def test_the_most_probable_errors_come_first() -> None:
    results = [found(1, CAT, [0, 30, 4, 4], score) for score in (0.2, 0.9, 0.5)]
    cases = errors_of(on_one_picture(), results).cases
    assert [case.score for case in cases.of("background")] == [0.9, 0.5, 0.2]
    assert [case.detection for case in cases.of("background", most=2)] == [1, 2]


def test_of_two_that_could_be_mended_the_more_probable_gets_the_object() -> None:
    truth = on_one_picture(thing(1, CAT, OBJECT), thing(1, CAT, [30, 25, 5, 5]))
    results = [found(1, CAT, [30, 25, 5, 5], 0.9), found(1, CAT, HALF_OFF, 0.8), found(1, CAT, HALF_OFF, 0.7)]
    errors = errors_of(truth, results)
    # one of two objects is found without a fault: levels 0 to 0.50 of 101
    assert errors.ap == pytest.approx(51 / 101)
    assert errors.costs["localisation"] == pytest.approx(50 / 101)
    assert errors.costs["duplicate"] == 0
    assert errors.costs["false_negatives"] == pytest.approx(50 / 101)


def test_mending_a_class_moves_the_detection_to_it() -> None:
    truth = on_one_picture(thing(1, CAT, OBJECT), thing(1, DOG, [30, 25, 5, 5]))
    results = [found(1, DOG, OBJECT, 0.9), found(1, DOG, [30, 25, 5, 5], 0.8)]
    errors = errors_of(truth, results)
    assert errors.ap == pytest.approx(0.25)  # no cat; the dog comes second, at a precision of 1/2
    assert errors.costs["class"] == pytest.approx(0.75)
    assert errors.classes["cat"]["class"] == pytest.approx(1.0)
    assert errors.classes["dog"]["class"] == pytest.approx(0.5)
    assert errors.classes["dog"]["class_count"] == 1
    assert errors.classes["horse"]["ap"] is None


def test_what_lies_in_a_crowd_of_its_class_is_no_error() -> None:
    truth = on_one_picture(thing(1, CAT, [0, 0, 20, 20], crowd=True))
    results = [found(1, CAT, [2, 2, 5, 5], 0.9), found(1, CAT, [4, 4, 5, 5], 0.8), found(1, DOG, [2, 2, 5, 5], 0.7)]
    errors = errors_of(truth, results)
    assert errors.counts == {**dict.fromkeys(ERRORS, 0), "background": 1}
    assert errors.ap is None
    assert set(errors.costs.values()) == {None}


def test_a_class_that_was_not_looked_for_has_no_wrong_detections() -> None:
    truth = replace(on_one_picture(thing(1, CAT, OBJECT)), labelled={1: frozenset([CAT])})
    results = [found(1, CAT, OBJECT, 0.9), found(1, DOG, [0, 30, 4, 4], 0.9)]
    assert sum(errors_of(truth, results).counts.values()) == 0


def test_nothing_at_all() -> None:
    errors = errors_of(GroundTruth({}, CLASSES, ()), [])
    assert (errors.ap, sum(errors.counts.values())) == (None, 0)


def test_plain_values_hold_every_number_and_its_meaning() -> None:
    errors = errors_of(*case_by_chance(3), iou=0.6)
    values = errors.to_json()
    assert set(values["costs"]) == set(values["meaning"]) == {*ERRORS, *SUMMARY}
    assert values["meaning"]["localisation"] == "overlaps an object of its class by 0.1 to 0.6"
    assert set(values["classes"]) == set(CLASSES.values())


# ---- a slow reference, from the definitions


def overlap(a: Sequence[float], b: Sequence[float], crowd: bool) -> float:
    w = max(min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]), 0)
    h = max(min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]), 0)
    whole = a[2] * a[3] if crowd else a[2] * a[3] + b[2] * b[3] - w * h
    return w * h / whole


def average(points: list[tuple[float, bool]], objects: int) -> float | None:
    """Return AP of detections (score, right), None for a class without anything."""
    if not objects:
        return 0.0 if points else None
    curve, right = [], 0
    for n, (_, hit) in enumerate(sorted(points, key=lambda point: -point[0]), 1):
        right += hit
        curve.append((right / objects, right / n))
    levels = np.linspace(0, 1, 101).tolist()
    return sum(max((p for r, p in curve if r >= level), default=0) for level in levels) / 101


class Slow:
    """Errors by the words of the definition, a detection after another."""

    def __init__(self, truth: GroundTruth, results: Sequence[Result]) -> None:
        self.results, self.things = results, truth.objects
        self.objects = {i: one for i, one in enumerate(truth.objects) if not one.crowd}
        self.order = sorted(range(len(results)), key=lambda d: -results[d]["score"])
        self.ious = {
            d: {
                g: overlap(results[d]["bbox"], one.bbox, one.crowd)
                for g, one in enumerate(truth.objects)
                if one.image_id == results[d]["image_id"]
            }
            for d in self.order
        }
        self.own = {d: {g for g in self.ious[d] if self.label(g) == results[d]["category_id"]} for d in self.order}
        self.right: dict[int, int] = {}  # detection: object
        for d in self.order:
            free = [g for g in sorted(self.own[d] & set(self.objects)) if g not in self.right.values()]
            free = [g for g in free if self.ious[d][g] >= 0.5]
            if free:
                self.right[d] = max(reversed(free), key=self.ious[d].__getitem__)
        self.error: dict[int, str] = {}
        self.about: dict[int, int] = {}
        for d in self.order:
            if d not in self.right and not self.in_crowd(d):
                self.error[d] = self.classify(d)
        self.unfound = set(self.objects) - set(self.right.values())
        self.gets: dict[int, int] = {}  # object: the detection that finds it once that is mended
        for d in self.order:
            if self.about.get(d) in self.unfound:
                self.gets.setdefault(self.about[d], d)
        self.missed = self.unfound - set(self.gets)

    def label(self, g: int) -> int:
        return self.things[g].category_id

    def in_crowd(self, d: int) -> bool:
        return any(g not in self.objects and self.ious[d][g] >= 0.5 for g in self.own[d])

    def classify(self, d: int) -> str:
        ious = self.ious[d]
        there = sorted(set(ious) & set(self.objects))
        same = max((g for g in there if g in self.own[d]), key=ious.__getitem__, default=None)
        other = max((g for g in there if g not in self.own[d]), key=ious.__getitem__, default=None)
        if same is not None and 0.1 <= ious[same] <= 0.5:
            self.about[d] = same
            return "localisation"
        if other is not None and ious[other] >= 0.5:
            self.about[d] = other
            return "class"
        if same is not None and ious[same] >= 0.5:
            return "duplicate"
        return "background" if all(ious[g] <= 0.1 for g in there) else "both"

    def ap(self, mended: str = "", gone: AbstractSet[int] = frozenset(), right_first: float = 0) -> float | None:
        points: dict[int, list[tuple[float, bool]]] = defaultdict(list)
        for d in self.order:
            label, score = self.results[d]["category_id"], self.results[d]["score"]
            if d in self.right:
                points[label].append((score + right_first, True))
            elif d in self.error and self.error[d] != mended:
                points[label].append((score, False))
            elif d in self.gets.values():
                points[self.label(self.about[d])].append((score, True))
        counts = Counter(one.category_id for one in self.objects.values())
        left = counts - Counter(map(self.label, gone))
        known = [value for value in (average(points[label], left[label]) for label in counts) if value is not None]
        return sum(known) / len(known) if known else None

    def costs(self) -> dict[str, float | None]:
        base = self.ap()
        after = {name: self.ap(name) for name in ERRORS} | {
            "missed": self.ap(gone=self.missed),
            "false_positives": self.ap(right_first=1),
            "false_negatives": self.ap(gone=self.unfound),
        }
        gains = {name: None if base is None or ap is None else ap - base for name, ap in after.items()}
        return {name: max(gain, 0) if gain and name in ERRORS else gain for name, gain in gains.items()}

    def counts(self) -> dict[str, int]:
        return {**dict.fromkeys(ERRORS, 0), **Counter(self.error.values()), "missed": len(self.missed)}


@pytest.mark.parametrize("first", range(0, 300, 100))
def test_300_small_cases_as_the_slow_reference(first: int) -> None:
    for seed in range(first, first + 100):
        truth, results = case_by_chance(seed)
        errors, slow = errors_of(truth, results), Slow(truth, results)
        assert errors.counts == slow.counts(), seed
        for name, value in {"ap": slow.ap(), **slow.costs()}.items():
            ours = errors.ap if name == "ap" else errors.costs[name]
            assert (ours is None) == (value is None), (seed, name)
            assert ours is None or abs(ours - value) < 1e-12, (seed, name)  # type: ignore[operator]


# ---- laws


def coco_ap50(truth: GroundTruth, results: Sequence[Result]) -> float | None:
    """Return AP at IoU 0.5 of all areas and detections by pycocotools."""

    def as_set(rows: list[dict[str, object]]) -> COCO:
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i} for i in truth.sizes_hw],
            "categories": [{"id": i} for i in truth.names],
            "annotations": [{"id": i, **row} for i, row in enumerate(rows, 1)],
        }
        coco.createIndex()
        return coco

    annotated = [
        {"image_id": o.image_id, "category_id": o.category_id, "bbox": o.bbox, "area": o.area, "iscrowd": int(o.crowd)}
        for o in truth.objects
    ]
    detected = [{**result, "area": result["bbox"][2] * result["bbox"][3], "iscrowd": 0} for result in results]
    evaluation = COCOeval(as_set(annotated), as_set(detected), "bbox")  # type: ignore[arg-type]
    evaluation.params.maxDets = [10**6]
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval["precision"][0, :, :, 0, 0]
    return float(precision[precision > -1].mean()) if (precision > -1).any() else None


def test_the_ap_that_errors_are_taken_from_is_cocos_with_ties_and_crowds(capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(60):
        truth, results = case_by_chance(seed, digits=1)
        if truth.objects:
            expected, ap = coco_ap50(truth, results), errors_of(truth, results).ap
            assert (ap is None) == (expected is None), seed
            assert ap is None or abs(ap - expected) < 1e-12, seed  # type: ignore[operator]


def test_every_wrong_detection_is_one_error() -> None:
    for seed in range(40):
        truth, results = case_by_chance(seed)
        wrong = sum(int(judge(scene, 0.5).wrong.sum()) for scene in scenes("box", truth, results))
        cases = errors_of(truth, results).cases
        named = cases.detections[cases.detections >= 0]
        assert len(named) == len(set(named.tolist())) == wrong


def test_without_wrong_detections_and_missed_objects_nothing_costs_anything() -> None:
    truth = case_by_chance(0)[0]
    assert truth.objects
    perfect = [found(o.image_id, o.category_id, list(map(int, o.bbox)), 0.5) for o in truth.objects if not o.crowd]
    errors = errors_of(truth, perfect)
    assert errors.ap == 1
    assert set(errors.costs.values()) == {0.0}


# ---- as a measure


def repeated(truth: GroundTruth, results: Sequence[Result], counts: dict[int, int]) -> tuple[GroundTruth, list[Result]]:
    """Return the data with every picture as often as it counts, each time with an id of its own."""
    ids = {i: [100 * i + copy for copy in range(counts[i])] for i in truth.sizes_hw}
    objects = [one._replace(image_id=new) for one in truth.objects for new in ids[one.image_id]]
    more = [Result(**{**one, "image_id": new}) for one in results for new in ids[one["image_id"]]]  # type: ignore[typeddict-item]
    sizes = {new: truth.sizes_hw[i] for i, each in ids.items() for new in each}
    return GroundTruth(sizes, truth.names, tuple(objects)), more


def test_pictures_that_count_several_times_are_as_if_they_were_there_so_often() -> None:
    for seed in range(40):
        truth, results = case_by_chance(seed)
        rng = np.random.default_rng(seed)
        counts = {i: int(rng.integers(0, 4)) for i in truth.sizes_hw}
        counter = TideErrors().start("box", truth)
        for scene in scenes("box", truth, results):
            counter.add(scene)
        ids = sorted(counts)
        tally = counter.tally(Times(np.array(ids), np.array([counts[i] for i in ids])))
        errors = errors_of(*repeated(truth, results, counts))
        for name, cost in errors.costs.items():
            assert tally.overall[f"tide/{name}"] == (None if cost is None else pytest.approx(cost, abs=1e-12)), seed
            for row, of_class in zip(tally.classes, errors.classes.values(), strict=True):
                expected = of_class[name]
                assert row[f"tide/{name}"] == (None if expected is None else pytest.approx(expected, abs=1e-12))


def test_evaluation_gives_what_errors_cost_beside_cocos_numbers() -> None:
    truth, results = case_by_chance(4)
    metrics = evaluate_results(truth, results, measures=choose_measures("coco,tide"))
    mask = analyse_results(truth, results).errors
    assert mask.kind == "mask"
    assert metrics["mask/AP50"] == pytest.approx(mask.ap, abs=1e-12)
    assert {name: metrics[f"mask/tide/{name}"] for name in (*ERRORS, *SUMMARY)} == mask.costs
    assert metrics.meanings["mask/tide/class"].startswith("AP at IoU 0.50 that it costs: overlaps an object of another")


FAKE = Path(__file__).parents[2] / "../shared/data/coco_eval_fake100/dataset/cocoapi"


@pytest.mark.parametrize(
    ("kind", "name", "counts"),  # as the authors' program counts them
    [("box", "bbox", (83, 1, 0, 1, 0, 97)), ("mask", "segm", (76, 82, 7, 0, 4, 109))],
)
def test_the_fake_results_of_coco(kind: Kind, name: str, counts: tuple[int, ...]) -> None:
    if not FAKE.exists():
        pytest.skip("../shared/data/coco_eval_fake100 is not here")
    truth = json.loads((FAKE / "instances_val2014_100.json").read_text(encoding="utf-8"))
    results = read_results(FAKE / f"instances_val2014_fake{name}100_results.json")
    errors = analyse_results(truth, results, kind=kind).errors
    assert tuple(errors.counts.values()) == counts
    assert errors.ap == pytest.approx(evaluate_results(truth, results)[f"{kind}/AP50"], abs=1e-12)


def test_results_without_what_is_to_overlap_are_refused() -> None:
    truth, results = case_by_chance(4)
    boxes = [Result(**{k: v for k, v in one.items() if k != "segmentation"}) for one in results]  # type: ignore[typeddict-item]
    assert analyse_results(truth, boxes).errors.kind == "box"
    with pytest.raises(AnnotationError, match="results: expected a mask of every object and detection, got"):
        analyse_results(truth, boxes, kind="mask")
    with pytest.raises(AnnotationError, match="expected the image_id of pictures in the data"):
        analyse_results(truth, [found(99, CAT, OBJECT, 0.5)])
