import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional as F

from maskrcnn.ops.paste import PASTINGS, paste, paste_padded, paste_zero_edge
from maskrcnn.ops.rle import Bitmap

edge = st.floats(-12, 40, width=32)


def slow_paste(patch: NDArray[np.float32], box: NDArray[np.float32], size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Sample the patch at every pixel centre of the picture."""
    x1, y1, x2, y2 = (float(v) for v in box)
    x = (np.arange(size_hw[1]) + 0.5 - x1) / (x2 - x1) * 2 - 1
    y = (np.arange(size_hw[0]) + 0.5 - y1) / (y2 - y1) * 2 - 1
    grid = torch.from_numpy(np.stack(np.meshgrid(x, y), axis=-1)).float()
    sampled = F.grid_sample(torch.from_numpy(patch)[None, None], grid[None], align_corners=False)[0, 0].numpy()
    inside = ((np.abs(x) <= 1)[None, :] & (np.abs(y) <= 1)[:, None]) | (sampled >= 0)
    return np.where(inside, sampled, 0)


@given(edge, edge, st.floats(0.5, 40, width=32), st.floats(0.5, 40, width=32), st.integers(0, 99))
def test_equals_sampling_every_pixel(x: float, y: float, w: float, h: float, seed: int) -> None:
    size_hw = (24, 30)
    patch = np.random.default_rng(seed).random((7, 7), dtype=np.float32)
    box = np.array([x, y, x + w, y + h], dtype=np.float32)
    left, top, pixels = paste(patch, box, size_hw)
    values = slow_paste(patch, box, size_hw)
    clear = np.abs(values - 0.5) > 1e-4
    dense = np.zeros(size_hw, dtype=np.bool_)
    dense[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    window = np.zeros(size_hw, dtype=np.bool_)
    window[top : top + pixels.shape[0], left : left + pixels.shape[1]] = True
    assert np.array_equal(dense[clear & window], (values >= 0.5)[clear & window])
    assert not (values >= 0.5)[clear & ~window].any()


def test_a_full_patch_fills_the_pixels_whose_centres_are_inside() -> None:
    bitmap = paste(np.ones((4, 4), dtype=np.float32), np.array([1.0, 2.0, 4.0, 4.0], dtype=np.float32), (10, 10))
    assert (bitmap.x, bitmap.y, bitmap.pixels.tolist()) == (1, 2, [[True] * 3] * 2)


def test_a_box_outside_the_picture_or_without_area_is_empty() -> None:
    patch = np.ones((4, 4), dtype=np.float32)
    assert paste(patch, np.array([20.0, 0, 30, 5], dtype=np.float32), (10, 10)).pixels.size == 0
    assert not paste(patch, np.array([3.0, 3, 3, 3], dtype=np.float32), (10, 10)).pixels.any()


def dense(bitmap: Bitmap, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    plane = np.zeros(size_hw, dtype=np.bool_)
    plane[bitmap.y : bitmap.y + bitmap.pixels.shape[0], bitmap.x : bitmap.x + bitmap.pixels.shape[1]] = bitmap.pixels
    return plane


def slow_padded(patch: NDArray[np.float32], box: NDArray[np.float32], size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Pad patch and box by a cell, cut the corners to whole pixels, resize up to and with the last, and copy it in."""
    side = patch.shape[0]
    centre, half = (box[2:] + box[:2]) / 2, (box[2:] - box[:2]) / 2 * (side + 2) / side
    (x1, y1), (x2, y2) = (centre - half).astype(np.int64), (centre + half).astype(np.int64)
    h, w = max(int(y2 - y1 + 1), 1), max(int(x2 - x1 + 1), 1)
    padded = torch.from_numpy(np.pad(patch, 1))[None, None]
    values = F.interpolate(padded, size=(h, w), mode="bilinear", align_corners=False)[0, 0].numpy()
    plane = np.zeros((size_hw[0] + 200, size_hw[1] + 200), dtype=np.float32)
    plane[100 + y1 : 100 + y1 + h, 100 + x1 : 100 + x1 + w] = values
    return plane[100 : 100 + size_hw[0], 100 : 100 + size_hw[1]]


@given(edge, edge, st.floats(0, 40, width=32), st.floats(0, 40, width=32), st.integers(0, 99))
def test_padded_equals_resizing_a_padded_patch(x: float, y: float, w: float, h: float, seed: int) -> None:
    size_hw = (24, 30)
    patch = np.random.default_rng(seed).random((7, 7), dtype=np.float32)
    box = np.array([x, y, x + w, y + h], dtype=np.float32)
    values = slow_padded(patch, box, size_hw)
    clear = np.abs(values - 0.5) > 1e-4
    assert np.array_equal(dense(paste_padded(patch, box, size_hw), size_hw)[clear], (values > 0.5)[clear])


def test_padded_wants_more_than_the_threshold() -> None:
    half, box = np.full((4, 4), 0.5, dtype=np.float32), np.array([1.0, 1, 5, 5], dtype=np.float32)
    assert not paste_padded(half, box, (10, 10)).pixels.any()
    assert paste(half, box, (10, 10)).pixels.any()


def test_zero_edge_blends_to_nothing_at_the_border_of_the_box_but_keeps_its_least_value() -> None:
    """One cell over two pixels lies 3/4 in each by rows and by columns: 0.5625 of its value, but it is the least."""
    box = np.array([2.0, 3, 4, 5], dtype=np.float32)
    one = np.full((1, 1), 0.75, dtype=np.float32)
    assert not paste(one, box, (8, 8)).pixels.any()
    assert dense(paste_zero_edge(one, box, (8, 8)), (8, 8)).sum() == 4
    mixed = np.array([[0.75, 0.75], [0.75, 0.0]], dtype=np.float32)
    bitmap = paste_zero_edge(mixed, np.array([0.0, 0, 4, 4], dtype=np.float32), (4, 4))
    assert bitmap.pixels.tolist() == (paste(mixed, np.array([0.0, 0, 4, 4], dtype=np.float32), (4, 4))).pixels.tolist()
    assert not bitmap.pixels[0, 0]  # 0.75 · 0.75 · 0.75


def test_zero_edge_rounds_the_boxes_of_results_and_drops_those_without_pixels() -> None:
    boxes = np.array([[0.5, 1.5, 2.5, 3.5], [1.5, 0.2, 2.5, 0.4]], dtype=np.float32)
    whole = PASTINGS["zero_edge"].boxes(boxes)
    assert whole.tolist() == [[0, 2, 2, 4], [2, 0, 2, 0]]  # halves to even
    assert PASTINGS["zero_edge"].kept(whole).tolist() == [True, False]
    for name in ("centres", "padded"):
        assert PASTINGS[name].boxes(boxes) is boxes
        assert PASTINGS[name].kept(boxes).all()
