"""The best anchor of an object: by hand, and against all anchors laid out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from maskrcnn.config import AnchorConfig, InputConfig, RPNConfig
from maskrcnn.model.anchor_fit import Seen, fit, see
from maskrcnn.model.anchors import Anchors
from maskrcnn.model.fpn import STRIDES
from maskrcnn.ops.boxes import iou
from maskrcnn.ops.resize import target_size

SMALL = AnchorConfig(sizes=((8.0,), (16.0,), (32.0,), (64.0,), (128.0,)))
PADDED = (96, 160)


def as_boxes(*boxes: tuple[float, ...]) -> np.ndarray:
    return np.array(boxes, dtype=np.float64).reshape(-1, 4)


def in_picture(boxes: np.ndarray, size_hw: tuple[int, int] = PADDED) -> Seen:
    return Seen(boxes, np.tile(np.array(size_hw), (len(boxes), 1)))


@pytest.mark.parametrize(
    ("box", "expected", "level"),
    [
        ((4, 4, 12, 12), 1.0, 0),  # side 8 centred on (8, 8), where P2 has an anchor
        ((6, 4, 14, 12), 0.6, 0),  # 2 px from the nearest of P2: 48 of 80
        ((16, 32, 48, 64), 1.0, 2),  # side 32 centred on (32, 48), a place of P4
        ((24, 32, 56, 64), 0.6, 2),  # 8 px from it: 768 of 1280
        ((0, 0, 4, 4), 0.25, 0),  # the anchor (-4, -4, 4, 4) holds it whole: 16 of 64
        ((150, 80, 158, 88), 8 * 6 / (128 - 48), 0),  # (154, 84) is 2 px from (152, 84) and from (156, 84)
        ((300, 40, 308, 48), 0.0, 0),  # far from every anchor of the padded picture
    ],
)
def test_by_hand(box: tuple[float, ...], expected: float, level: int) -> None:
    found = fit(in_picture(as_boxes(box)), AnchorConfig(sizes=SMALL.sizes, ratios=(1.0,)), RPNConfig())
    assert found.iou.tolist() == pytest.approx([expected])
    assert found.level.tolist() == [level]


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("anchors", [SMALL, AnchorConfig(), AnchorConfig(sizes=((5.0, 9.0),) * 5, ratios=(0.3, 1.0))])
def test_as_with_all_anchors_laid_out(anchors: AnchorConfig, every: int) -> None:
    rng = np.random.default_rng(2)
    corner = rng.uniform(-10, 150, (300, 2)) * np.array([1, 0.6])
    boxes = np.hstack([corner, corner + rng.lognormal(3, 1, (300, 2))])
    found = fit(in_picture(boxes), anchors, RPNConfig(stride=every))
    shapes = [(-(-PADDED[0] // stride), -(-PADDED[1] // stride)) for stride in STRIDES]
    laid = Anchors(anchors, STRIDES, every)(shapes)
    best = torch.stack([iou(torch.tensor(boxes), level.double()).amax(dim=1) for level in laid], dim=1)
    assert np.allclose(found.iou, best.amax(dim=1).numpy(), atol=1e-5)
    assert np.allclose(found.iou, best[torch.arange(300), torch.tensor(found.level)].numpy(), atol=1e-5)
    assert len(set(found.level.tolist())) > 2 or anchors.sizes[0] == anchors.sizes[1]


def shape_iou(sides: np.ndarray, config: AnchorConfig) -> np.ndarray:
    """Return the IoU of each object with the best anchor laid on its own centre."""
    shapes = [(size / ratio**0.5, size * ratio**0.5) for (size,) in config.sizes for ratio in config.ratios]
    best = [
        max(min(w, x) * min(h, y) / (w * h + x * y - min(w, x) * min(h, y)) for x, y in shapes)
        for w, h in sides.tolist()
    ]
    return np.array(best)


def test_no_anchor_lies_better_than_on_the_centre() -> None:
    rng = np.random.default_rng(3)
    corner = rng.uniform(0, 80, (200, 2))
    sides = rng.lognormal(3, 0.7, (200, 2))
    found = fit(in_picture(np.hstack([corner, corner + sides]), (320, 320)), SMALL, RPNConfig())
    assert (found.iou <= shape_iou(sides, SMALL) + 1e-9).all()


def test_nothing_fits_nothing() -> None:
    found = fit(in_picture(as_boxes()), SMALL, RPNConfig())
    assert (found.iou.shape, found.level.shape) == ((0,), (0,))


def test_boxes_are_seen_at_the_size_of_the_network() -> None:
    size_hw = np.array([(64, 96), (50, 50), (64, 96)])
    boxes = as_boxes((0, 0, 96, 64), (10, 20, 30, 50), (48, 16, 96, 48))
    config = InputConfig(min_size=128, max_size=160)
    assert target_size((64, 96), config) == (107, 160)  # 128 would make the long edge 192
    seen = see(boxes, np.array([0, 1, 2]), size_hw, config)
    # 128 / 50 = 2.56; across 160 / 96 = 5 / 3, down 107 / 64
    expected = [[0, 0, 160, 107], [25.6, 51.2, 76.8, 128], [80, 107 / 4, 160, 107 * 3 / 4]]
    assert np.allclose(seen.boxes, expected)
    assert seen.padded_hw.tolist() == [[128, 160], [128, 128], [128, 160]]


def test_boxes_move_with_a_picture_that_lies_in_the_middle_of_its_padding() -> None:
    config = InputConfig(resize="centred", min_size=40, max_size=64)
    seen = see(as_boxes((0, 0, 10, 10)), np.array([0]), np.array([(40, 60)]), config)
    # padded to 64x64: 24 rows more, 12 of them above, and 4 columns, 2 of them to the left
    assert (seen.boxes.tolist(), seen.padded_hw.tolist()) == ([[2, 12, 12, 22]], [[64, 64]])


def test_nothing_is_seen_of_nothing() -> None:
    seen = see(as_boxes(), np.zeros(0, dtype=np.int64), np.array([(40, 60)]), InputConfig())
    assert (seen.boxes.shape, seen.padded_hw.shape) == ((0, 4), (0, 2))


def test_some_of_the_objects() -> None:
    seen = in_picture(as_boxes((0, 0, 1, 1), (0, 0, 2, 2), (0, 0, 3, 3))).select(np.array([True, False, True]))
    assert (seen.boxes[:, 2].tolist(), len(seen.padded_hw)) == ([1, 3], 2)
