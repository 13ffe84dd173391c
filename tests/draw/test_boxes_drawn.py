"""Boxes of a group have its colour, and its first one the name."""

from __future__ import annotations

import numpy as np

from maskrcnn.draw.boxes import draw_boxes
from maskrcnn.draw.palette import palette

GREY = np.full((60, 80, 3), 100, dtype=np.uint8)


def test_each_group_has_its_colour_and_one_name() -> None:
    groups = {"anchor": [[10, 20, 30, 40], [50, 20, 70, 40]], "moved": [[10, 45, 30, 55]], "none": []}
    drawn = np.array(draw_boxes(GREY, groups))
    anchor, moved = palette(tuple(groups))[:2]
    assert drawn[21, 10].tolist() == drawn[39, 52].tolist() == list(anchor)  # left edge, lower edge
    assert drawn[54, 12].tolist() == list(moved)
    assert (drawn[:20, 52:] == 100).all()  # the second of a group has no name
    assert not (drawn[:20, :52] == 100).all()


def test_no_box_at_all_is_the_picture() -> None:
    assert (np.array(draw_boxes(GREY, {})) == GREY).all()
    assert (np.array(draw_boxes(GREY[..., 0], {"anchor": np.zeros((0, 4))})).shape) == (60, 80, 3)
