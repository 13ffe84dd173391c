import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from maskrcnn.ops.roi_align import LEVEL_RULES, SAMPLERS, assign_levels, build_table, roi_align

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


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("floor", [2, 3, 3, 3, 4, 4, 4, 5]),
        ("floor_after", [2, 3, 3, 3, 4, 4, 4, 5]),
        ("round", [2, 3, 4, 4, 4, 5, 5, 5]),
    ],
)
def test_each_rule_changes_level_at_its_own_sides(rule: str, expected: list[int]) -> None:
    """`round` changes half an octave earlier: at 224 / sqrt(2) = 158.4 and 224 · sqrt(2) = 316.8."""
    table = build_table([torch.zeros(1, 1, 2**18 // stride, 1) for stride in STRIDES], STRIDES)
    table = table._replace(padded_hw=(2**18, 2**18))
    boxes = torch.tensor([[0.0, 0, side, side] for side in (40, 112, 159, 160, 224, 317, 318, 448)])
    assert (assign_levels(boxes, table, LEVEL_RULES[rule]) + 2).tolist() == expected


def test_what_is_added_in_the_logarithm_or_after_it_decides_just_below_a_step() -> None:
    """Below 224 by 1e-7 of it: log2 gives -1.4e-7, so 1e-6 after the logarithm lifts it and 1e-8 in it does not."""
    side, hw = torch.tensor([224 * (1 - 1.2e-7)], dtype=torch.float64), (512, 512)
    assert [LEVEL_RULES[rule](side, hw).item() for rule in ("floor", "floor_after")] == [3, 4]


def test_a_rounded_level_takes_the_side_as_a_share_of_the_last_pixel() -> None:
    """In a picture of 64 pixels a side s counts as s · 64 / 63: 156.5 becomes 158.98 and passes 158.4."""
    side = torch.tensor([156.5])
    assert [LEVEL_RULES["round"](side, hw).item() for hw in ((64, 64), (6400, 6400))] == [4, 3]


@pytest.mark.parametrize("ratio", [1, 2, 0])
def test_unaligned_is_half_a_cell_further_and_at_least_a_cell_wide(ratio: int) -> None:
    levels = [level.float() for level in pyramid(3)]
    boxes = torch.tensor(
        [[3.3, 5.0, 30.1, 22.7], [20.0, 8.0, 21.0, 40.0], [50.0, 40.0, 90.0, 41.0], [8.0, 8.0, 8.0, 8.0]]
    )
    picture, level, strides = torch.tensor([0, 1, 1, 0]), torch.tensor([0, 0, 1, 2]), [4, 8, 16]
    pooled = roi_align(build_table(levels, strides), boxes, picture, level, 3, ratio, SAMPLERS["unaligned"])
    for r, box in enumerate(boxes):
        stride = strides[int(level[r])]
        side = torch.maximum(box[2:] - box[:2], torch.tensor(float(stride)))
        shifted = (torch.cat([box[:2], box[:2] + side]) + stride / 2).tolist()
        expected = slow_roi_align(levels[int(level[r])][int(picture[r]), 1], shifted, stride, 3, ratio)
        assert torch.allclose(pooled[r, 1].double(), expected, atol=2e-5)


def slow_corners(plane: Tensor, box: list[float], padded_hw: tuple[int, int], bins: int) -> Tensor:
    """Sample a plane on a grid from corner to corner of a box, the last pixel of the picture on the last cell."""
    out = torch.zeros(bins, bins, dtype=torch.float64)
    H, W = plane.shape
    x1, y1, x2, y2 = box
    for p in range(bins):
        for q in range(bins):
            v, u = (0.5, 0.5) if bins == 1 else (p / (bins - 1), q / (bins - 1))
            y = (y1 + v * (y2 - y1)) / (padded_hw[0] - 1) * (H - 1)
            x = (x1 + u * (x2 - x1)) / (padded_hw[1] - 1) * (W - 1)
            if 0 <= y <= H - 1 and 0 <= x <= W - 1:
                out[p, q] = bilinear(plane, y, x)
    return out


@pytest.mark.parametrize("bins", [1, 2, 7])
def test_corners_equal_the_definition(bins: int) -> None:
    """Boxes of one pixel, over the border, without area, and the whole picture."""
    levels = [level.float() for level in pyramid(4)]
    boxes = torch.tensor(
        [
            [3.3, 5.2, 30.1, 22.7],
            [-9.0, 3.0, 80.0, 50.0],
            [20.0, 8.0, 20.0, 8.0],
            [0.0, 0.0, 63.0, 47.0],
            [60, 2, 70, 9],
        ]
    )
    picture, level = torch.tensor([0, 1, 1, 0, 1]), torch.tensor([0, 1, 0, 2, 1])
    pooled = roi_align(build_table(levels, [4, 8, 16]), boxes, picture, level, bins, 2, SAMPLERS["corners"])
    for r, box in enumerate(boxes):
        expected = slow_corners(levels[int(level[r])][int(picture[r]), 1], box.tolist(), (48, 64), bins)
        assert torch.allclose(pooled[r, 1].double(), expected, atol=2e-4)


def test_corners_of_a_ramp_by_hand() -> None:
    """On four cells over 16 pixels the last pixel, 15, lies on cell 3: pixels 5, 7.5 and 10 are cells 1, 1.5 and 2."""
    ramp = torch.arange(4.0).expand(1, 1, 4, 4).contiguous()
    zero = torch.zeros(1, dtype=torch.int64)
    pooled = roi_align(
        build_table([ramp], [4]), torch.tensor([[5.0, 0, 10, 15]]), zero, zero, 3, 0, SAMPLERS["corners"]
    )
    assert torch.allclose(pooled[0, 0, 1], torch.tensor([1.0, 1.5, 2.0]))


def test_gradient_of_corners() -> None:
    boxes = torch.tensor([[3.3, -5.0, 30.1, 22.7], [8.0, 8.0, 8.0, 8.0]])
    picture, level = torch.tensor([0, 1]), torch.tensor([0, 2])

    def pool(*levels: Tensor) -> Tensor:
        return roi_align(build_table(levels, [4, 8, 16]), boxes, picture, level, 2, 0, SAMPLERS["corners"])

    assert torch.autograd.gradcheck(pool, [level.requires_grad_() for level in pyramid(0)])
