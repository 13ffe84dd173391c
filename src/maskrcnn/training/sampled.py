"""The gradient of the proposal network, computed where there is one: at the cells of the sampled anchors.

The loss looks at some hundred anchors of a picture, so that the head's gradient is zero nearly everywhere. The head
runs over all cells without keeping what it computes, and runs again around those few.

References: Faster R-CNN (1506.01497), section 3.1.3: 256 anchors of a picture are sampled. Chen et al., "Training deep
nets with sublinear memory cost" (1604.06174).
Letters: B pictures, L levels, C channels, H, W cells of a level, A anchors a cell, n cells with a gradient, k cells a
side of what one of them sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from maskrcnn.model.rpn import RPN, AnchorScores, RPNHead
from maskrcnn.ops.roi_align import rows_of

Run = Callable[[Sequence[Tensor]], AnchorScores]
LEAST_CELLS = 8  # a sample, from which on scoring the few again costs less than the gradient of all


class _Cells(NamedTuple):
    """Some cells of a level, what they see of it, and their gradient.

    Attributes:
        near: (n, k, k) int64. The rows of the level that each sees; any row where there is none.
        inside: (n, k, k) bool. Where there is one.
        logits: (n, A) float. The gradient of objectness.
        deltas: (n, 4A) float. That of the deltas.
    """

    near: Tensor
    inside: Tensor
    logits: Tensor
    deltas: Tensor

    def see(self, level: Tensor) -> Tensor:
        """Return what the cells see of their level, (B, C, H, W): (n, C, k, k), zero beyond its border."""
        return (rows_of(level)[self.near] * self.inside[..., None]).permute(0, 3, 1, 2)

    def spread(self, gradient: Tensor, level: Tensor) -> Tensor:
        """Add up the gradient of what they see, (n, C, k, k), over their level: (B, C, H, W)."""
        result = torch.zeros_like(level, memory_format=torch.channels_last)
        shares = gradient.permute(0, 2, 3, 1) * self.inside[..., None]
        rows_of(result).index_add_(0, self.near.flatten(), shares.flatten(0, 2))
        return result


def _find(logits: Tensor, deltas: Tensor, level: Tensor, reach: int, most: int) -> _Cells:
    """Find the cells of a level that have a gradient.

    Args:
        logits: (B, H·W·A) float. Gradient of the level's objectness.
        deltas: (B, H·W·A, 4) float. That of its deltas.
        level: (B, C, H, W) float.
        reach: How many cells in each direction a cell sees.
        most: How many can have one. So many are taken where looking at values would wait for the device.
    """
    B, _, H, W = level.shape
    logits, deltas = logits.reshape(B * H * W, -1), deltas.reshape(B * H * W, -1)
    busy = logits.any(dim=1) | deltas.any(dim=1)
    cells = busy.nonzero()[:, 0] if busy.is_cpu else _in_any_case(busy, most)
    step = torch.arange(-reach, reach + 1, device=cells.device)
    y, x = (cells // W % H)[:, None] + step, (cells % W)[:, None] + step
    inside = ((y >= 0) & (y < H))[:, :, None] & ((x >= 0) & (x < W))[:, None]
    near = cells[:, None, None] + step[:, None] * W + step
    return _Cells(torch.where(inside, near, 0), inside, logits[cells], deltas[cells])


def _in_any_case(busy: Tensor, most: int) -> Tensor:
    """Return as many cells, (most) int64, however few of (N) bool are busy; those are among them."""
    return busy.float().topk(min(most, len(busy))).indices


def _score(head: RPNHead, seen: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Score the cells in the middle of what is seen, (n, C, k, k): logits (n, A) and deltas (n, 4A).

    What a convolution says of a place beyond the border is not there for the next one.
    """
    for conv in head.convs:
        inside = inside[:, 1:-1, 1:-1]
        weight, bias = conv.parameters()
        seen = F.relu(F.conv2d(seen, weight, bias)) * inside[:, None]
    return head.objectness(seen).flatten(1), head.deltas(seen).flatten(1)


class _Sampled(torch.autograd.Function):
    """A head that keeps its input alone, and scores the cells again that a gradient comes back to."""

    @staticmethod
    def forward(
        ctx: Any, head: RPNHead, run: Run, most: int, parameters: Sequence[Tensor], *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        """Score all cells; `tensors` are the levels, then the parameters for their gradient's sake."""
        features = tensors[: -len(parameters)]
        ctx.save_for_backward(*features)
        ctx.head, ctx.most, ctx.parameters = head, most, parameters
        kind = features[0].device.type
        cast, on = torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind)
        ctx.autocast = partial(torch.autocast, kind, cast, enabled=on)
        scores = run(features)
        return *scores.logits, *scores.deltas

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        features = ctx.saved_tensors
        by_level = zip(gradients[: len(features)], gradients[len(features) :], features, strict=True)
        cells = [_find(*own, len(ctx.head.convs), ctx.most) for own in by_level]
        seen = torch.cat([own.see(level) for own, level in zip(cells, features, strict=True)])
        inside, *wanted = (torch.cat(parts) for parts in list(zip(*cells, strict=True))[1:])
        learning = [parameter for parameter in ctx.parameters if parameter.requires_grad]
        with torch.enable_grad(), ctx.autocast():
            scores = _score(ctx.head, seen.requires_grad_(), inside)
        to_seen, *to_learning = torch.autograd.grad(scores, [seen, *learning], wanted)
        parts = torch.split(to_seen, [len(own.near) for own in cells])
        to_features = [own.spread(part, level) for own, part, level in zip(cells, parts, features, strict=True)]
        found = iter(to_learning)
        to_parameters = [next(found) if parameter.requires_grad else None for parameter in ctx.parameters]
        return None, None, None, None, *to_features, *to_parameters


def _pays(features: Sequence[Tensor], samples: int, depth: int) -> bool:
    """Say whether there are enough cells: around a sample a convolution before the last has 9 places, then 25."""
    cells = sum(level.shape[2] * level.shape[3] for level in features)
    around = sum((2 * i + 1) ** 2 for i in range(depth))
    return cells * depth >= LEAST_CELLS * samples * around


def _forward(head: RPNHead, run: Run, samples: int, features: Sequence[Tensor]) -> AnchorScores:
    if not torch.is_grad_enabled() or not _pays(features, samples, len(head.convs)):
        return run(features)
    L, parameters = len(features), list(head.parameters())
    most = len(features[0]) * samples
    found = _Sampled.apply(head, run, most, parameters, *features, *parameters)  # type: ignore[no-untyped-call]
    return AnchorScores(list(found[:L]), list(found[L:]))


@contextmanager
def sampled_proposals(rpn: RPN) -> Iterator[None]:
    """Let the head compute its gradient at sampled cells alone, forward and backward inside the block.

    A head that steps over cells is left as it is, and so are pictures so small that most cells are sampled.
    """
    head = rpn.head
    if any(type(conv) is not nn.Conv2d for conv in head.convs):
        yield
        return
    head.forward = partial(_forward, head, head.forward, rpn.config.samples)  # type: ignore[method-assign]
    try:
        yield
    finally:
        del head.forward
