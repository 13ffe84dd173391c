"""Padding, slots and summed-area tables of a batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.config import InputConfig
from maskrcnn.data.batches import collate, mask_table, padded_shape, padded_shapes, slot_count
from maskrcnn.errors import ImageError
from maskrcnn.ops.resize import target_size
from maskrcnn.ops.rle import EMPTY_BITMAP, Bitmap
from maskrcnn.structures import Bitmaps, Instances, Sample

NAMES = ("cat", "dog")


def sample_of(bitmaps, size_hw=(6, 8), *, dtype=np.uint8, bands=3, crowd=None, masks=True) -> Sample:
    held = Bitmaps(bitmaps, size_hw)
    labels = np.arange(len(bitmaps), dtype=np.int64) % 2
    crowd = None if crowd is None else np.array(crowd)
    instances = Instances(size_hw, held.boxes(), labels, NAMES, held if masks else None, crowd=crowd)
    return Sample(np.full((*size_hw, bands), 9, dtype=dtype), instances, Path("a.png"), 0)


L_SHAPE = Bitmap(2, 1, np.array([[1, 0], [1, 1]], dtype=bool))
PIXEL = Bitmap(7, 5, np.ones((1, 1), dtype=bool))


def test_a_batch_by_hand():
    first = sample_of([L_SHAPE, PIXEL, L_SHAPE], crowd=[False, False, True])
    batch = collate([first, sample_of([], (4, 4))], [5, 2**63 - 1], (32, 64))
    assert batch.images.shape == (2, 3, 32, 64)
    assert batch.images.dtype == torch.uint8
    assert batch.images.sum(dim=(1, 2, 3)).tolist() == [9 * 3 * 48, 9 * 3 * 16]
    assert (batch.images[0, :, :6, :8] == 9).all()
    assert batch.size_hw.tolist() == [[6, 8], [4, 4]]
    assert batch.boxes.shape == (2, 8, 4)
    assert batch.boxes[0, :3].tolist() == [[2, 1, 4, 3], [7, 5, 8, 6], [0, 0, 0, 0]]
    assert batch.labels.tolist() == [[0, 1, -1, -1, -1, -1, -1, -1], [-1] * 8]
    assert batch.ignored.shape == (2, 8, 4)
    assert batch.ignored[0, :2].tolist() == [[2, 1, 4, 3], [0, 0, 0, 0]]
    assert batch.ignored[1].tolist() == [[0, 0, 0, 0]] * 8
    assert batch.keys.tolist() == [5, 2**63 - 1]
    # One empty cell, then 3 by 3 cells for the L and 2 by 2 for the pixel.
    assert batch.masks.sums.tolist() == [0, 0, 0, 0, 0, 1, 1, 0, 2, 3, 0, 0, 0, 1]
    assert batch.masks.start[0, :3].tolist() == [1, 10, 0]
    assert batch.masks.window[0, :3].tolist() == [[2, 1, 2, 2], [7, 5, 1, 1], [0, 0, 0, 0]]
    assert batch.masks.known[0].tolist() == [True, True] + [False] * 6
    assert not batch.masks.known[1].any()


def test_a_batch_without_any_object_has_slots_but_nothing_in_them():
    batch = collate([sample_of([]), sample_of([])], [0, 1], (32, 32))
    assert batch.boxes.shape == (2, 8, 4)
    assert batch.ignored.shape == (2, 0, 4)
    assert (batch.labels == -1).all()
    assert batch.masks.sums.tolist() == [0]


def test_a_batch_of_crowds_only_has_nothing_to_learn_but_something_to_ignore():
    batch = collate([sample_of([L_SHAPE] * 9, crowd=[True] * 9)], [0], (32, 32))
    assert (batch.labels == -1).all()
    assert batch.ignored.shape == (1, 16, 4)
    assert batch.masks.sums.tolist() == [0]


def test_boxes_without_masks_and_masks_without_pixels_are_not_known():
    no_masks, no_pixels = sample_of([L_SHAPE], masks=False), sample_of([EMPTY_BITMAP, L_SHAPE])
    batch = collate([no_masks, no_pixels], [0, 1], (32, 32))
    assert batch.labels[:, :2].tolist() == [[0, -1], [0, 1]]
    assert batch.masks.known[:, :2].tolist() == [[False, False], [False, True]]


def test_nine_objects_take_sixteen_slots():
    batch = collate([sample_of([PIXEL] * 9), sample_of([])], [0, 1], (32, 32))
    assert batch.boxes.shape == (2, 16, 4)
    assert (batch.labels[0] >= 0).sum() == 9
    assert [slot_count(n) for n in (0, 1, 8, 9, 16, 17, 1000)] == [8, 8, 8, 16, 16, 32, 1024]


def test_eight_bits_stay_eight_bits_only_among_themselves():
    eight, sixteen = sample_of([]), sample_of([], dtype=np.uint16)
    assert collate([eight, eight], [0, 1], (32, 32)).images.dtype == torch.uint8
    mixed = collate([eight, sixteen], [0, 1], (32, 32)).images
    assert mixed.dtype == torch.float32
    assert mixed[:, :, :6, :8].unique().tolist() == [9]


def test_pictures_of_different_bands_make_no_batch():
    with pytest.raises(ImageError, match=r"a\.png: expected a picture with 3 bands, got 1"):
        collate([sample_of([]), sample_of([], bands=1)], [0, 1], (32, 32))


@given(seed=st.integers(0, 2**32), h=st.integers(1, 9), w=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_four_look_ups_give_the_covered_part_of_any_box(seed, h, w):
    rng = np.random.default_rng(seed)
    pixels = rng.random((h, w)) < 0.5
    pixels[rng.integers(h), rng.integers(w)] = True
    table = mask_table([[], [PIXEL, Bitmap(3, 4, pixels)]], 8)
    start, (x, y, rows, columns) = int(table.start[1, 1]), table.window[1, 1].tolist()
    assert (x, y, rows, columns) == (3, 4, h, w)
    sums = table.sums[start : start + (h + 1) * (w + 1)].view(h + 1, w + 1)
    assert start + sums.numel() == len(table.sums)
    y1, y2 = sorted(rng.integers(h + 1, size=2))
    x1, x2 = sorted(rng.integers(w + 1, size=2))
    assert sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1] == pixels[y1:y2, x1:x2].sum()


def test_the_shapes_of_the_paper_are_few_and_multiples_of_the_divisor():
    shapes = padded_shapes(InputConfig())
    assert shapes == (
        (800, 800),
        (800, 1088),
        (1088, 800),
        (800, 1344),
        (1344, 800),
        (1088, 1088),
        (1344, 1344),
    )
    assert padded_shapes(InputConfig(resize="square", min_size=500, max_size=1000)) == ((1024, 1024),)
    assert padded_shapes(InputConfig(resize="none")) == ()
    assert padded_shapes(InputConfig(min_size=256, max_size=256, divisor=128)) == ((256, 256),)


@given(
    sizes=st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 3000)), min_size=1, max_size=4),
    min_size=st.integers(1, 900),
    longer=st.integers(0, 900),
    divisor=st.sampled_from([32, 64, 128]),
    resize=st.sampled_from(["short_edge", "square"]),
)
@settings(max_examples=150, deadline=None)
def test_whatever_is_resized_fits_one_of_the_shapes(sizes, min_size, longer, divisor, resize):
    config = InputConfig(resize=resize, min_size=min_size, max_size=min_size + longer, divisor=divisor)
    resized = [target_size(size, config) for size in sizes]
    shape = padded_shape(resized, config)
    assert shape in padded_shapes(config)
    assert len(padded_shapes(config)) <= 8
    assert all(h <= shape[0] and w <= shape[1] for h, w in resized)
    assert shape[0] % divisor == shape[1] % divisor == 0


def test_a_photograph_lying_or_standing_takes_no_larger_shape_than_it_needs():
    config = InputConfig()
    assert padded_shape([(800, 1067)], config) == (800, 1088)
    assert padded_shape([(1067, 800)], config) == (1088, 800)
    assert padded_shape([(800, 1067), (1067, 800)], config) == (1088, 1088)
    assert padded_shape([(33, 64), (5, 65)], InputConfig(resize="none")) == (64, 96)
    assert padded_shape([(1400, 20)], config) == (1408, 32)  # larger than any resized picture


def test_a_centred_picture_takes_its_boxes_and_masks_along():
    """Of 26 rows and 24 columns too many, 13 and 12 come before the picture."""
    crowd = sample_of([L_SHAPE, PIXEL, L_SHAPE], crowd=[False, False, True])
    batch = collate([crowd], [5], (32, 32), "centred")
    assert (batch.images[0, :, 13:19, 12:20] == 9).all()
    assert batch.images.sum() == 9 * 3 * 48
    assert batch.boxes[0, :3].tolist() == [[14, 14, 16, 16], [19, 18, 20, 19], [0, 0, 0, 0]]
    assert batch.ignored[0, :2].tolist() == [[14, 14, 16, 16], [0, 0, 0, 0]]
    assert batch.masks.window[0, :3].tolist() == [[14, 14, 2, 2], [19, 18, 1, 1], [0, 0, 0, 0]]
    assert batch.size_hw.tolist() == [[6, 8]]


def test_a_centred_square_has_one_shape():
    assert padded_shapes(InputConfig(resize="centred_square", min_size=64, max_size=120)) == ((128, 128),)
    assert padded_shapes(InputConfig(resize="centred")) == ()


def test_classes_that_were_not_looked_for_are_marked_in_a_row_a_picture():
    partly = replace(sample_of([PIXEL]), labelled=frozenset({1}))
    assert collate([sample_of([]), partly], [0, 1], (32, 32)).labelled.tolist() == [[True, True], [False, True]]
    nothing = replace(partly, labelled=frozenset())
    assert collate([nothing], [0], (32, 32)).labelled.tolist() == [[False, False]]


def test_where_every_class_was_looked_for_there_is_no_column():
    batch = collate([sample_of([PIXEL]), sample_of([])], [0, 1], (32, 32))
    assert batch.labelled.shape == (2, 0)
    assert batch.labelled.dtype == torch.bool
