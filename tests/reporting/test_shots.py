"""Pictures with outlines over them: exact, named, in their place."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Dataset
from maskrcnn.evaluation import scenes as seen
from maskrcnn.evaluation.ground_truth import from_dataset
from maskrcnn.ops.rle import Bitmap
from maskrcnn.reporting.cases import Collector, judged
from maskrcnn.reporting.shots import SIDE, cut_out, mask_path, sceneries, shoot

LEAST = np.full(3, 0.5)


def filled(path: str, size_hw: tuple[int, int]) -> np.ndarray:
    """Fill a path of level and upright sides: a pixel is inside where a ray to the left crosses it oddly."""
    crossed = np.zeros(size_hw, dtype=np.int64)
    x = y = 0
    for ring in re.findall(r"M(\d+) (\d+)([^z]*)z", path):
        x, y = first = int(ring[0]), int(ring[1])
        steps = re.findall(r"([hv])(-?\d+)", ring[2])
        corners = [first]
        for way, length in steps:
            x, y = (x + int(length), y) if way == "h" else (x, y + int(length))
            corners.append((x, y))
        for (x1, y1), (x2, y2) in zip(corners, [*corners[1:], first], strict=True):
            assert x1 == x2 or y1 == y2
            if x1 == x2:
                crossed[min(y1, y2) : max(y1, y2), x1:] += 1
    return crossed % 2 == 1


@pytest.mark.parametrize("seed", range(10))
def test_an_outline_encloses_the_pixels_of_its_mask_and_no_others(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.random((9, 12)) < (0.3, 0.7)[seed % 2]
    dense = np.zeros((15, 20), dtype=np.bool_)
    dense[3:12, 4:16] = pixels
    assert (filled(mask_path(Bitmap(4, 3, pixels)), (15, 20)) == dense).all()


def test_an_empty_mask_has_no_outline() -> None:
    assert mask_path(Bitmap(0, 0, np.zeros((2, 2), dtype=np.bool_))) == ""


@pytest.fixture
def scenes(pictures: Dataset, results) -> list:
    truth = from_dataset(pictures)
    return list(sceneries(pictures, "mask", truth, [results], [LEAST], {1, 2, 3, 4}))


def test_what_is_drawn_says_what_became_of_it(scenes) -> None:
    first, second, third, fourth = map(shoot, scenes)
    assert {(each.words, each.state) for each in first.truth.outlines} == {
        ("cat, annotated", "right"),
        ("dog, annotated: missed", "missed"),
    }
    assert {(each.words, each.state) for each in first.found[0].outlines} == {
        ("cat 0.95: right, IoU 1.00", "right"),
        ("cat 0.90: false", "false"),
    }
    assert [each.state for each in second.found[0].outlines] == ["false"]
    assert [each.words for each in third.found[0].outlines] == ["horse 0.70: false"]  # 0.2 is not sure
    assert [each.state for each in fourth.truth.outlines] == ["ignored", "missed"]
    assert [each.state for each in fourth.found[0].outlines] == ["ignored"]


def test_outlines_lie_where_the_objects_are(scenes) -> None:
    shot = shoot(scenes[0])
    assert shot.size_wh == (60, 40)
    assert {each.path for each in shot.truth.outlines} == {"M5 5h20v10h-20z", "M35 20h20v15h-20z"}


def test_names_stay_in_the_picture_and_clear_of_each_other(scenes) -> None:
    for scenery in scenes:
        shot = shoot(scenery)
        for layer in (shot.truth, *shot.found):
            boxes = [(p.x, p.y, p.x + p.width, p.y + p.height) for p in layer.plates]
            assert all(0 <= x1 < x2 <= SIDE and 0 <= y1 < y2 <= SIDE * 40 / 60 for x1, y1, x2, y2 in boxes)
            for i, a in enumerate(boxes):
                for b in boxes[:i]:
                    assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_a_large_picture_is_shrunk_with_what_is_on_it(tmp_path, pictures: Dataset, results) -> None:
    folder = tmp_path / "large"
    folder.mkdir()
    Image.new("RGB", (1600, 800), (200, 10, 10)).save(folder / "a.png")
    square = [[400, 200, 800, 200, 800, 600, 400, 600]]
    speck = [[1, 1, 2, 1, 2, 2, 1, 2]]
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 1600, "height": 800}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 1, "segmentation": shape} for i, shape in enumerate((square, speck))
        ],
    }
    (folder / "annotations.json").write_text(json.dumps(document))
    dataset = open_dataset(folder)
    (scenery,) = sceneries(dataset, "mask", from_dataset(dataset), [[]], [LEAST], {1})
    shot = shoot(scenery)
    assert shot.size_wh == (640, 320)
    assert [each.path for each in shot.truth.outlines] == ["M160 80h160v160h-160z", "M0 0h1v1h-1z"]
    image = Image.open(io.BytesIO(base64.b64decode(shot.uri.split(",")[1])))
    assert image.size == (640, 320)


def test_cases_are_cut_out_with_what_is_near_them(scenes, pictures: Dataset, results) -> None:
    collector = Collector(9)
    for each in seen.scenes("mask", from_dataset(pictures), results):
        collector.add(judged(each, LEAST))
    cases = collector.cases()
    by_id = {each.sample.image_id: each for each in scenes}
    false = [cut_out(by_id[case.image_id], case, "false") for case in cases.false]
    missed = [cut_out(by_id[case.image_id], case, "missed") for case in cases.missed]
    assert [crop.words for crop in false] == ["on dog, IoU 1.00", "on its class, IoU 0.20", "on background"]
    assert [crop.words for crop in missed] == [
        "nearest: cat 0.90, IoU 1.00",
        "nearest: dog 0.80, IoU 0.20",
        "nothing was found there",
    ]
    assert all(crop.outlines[-1].state == "false" for crop in false)
    assert all(crop.outlines[-1].state == "missed" for crop in missed)
    assert [len(crop.outlines) for crop in false] == [3, 2, 1]  # both objects of the first picture are near


def test_a_picture_that_is_gone_is_grey_and_says_so(pictures: Dataset, results) -> None:
    pictures.path(0).unlink()
    (scenery,) = sceneries(pictures, "mask", from_dataset(pictures), [results], [LEAST], {1})
    shot = shoot(scenery)
    assert "1.png" in shot.fault
    assert len(shot.truth.outlines) == 2


def test_boxes_alone_are_drawn_as_boxes(pictures: Dataset, results) -> None:
    boxes = [{key: value for key, value in each.items() if key != "segmentation"} for each in results]
    (scenery,) = sceneries(pictures, "box", from_dataset(pictures), [boxes], [LEAST], {1})
    assert shoot(scenery).found[0].outlines[0].path == "M35.0 20.0H55.0V35.0H35.0z"
