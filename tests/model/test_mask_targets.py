import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from maskrcnn.data.batches import mask_table
from maskrcnn.model.mask_targets import covered_cells
from maskrcnn.structures import Bitmap

ZERO = torch.zeros(1, dtype=torch.int64)


def slow_cover(mask: Bitmap, box: tuple[float, float, float, float], side: int) -> NDArray[np.float64]:
    """Add up the shared area of every pixel with every cell."""
    x1, y1, x2, y2 = box
    out = np.zeros((side, side))
    cell_w, cell_h = (x2 - x1) / side, (y2 - y1) / side
    for row, column in np.argwhere(mask.pixels):
        px, py = mask.x + column, mask.y + row
        for p in range(side):
            for q in range(side):
                w = min(px + 1, x1 + (q + 1) * cell_w) - max(px, x1 + q * cell_w)
                h = min(py + 1, y1 + (p + 1) * cell_h) - max(py, y1 + p * cell_h)
                out[p, q] += max(w, 0) * max(h, 0)
    return out / (cell_w * cell_h)


edge = st.floats(-6, 14, width=32)
side = st.floats(0.5, 20, width=32)


@given(arrays(np.bool_, st.tuples(st.integers(1, 6), st.integers(1, 6))), edge, edge, side, side)
def test_equals_adding_up_areas(pixels: NDArray[np.bool_], x: float, y: float, w: float, h: float) -> None:
    other, mask = Bitmap(0, 0, np.ones((2, 3), dtype=np.bool_)), Bitmap(3, 2, pixels)
    table = mask_table([[other], [other, mask]], 2)
    box = torch.tensor([[x, y, x + w, y + h]])
    got = covered_cells(table, torch.tensor([1]), torch.tensor([1]), box, 3)
    left, top, right, bottom = box[0].double().tolist()
    assert np.allclose(got[0].numpy(), slow_cover(mask, (left, top, right, bottom), 3), atol=1e-3)


def test_a_box_of_the_mask_itself_gives_its_pixels() -> None:
    pixels = np.array([[1, 0], [1, 1]], dtype=np.bool_)
    table = mask_table([[Bitmap(4, 5, pixels)]], 1)
    cells = covered_cells(table, ZERO, ZERO, torch.tensor([[4.0, 5.0, 6.0, 7.0]]), 2)
    assert cells[0].tolist() == [[1, 0], [1, 1]]


def test_a_small_cell_of_a_large_mask_loses_no_digits() -> None:
    """Sums near 2**24 would round to even numbers in float32; the last corner is half covered all the same."""
    pixels = np.ones((4200, 4200), dtype=np.bool_)
    pixels[-1, -1] = False
    table = mask_table([[Bitmap(0, 0, pixels)]], 1)
    cells = covered_cells(table, ZERO, ZERO, torch.tensor([[4198.0, 4199.0, 4200.0, 4200.0]]), 1)
    assert cells.item() == pytest.approx(0.5)


def test_an_empty_slot_and_no_regions() -> None:
    table = mask_table([[]], 1)
    assert covered_cells(table, ZERO, ZERO, torch.tensor([[0.0, 0, 5, 5]]), 2).tolist() == [[[0, 0], [0, 0]]]
    none = torch.zeros(0, dtype=torch.int64)
    assert covered_cells(table, none, none, torch.zeros(0, 4), 2).shape == (0, 2, 2)
