"""Laws of moving picture, boxes and masks as one, and a slow reference for the masks."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from maskrcnn.config import InputConfig
from maskrcnn.data.geometry import crop, flip_horizontally, flip_vertically, resize, resize_mask, turn_left
from maskrcnn.data.transforms import (
    Colour,
    Compose,
    HorizontalFlip,
    RandomCrop,
    Resize,
    ScaleJitter,
    Turn90,
    VerticalFlip,
)
from maskrcnn.errors import InputError
from maskrcnn.ops.rle import Bitmap, trim
from maskrcnn.structures import Bitmaps, Instances, Sample

QUICK = settings(max_examples=60, deadline=None)
NAMES = ("cat", "dog")


def make_sample(planes, image=None, *, masks=True, crowd=None) -> Sample:
    """A sample whose objects are the dense masks `planes` (N, H, W), each with at least one pixel."""
    planes = np.asarray(planes, dtype=bool)
    size_hw = planes.shape[1:]
    bitmaps = Bitmaps([trim(Bitmap(0, 0, plane)) for plane in planes], size_hw)
    labels = np.arange(len(planes), dtype=np.int64) % 2
    if image is None:
        image = (np.arange(size_hw[0] * size_hw[1] * 3) * 37 % 251).astype(np.uint8).reshape(*size_hw, 3)
    instances = Instances(
        size_hw,
        bitmaps.boxes(),
        labels,
        NAMES,
        bitmaps if masks else None,
        crowd=None if crowd is None else np.array(crowd),
    )
    return Sample(image, instances, Path("a.png"), 7)


@st.composite
def dense_masks(draw: DrawFn, most: int = 12) -> np.ndarray:
    h, w = draw(st.integers(1, most)), draw(st.integers(1, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    planes = rng.random((draw(st.integers(0, 4)), h, w)) < draw(st.sampled_from([0.05, 0.5, 0.95]))
    for plane in planes:
        plane[rng.integers(h), rng.integers(w)] = True
    return planes


def same(a: Sample, b: Sample) -> bool:
    return (
        np.array_equal(a.image, b.image)
        and np.array_equal(a.instances.boxes, b.instances.boxes)
        and np.array_equal(a.instances.masks.dense(), b.instances.masks.dense())
        and np.array_equal(a.instances.labels, b.instances.labels)
        and np.array_equal(a.instances.crowd, b.instances.crowd)
    )


def boxes_are_tight(sample: Sample) -> bool:
    tight = Bitmaps([trim(Bitmap(0, 0, plane)) for plane in sample.instances.masks.dense()], sample.instances.size_hw)
    return np.array_equal(tight.boxes(), sample.instances.boxes)


MOVES = [
    (flip_horizontally, lambda a: a[..., ::-1], 2),
    (flip_vertically, lambda a: a[..., ::-1, :], 2),
    (turn_left, lambda a: np.rot90(a, axes=(-2, -1)), 4),
]


@pytest.mark.parametrize(("move", "dense_move", "order"), MOVES)
@given(planes=dense_masks())
@QUICK
def test_a_move_of_windows_is_the_move_of_the_dense_arrays(move, dense_move, order, planes):
    sample = make_sample(planes)
    moved = move(sample)
    assert np.array_equal(moved.instances.masks.dense(), dense_move(planes))
    assert np.array_equal(moved.image.transpose(2, 0, 1), dense_move(sample.image.transpose(2, 0, 1)))
    assert boxes_are_tight(moved)
    boxes_only = move(make_sample(planes, masks=False))
    assert boxes_only.instances.masks is None
    assert np.array_equal(boxes_only.instances.boxes, moved.instances.boxes)
    for _ in range(order - 1):
        moved = move(moved)
    assert same(moved, sample)


@given(planes=dense_masks(), data=st.data())
@QUICK
def test_crop_of_windows_is_the_crop_of_the_dense_arrays(planes, data):
    sample = make_sample(planes)
    H, W = sample.instances.size_hw
    h, w = data.draw(st.integers(1, H)), data.draw(st.integers(1, W))
    y, x = data.draw(st.integers(0, H - h)), data.draw(st.integers(0, W - w))
    cut = crop(sample, x, y, (h, w), min_share=0.3)
    dense = planes[:, y : y + h, x : x + w]
    remaining = dense.sum(axis=(1, 2)) / planes.sum(axis=(1, 2))
    assert np.array_equal(cut.image, sample.image[y : y + h, x : x + w])
    assert np.array_equal(cut.instances.masks.dense(), dense[remaining > 0])
    assert np.array_equal(cut.instances.crowd, remaining[remaining > 0] < 0.3)
    assert np.array_equal(cut.instances.labels, sample.instances.labels[remaining > 0])
    assert boxes_are_tight(cut)


@given(planes=dense_masks(), margin=st.integers(0, 4))
@QUICK
def test_cropping_back_what_was_pasted_into_a_larger_picture_changes_nothing(planes, margin):
    sample = make_sample(planes)
    frame = [(margin, margin)] * 2
    larger = make_sample(np.pad(planes, [(0, 0), *frame]), np.pad(sample.image, [*frame, (0, 0)]))
    assert same(crop(larger, margin, margin, sample.instances.size_hw), sample)


def test_crop_without_masks_measures_the_boxes_and_keeps_crowds():
    boxes = np.array([[0, 0, 4, 4], [3, 0, 8, 2], [6, 6, 8, 8], [3.5, 1, 3.5, 1]], dtype=np.float32)
    crowd = np.array([True, False, False, False])
    instances = Instances((8, 8), boxes, np.zeros(4, dtype=np.int64), NAMES, crowd=crowd)
    sample = Sample(np.zeros((8, 8, 1), dtype=np.uint8), instances, Path("a.png"), 0)
    cut = crop(sample, 2, 1, (4, 2), min_share=0.15)
    # Of the first 2 of 4 columns and 3 of 4 rows remain, of the second 1 of 5 and 1 of 2: a tenth.
    assert cut.instances.boxes.tolist() == [[0, 0, 2, 3], [1, 0, 2, 1]]
    assert cut.instances.crowd.tolist() == [True, True]
    assert crop(sample, 2, 1, (4, 2), min_share=0.1).instances.crowd.tolist() == [True, False]


def test_an_object_whose_mask_has_no_pixels_is_moved_as_a_box():
    masks = Bitmaps([Bitmap(0, 0, np.zeros((0, 0), dtype=bool)), Bitmap(1, 0, np.ones((1, 1), dtype=bool))], (2, 4))
    boxes = np.array([[0.25, 0.5, 0.75, 1.0], [1, 0, 2, 1]], dtype=np.float32)
    instances = Instances((2, 4), boxes, np.zeros(2, dtype=np.int64), NAMES, masks)
    sample = Sample(np.zeros((2, 4, 3), dtype=np.uint8), instances, Path("a.png"), 0)
    assert flip_horizontally(sample).instances.boxes.tolist() == [[3.25, 0.5, 3.75, 1.0], [2, 0, 3, 1]]
    assert resize(sample, (4, 8)).instances.boxes.tolist() == [[0.5, 1, 1.5, 2], [2, 0, 4, 2]]
    assert crop(sample, 0, 0, (1, 1)).instances.boxes.tolist() == [[0.25, 0.5, 0.75, 1.0]]


def slow_resize(plane: np.ndarray, new_hw: tuple[int, int]) -> np.ndarray:
    """Each new pixel's covered share of its pre-image, in fractions."""
    (H, W), (h, w) = plane.shape, new_hw
    share = np.empty(new_hw, dtype=object)
    for y, x in np.ndindex(*new_hw):
        low, high = (
            (Fraction(y * H, h), Fraction(x * W, w)),
            (Fraction((y + 1) * H, h), Fraction((x + 1) * W, w)),
        )
        share[y, x] = Fraction(0)
        for j, i in np.argwhere(plane).tolist():
            tall, wide = min(high[0], j + 1) - max(low[0], j), min(high[1], i + 1) - max(low[1], i)
            share[y, x] += max(tall, 0) * max(wide, 0) * Fraction(h * w, H * W)
    return share >= Fraction(1, 2) if (share >= Fraction(1, 2)).any() else share == share.max()


