import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from maskrcnn.ops.roi_align import assign_levels, build_table, roi_align

STRIDES = [4, 8, 16, 32]


def bilinear(plane: Tensor, y: float, x: float) -> float:
    """Sample at cell coordinates; beyond one cell outside it is nothing, up to there the edge."""
    H, W = plane.shape
    if not (-1 <= y <= H and -1 <= x <= W):
        return 0.0
    y, x = min(max(y, 0), H - 1), min(max(x, 0), W - 1)
    y0, x0 = min(int(y), H - 1), min(int(x), W - 1)
    y1, x1 = min(y0 + 1, H - 1), min(x0 + 1, W - 1)
    fy, fx = y - y0, x - x0
    top = plane[y0, x0] * (1 - fx) + plane[y0, x1] * fx
    bottom = plane[y1, x0] * (1 - fx) + plane[y1, x1] * fx
    return float(top * (1 - fy) + bottom * fy)


def slow_roi_align(plane: Tensor, box: list[float], stride: int, bins: int, ratio: int) -> Tensor:
    """RoIAlign of one channel by its definition."""
    x1, y1, x2, y2 = (edge / stride for edge in box)
    out = torch.zeros(bins, bins, dtype=torch.float64)
    bin_h, bin_w = (y2 - y1) / bins, (x2 - x1) / bins
    samples_y = ratio or max(1, math.ceil(bin_h))
    samples_x = ratio or max(1, math.ceil(bin_w))
    for p in range(bins):
        for q in range(bins):
            points = [
                bilinear(
                    plane,
                    y1 + (p + (i + 0.5) / samples_y) * bin_h - 0.5,
                    x1 + (q + (j + 0.5) / samples_x) * bin_w - 0.5,
                )
                for i in range(samples_y)
                for j in range(samples_x)
            ]
            out[p, q] = sum(points) / len(points)
    return out


def pyramid(seed: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    torch.manual_seed(seed)
    return [torch.randn(2, 3, h, w, dtype=dtype) for h, w in ((12, 16), (6, 8), (3, 4))]


def test_a_ramp_by_hand() -> None:
    """On a plane that holds x of its cells' centres, every bin is the x of its own centre."""
    ramp = (torch.arange(8.0) + 0.5).expand(1, 1, 8, 8).contiguous()
    table = build_table([ramp], [1])
    zero = torch.zeros(1, dtype=torch.int64)
    pooled = roi_align(table, torch.tensor([[2.0, 2.0, 6.0, 6.0]]), zero, zero, 2, 2)
    assert pooled[0, 0].tolist() == [[3.0, 5.0], [3.0, 5.0]]


def test_a_stride_scales_the_box() -> None:
    """The same ramp at stride 4: its cell i covers pixels 4i to 4i + 4."""
    ramp = (torch.arange(8.0) + 0.5).expand(1, 1, 8, 8).contiguous()
    zero = torch.zeros(1, dtype=torch.int64)
    pooled = roi_align(build_table([ramp], [4]), torch.tensor([[8.0, 8.0, 24.0, 24.0]]), zero, zero, 2, 2)
    assert pooled[0, 0, 0].tolist() == [3.0, 5.0]


edge = st.floats(-20, 70, width=32)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(edge, edge, st.floats(0, 60, width=32), st.floats(0, 60, width=32)), min_size=1, max_size=4),
    st.integers(0, 3),
    st.integers(1, 4),
    st.integers(0, 99),
)
def test_equals_the_definition(corners: list[tuple[float, ...]], ratio: int, bins: int, seed: int) -> None:
    """Fractional, degenerate and out-of-picture boxes, on every level, of both pictures."""
    levels = [level.float() for level in pyramid(seed)]
    strides = [4, 8, 16]
    boxes = torch.tensor([[x, y, x + w, y + h] for x, y, w, h in corners], dtype=torch.float32)
    n = len(boxes)
    level, picture = torch.arange(n) % 3, (torch.arange(n) + seed) % 2
    pooled = roi_align(build_table(levels, strides), boxes, picture, level, bins, ratio)
    for r in range(n):
        plane = levels[int(level[r])][int(picture[r])]
        for channel in range(3):
            expected = slow_roi_align(plane[channel], boxes[r].tolist(), strides[int(level[r])], bins, ratio)
            assert torch.allclose(pooled[r, channel].double(), expected, atol=2e-4)


@pytest.mark.parametrize("ratio", [2, 0])
def test_gradient(ratio: int) -> None:
    boxes = torch.tensor([[3.3, -5.0, 30.1, 22.7], [50.0, 40.0, 90.0, 41.0], [8.0, 8.0, 8.0, 8.0]])
    picture, level = torch.tensor([0, 1, 1]), torch.tensor([0, 1, 2])

    def pool(*levels: Tensor) -> Tensor:
        return roi_align(build_table(levels, [4, 8, 16]), boxes, picture, level, 2, ratio)

    assert torch.autograd.gradcheck(pool, [level.requires_grad_() for level in pyramid(0)])


@pytest.mark.parametrize("ratio", [2, 0])
def test_no_regions(ratio: int) -> None:
    none = torch.zeros(0, dtype=torch.int64)
    pooled = roi_align(build_table(pyramid(0), [4, 8, 16]), torch.zeros(0, 4), none, none, 7, ratio)
    assert pooled.shape == (0, 3, 7, 7)


def test_level_of_a_region_follows_its_area() -> None:
    """Equation 1 of FPN: 224 is P4; half the side is one level down; at most P5 and at least P2."""
    table = build_table([torch.zeros(1, 1, 256 // stride, 256 // stride) for stride in STRIDES], STRIDES)
    wide = torch.tensor([[0.0, 0, 448, 112]])  # the area of 224 x 224
    assert assign_levels(wide, table).tolist() == [2]
    assert assign_levels(torch.tensor([[0.0, 0, 9999, 9999], [0, 0, 0, 0]]), table).tolist() == [3, 0]
