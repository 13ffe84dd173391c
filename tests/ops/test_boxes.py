import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn.ops.boxes import area, clip, covered_share, decode, encode, iou

coordinate = st.floats(-50, 50, width=32)
side = st.floats(0.0625, 60, width=32)
boxes = st.tuples(coordinate, coordinate, side, side).map(lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]])


def slow_iou(a: list[float], b: list[float]) -> float:
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
    return w * h / union


def test_area_of_an_inverted_box_is_nothing() -> None:
    assert area(torch.tensor([[0.0, 0, 2, 3], [2, 0, 1, 5]])).tolist() == [6, 0]


@given(st.lists(boxes, min_size=1, max_size=5), st.lists(boxes, min_size=1, max_size=5))
def test_iou_agrees_with_the_definition(first: list[list[float]], second: list[list[float]]) -> None:
    a, b = torch.tensor(first, dtype=torch.float64), torch.tensor(second, dtype=torch.float64)
    expected = [[slow_iou(x, y) for y in b.tolist()] for x in a.tolist()]
    assert torch.allclose(iou(a, b), torch.tensor(expected, dtype=torch.float64), atol=1e-9)


def test_iou_of_boxes_without_area_is_zero_not_nan() -> None:
    point = torch.zeros(1, 4)
    assert iou(point, point).item() == 0


def test_iou_of_no_boxes() -> None:
    assert iou(torch.zeros(0, 4), torch.zeros(3, 4)).shape == (0, 3)


@given(boxes, boxes)
def test_decode_undoes_encode(target: list[float], reference: list[float]) -> None:
    t, r = torch.tensor([target], dtype=torch.float64), torch.tensor([reference], dtype=torch.float64)
    std = torch.tensor([0.1, 0.1, 0.2, 0.2], dtype=torch.float64)
    assert torch.allclose(decode(encode(t, r, std), r, std, clamp=20.0), t, atol=1e-6)


def test_encode_by_hand() -> None:
    """From a 10x10 box to one twice as wide, moved by its own width: dx 1.5, dy 0, dw ln 2, dh 0."""
    reference, target = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[10.0, 0, 30, 10]])
    assert encode(target, reference, torch.ones(4))[0].tolist() == pytest.approx([1.5, 0, math.log(2), 0])


def test_decode_clamps_growth() -> None:
    box = decode(torch.tensor([[0.0, 0, 100, 0]]), torch.tensor([[0.0, 0, 2, 2]]), torch.ones(4), math.log(3.0))
    assert torch.allclose(box, torch.tensor([[-2.0, 0, 4, 2]]))


def test_clip_takes_each_picture_by_its_own_size() -> None:
    boxes = torch.tensor([[[-5.0, -5, 50, 50]], [[-5.0, -5, 50, 50]]])
    clipped = clip(boxes, torch.tensor([[0.0, 0, 20, 10], [0, 0, 40, 30]]))
    assert clipped.tolist() == [[[0, 0, 20, 10]], [[0, 0, 40, 30]]]


def test_covered_share_takes_the_region_that_covers_most() -> None:
    regions = torch.tensor([[[0.0, 0, 5, 10], [0, 0, 0, 0], [0, 0, 10, 2]]])
    assert covered_share(torch.tensor([[[0.0, 0, 10, 10]]]), regions).tolist() == [[0.5]]


def test_decode_without_a_clamp_and_clip_to_a_window() -> None:
    box = decode(torch.tensor([[0.0, 0, math.log(3000.0), 0]]), torch.tensor([[0.0, 0, 2, 2]]), torch.ones(4), None)
    assert torch.allclose(box, torch.tensor([[-2999.0, 0, 3001, 2]]))
    assert clip(box[None], torch.tensor([[5.0, 1, 20, 10]])).tolist() == [[[5, 1, 20, 2]]]
