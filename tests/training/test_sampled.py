"""The head with its gradient at sampled cells against the head as it is written, and what it keeps."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from torch import Tensor

from maskrcnn.model.rpn import RPN, AnchorScores, RPNHead
from maskrcnn.training import sampled
from maskrcnn.training.sampled import sampled_proposals

SIZES = ((9, 12), (5, 6), (1, 2))
ANCHORS = 3  # a cell
B, C = 2, 16


@pytest.fixture(autouse=True)
def always(monkeypatch) -> None:
    """Sample however small the pictures are."""
    monkeypatch.setattr(sampled, "LEAST_CELLS", 0)


def make(tiny, samples: int = 8, **settings) -> RPN:
    torch.manual_seed(0)
    config = tiny.change(rpn=tiny.rpn.change(samples=samples, **settings))
    head = RPNHead(C, ANCHORS, config.rpn)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return RPN(head, config)


def levels(memory_format=torch.channels_last) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    made = [torch.randn(B, C, *size, generator=generator).contiguous(memory_format=memory_format) for size in SIZES]
    return [level.requires_grad_() for level in made]


def some_anchors(rpn: RPN) -> Tensor:
    """Draw anchors of each picture, the first and the last of all among them."""
    count = sum(h * w for h, w in SIZES) * ANCHORS
    drawn = torch.randint(count, (B, rpn.config.samples), generator=torch.Generator().manual_seed(2))
    drawn[:, 0], drawn[:, 1] = 0, count - 1
    return drawn


def loss_of(scores: AnchorScores, index: Tensor) -> Tensor:
    """Look at the objectness of some anchors and at the deltas of others."""
    logits = torch.cat(scores.logits, dim=1).gather(1, index[:, ::2])
    deltas = torch.cat(scores.deltas, dim=1).gather(1, index[:, 1::2, None].expand(-1, -1, 4))
    return logits.float().square().sum() + deltas.float().sin().sum()


def gradients(rpn: RPN, features: list[Tensor], *, few: bool) -> list[Tensor | None]:
    wanted = [tensor for tensor in (*features, *rpn.parameters()) if tensor.requires_grad]
    with sampled_proposals(rpn) if few else nullcontext():
        scores = rpn(features)
        assert all(("_Sampled" in type(logits.grad_fn).__name__) == few for logits in scores.logits)
        return list(torch.autograd.grad(loss_of(scores, some_anchors(rpn)), wanted))


def compare(rpn: RPN, features: list[Tensor], **tolerance) -> None:
    for few, all_ in zip(gradients(rpn, features, few=True), gradients(rpn, features, few=False), strict=True):
        torch.testing.assert_close(few, all_, **tolerance)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_gradient_is_that_of_the_head_as_it_is_written(tiny, depth, layout) -> None:
    compare(make(tiny, depth=depth), levels(layout), rtol=1e-4, atol=1e-5)


def test_an_accelerator_takes_as_many_cells_whatever_they_hold(tiny, monkeypatch) -> None:
    choose, taken = sampled._in_any_case, []

    def note(busy: Tensor, most: int) -> Tensor:
        taken.append(choose(busy, most))
        return taken[-1]

    monkeypatch.setattr(Tensor, "is_cpu", False)
    monkeypatch.setattr(sampled, "_in_any_case", note)
    rpn = make(tiny)
    compare(rpn, levels(), rtol=1e-4, atol=1e-5)
    cells = [B * h * w for h, w in SIZES]
    assert [len(own) for own in taken] == [min(B * rpn.config.samples, count) for count in cells]


def test_a_gradient_of_nothing_is_zero(tiny) -> None:
    rpn, features = make(tiny), levels()
    with sampled_proposals(rpn):
        loss = 0 * loss_of(rpn(features), some_anchors(rpn))
        found = torch.autograd.grad(loss, [*features, *rpn.parameters()])
    assert all(not gradient.any() for gradient in found)


def test_what_does_not_learn_gets_no_gradient(tiny) -> None:
    rpn, features = make(tiny), levels()
    rpn.head.objectness.weight.requires_grad_(False)
    rpn.head.convs[0].bias.requires_grad_(False)
    features[1].requires_grad_(False)
    compare(rpn, features, rtol=1e-4, atol=1e-5)


def test_half_precision_stays_half_precision(tiny) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        compare(make(tiny), levels(), rtol=0.05, atol=0.05)


def test_only_what_enters_is_kept(tiny) -> None:
    rpn, features = make(tiny), levels()
    kept: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        kept.append(tensor.data_ptr())
        return tensor

    with sampled_proposals(rpn), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        rpn(features)
    assert kept == [level.data_ptr() for level in features]


def test_without_gradients_and_with_strides_the_head_is_as_it_is_written(tiny) -> None:
    rpn, features = make(tiny), levels()
    with sampled_proposals(rpn), torch.no_grad():
        assert rpn(features).logits[0].grad_fn is None
    strided = make(tiny, stride=2)
    with sampled_proposals(strided):
        assert "_Sampled" not in type(strided(features).logits[0].grad_fn).__name__


@pytest.mark.parametrize(("depth", "samples"), [(1, 17), (2, 3), (3, 1)])
def test_small_pictures_are_computed_as_a_whole(tiny, monkeypatch, depth, samples) -> None:
    monkeypatch.setattr(sampled, "LEAST_CELLS", 8)  # of 140 cells
    for count, few in ((samples, True), (samples + 1, False)):
        rpn = make(tiny, samples=count, depth=depth)
        with sampled_proposals(rpn):
            assert ("_Sampled" in type(rpn(levels()).logits[0].grad_fn).__name__) == few


def test_afterwards_nothing_is_left(tiny) -> None:
    rpn = make(tiny)
    with sampled_proposals(rpn):
        assert "forward" in vars(rpn.head)
    assert "forward" not in vars(rpn.head)
