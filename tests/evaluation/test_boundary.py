"""The boundary of a mask, against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.evaluation.boundary import boundaries, rim, width
from maskrcnn.ops.rle import Bitmap, decode, encode, trim


def drawn(mask: Bitmap, size_hw: tuple[int, int]) -> np.ndarray:
    out = np.zeros(size_hw, dtype=np.bool_)
    h, w = mask.pixels.shape
    out[mask.y : mask.y + h, mask.x : mask.x + w] = mask.pixels
    return out


def by_definition(mask: np.ndarray, reach: int) -> np.ndarray:
    """Keep a pixel if any of the square around it is not set or lies beyond the picture."""
    h, w = mask.shape
    kept = mask.copy()
    for y, x in zip(*np.nonzero(mask), strict=True):
        whole = y >= reach and x >= reach and y + reach < h and x + reach < w
        kept[y, x] = not (whole and mask[y - reach : y + reach + 1, x - reach : x + reach + 1].all())
    return kept


@settings(max_examples=60)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 4), st.integers(0, 10**6))
def test_a_rim_is_what_has_the_outside_near(h: int, w: int, reach: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    mask = random.random((h, w)) < random.choice([0.5, 0.95, 0.99, 1.0])
    found = rim(trim(Bitmap(0, 0, mask)), reach)
    assert np.array_equal(drawn(found, (h, w)), by_definition(mask, reach))


def test_it_is_two_hundredths_of_the_diagonal_wide_and_never_less_than_a_pixel() -> None:
    assert [width(size) for size in ((480, 640), (30, 40), (3, 4), (1, 1))] == [16, 1, 1, 1]


def test_masks_of_a_picture_become_boundaries_in_their_order() -> None:
    size = (60, 80)  # a diagonal of 100: two pixels
    masks = [Bitmap(10, 5, np.ones((20, 30), dtype=np.bool_)), Bitmap(0, 0, np.ones((3, 80), dtype=np.bool_))]
    found = boundaries([encode(mask, size) for mask in masks])
    assert [int(drawn(decode(each), size).sum()) for each in found] == [20 * 30 - 16 * 26, 3 * 80]
    assert boundaries([]) == []


def test_a_mask_in_the_corner_ends_where_the_picture_ends() -> None:
    assert rim(Bitmap(0, 0, np.ones((5, 5), dtype=np.bool_)), 1).pixels.sum() == pytest.approx(16)
