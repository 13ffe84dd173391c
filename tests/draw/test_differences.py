"""Missed red, false orange, found green: each object in its colour, with a word for it."""

from __future__ import annotations

import numpy as np
import pytest

from maskrcnn.draw.differences import COLOURS, differences
from maskrcnn.draw.palette import RGB
from maskrcnn.errors import ImageError, InputError
from maskrcnn.ops.rle import Bitmap
from maskrcnn.structures import Bitmaps, Instances

SIZE_HW = (120, 240)
GREY = np.full((*SIZE_HW, 3), 100, dtype=np.uint8)


def _row(*corners: int, names: tuple[str, ...] = ("cat",), crowd: tuple[bool, ...] = ()) -> Instances:
    """Place squares of 20 pixels in the middle of the picture, each at its x."""
    masks = Bitmaps([Bitmap(x, 60, np.ones((20, 20), dtype=np.bool_)) for x in corners], SIZE_HW)
    n = len(corners)
    crowds = np.array(crowd or [False] * n)
    return Instances(SIZE_HW, masks.boxes(), np.zeros(n, dtype=np.int64), names, masks, crowd=crowds)


def _corner(drawn: np.ndarray, x: int) -> RGB:
    """Return the colour of the contour's lower left pixel, where no label stands."""
    r, g, b = drawn[79, x].tolist()
    return r, g, b


def test_each_object_has_the_colour_of_what_became_of_it() -> None:
    truth, found = _row(10, 60, 190, crowd=(False, False, True)), _row(60, 120, 180, names=("dog", "cat"))
    drawn = np.array(differences(GREY, truth, found, [1, -1, 2]))
    assert _corner(drawn, 10) == COLOURS["missed"]
    assert _corner(drawn, 60) == COLOURS["found"]
    assert _corner(drawn, 120) == COLOURS["false"]
    assert _corner(drawn, 180) == COLOURS["ignored"]
    assert (drawn[100:] == 100).all()


def test_a_crowd_that_nothing_found_is_not_missed() -> None:
    drawn = np.array(differences(GREY, _row(10, crowd=(True,)), _row()[[]], []))
    assert not (drawn == COLOURS["missed"]).all(axis=2).any()
    assert (drawn == COLOURS["ignored"]).all(axis=2).any()


def test_zoom_enlarges_everything() -> None:
    drawn = np.array(differences(GREY, _row(10), _row()[[]], [], zoom=2))
    assert drawn.shape == (240, 480, 3)
    assert tuple(drawn[159, 20].tolist()) == COLOURS["missed"]


def test_boxes_alone_can_be_compared_with_masks() -> None:
    truth = _row(10)
    boxes = Instances(SIZE_HW, truth.boxes, truth.labels, truth.class_names, None)
    drawn = np.array(differences(GREY, boxes, _row(100), [-1]))
    assert _corner(drawn, 10) == COLOURS["missed"]
    assert drawn[70, 20].tolist() == [100, 100, 100]
    assert _corner(drawn, 100) == COLOURS["false"]


def test_nothing_annotated_and_nothing_found_is_the_picture() -> None:
    nothing = Instances.empty(SIZE_HW, ("cat",))
    assert (np.array(differences(GREY, nothing, nothing, [])) == GREY).all()


def test_colours_differ_from_each_other_and_from_their_letters() -> None:
    colours = [np.array(colour) for colour in COLOURS.values()]
    assert min(np.linalg.norm(a - b) for i, a in enumerate(colours) for b in colours[:i]) > 90


@pytest.mark.parametrize(
    ("matches", "words"),
    [([], "expected 1, one a detection, got 0"), ([2], "expected -1 to 1, got 2"), ([-2], "expected -1 to 1, got -2")],
)
def test_matches_that_do_not_fit_are_refused(matches: list[int], words: str) -> None:
    with pytest.raises(InputError, match=f"matches: {words}"):
        differences(GREY, _row(10, 60), _row(60), matches)


def test_pictures_of_other_sizes_are_refused() -> None:
    other = Instances.empty((5, 5), ("cat",))
    with pytest.raises(InputError, match=r"found: expected the size of the annotations \(120, 240\), got \(5, 5\)"):
        differences(GREY, _row(10), other, [])
    with pytest.raises(ImageError, match="expected the instances' height and width"):
        differences(GREY[:50], _row(10), _row(60), [-1])
