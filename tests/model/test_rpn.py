from typing import Any

import pytest
import torch
from torch.nn import functional as F

from maskrcnn.config import ModelConfig, RPNConfig
from maskrcnn.model.rpn import RPN, AnchorScores, RPNHead
from maskrcnn.ops.nms import nms

WINDOW = torch.tensor([[0.0, 0, 100, 100]])


def make_rpn(tiny: ModelConfig, **changes: Any) -> RPN:
    config = tiny.change(rpn=RPNConfig(**changes))
    return RPN(RPNHead(8, 3, config.rpn), config).eval()


def level(*boxes: tuple[float, float, float, float]) -> torch.Tensor:
    return torch.tensor(boxes)


def scores(*logits: list[float]) -> AnchorScores:
    return AnchorScores([torch.tensor([row]) for row in logits], [torch.zeros(1, len(row), 4) for row in logits])


def test_levels_suppress_only_themselves_and_the_best_of_all_come_first(tiny: ModelConfig) -> None:
    anchors = [level((0, 0, 10, 10), (0, 0, 10, 9)), level((0, 0, 10, 10), (50, 50, 80, 80))]
    found = make_rpn(tiny).propose(scores([1.0, 3.0], [2.0, -1.0]), anchors, WINDOW, nms)
    assert found.boxes[0][found.valid[0]].tolist() == [[0, 0, 10, 9], [0, 0, 10, 10], [50, 50, 80, 80]]
    assert found.logits[0][found.valid[0]].tolist() == [3, 2, -1]


def test_boxes_are_clipped_to_the_picture_and_tiny_ones_dropped(tiny: ModelConfig) -> None:
    anchors = [level((-20, 90, 30, 150), (120, 0, 150, 30), (10, 10, 12, 40))]
    found = make_rpn(tiny, min_side=4).propose(scores([0.0, 1.0, 2.0]), anchors, WINDOW, nms)
    assert found.boxes[0][found.valid[0]].tolist() == [[0, 90, 30, 100]]


def test_each_picture_is_clipped_to_its_own_size(tiny: ModelConfig) -> None:
    two = AnchorScores([torch.zeros(2, 1)], [torch.zeros(2, 1, 4)])
    found = make_rpn(tiny).propose(two, [level((0, 0, 90, 90))], torch.tensor([[0.0, 0, 60, 50], [0, 0, 70, 80]]), nms)
    assert found.boxes[:, 0].tolist() == [[0, 0, 60, 50], [0, 0, 70, 80]]


def test_only_the_best_of_a_level_enter(tiny: ModelConfig) -> None:
    anchors = [level(*[(10.0 * i, 0, 10.0 * i + 9, 9) for i in range(8)])]
    logits = [float(i) for i in range(8)]
    found = make_rpn(tiny, pre_nms=5, proposals=3).propose(scores(logits), anchors, WINDOW, nms)
    assert found.logits[0].tolist() == [7, 6, 5]


def test_infinite_numbers_do_not_become_proposals(tiny: ModelConfig) -> None:
    broken = scores([1.0, torch.nan, 2.0])
    broken.deltas[0][0, 2, 0] = torch.inf
    found = make_rpn(tiny).propose(broken, [level((0, 0, 9, 9), (20, 0, 29, 9), (40, 0, 49, 9))], WINDOW, nms)
    assert found.boxes[0][found.valid[0]].tolist() == [[0, 0, 9, 9]]
    assert found.boxes.isfinite().all()


def test_the_head_orders_scores_as_anchors_are_ordered() -> None:
    """Give each anchor of each cell its own number through the biases and weights of a 1x1 head."""
    head = RPNHead(1, 2, RPNConfig(channels=1))
    with torch.no_grad():
        for conv in (head.convs[0], head.objectness, head.deltas):
            conv.weight.zero_()
        head.convs[0].weight[0, 0, 1, 1] = 1
        head.objectness.weight[:, 0, 0, 0] = torch.tensor([1.0, 100.0])
        head.objectness.bias.zero_()
        head.deltas.bias.copy_(torch.arange(8.0))
    found = head([torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])])
    assert found.logits[0].tolist() == [[1, 100, 2, 200, 3, 300, 4, 400]]
    assert found.deltas[0][0, :2].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_fresh_head_thinks_that_most_anchors_are_empty() -> None:
    """Whatever it sees, objectness begins near 0.05 (RetinaNet, section 4.1)."""
    torch.manual_seed(0)
    logits = RPNHead(16, 3, RPNConfig())([torch.randn(1, 16, 8, 8)]).logits[0]
    assert torch.allclose(logits.sigmoid(), torch.tensor(0.05), atol=0.02)


def test_all_levels_rank_and_suppress_as_one_and_missing_proposals_are_empty_boxes(tiny: ModelConfig) -> None:
    anchors = [level((0, 0, 10, 10), (0, 0, 10, 9)), level((0, 0, 10, 10), (50, 50, 80, 80))]
    rpn = make_rpn(tiny, ranking="all", pre_nms=3, proposals=4, min_side=0)
    found = rpn.propose(scores([1.0, 3.0], [2.0, -1.0]), anchors, WINDOW, nms)
    assert found.boxes[0].tolist() == [[0, 0, 10, 9], *[[0, 0, 0, 0]] * 3]  # the third of three is suppressed too
    assert found.valid.tolist() == [[True] * 4]
    trained = rpn.train().propose(scores([1.0, 3.0], [2.0, -1.0]), anchors, WINDOW, nms)
    assert trained.valid.sum() == 2  # without the limit of inference, the far one too; nothing is learnt from no box


@pytest.mark.parametrize("side", [1, 4, 5, 8])
def test_a_sparse_head_looks_at_every_second_cell(side: int) -> None:
    """On an even side the first window starts on the first cell, on an odd one a cell before it."""
    head = RPNHead(2, 1, RPNConfig(channels=2, stride=2))
    x = torch.randn(1, 2, side, side)
    conv = head.convs[0]
    dense = F.conv2d(x, conv.weight, conv.bias, padding=1)  # type: ignore[arg-type]
    every = dense[:, :, 1::2, 1::2] if side % 2 == 0 else dense[:, :, ::2, ::2]
    assert torch.allclose(conv(x), every, atol=1e-6)
    assert head([x]).logits[0].shape == (1, (-(-side // 2)) ** 2)
