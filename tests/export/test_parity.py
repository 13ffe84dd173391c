"""Two results are compared object by object."""

from __future__ import annotations

import numpy as np

from maskrcnn.export.parity import Agreement, Report, compare, match
from maskrcnn.ops.rle import Bitmap
from maskrcnn.structures import Bitmaps, Instances


def instances(boxes: list[tuple[int, int, int, int]], labels: list[int], scores: list[float]) -> Instances:
    """Objects that fill their boxes, in a picture of 40x50."""
    masks = [Bitmap(x, y, np.ones((y2 - y, x2 - x), dtype=bool)) for x, y, x2, y2 in boxes]
    return Instances(
        (40, 50),
        np.array(boxes, dtype=np.float32).reshape(-1, 4),
        np.array(labels, dtype=np.int64),
        ("cat", "dog"),
        Bitmaps(masks, (40, 50)),
        np.array(scores, dtype=np.float32),
    )


NOTHING = Instances.empty((40, 50), ("cat", "dog"))


def test_a_result_agrees_with_itself() -> None:
    found = instances([(0, 0, 10, 10), (5, 5, 30, 30)], [0, 1], [0.9, 0.8])
    assert compare([found, NOTHING], [found, NOTHING]) == Agreement(2, 2, 2, 0, 0.0, 0.0, 0.0)


def test_differences_are_the_largest_and_masks_count_pixels() -> None:
    ours = instances([(0, 0, 10, 10), (20, 20, 30, 30)], [0, 1], [0.75, 0.5])
    theirs = instances([(0, 0, 10, 8), (20, 20, 30, 30)], [0, 1], [0.5, 0.5])
    # 20 of the 200 pixels of the two boxes
    assert compare([ours], [theirs]) == Agreement(1, 2, 2, 0, 2.0, 0.25, 0.1)


def test_another_class_or_place_is_another_object() -> None:
    ours = instances([(0, 0, 10, 10), (20, 20, 30, 30)], [0, 1], [0.9, 0.8])
    theirs = instances([(0, 0, 10, 10), (40, 20, 50, 30)], [1, 1], [0.9, 0.8])
    assert compare([ours], [theirs])[1:4] == (2, 0, 2)
    assert compare([ours], [NOTHING])[1:4] == (2, 0, 0)
    assert compare([NOTHING], [theirs])[1:4] == (0, 0, 2)


def test_an_object_is_matched_once() -> None:
    ours = instances([(0, 0, 10, 10), (0, 0, 10, 9)], [0, 0], [0.9, 0.8])
    theirs = instances([(0, 0, 10, 10)], [0], [0.9])
    assert match(ours, theirs) == [(0, 0)]


def test_the_table_says_what_the_json_says() -> None:
    same = Agreement(2, 3, 3, 0, 0.01, 1e-5, 0.0)
    ap = {"box/AP": 0.5, "mask/AP": 0.4, "box/AP50": 0.6}
    report = Report("a.onnx", "onnx", "uint8", "fp32", 1000, 18, {"Conv": 2}, same, 30.0, 20.0, ap, ap)
    values = report.to_json()
    assert values["speed_up"] == 1.5
    assert values["agreement"]["found"] == 3
    assert report.table().row_count == 9