@given(planes=dense_masks(most=7), h=st.integers(1, 10), w=st.integers(1, 10))
@settings(max_examples=80, deadline=None)
def test_resized_masks_are_those_of_the_slow_reference_and_never_vanish(planes, h, w):
    resized = resize(make_sample(planes, np.zeros((*planes.shape[1:], 1), dtype=np.float32)), (h, w))
    expected = np.array([slow_resize(plane, (h, w)) for plane in planes], dtype=bool).reshape(-1, h, w)
    assert np.array_equal(resized.instances.masks.dense(), expected)
    assert expected.any(axis=(1, 2)).all()
    assert boxes_are_tight(resized)


@given(planes=dense_masks())
@QUICK
def test_resizing_to_the_same_size_changes_nothing(planes):
    sample = make_sample(planes)
    assert same(resize(sample, sample.instances.size_hw), sample)
    bitmap = Bitmap(2, 1, np.ones((3, 2), dtype=bool))
    assert np.array_equal(resize_mask(bitmap, (9, 9), (9, 9)).pixels, bitmap.pixels)


def test_doubling_repeats_every_pixel_and_halving_needs_two_of_four():
    plane = np.array([[1, 0, 0, 1], [1, 0, 0, 0]], dtype=bool)
    doubled = resize(make_sample([plane]), (4, 8)).instances.masks.dense()[0]
    assert np.array_equal(doubled, plane.repeat(2, axis=0).repeat(2, axis=1))
    halved = resize(make_sample([plane]), (1, 2)).instances.masks.dense()[0]
    assert halved.tolist() == [[True, False]]


