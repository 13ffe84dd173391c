import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional as F

from maskrcnn.ops.paste import paste

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
