from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn.ops.boxes import iou
from maskrcnn.ops.nms import NMS, nms, nms_batched, nms_static


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


@pytest.mark.parametrize("way", [nms, nms_batched, nms_static])
@given(st.integers(0, 90), st.integers(0, 1000), st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]), st.integers(1, 60))
def test_equals_the_greedy_definition(way: NMS, n: int, seed: int, threshold: float, limit: int) -> None:
    boxes, scores, groups = random_boxes(n, seed)
    kept = way(
        boxes[None], scores[None], threshold,
        valid=torch.ones(1, n, dtype=torch.bool), limit=limit, groups=groups[None], block=16,  # type: ignore[call-arg]  # several blocks from few boxes
    )  # fmt: skip
    assert kept.indices[0][kept.valid[0]].tolist() == greedy(boxes, scores, groups, threshold)[:limit]


@pytest.mark.parametrize("way", [nms, nms_batched, nms_static])
def test_rows_do_not_know_each_other_and_invalid_boxes_do_nothing(way: NMS) -> None:
    box = torch.tensor([[0.0, 0, 10, 10]]).expand(3, 4)
    valid = torch.tensor([[True, True, True], [False, True, False]])
    kept = way(box.expand(2, 3, 4), torch.tensor([[0.1, 0.9, 0.5]] * 2), 0.5, valid=valid, limit=3)
    assert kept.valid.tolist() == [[True, False, False], [True, False, False]]
    assert kept.indices[:, 0].tolist() == [1, 1]


@pytest.mark.parametrize("way", [nms, nms_batched, nms_static])
def test_no_boxes(way: NMS) -> None:
    kept = way(torch.zeros(2, 0, 4), torch.zeros(2, 0), 0.5, valid=torch.zeros(2, 0, dtype=torch.bool), limit=5)
    assert kept.valid.shape == (2, 5)
    assert not kept.valid.any()


@pytest.mark.parametrize("way", [nms, nms_batched, nms_static])
def test_a_chain_is_settled_in_order(way: NMS) -> None:
    """Each box hits the next; the first suppresses the second, so the third stays, and so on."""
    x = torch.arange(40.0)[:, None] * 4
    boxes = torch.cat([x, torch.zeros_like(x), x + 10, torch.ones_like(x) * 10], dim=1)
    scores = torch.linspace(1, 0, 40)
    kept = way(boxes[None], scores[None], 0.3, valid=torch.ones(1, 40, dtype=torch.bool), limit=40)
    assert kept.indices[0][kept.valid[0]].tolist() == list(range(0, 40, 2))


@given(st.integers(0, 10**6), st.sampled_from([0.0, 1e-6, 0.3, 0.5, 0.7, 1.0]), st.floats(-5, 5), st.floats(0, 1e6))
def test_boxes_of_every_size_and_place(seed: int, threshold: float, log_side: float, away: float) -> None:
    """Sides from a speck to far more than the spread of the centres, near the origin and far from it."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(40, 2, generator=generator) * 20 + away
    size = 10 ** (torch.rand(40, 2, generator=generator) * 2 + log_side)
    boxes = torch.cat([corner, corner + size], dim=1)
    boxes[20:] = boxes[:20] + 0.1 * (boxes[:20] - boxes[:20].roll(1, dims=0))  # some inside out
    scores, groups = torch.rand(40, generator=generator), torch.zeros(40, dtype=torch.int64)
    valid = torch.ones(1, 40, dtype=torch.bool)
    kept = nms(boxes[None], scores[None], threshold, valid=valid, limit=40, block=8)
    assert kept.indices[0][kept.valid[0]].tolist() == greedy(boxes, scores, groups, threshold)


@given(st.integers(0, 10**6), st.sampled_from([0.1, 0.5, 0.7]), st.floats(-24, -12), st.booleans())
def test_areas_at_the_end_of_the_numbers(seed: int, threshold: float, log_side: float, crowded: bool) -> None:
    """Where a union is below the least number of full precision, IoU is small by definition, also of a box's copy."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(40, 2, generator=generator).mul(10**log_side * (2 if crowded else 9))
    boxes = torch.cat([corner, corner + 10**log_side * (1 + torch.rand(40, 2, generator=generator))], dim=1)
    boxes[20:30] = boxes[:10]
    scores, valid = torch.rand(40, generator=generator), torch.ones(1, 40, dtype=torch.bool)
    kept = nms(boxes[None], scores[None], threshold, valid=valid, limit=40, block=8)
    assert kept.indices[0][kept.valid[0]].tolist() == greedy(boxes, scores, torch.zeros(40), threshold)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("crowd", [0, 200, 400])
