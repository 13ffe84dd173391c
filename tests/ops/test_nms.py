import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn.ops.boxes import iou
from maskrcnn.ops.nms import NMS, nms, nms_static


def greedy(boxes: torch.Tensor, scores: torch.Tensor, groups: torch.Tensor, threshold: float) -> list[int]:
    """Ten lines that are the definition."""
    overlap = iou(boxes, boxes)
    kept: list[int] = []
    for i in sorted(range(len(scores)), key=lambda i: (-float(scores[i]), i)):
        if all(overlap[k, i] <= threshold or groups[k] != groups[i] for k in kept):
            kept.append(i)
    return kept


def random_boxes(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    corner = torch.rand(n, 2) * 40
    boxes = torch.cat([corner, corner + torch.rand(n, 2) * 30], dim=1)
    boxes[::7, 2:] = boxes[::7, :2]  # some without area
    scores = (torch.rand(n) * 20).round() / 20  # many ties
    return boxes, scores, torch.randint(0, 3, (n,))


@pytest.mark.parametrize("way", [nms, nms_static])
@given(st.integers(0, 90), st.integers(0, 1000), st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]), st.integers(1, 60))
def test_equals_the_greedy_definition(way: NMS, n: int, seed: int, threshold: float, limit: int) -> None:
    boxes, scores, groups = random_boxes(n, seed)
    kept = way(
        boxes[None], scores[None], threshold,
        valid=torch.ones(1, n, dtype=torch.bool), limit=limit, groups=groups[None], block=16,  # type: ignore[call-arg]  # several blocks from few boxes
    )  # fmt: skip
    assert kept.indices[0][kept.valid[0]].tolist() == greedy(boxes, scores, groups, threshold)[:limit]


@pytest.mark.parametrize("way", [nms, nms_static])
def test_rows_do_not_know_each_other_and_invalid_boxes_do_nothing(way: NMS) -> None:
    box = torch.tensor([[0.0, 0, 10, 10]]).expand(3, 4)
    valid = torch.tensor([[True, True, True], [False, True, False]])
    kept = way(box.expand(2, 3, 4), torch.tensor([[0.1, 0.9, 0.5]] * 2), 0.5, valid=valid, limit=3)
    assert kept.valid.tolist() == [[True, False, False], [True, False, False]]
    assert kept.indices[:, 0].tolist() == [1, 1]


@pytest.mark.parametrize("way", [nms, nms_static])
def test_no_boxes(way: NMS) -> None:
    kept = way(torch.zeros(2, 0, 4), torch.zeros(2, 0), 0.5, valid=torch.zeros(2, 0, dtype=torch.bool), limit=5)
    assert kept.valid.shape == (2, 5)
    assert not kept.valid.any()


@pytest.mark.parametrize("way", [nms, nms_static])
def test_a_chain_is_settled_in_order(way: NMS) -> None:
    """Each box hits the next; the first suppresses the second, so the third stays, and so on."""
    x = torch.arange(40.0)[:, None] * 4
    boxes = torch.cat([x, torch.zeros_like(x), x + 10, torch.ones_like(x) * 10], dim=1)
    scores = torch.linspace(1, 0, 40)
    kept = way(boxes[None], scores[None], 0.3, valid=torch.ones(1, 40, dtype=torch.bool), limit=40)
    assert kept.indices[0][kept.valid[0]].tolist() == list(range(0, 40, 2))
