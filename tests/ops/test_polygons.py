import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from maskrcnn.ops.polygons import rasterise, signed_area, trace
from maskrcnn.ops.rle import Bitmap, trim

coordinate = st.floats(-10, 40, allow_nan=False).map(lambda v: round(v, 1)) | st.floats(-10, 40, allow_nan=False)
rings = st.lists(st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=9), min_size=1, max_size=3)


def paint(bitmap: Bitmap, size_hw: tuple[int, int]) -> NDArray[np.int64]:
    out = np.zeros(size_hw, dtype=np.int64)
    out[bitmap.y : bitmap.y + bitmap.pixels.shape[0], bitmap.x : bitmap.x + bitmap.pixels.shape[1]] = bitmap.pixels
    return out


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
@given(rings, st.integers(1, 35), st.integers(1, 35))
def test_same_pixels_as_pycocotools(points: list[list[tuple[float, float]]], h: int, w: int) -> None:
    polygons = [np.array(ring) for ring in points]
    whole = coco_mask.merge(coco_mask.frPyObjects([ring.ravel().tolist() for ring in polygons], h, w))
    assert np.array_equal(paint(rasterise(polygons, (h, w)), (h, w)), coco_mask.decode(whole))


def test_nothing_to_fill() -> None:
    assert rasterise([], (5, 5)).pixels.size == 0


@given(arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.integers(0, 4), st.integers(0, 4))
def test_outlines_with_holes_filled_again_are_the_mask(pixels: NDArray[np.bool_], x: int, y: int) -> None:
    size_hw = (pixels.shape[0] + y, pixels.shape[1] + x)
    mask = trim(Bitmap(x, y, pixels))
    total = np.zeros(size_hw, dtype=np.int64)
    for polygon in trace(mask):
        total += paint(rasterise([polygon.exterior], size_hw), size_hw)
        for hole in polygon.holes:
            total -= paint(rasterise([hole], size_hw), size_hw)
    assert np.array_equal(total, paint(mask, size_hw))


def test_a_ring_has_one_part_with_one_hole() -> None:
    pixels = np.ones((3, 3), dtype=np.bool_)
    pixels[1, 1] = False
    (part,) = trace(Bitmap(10, 20, pixels))
    assert signed_area(part.exterior) == 9
    assert [signed_area(hole) for hole in part.holes] == [-1]
    assert sorted(part.holes[0].tolist()) == [[11, 21], [11, 22], [12, 21], [12, 22]]


def test_pixels_that_touch_at_a_corner_are_two_parts() -> None:
    assert len(trace(Bitmap(0, 0, np.eye(2, dtype=np.bool_)))) == 2


def test_outlines_take_memory_by_the_border_and_little_by_the_area() -> None:
    pixels = np.zeros((1500, 2000), dtype=np.bool_)
    pixels[10:-10, 10:-10] = True
    tracemalloc.start()
    (part,) = trace(Bitmap(0, 0, pixels))
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(part.exterior) == 4
    assert highest < 5 * pixels.size  # a table with a place for every corner would take 32 bytes a pixel
