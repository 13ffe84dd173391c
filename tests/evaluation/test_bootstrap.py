"""Pictures that count more often give what they would if they were there more often."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from maskrcnn.errors import InputError
from maskrcnn.evaluation.bootstrap import compare, intervals
from maskrcnn.evaluation.choosing import choose_measures
from maskrcnn.evaluation.counting import Times
from maskrcnn.evaluation.measuring import measure_results

EVERYTHING = "coco,boundary,lvis,voc,kitti:0.5,dsb,pose,mapping:0.3,sizes:4:8"


def scene(draw_scene: Any, seed: int = 0, pictures: int = 6) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    truth, results = draw_scene(random, tuple(range(1, pictures + 1)), most=(30, 30))
    for one in results:
        one["score"] = float(random.random())  # copies of a picture have equal scores, and no others
    return truth, results


def copied(truth: Any, results: Any, counts: dict[int, int]) -> tuple[Any, Any]:
    """Put each picture there as often as it counts."""
    more, found = copy.deepcopy({**truth, "images": [], "annotations": []}), []
    for image in truth["images"]:
        for i in range(counts[image["id"]]):
            image_id = image["id"] + 100 * i
            more["images"].append({**image, "id": image_id, "file_name": f"{image_id}.png"})
            own = [one for one in truth["annotations"] if one["image_id"] == image["id"]]
            more["annotations"] += [{**one, "id": one["id"] + 1000 * i, "image_id": image_id} for one in own]
            found += [{**one, "image_id": image_id} for one in results if one["image_id"] == image["id"]]
    return more, found


@pytest.mark.parametrize("seed", range(4))
def test_pictures_that_count_twice_are_pictures_that_are_there_twice(seed: int, draw_scene: Any) -> None:
    truth, results = scene(draw_scene, seed)
    measures = choose_measures(EVERYTHING)
    counts = dict(zip(range(1, 7), (2, 0, 1, 3, 1, 0), strict=True))
    weighted = measure_results(truth, results, measures=measures)
    overall, classes = weighted.values(Times(np.array(list(counts)), np.array(list(counts.values()))))
    expected, expected_classes = measure_results(*copied(truth, results, counts), measures=measures).values()
    assert overall == pytest.approx(expected, abs=1e-12, nan_ok=True)
    for name, row in classes.items():
        assert row == pytest.approx(expected_classes[name], abs=1e-12)
    assert overall != weighted.values()[0]


def test_an_interval_holds_its_number_and_the_seed_decides_about_it(draw_scene: Any) -> None:
    evaluation = measure_results(*scene(draw_scene, pictures=12), measures=choose_measures("mapping"))
    found = intervals(evaluation, 40, seed=1)
    values = evaluation.values()[0]
    assert set(found) == {name for name, value in values.items() if value is not None}
    low, high = found["mask/mapping/AP50"]
    assert low < values["mask/mapping/AP50"] < high
    assert intervals(evaluation, 40, seed=1) == found != intervals(evaluation, 40, seed=2)


def test_more_pictures_make_an_interval_narrower(draw_scene: Any) -> None:
    few = scene(draw_scene, pictures=12)
    many = copied(*few, dict.fromkeys(range(1, 13), 9))
    counted = [measure_results(*each, measures=choose_measures("mapping")) for each in (few, many)]
    widths = [high - low for low, high in (intervals(each, 80)["mask/mapping/AP50"] for each in counted)]
    assert widths[1] < 0.6 * widths[0]  # a third, for nine times as many


def test_a_model_is_no_better_than_itself_and_better_than_one_that_misses(draw_scene: Any) -> None:
    truth, results = scene(draw_scene, pictures=15)
    measures = choose_measures("mapping")
    one = measure_results(truth, results, measures=measures)
    for name, difference in compare(one, one, 10).items():
        assert (difference.difference, *difference.interval) == (0.0, 0.0, 0.0), name
        assert not difference.clear
    worse = measure_results(truth, [each for i, each in enumerate(results) if i % 2], measures=measures)
    difference = compare(worse, one, 60)["mask/mapping/AR50"]
    assert difference.difference == difference.second - difference.first > 0
    assert difference.clear
    assert difference.interval.low < difference.difference < difference.interval.high


def test_progress_is_said(draw_scene: Any) -> None:
    said: list[tuple[int, int]] = []
    intervals(measure_results(*scene(draw_scene)), 3, progress=lambda done, total: said.append((done, total)))
    assert said == [(1, 3), (2, 3), (3, 3)]


def test_what_can_not_be_drawn_or_compared_is_refused(draw_scene: Any) -> None:
    one, other = measure_results(*scene(draw_scene)), measure_results(*scene(draw_scene, pictures=7))
    with pytest.raises(InputError, match=r"^compare: expected two evaluations of the same pictures and classes"):
        compare(one, other)
    with pytest.raises(InputError, match=r"^bootstrap: expected two pictures and two samples or more, got 6 and 1$"):
        intervals(one, 1)


def test_boxes_are_not_compared_with_masks(draw_scene: Any) -> None:
    truth, results = scene(draw_scene)
    one, other = (
        measure_results(truth, [{key: value for key, value in each.items() if key != gone} for each in results])
        for gone in ("bbox", "segmentation")
    )
    with pytest.raises(InputError, match=r"^compare: expected numbers that both have, got mask of one and box of the"):
        compare(one, other)
