from __future__ import annotations

import math

import numpy as np
import pytest

from maskrcnn.data.formats.curves import CURVE_ERROR, ellipse_ring, rectangle_ring


@pytest.mark.parametrize(("rx", "ry", "turn"), [(0.3, 0.3, 0.0), (50.0, 20.0, 0.7), (900.0, 300.0, -2.0)])
def test_a_ring_lies_on_its_ellipse_and_leaves_it_by_little(rx: float, ry: float, turn: float) -> None:
    ring = ellipse_ring(7, -3, rx, ry, turn) - [7, -3]
    back = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    plain = ring @ back  # turned back by -turn
    assert np.allclose((plain / [rx, ry]) ** 2 @ [1, 1], 1)
    middles = (plain + np.roll(plain, 1, axis=0)) / 2
    shrink = 1 - np.sqrt((middles / [rx, ry]) ** 2 @ [1, 1])
    assert (shrink * max(rx, ry)).max() <= CURVE_ERROR * 1.01


def test_a_positive_turn_is_clockwise_on_the_screen() -> None:
    first = rectangle_ring(-2, -1, 2, 1, math.pi / 2)[0]  # upper left, which goes to the upper right
    assert first == pytest.approx([1, -2])