def test_one_pixel_of_a_large_mask_survives_a_shrink_of_twelve_megapixels():
    mask = resize_mask(Bitmap(3999, 2999, np.ones((1, 1), dtype=bool)), (3000, 4000), (600, 800))
    assert (mask.x, mask.y, mask.pixels.tolist()) == (799, 599, [[True]])


def test_resize_scales_boxes_without_masks_and_ramps_stay_ramps():
    ramp = np.arange(8, dtype=np.uint16)[None, :, None].repeat(4, axis=0) * 1000
    boxes = np.array([[1, 1, 3, 2]], dtype=np.float32)
    sample = Sample(ramp, Instances((4, 8), boxes, np.zeros(1, dtype=np.int64), NAMES), Path("a.tif"), 0)
    resized = Resize(InputConfig(min_size=2, max_size=100))(sample, np.random.default_rng(0))
    assert resized.instances.boxes.tolist() == [[0.5, 0.5, 1.5, 1.0]]
    assert resized.image.shape == (2, 4, 1)
    assert resized.image.dtype == np.float32
    # An antialiasing triangle of four samples, (1, 3, 3, 1) / 8, keeps a ramp a ramp inside the picture.
    assert resized.image[0, 1:3, 0].tolist() == [2500, 4500]


@pytest.mark.parametrize(("way", "expected"), [("short_edge", (6, 9)), ("square", (8, 12)), ("none", (40, 60))])
def test_resize_knows_the_ways_of_the_settings(way, expected):
    config = InputConfig(resize=way, min_size=6, max_size=12)
    sample = make_sample(np.zeros((0, 40, 60)))
    assert Resize(config)(sample, np.random.default_rng(0)).instances.size_hw == expected


@given(planes=dense_masks(), seed=st.integers(0, 999))
@QUICK
def test_a_whole_pipeline_keeps_every_promise(planes, seed):
    pipeline = Compose(
        (
            Turn90(),
            Resize(InputConfig(min_size=9, max_size=14)),
            ScaleJitter(0.5, 2),
            RandomCrop(),
            VerticalFlip(),
            HorizontalFlip(),
        )
    )
    sample = make_sample(planes)
    before = sample.image.copy()
    once, again = (pipeline(sample, np.random.default_rng(seed)) for _ in range(2))
    assert same(once, again)
    assert np.array_equal(sample.image, before)
    assert once.image.shape[:2] == once.instances.size_hw
    assert max(once.instances.size_hw) <= 14
    assert len(once.instances) <= len(planes)
    assert once.instances.masks.dense().any(axis=(1, 2)).all()
    assert boxes_are_tight(once)
    assert (once.path, once.image_id) == (sample.path, sample.image_id)


