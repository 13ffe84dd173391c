"""Instances over pictures: the right pixels change, and only those."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from maskrcnn.draw.overlay import contour, displayable, names, names_and_scores, overlay
from maskrcnn.draw.palette import palette
from maskrcnn.errors import ImageError, InputError
from maskrcnn.ops.rle import Bitmap
from maskrcnn.structures import Bitmaps, Instances, Patches

CLASSES = ("cat", "dog")
GREY = np.full((60, 80, 3), 100, dtype=np.uint8)


def _instances(*bitmaps: Bitmap, crowd: bool = False) -> Instances:
    masks = Bitmaps(bitmaps, (60, 80))
    n = len(bitmaps)
    return Instances((60, 80), masks.boxes(), np.arange(n) % 2, CLASSES, masks, crowd=np.full(n, crowd))


def _block(x: int, y: int, w: int, h: int) -> Bitmap:
    return Bitmap(x, y, np.ones((h, w), dtype=np.bool_))


def test_a_mask_is_filled_and_outlined_to_the_pixel() -> None:
    drawn = np.array(overlay(GREY, _instances(_block(10, 20, 12, 9)), captions=[""]))
    r, g, b = palette(CLASSES)[0]
    assert drawn[20, 10].tolist() == drawn[28, 21].tolist() == drawn[24, 10].tolist() == [r, g, b]
    inside = drawn[21:28, 11:21].reshape(-1, 3)
    assert np.abs(inside - (GREY[0, 0] * 0.55 + np.array([r, g, b]) * 0.45)).max() <= 1.5
    drawn[20:29, 10:22] = 100
    assert (drawn == GREY).all()


def test_a_ring_has_an_outline_on_both_sides() -> None:
    pixels = np.ones((9, 9), dtype=np.bool_)
    pixels[3:6, 3:6] = False
    drawn = np.array(overlay(GREY, _instances(Bitmap(5, 5, pixels)), captions=[""]))
    assert drawn[9, 9].tolist() == [100, 100, 100]
    assert drawn[7, 9].tolist() == list(palette(CLASSES)[0])


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8)), st.integers(1, 3))
def test_a_contour_is_what_is_near_the_outside(pixels: np.ndarray, width: int) -> None:
    h, w = pixels.shape
    outside = [
        (y, x) for y in range(-1, h + 1) for x in range(-1, w + 1) if not (0 <= y < h and 0 <= x < w and pixels[y, x])
    ]
    expected = [
        [bool(pixels[y, x]) and any(abs(y - b) + abs(x - a) <= width for b, a in outside) for x in range(w)]
        for y in range(h)
    ]
    assert contour(pixels, width).tolist() == expected


def test_small_objects_stay_visible_on_large_ones() -> None:
    drawn = np.array(overlay(GREY, _instances(_block(30, 20, 10, 10), _block(5, 5, 70, 50)), captions=["", ""]))
    assert drawn[20, 35].tolist() == list(palette(CLASSES)[0])


def test_a_crowd_is_hatched_and_its_box_dashed() -> None:
    crowd = np.array(overlay(GREY, _instances(_block(0, 0, 80, 60), crowd=True), captions=[""]))
    body = (crowd[10:50, 10:70] != 100).any(axis=2)
    assert 0.4 < body.mean() < 0.6
    boxes_only = Instances((60, 80), np.array([[2, 2, 70, 50]], dtype=np.float32), np.array([0]), CLASSES, None)
    dashed = Instances((60, 80), boxes_only.boxes, boxes_only.labels, CLASSES, None, crowd=np.array([True]))
    whole, parts = ((np.array(overlay(GREY, i, captions=[""])) != 100).any(axis=2).sum() for i in (boxes_only, dashed))
    assert whole == 2 * 68 + 2 * 46  # a frame one pixel wide
    assert 0.4 * whole < parts < 0.7 * whole


def test_boxes_at_and_beyond_the_border_are_drawn_inside() -> None:
    boxes = np.array([[-5, -5, 200, 200], [79.5, 59.5, 79.6, 59.7], [90, 90, 95, 95]], dtype=np.float32)
    instances = Instances((60, 80), boxes, np.array([0, 1, 1]), CLASSES, None)
    drawn = np.array(overlay(GREY, instances, captions=["", "", ""]))
    assert drawn[0, 40].tolist() == list(palette(CLASSES)[0])
    assert drawn[59, 79].tolist() == list(palette(CLASSES)[1])


def test_no_instance_is_the_picture() -> None:
    assert (np.array(overlay(GREY, Instances.empty((60, 80), CLASSES))) == GREY).all()


def test_one_pixel_and_an_empty_mask_can_be_drawn() -> None:
    empty = Bitmap(0, 0, np.zeros((0, 0), dtype=np.bool_))
    drawn = np.array(overlay(GREY, _instances(_block(40, 30, 1, 1), empty), captions=["", ""]))
    assert drawn[30, 40].tolist() == list(palette(CLASSES)[0])


def test_the_picture_that_comes_in_stays_as_it_is() -> None:
    image = GREY.copy()
    overlay(image, _instances(_block(10, 10, 20, 20)))
    assert (image == GREY).all()


def test_zoom_enlarges_everything() -> None:
    drawn = overlay(GREY, _instances(_block(10, 20, 12, 9)), captions=[""], zoom=3)
    pixels = np.array(drawn)
    assert drawn.size == (240, 180)
    changed = np.argwhere((pixels != 100).any(axis=2))
    assert (changed.min(axis=0).tolist(), changed.max(axis=0).tolist()) == ([60, 30], [86, 65])


def test_labels_are_drawn_near_their_box() -> None:
    plain = np.array(overlay(GREY, _instances(_block(10, 20, 12, 9)), captions=[""]))
    labelled = np.array(overlay(GREY, _instances(_block(10, 20, 12, 9))))
    changed = np.argwhere((plain != labelled).any(axis=2))
    assert changed[:, 0].max() < 20  # above the box
    assert changed[:, 1].min() == 10  # and flush with it


def test_captions_say_class_score_and_crowd() -> None:
    instances = _instances(_block(0, 0, 2, 2), _block(5, 5, 2, 2), crowd=True)
    assert names(instances) == ["cat (crowd)", "dog (crowd)"]
    assert names_and_scores(instances[[1]]) == ["dog (crowd) 1.00"]


def test_a_wrong_number_of_captions_or_pixels_is_refused() -> None:
    instances = _instances(_block(0, 0, 2, 2))
    with pytest.raises(InputError, match="captions: expected 1, one an instance, got 2"):
        overlay(GREY, instances, captions=["a", "b"])
    with pytest.raises(ImageError, match=r"expected the instances' height and width \(60, 80\), got \(80, 60\)"):
        overlay(GREY.transpose(1, 0, 2), instances)


def test_three_hundred_objects_on_twelve_megapixels_are_quick() -> None:
    rng = np.random.default_rng(0)
    low = rng.random((300, 2)) * [3600, 2600]
    boxes = np.hstack([low, low + 40 + rng.random((300, 2)) * 300]).astype(np.float32)
    masks = Patches(np.ones((300, 28, 28), dtype=np.float32), boxes, (3000, 4000))
    instances = Instances((3000, 4000), boxes, np.zeros(300, dtype=np.int64), CLASSES, masks)
    image = np.zeros((3000, 4000, 3), dtype=np.uint8)
    start = time.process_time()
    overlay(image, instances)
    assert time.process_time() - start < 10  # 0.5 s measured; (N, H, W) masks would take minutes


# ---- displayable


def test_eight_bits_stay_as_they_are() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    shown = displayable(image)
    assert (shown == image).all()
    assert shown is not image


def test_sixteen_bits_are_stretched_between_their_percentiles() -> None:
    ramp = np.arange(101, dtype=np.uint16).reshape(1, 101, 1) * 100 + 5000
    shown = displayable(ramp)
    # 1st percentile 5100, 99th 14900: 9800 apart
    assert shown[0, [0, 1, 50, 99, 100], 0].tolist() == [0, 0, 128, 255, 255]
    assert (shown[..., 0] == shown[..., 1]).all()


@pytest.mark.parametrize(("bands", "order"), [(1, (0, 0, 0)), (2, (1, 0, 1)), (3, (0, 1, 2)), (7, (0, 1, 2))])
def test_any_number_of_bands_becomes_three(bands: int, order: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 5, bands)).astype(np.uint8)
    assert (displayable(image) == image[..., order]).all()


def test_a_picture_without_a_band_axis_is_grey() -> None:
    assert displayable(np.eye(4, dtype=np.bool_))[..., 2].tolist() == (np.eye(4) * 255).tolist()


def test_what_is_not_finite_and_what_is_constant_can_be_shown() -> None:
    image = np.linspace(0, 1, 200, dtype=np.float32).reshape(10, 20, 1)
    image[0, 0], image[0, 1], image[0, 2] = np.nan, np.inf, -np.inf
    assert displayable(image)[0, :3, 0].tolist() == [0, 255, 0]
    assert (displayable(np.full((3, 3, 1), 7.0)) == 0).all()
    assert (displayable(np.full((3, 3, 1), np.nan)) == 0).all()
    dots = np.zeros((100, 100), dtype=np.uint16)
    dots[3, 3] = 60000
    assert displayable(dots)[3, 3].tolist() == [255, 255, 255]


@pytest.mark.parametrize("shape", [(0, 5, 3), (5, 5, 0), (5,), (2, 5, 5, 3)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match="expected height, width and bands, got shape"):
        displayable(np.zeros(shape, dtype=np.uint8))
