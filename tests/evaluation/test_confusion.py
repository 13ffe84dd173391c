"""Which class is taken for which: by hand, against a slow count, and laws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from boxes_by_chance import CLASSES, SIZE_HW, case_by_chance, found, thing

from maskrcnn.data.formats.coco_results import Result
from maskrcnn.evaluation.coco import Kind
from maskrcnn.evaluation.confusion import Confusion, ConfusionCounter
from maskrcnn.evaluation.ground_truth import GroundTruth, Truth
from maskrcnn.evaluation.scenes import scenes

CAT, DOG, HORSE = CLASSES
HERE, THERE = [2, 2, 10, 10], [25, 20, 8, 8]


def confusion_of(
    truth: GroundTruth, results: Sequence[Result], threshold: float | Sequence[float] = 0.5, kind: Kind = "mask"
) -> Confusion:
    counter = ConfusionCounter(kind, list(CLASSES.values()), threshold=threshold)
    for scene in scenes(kind, truth, results):
        counter.add(scene)
    return counter.confusion()


def on_one_picture(*objects: Truth) -> GroundTruth:
    return GroundTruth({1: SIZE_HW}, CLASSES, objects)


def test_rows_are_there_and_columns_are_found() -> None:
    truth = on_one_picture(thing(1, CAT, HERE), thing(1, DOG, THERE))
    results = [found(1, DOG, HERE, 0.9), found(1, HORSE, [0, 30, 5, 5], 0.8)]
    confusion = confusion_of(truth, results)
    assert confusion.counts.tolist() == [[0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0]]
    assert confusion.mistaken() == [("cat", "dog", 1)]
    assert confusion.shares[0].tolist() == [0, 1, 0, 0]
    assert confusion.to_json()["counts"] == confusion.counts.tolist()


def test_an_object_counts_for_the_surest_word_on_it() -> None:
    results = [found(1, CAT, HERE, 0.6), found(1, DOG, [2, 2, 10, 9], 0.9)]
    confusion = confusion_of(on_one_picture(thing(1, CAT, HERE)), results)
    assert confusion.counts.tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]


def test_the_threshold_is_one_for_all_or_one_a_class() -> None:
    truth = on_one_picture(thing(1, CAT, HERE), thing(1, DOG, THERE))
    results = [found(1, CAT, HERE, 0.4), found(1, DOG, THERE, 0.6)]
    assert confusion_of(truth, results).counts.diagonal().tolist() == [0, 1, 0, 0]
    assert confusion_of(truth, results, [0.4, 0.7, 0.5]).counts.diagonal().tolist() == [1, 0, 0, 0]


def test_masks_that_share_a_box_are_not_confused() -> None:
    low = np.tri(10, dtype=np.bool_)

    def shaped(one: Truth, pixels: np.ndarray) -> Truth:  # type: ignore[type-arg]
        from maskrcnn.ops.rle import Bitmap, encode

        return one._replace(rle=encode(Bitmap(2, 2, pixels), SIZE_HW))

    truth = on_one_picture(shaped(thing(1, CAT, HERE), low))
    upper = shaped(thing(1, CAT, HERE), ~low).rle
    assert upper is not None
    results = [Result(**{**found(1, CAT, HERE, 0.9), "segmentation": upper})]  # type: ignore[typeddict-item]
    assert confusion_of(truth, results, kind="box").counts[0].tolist() == [1, 0, 0, 0]
    assert confusion_of(truth, results, kind="mask").counts[0].tolist() == [0, 0, 0, 1]


def slow_counts(truth: GroundTruth, results: Sequence[Result], threshold: float) -> list[list[int]]:
    K = len(CLASSES)
    label = {category_id: k for k, category_id in enumerate(CLASSES)}
    counts = [[0] * (K + 1) for _ in range(K + 1)]
    for scene in scenes("box", truth, results):
        left = [g for g, crowd in enumerate(scene.crowds) if not crowd]
        for d, place in enumerate(scene.found):
            result = results[place]
            if result["score"] < threshold:
                continue
            near = [g for g in left if scene.ious[d, g] >= 0.5]
            if near:
                best = max(near, key=lambda g: (scene.ious[d, g], g))
                left.remove(best)
                counts[scene.labels[best]][label[result["category_id"]]] += 1
                continue
            own = [g for g, k in enumerate(scene.labels) if scene.crowds[g] and k == label[result["category_id"]]]
            if all(scene.ious[d, g] < 0.5 for g in own):
                counts[K][label[result["category_id"]]] += 1
        for g in left:
            counts[scene.labels[g]][K] += 1
    return counts


def test_100_small_cases_as_a_slow_count() -> None:
    for seed in range(100):
        truth, results = case_by_chance(seed, digits=1)
        assert confusion_of(truth, results, 0.3, "box").counts.tolist() == slow_counts(truth, results, 0.3), seed


def test_every_object_is_in_its_row_once() -> None:
    for seed in range(30):
        truth, results = case_by_chance(seed)
        rows = confusion_of(truth, results).counts[:-1].sum(axis=1).tolist()
        assert rows == [sum(o.category_id == k and not o.crowd for o in truth.objects) for k in CLASSES]


@pytest.mark.parametrize("most", [None, 1])
def test_mistakes_come_by_how_often_they_happen(most: int | None) -> None:
    truth = on_one_picture(*(thing(1, k, [x, 0, 6, 6]) for k, x in ((CAT, 0), (DOG, 10), (DOG, 20))))
    results = [found(1, k, [x, 0, 6, 6], 0.9) for k, x in ((DOG, 0), (HORSE, 10), (HORSE, 20))]
    assert confusion_of(truth, results).mistaken(most) == [("dog", "horse", 2), ("cat", "dog", 1)][:most]