def test_probabilities_of_zero_and_one_are_certain():
    sample, rng = make_sample(np.eye(6, dtype=bool)[None]), np.random.default_rng(0)
    for _ in range(20):
        assert HorizontalFlip(0)(sample, rng) is sample
        assert VerticalFlip(0)(sample, rng) is sample
        assert Turn90(0)(sample, rng) is sample
        assert same(HorizontalFlip(1)(sample, rng), flip_horizontally(sample))
        assert same(VerticalFlip(1)(sample, rng), flip_vertically(sample))
        assert not same(Turn90(1)(sample, rng), sample)


def test_scale_jitter_fills_the_old_size_or_stays_smaller():
    sample, rng = make_sample(np.ones((1, 10, 20))), np.random.default_rng(0)
    assert ScaleJitter(2, 2)(sample, rng).instances.size_hw == (10, 20)
    assert ScaleJitter(0.5, 0.5)(sample, rng).instances.size_hw == (5, 10)
    assert RandomCrop(0.5, 0.5)(sample, rng).instances.size_hw == (5, 10)


@pytest.mark.parametrize("bands", [1, 2, 3, 5])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
def test_colour_takes_any_bands_and_type(bands, dtype):
    image = (np.arange(4 * 5 * bands).reshape(4, 5, bands) * 3).astype(dtype)
    sample = make_sample(np.ones((1, 4, 5)), image)
    changed = Colour(0.4, 0.4, 0.4, 0.1)(sample, np.random.default_rng(3))
    assert changed.image.dtype == dtype
    assert changed.image.shape == image.shape
    assert not np.array_equal(changed.image, image)
    assert changed.instances is sample.instances
    assert np.array_equal(Colour()(sample, np.random.default_rng(3)).image, image)


class Fixed:
    """A generator whose uniform draws are the highest that are asked for."""

    def uniform(self, low, high):
        return high


def colour_of(image, **amounts):
    return Colour(**amounts)(make_sample(np.zeros((0, *image.shape[:2])), image), Fixed()).image


def test_colour_by_hand():
    image = np.array([[[10, 20, 60], [30, 30, 30]]], dtype=np.uint8)  # mean 30, both pixels' mean 30
    assert colour_of(image, brightness=0.5).tolist() == [[[15, 30, 90], [45, 45, 45]]]
    assert colour_of(image, contrast=1.0).tolist() == [[[0, 10, 90], [30, 30, 30]]]  # 30 - 2 * 20 is below 0
    assert colour_of(image, saturation=0.5).tolist() == [[[0, 15, 75], [30, 30, 30]]]
    assert colour_of(np.full((1, 1, 3), 200, dtype=np.uint8), brightness=0.5).tolist() == [[[255, 255, 255]]]


def test_a_third_of_a_turn_of_hue_makes_red_green_and_leaves_other_band_counts():
    red = np.array([[[90.0, 0.0, 0.0]]])
    assert colour_of(red, hue=1 / 3) == pytest.approx(np.array([[[0.0, 90.0, 0.0]]]), abs=1e-9)
    assert colour_of(red[..., :2], hue=1 / 3).tolist() == red[..., :2].tolist()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: HorizontalFlip(1.5), "HorizontalFlip: p: expected 0 to 1, got 1.5"),
        (lambda: VerticalFlip(-1), "VerticalFlip: p: expected 0 to 1, got -1"),
        (lambda: Turn90(2), "Turn90: p: expected 0 to 1, got 2"),
        (lambda: RandomCrop(0.9, 0.8), "RandomCrop: low: expected 0 to 0.8, got 0.9"),
        (lambda: ScaleJitter(0, 1), "ScaleJitter: low: expected 0.01 to 1, got 0"),
        (lambda: Colour(hue=0.6), "Colour: hue: expected 0 to 0.5, got 0.6"),
    ],
)
def test_amounts_out_of_range_are_refused(make, sentence):
    with pytest.raises(InputError, match=sentence):
        make()


def test_every_transform_keeps_which_classes_were_looked_for():
    sample = replace(make_sample(np.ones((1, 8, 8))), labelled=frozenset({1}))
    whole = Compose(
        (HorizontalFlip(1), VerticalFlip(1), Turn90(1), RandomCrop(0.5), Colour(0.5, 0.5, 0.5, 0.5), ScaleJitter())
    )
    resized = Resize(InputConfig(min_size=16, max_size=16))(sample, np.random.default_rng(0))
    assert whole(sample, np.random.default_rng(0)).labelled == resized.labelled == frozenset({1})
