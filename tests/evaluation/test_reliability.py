"""Probabilities against what is right, and thresholds: by hand and against trying everything."""

from __future__ import annotations

import numpy as np
import pytest

from maskrcnn.evaluation.calibration import calibrate
from maskrcnn.evaluation.thresholds import best_thresholds
from maskrcnn.evaluation.verdicts import Judged


def judged(scores: list[float], right: list[int], objects: int, labels: list[int] | None = None) -> Judged:
    where = np.array(labels or [0] * len(scores), dtype=np.int64)
    return Judged(where, np.array(scores), np.array(right, dtype=np.bool_), np.array([objects, 1]))


def by_chance(seed: int) -> Judged:
    rng = np.random.default_rng(seed)
    scores = rng.random(rng.integers(1, 40)).round(int(rng.integers(1, 4)))
    right = rng.random(len(scores)) < scores
    return judged(scores.tolist(), right.tolist(), int(right.sum() + rng.integers(0, 5)))


# ---- calibration


def test_bins_have_their_lower_edge_and_the_last_one_both() -> None:
    calibration = calibrate(judged([0.0, 0.5, 0.999, 1.0], [0, 1, 1, 1], 3), ["cat"], bins=2)
    assert calibration.edges.tolist() == [0, 0.5, 1]
    assert calibration.counts.tolist() == [1, 3]
    assert calibration.right.tolist() == [0, 1]
    assert calibration.scores[1] == pytest.approx(2.499 / 3)


def test_the_error_is_the_mean_distance_over_detections() -> None:
    # 2 of 4 right at 0.8, 1 of 1 right at 0.2
    calibration = calibrate(judged([0.8] * 4 + [0.2], [1, 1, 0, 0, 1], 3), ["cat"])
    assert calibration.error == pytest.approx((4 * 0.3 + 0.8) / 5)


def test_each_class_has_its_own() -> None:
    calibration = calibrate(judged([0.9, 0.4], [1, 0], 1, labels=[0, 1]), ["cat", "dog", "horse"])
    assert calibration.classes == {"cat": pytest.approx(0.1), "dog": pytest.approx(0.4), "horse": None}


def test_nothing_found_is_plain_too() -> None:
    calibration = calibrate(judged([], [], 3), ["cat"])
    assert calibration.error is None
    assert calibration.to_json()["right"] == [None] * 10


def test_probabilities_that_are_true_are_calibrated() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(200_000)
    true = judged(scores.tolist(), (rng.random(len(scores)) < scores).tolist(), 1)
    sure = true._replace(scores=np.sqrt(true.scores))
    assert (calibrate(true, ["cat"]).error or 1) < 0.01
    # what says the root of the truth is off by the mean of sqrt(x) - x over x from 0 to 1
    assert calibrate(sure, ["cat"]).error == pytest.approx(2 / 3 - 1 / 2, abs=0.01)


# ---- thresholds


def f1(found: Judged, threshold: float) -> float:
    above = found.scores > threshold
    return 2 * float(found.right[above].sum()) / float(above.sum() + found.objects[0])


def test_no_threshold_does_better() -> None:
    for seed in range(200):
        found = by_chance(seed)
        best = best_thresholds(found, ["cat"])["cat"]
        tried = [f1(found, threshold) for threshold in (-1.0, *found.scores)] if found.objects[0] else [0.0]
        if not found.right.any():
            assert best.threshold is None
            continue
        assert best.threshold is not None
        assert best.f1 == pytest.approx(max(tried))
        assert f1(found, best.threshold) == pytest.approx(best.f1)
        assert best.believed == (found.scores > best.threshold).sum()
        assert best.precision == pytest.approx(found.right[found.scores > best.threshold].mean())


def test_it_lies_half_way_to_the_next() -> None:
    assert best_thresholds(judged([0.9, 0.5], [1, 0], 1), ["cat"])["cat"].threshold == pytest.approx(0.7)
    assert best_thresholds(judged([0.9, 0.5], [1, 1], 2), ["cat"])["cat"].threshold == pytest.approx(0.25)


def test_equal_scores_stay_together() -> None:
    best = best_thresholds(judged([0.8, 0.8, 0.8], [1, 0, 0], 1), ["cat"])["cat"]
    assert (best.believed, best.threshold, best.f1) == (3, 0.4, 0.5)


def test_of_equal_ones_the_highest() -> None:
    # one of two objects with one detection, or both with four: 2/3 either way
    best = best_thresholds(judged([0.9, 0.8, 0.7, 0.6], [1, 0, 0, 1], 2), ["cat"])["cat"]
    assert (best.believed, best.f1) == (1, pytest.approx(2 / 3))


@pytest.mark.parametrize(
    ("found", "f1_", "recall"),
    [
        (judged([], [], 0), None, None),
        (judged([], [], 2), 0.0, 0.0),
        (judged([0.9], [0], 0), 0.0, None),
        (judged([0.9], [0], 2), 0.0, 0.0),
    ],
)
def test_without_anything_right_there_is_none(found: Judged, f1_: float | None, recall: float | None) -> None:
    best = best_thresholds(found, ["cat"])["cat"]
    assert (best.threshold, best.f1, best.precision, best.recall) == (None, f1_, None, recall)
