"""Which anchors are chosen: by hand, and against all choices with every anchor laid out."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.config import AnchorConfig, RPNConfig
from maskrcnn.model.anchor_fit import Seen
from maskrcnn.training.anchors import BASES, doubling, fit_anchors

HEIGHT, WIDTH = 64, 96
RATIOS = (0.5, 1.0, 2.0)

corner = st.tuples(st.floats(0, WIDTH - 2), st.floats(0, HEIGHT - 2))


def seen(boxes, size_hw=(512, 512)) -> Seen:
    array = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    return Seen(array, np.tile(np.array(size_hw), (len(array), 1)))


def square(side: float, x: float, y: float) -> tuple[float, float, float, float]:
    return (x - side / 2, y - side / 2, x + side / 2, y + side / 2)


def smallest(boxes, rpn: RPNConfig | None = None) -> float:
    """Return the size on P2 that is chosen."""
    return fit_anchors(seen(boxes), AnchorConfig(), rpn or RPNConfig()).sizes[0][0]


@pytest.mark.parametrize("size", [4.0, 12.0, 32.0])
def test_objects_of_one_family_of_sizes_where_anchors_stand_get_anchors_of_those_sizes(size):
    assert smallest([square(size * 2**i, 256, 256) for i in range(5)]) == size


@pytest.mark.parametrize(("at", "size"), [(64, 4), (96, 8), (80, 16), (72, 32)])
def test_objects_of_one_size_get_it_on_the_coarsest_level_with_an_anchor_on_their_centres(at, size):
    """Anchors of 64 pixels stand every 64 pixels if the smallest has 4, every 32 with 8, every 16 with 16."""
    assert smallest([square(64, at, at), square(64, at + 128, at)]) == size


def test_anchors_on_every_other_cell_stand_twice_as_far_apart():
    assert [smallest([square(64, 80, 80)], RPNConfig(stride=every)) for every in (1, 2)] == [16, 32]


def test_between_the_places_of_anchors_a_larger_one_lies_better():
    # (5, 5) is 1 px from (4, 4). Of the object's own side 4 the anchor there shares 3 x 3 of 16 + 16 - 9 with it, 0.39;
    # of side 5 3.5 x 3.5 of 16 + 25 - 12.25, 0.43; of side 6 it holds it whole, 16 of 36, 0.44; of side 7 16 of 49.
    assert smallest([square(4, 5, 5)]) == 6


@functools.cache
def laid(base: float) -> np.ndarray:
    """Return every anchor of a picture, one by one: (A, 4)."""
    boxes = []
    for level in range(5):
        stride, size = 4 * 2**level, base * 2**level
        for y in range(0, HEIGHT, stride):
            for x in range(0, WIDTH, stride):
                for ratio in RATIOS:
                    w, h = size / ratio**0.5, size * ratio**0.5
                    boxes.append((x - w / 2, y - h / 2, x + w / 2, y + h / 2))
    return np.array(boxes)


def best_iou(box: np.ndarray, base: float) -> float:
    x1, y1, x2, y2 = laid(base).T
    across = np.minimum(x2, box[2]) - np.maximum(x1, box[0])
    down = np.minimum(y2, box[3]) - np.maximum(y1, box[1])
    shared = np.clip(across, 0, None) * np.clip(down, 0, None)
    return float((shared / ((x2 - x1) * (y2 - y1) + (box[2] - box[0]) * (box[3] - box[1]) - shared)).max())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(corner, st.floats(1, 90), st.floats(1, 60)), min_size=1, max_size=5))
def test_the_choice_is_the_best_of_all_and_doubles_from_level_to_level(objects):
    boxes = np.array([(x, y, min(x + w, WIDTH), min(y + h, HEIGHT)) for (x, y), w, h in objects])
    chosen = fit_anchors(seen(boxes, (HEIGHT, WIDTH)), AnchorConfig(), RPNConfig())
    sizes = [size for (size,) in chosen.sizes]
    assert sizes == [sizes[0] * 2**i for i in range(5)]
    means = {base: np.mean([best_iou(box, base) for box in boxes]) for base in BASES}
    assert means[sizes[0]] == pytest.approx(max(means.values()), abs=1e-9)


def test_no_objects_and_flat_ones_keep_the_usual_anchors():
    usual = AnchorConfig(sizes=[[5.0]] * 5, ratios=(1.0, 3.0))
    assert fit_anchors(seen([]), usual, RPNConfig()) == usual
    assert fit_anchors(seen([(2, 2, 2, 14), (3, 3, 6, 3)]), usual, RPNConfig()) == usual
    assert smallest([square(8, 12, 12), (0, 4, 0, 404)]) == smallest([square(8, 12, 12)]) == 8


def test_all_but_the_sizes_stays():
    usual = AnchorConfig(ratios=(1.0, 3.0), corners="inclusive")
    chosen = fit_anchors(seen([square(8, 12, 12)]), usual, RPNConfig())
    assert chosen == doubling(8, usual) == usual.change(sizes=[[8.0], [16.0], [32.0], [64.0], [128.0]])