def test_blocks_as_they_are_in_use(crowd: int, threshold: float) -> None:
    """A crowd is met first, later, or not at all, so that pairs are looked at in both ways."""
    generator = torch.Generator().manual_seed(crowd)
    corner = torch.rand(600, 2, generator=generator) * 900
    corner[max(crowd - 200, 0) : crowd] *= 0.02
    boxes = torch.cat([corner, corner + 30 + torch.rand(600, 2, generator=generator) * 40], dim=1)
    scores, valid = torch.linspace(1, 0, 600), torch.ones(1, 600, dtype=torch.bool)
    kept = nms(boxes[None], scores[None], threshold, valid=valid, limit=600)
    assert kept.indices[0][kept.valid[0]].tolist() == greedy(boxes, scores, torch.zeros(600), threshold)


def test_scores_that_are_no_number_come_last() -> None:
    """Whatever their sign; and a zero has none."""
    boxes = torch.arange(7.0)[:, None] * 10 + torch.tensor([0.0, 0, 4, 4])
    nan = torch.tensor(torch.nan)
    scores = torch.stack([nan, -nan, *torch.tensor([-0.0, 0, -torch.inf, torch.inf, 0.5])])
    kept = nms(boxes[None], scores[None], 0.5, valid=torch.ones(1, 7, dtype=torch.bool), limit=7)
    assert kept.indices[0].tolist()[:4] == [5, 6, 2, 3]


def test_an_iou_of_exactly_the_threshold_is_kept() -> None:
    """3 of 10 pixels are shared: as a number of 32 bits that is the threshold, also where products would round."""
    boxes = torch.tensor([[0.0, 0, 8, 1], [5, 0, 10, 1]])
    for way in (nms, nms_batched, nms_static):
        for threshold, count in ((0.3, 2), (0.2999, 1)):
            valid = torch.ones(1, 2, dtype=torch.bool)
            kept = way(boxes[None], torch.tensor([[0.9, 0.8]]), threshold, valid=valid, limit=2)
            assert int(kept.valid.sum()) == count


def test_more_boxes_than_fit_at_once() -> None:
    """So many copies of one box that the pairs of a block come in several pieces."""
    boxes = torch.tensor([[5.0, 5, 9, 9]]).repeat(3000, 1)
    boxes[::3] = torch.arange(1000.0)[:, None] * 10 + torch.tensor([0.0, 0, 4, 4])
    kept = nms(boxes[None], torch.ones(1, 3000), 0.5, valid=torch.ones(1, 3000, dtype=torch.bool), limit=3000)
    assert kept.indices[0][kept.valid[0]].tolist() == sorted([1, *range(0, 3000, 3)])


@pytest.mark.parametrize("grouped", [False, True])
def test_to_a_compiler_static_suppression_is_one_operation(grouped: bool) -> None:
    rng = torch.Generator().manual_seed(0)
    boxes, scores = torch.rand(2, 300, 4, generator=rng) * 50, torch.rand(2, 300, generator=rng)
    boxes[..., 2:] += boxes[..., :2]
    groups = (scores * 50).long() % 3 if grouped else None
    more: dict[str, Any] = {"valid": scores > 0.1, "limit": 90, "groups": groups}
    operations: list[str] = []

    def look(graph: torch.fx.GraphModule, _: object) -> Callable[..., Any]:
        operations.extend(str(node.target) for node in graph.graph.nodes if node.op.startswith("call"))
        return graph.forward

    compiled = torch.compile(nms_static, backend=look, fullgraph=True)(boxes, scores, 0.5, **more)
    assert sum("nms_static" in name for name in operations) == 1
    assert len(operations) < 10
    assert all(torch.equal(*each) for each in zip(compiled, nms_static(boxes, scores, 0.5, **more), strict=True))
    arguments = (boxes, scores, 0.5, scores > 0.1, 90, groups, 64)
    torch.library.opcheck(
        torch.ops.maskrcnn.nms_static.default, arguments, test_utils=("test_schema", "test_faketensor")
    )
