import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from maskrcnn.ops.outlines import one_ring, simplify
from maskrcnn.ops.polygons import rasterise, trace
from maskrcnn.ops.rle import Bitmap, trim

masks = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))
corners = st.lists(st.tuples(st.floats(-20, 20), st.floats(-20, 20)), min_size=3, max_size=12, unique=True)


def paint(bitmap: Bitmap, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    out = np.zeros(size_hw, dtype=np.bool_)
    out[bitmap.y : bitmap.y + bitmap.pixels.shape[0], bitmap.x : bitmap.x + bitmap.pixels.shape[1]] = bitmap.pixels
    return out


def crossings(ring: NDArray[np.float64], x: float, y: float) -> tuple[int, int]:
    """Count the sides that a ray to the right crosses: all of them, and those down less those up."""
    number, winding = 0, 0
    for (x1, y1), (x2, y2) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        if (y1 > y) != (y2 > y) and x1 + (y - y1) / (y2 - y1) * (x2 - x1) > x:
            number += 1
            winding += 1 if y2 > y1 else -1
    return number, winding


@given(masks, st.integers(0, 3), st.integers(0, 3))
def test_all_parts_and_holes_in_one_ring_have_the_same_pixels(pixels: NDArray[np.bool_], x: int, y: int) -> None:
    assume(pixels.any())
    size_hw = (pixels.shape[0] + y, pixels.shape[1] + x)
    mask = trim(Bitmap(x, y, pixels))
    ring = one_ring(trace(mask))
    assert np.array_equal(paint(rasterise([ring], size_hw), size_hw), paint(mask, size_hw))


@given(arrays(np.bool_, st.tuples(st.integers(1, 6), st.integers(1, 6))))
def test_one_ring_by_the_even_odd_and_the_non_zero_rule(pixels: NDArray[np.bool_]) -> None:
    assume(pixels.any())
    ring = one_ring(trace(Bitmap(0, 0, pixels)))
    for y, x in np.ndindex(pixels.shape):
        number, winding = crossings(ring, x + 0.5, y + 0.5)
        assert (number % 2 == 1) == (winding != 0) == pixels[y, x]


@given(masks, st.integers(13, 5000), st.integers(13, 5000))
def test_one_ring_in_shares_of_a_picture(pixels: NDArray[np.bool_], h: int, w: int) -> None:
    """Shares of width and height, rounded as text, lead back to the same pixels."""
    assume(pixels.any())
    mask = trim(Bitmap(w - pixels.shape[1], h - pixels.shape[0], pixels))
    shares = np.round(one_ring(trace(mask)) / (w, h), 9)
    drawn = rasterise([shares * (w, h)], (h, w))
    assert (drawn.x, drawn.y) == (mask.x, mask.y)
    assert np.array_equal(drawn.pixels, mask.pixels)


def test_bridges_lead_along_rows_and_columns() -> None:
    pixels = np.zeros((9, 9), dtype=np.bool_)
    pixels[0:5, 0:5], pixels[2, 2], pixels[7:9, 6:9] = True, False, True
    ring = one_ring(trace(Bitmap(0, 0, pixels)))
    steps = np.roll(ring, -1, axis=0) - ring
    assert (np.count_nonzero(steps, axis=1) == 1).all()


def test_a_disk_with_bridges_is_that_disk_for_another_painter() -> None:
    """Pillow paints borders too, so it is asked at eight times the size, in the middle of each pixel."""
    y, x = np.mgrid[:15, :15]
    distance = np.hypot(x - 7, y - 7)
    pixels = (distance < 7) & (distance > 3)
    ring = one_ring(trace(Bitmap(0, 0, pixels)))
    image = Image.new("1", (120, 120))
    ImageDraw.Draw(image).polygon([tuple(corner) for corner in (8 * ring).tolist()], fill=1)
    assert np.array_equal(np.array(image)[4::8, 4::8], pixels)


def distance_to_ring(point: NDArray[np.float64], ring: NDArray[np.float64]) -> float:
    nearest = np.inf
    for first, last in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        along = last - first
        share = np.clip((point - first) @ along / max(along @ along, 1e-300), 0, 1)
        nearest = min(nearest, float(np.linalg.norm(point - first - share * along)))
    return nearest


@given(corners, st.floats(0, 10))
def test_no_dropped_corner_is_farther_than_the_tolerance(points: list[tuple[float, float]], tolerance: float) -> None:
    ring = np.array(points)
    kept = simplify(ring, tolerance)
    assert 3 <= len(kept) <= len(ring)
    places = [next(i for i, corner in enumerate(ring) if (corner == each).all()) for each in kept]
    assert places == sorted(places)
    assert all(distance_to_ring(corner, kept) <= tolerance + 1e-9 for corner in ring)


@pytest.mark.parametrize(("tolerance", "corners_left"), [(0.0, 60), (0.8, 16), (100.0, 3)])
def test_corners_of_a_disk(tolerance: float, corners_left: int) -> None:
    """A chord over 4 of 60 sides leaves the circle by 30 (1 - cos 12 degrees) = 0.66, one over 5 by 1.02."""
    angle = np.arange(60) * (2 * np.pi / 60)
    disk = 30 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert len(simplify(disk, tolerance)) == corners_left


@pytest.mark.parametrize("ring", [np.zeros((7, 2)), np.array([[0.0, 0], [1, 1], [0, 0], [1, 1]])])
def test_three_corners_are_kept_of_a_ring_without_area(ring: NDArray[np.float64]) -> None:
    assert len(simplify(ring, 5.0)) == 3


def test_corners_on_a_line_are_dropped_without_a_tolerance() -> None:
    ring = np.array([[0.0, 0], [1, 0], [2, 0], [2, 1], [2, 2], [0, 2]])
    assert simplify(ring, 0.0).tolist() == [[0, 0], [2, 0], [2, 2], [0, 2]]
