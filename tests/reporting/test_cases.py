"""Detections held against objects: by hand, and against the rule written out."""

from __future__ import annotations

import numpy as np
import pytest

from maskrcnn.evaluation.errors import Case as Error
from maskrcnn.evaluation.ground_truth import from_dataset
from maskrcnn.evaluation.scenes import Scene, scenes
from maskrcnn.reporting.cases import Case, Collector, Near, Picture, choose, error_case, judged

LEAST = np.full(3, 0.5)


def scene(ious, labels, found_labels, scores=None, crowds=None) -> Scene:
    G, D = len(labels), len(found_labels)
    scores = np.linspace(0.99, 0.6, D) if scores is None else np.array(scores)
    crowds = np.zeros(G, dtype=np.bool_) if crowds is None else np.array(crowds)
    return Scene(
        image_id=7,
        truths=np.arange(G),
        labels=np.array(labels, dtype=np.int64),
        crowds=crowds,
        areas=np.arange(1.0, G + 1),
        found=np.arange(D),
        found_labels=np.array(found_labels, dtype=np.int64),
        scores=scores,
        ious=np.array(ious, dtype=np.float64).reshape(D, G),
        found_areas=np.ones(D),
        found_open=np.zeros(D, dtype=np.bool_),
        heights=np.ones(G),
        found_heights=np.ones(D),
    )


def test_a_detection_takes_the_best_object_of_its_class_and_an_object_is_taken_once() -> None:
    one = judged(scene([[0.6, 0.8, 0.9], [0.7, 0.9, 0.0], [0.0, 0.6, 0.0]], [0, 0, 1], [0, 0, 0]), LEAST)
    assert one.verdicts.objects.tolist() == [1, 0, -1]
    assert one.false.tolist() == [False, False, True]
    assert one.missed.tolist() == [False, False, True]
    assert one.quality == pytest.approx((0.8 + 0.7) / (2 + (1 + 1) / 2))


def test_what_is_not_sure_is_neither_right_nor_false_and_its_object_is_missed() -> None:
    one = judged(scene([[0.9], [0.1]], [0], [0, 0], scores=[0.49, 0.1]), LEAST)
    assert (one.right.any(), one.false.any(), one.missed.tolist()) == (False, False, [True])
    assert one.quality == 0


def test_every_class_has_its_own_threshold() -> None:
    one = judged(scene([[0.9, 0.0], [0.0, 0.9]], [0, 1], [0, 1], scores=[0.4, 0.3]), np.array([0.35, 0.35]))
    assert one.right.tolist() == [True, False]


def test_crowds_are_never_missed_and_what_lies_in_them_is_not_false() -> None:
    one = judged(scene([[0.9], [0.8], [0.4]], [0], [0, 0, 0], crowds=[True]), LEAST)
    assert one.verdicts.ignored.tolist() == [True, True, False]
    assert one.false.tolist() == [False, False, True]
    assert not one.missed.any()


def test_nothing_there_and_nothing_found_is_perfect() -> None:
    assert judged(scene([], [], []), LEAST).quality == 1
    assert judged(scene([], [], [0]), LEAST).quality == 0
    assert judged(scene([], [0], []), LEAST).missed.tolist() == [True]


@pytest.mark.parametrize("seed", range(20))
def test_quality_is_that_of_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    G, D = rng.integers(0, 12, 2)
    scores = np.sort(rng.random(D))[::-1]
    one = judged(scene(rng.integers(0, 11, (D, G)) / 10, rng.integers(0, 3, G), rng.integers(0, 3, D), scores), LEAST)
    pairs = [(d, int(g)) for d, g in enumerate(one.verdicts.objects) if g >= 0 and scores[d] >= 0.5]
    false = sum(scores[d] >= 0.5 for d in range(D)) - len(pairs)
    missed = G - len(pairs)
    whole = len(pairs) + false / 2 + missed / 2
    assert one.quality == pytest.approx(sum(one.scene.ious[pair] for pair in pairs) / whole if whole else 1.0)
    assert (one.false.sum(), one.missed.sum()) == (false, missed)


def test_pictures_are_gone_over_once_and_the_surest_cases_kept(pictures, results) -> None:
    collector = Collector(2)
    for each in scenes("mask", from_dataset(pictures), results):
        collector.add(judged(each, LEAST))
    cases = collector.cases()
    assert [(each.image_id, each.right, each.false, each.missed) for each in cases.pictures] == [
        (1, 1, 1, 1),
        (2, 0, 1, 1),
        (3, 0, 1, 0),
        (4, 0, 0, 1),
    ]
    assert cases.pictures[0].quality == pytest.approx(1 / 2)
    assert (cases.missed_count, cases.false_count) == (3, 3)
    assert cases.false == [
        Case(1, 1, 0, 0.9, 0.0, Near(1, 1.0, 1.0)),  # the class is wrong
        Case(2, 0, 1, 0.8, 0.0, Near(1, pytest.approx(4 * 12 / (20 * 12)), 1.0)),
    ]
    assert [(each.image_id, each.label, each.score) for each in cases.missed] == [(1, 1, 0.9), (2, 1, 0.8)]


def test_an_error_is_found_in_its_picture(pictures, results) -> None:
    one = list(scenes("mask", from_dataset(pictures), results))[1]
    wrong = error_case(one, Error("localisation", 2, 2, 2, 0.2, 0.8))
    assert (wrong.image_id, wrong.place, wrong.label, wrong.score) == (2, 0, 1, 0.8)
    absent = error_case(one, Error("missed", 2, None, 2, 0.0, None))
    assert (absent.place, absent.label, absent.near) == (0, 1, Near(1, pytest.approx(0.2), 0.8))


@pytest.mark.parametrize("count", [0, 1, 2, 5, 9, 10, 11])
def test_the_worst_the_best_and_some_between_are_chosen_once_each(count: int) -> None:
    went = [Picture(i, quality / 10, 0, 0, 0) for i, quality in enumerate(np.random.default_rng(0).permutation(10))]
    chosen = choose(went, count)
    qualities = [went[i].quality for i in chosen]
    assert len(set(chosen)) == len(chosen) == min(count, 10)
    assert qualities == sorted(qualities)
    if 2 <= count <= 10:
        worst = -(-count // 2)
        assert qualities[:worst] == [i / 10 for i in range(worst)]
    if count >= 4:
        assert qualities[-1] == 0.9
