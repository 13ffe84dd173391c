"""How well anchors cover shapes, by hand, and which are chosen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn.config import AnchorConfig
from maskrcnn.training.anchors import BASES, fit_anchors, shape_iou


def test_an_object_of_an_anchors_own_shape_is_covered_whole():
    config = AnchorConfig(sizes=((32.0,),) * 5, ratios=(0.5, 1.0, 2.0))
    tall = (32 / 2**0.5, 32 * 2**0.5)  # ratio is height / width
    sides = np.array([(32.0, 32.0), tall, tall[::-1]])
    assert shape_iou(sides, config) == pytest.approx([1, 1, 1])


def test_iou_by_hand():
    config = AnchorConfig(sizes=((10.0,), (20.0,), (40.0,), (80.0,), (160.0,)), ratios=(1.0,))
    # 20x10 in 20x20: 200 of 400; 5x5 in 10x10: 25 of 100; 200x100 and 160x160: 16000 of 20000 + 25600 - 16000
    sides = np.array([(20.0, 10.0), (5.0, 5.0), (200.0, 100.0)])
    assert shape_iou(sides, config) == pytest.approx([0.5, 0.25, 16000 / 29600])


@given(st.lists(st.tuples(st.floats(1, 500), st.floats(1, 500)), min_size=1, max_size=20))
def test_the_choice_is_the_best_of_all_and_doubles_from_level_to_level(sides):
    array = np.array(sides)
    chosen = fit_anchors(array)
    sizes = [size for (size,) in chosen.sizes]
    assert sizes == [sizes[0] * 2**i for i in range(5)]
    others = [AnchorConfig(sizes=tuple((base * 2**i,) for i in range(5))) for base in BASES]
    best = max(shape_iou(array, other).mean() for other in others)
    assert shape_iou(array, chosen).mean() == best


@pytest.mark.parametrize("size", [4.0, 12.0, 32.0])
def test_objects_of_one_family_of_sizes_get_anchors_of_those_sizes(size):
    sides = np.array([(size * 2**i, size * 2**i) for i in range(5)])
    assert fit_anchors(sides).sizes[0] == (size,)


def test_no_objects_and_flat_ones_keep_the_usual_anchors():
    assert fit_anchors(np.zeros((0, 2))) == AnchorConfig()
    assert fit_anchors(np.array([(0.0, 12.0), (3.0, 0.0)])) == AnchorConfig()
    with_flat = np.array([(8.0, 8.0), (0.0, 400.0)])
    assert fit_anchors(with_flat) == fit_anchors(with_flat[:1])
