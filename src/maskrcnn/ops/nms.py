"""Greedy non-maximum suppression, exact, of many rows at once.

Boxes are taken in blocks by falling score: a block is settled within itself, then everything that it keeps suppresses
the rest. The result is the greedy one, box for box.

Letters: S rows (pictures, or pictures times levels), N boxes a row, D slots of the result; n, m boxes of a stretch.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from maskrcnn.ops.boxes import iou
from maskrcnn.ops.sieve import survivors


class Kept(NamedTuple):
    """What NMS keeps: `indices` (S, D) int64 into the N boxes by falling score, `valid` (S, D) bool."""

    indices: Tensor
    valid: Tensor


class NMS(Protocol):
    """Keep the boxes that no better box of their group overlaps by more than a threshold.

    Equal scores go by lower index. A box without area is never suppressed by another one without area.

    Args:
        boxes: (S, N, 4) float x1, y1, x2, y2.
        scores: (S, N) float.
        iou_threshold: A box goes when its IoU with a kept one is above this.
        valid: (S, N) bool. False boxes are neither kept nor suppress.
        limit: D, the slots of the result; the best are kept.
        groups: (S, N) int. Boxes of different groups do not suppress each other; None is one group.
    """

    def __call__(
        self,
        boxes: Tensor,
        scores: Tensor,
        iou_threshold: float,
        *,
        valid: Tensor,
        limit: int,
        groups: Tensor | None = None,
    ) -> Kept:
        """Suppress."""
        ...


class _Sorted(NamedTuple):
    """Boxes by falling score, those still in the running `alive`; `order` is where each came from."""

    boxes: Tensor
    groups: Tensor | None
    alive: Tensor
    order: Tensor

    def take(self, index: Tensor) -> _Sorted:
        """Return the boxes at (S, n) places; a side of all boxes lies in one stretch of memory."""
        boxes = self.boxes.transpose(1, 2).gather(2, index[:, None].expand(-1, 4, -1)).transpose(1, 2)
        groups = None if self.groups is None else self.groups.gather(1, index)
        return _Sorted(boxes, groups, self.alive.gather(1, index), self.order.gather(1, index))

    def cut(self, first: int) -> _Sorted:
        """Return the boxes from a place on."""
        groups = None if self.groups is None else self.groups[:, first:]
        return _Sorted(self.boxes[:, first:], groups, self.alive[:, first:], self.order[:, first:])


def _sort(boxes: Tensor, scores: Tensor, valid: Tensor, groups: Tensor | None) -> _Sorted:
    order = torch.sort(scores.masked_fill(~valid, -torch.inf), dim=1, descending=True, stable=True).indices
    places = torch.arange(boxes.shape[1], device=boxes.device).expand_as(order)
    return _Sorted(boxes, groups, valid, places).take(order)


def _without_dead(row: _Sorted) -> _Sorted:
    """Close the gaps once at least half of the places are dead."""
    most = int(row.alive.sum(dim=1).max()) if row.alive.numel() else 0
    if 2 * most > row.alive.shape[1]:
        return row
    return row.take(torch.sort(row.alive, dim=1, descending=True, stable=True).indices[:, :most])


def _overlap(row: _Sorted, first: slice, second: slice, threshold: float) -> Tensor:
    """Say which boxes of one stretch would suppress which of another: (S, n, m) bool."""
    hits = iou(row.boxes[:, first], row.boxes[:, second]) > threshold
    if row.groups is not None:
        hits &= row.groups[:, first, None] == row.groups[:, None, second]
    return hits


def _settle_until_stable(hits: Tensor, alive: Tensor) -> Tensor:
    """Repeat "a box stays unless a better one that stays hits it" until nothing changes."""
    keep = alive
    while True:
        again = alive & ~(hits & keep[:, :, None]).any(dim=1)
        if torch.equal(again, keep):
            return keep
        keep = again


def _settle_in_full(hits: Tensor, alive: Tensor) -> Tensor:
    """Decide box after box: as many steps as there are boxes, whatever their values."""
    for i in range(hits.shape[1]):
        alive = alive & ~(hits[:, i] & alive[:, i, None])
    return alive


def _collect(order: Tensor, kept: Tensor, limit: int) -> Kept:
    """Take the first of those kept into D slots."""
    place = torch.where(kept, kept.cumsum(dim=1) - 1, limit).clamp(max=limit)
    index = order.new_zeros(len(order), limit + 1).scatter_(1, place, order)[:, :limit]
    slots = torch.arange(limit, device=index.device)
    return Kept(index, slots < kept.sum(dim=1, keepdim=True))


def nms(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    *,
    valid: Tensor,
    limit: int,
    groups: Tensor | None = None,
    block: int = 64,
) -> Kept:
    """Suppress as `NMS` says, looking at values to stop early: for a CPU, and for inference.

    The first block has `block` boxes, later ones up to four times as many where most of them stay.
    """
    if not boxes.is_cpu:
        return nms_batched(boxes, scores, iou_threshold, valid=valid, limit=limit, groups=groups)
    indices = np.zeros((len(boxes), limit), dtype=np.int64)
    found = np.zeros((len(boxes), limit), dtype=np.bool_)
    own = [None] * len(boxes) if groups is None else groups.numpy()
    rows = zip(boxes.numpy(force=True), scores.numpy(force=True), valid.numpy(), own, strict=True)
    for s, (box, score, present, group) in enumerate(rows):
        kept = survivors(box, score, present, group, iou_threshold, block, limit)
        indices[s, : len(kept)] = kept
        found[s, : len(kept)] = True
    return Kept(torch.from_numpy(indices), torch.from_numpy(found))


def nms_batched(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    *,
    valid: Tensor,
    limit: int,
    groups: Tensor | None = None,
    block: int = 256,
) -> Kept:
    """Suppress as `NMS` says, all rows at once, looking at a few values a block: for an accelerator."""
    left = _without_dead(_sort(boxes, scores, valid, groups))
    order, kept = [left.order[:, :0]], [left.alive[:, :0]]
    found = kept[0].sum(dim=1)
    while left.alive.shape[1] and bool((found < limit).any()):
        here, rest = slice(0, block), slice(block, None)
        hits = _overlap(left, here, here, iou_threshold).triu_(diagonal=1)
        keep = _settle_until_stable(hits, left.alive[:, here])
        order.append(left.order[:, here])
        kept.append(keep)
        found = found + keep.sum(dim=1)
        left.alive[:, rest] &= ~(_overlap(left, here, rest, iou_threshold) & keep[:, :, None]).any(dim=1)
        left = _without_dead(left.cut(block))
    return _collect(torch.cat(order, dim=1), torch.cat(kept, dim=1), limit)


def nms_static(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    *,
    valid: Tensor,
    limit: int,
    groups: Tensor | None = None,
    block: int = 64,
) -> Kept:
    """Suppress as `NMS` says in a fixed number of operations, never waiting for the device.

    To `torch.compile` it is one operation: thousands of small ones, a few a box, would take it minutes.
    """
    suppress = _static_as_one if torch.compiler.is_compiling() else _static
    return Kept(*suppress(boxes, scores, iou_threshold, valid, limit, groups, block))


def _static(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    valid: Tensor,
    limit: int,
    groups: Tensor | None,
    block: int,
) -> tuple[Tensor, Tensor]:
    row = _sort(boxes, scores, valid, groups)
    N = boxes.shape[1]
    for start in range(0, N, block):
        here, rest = slice(start, min(start + block, N)), slice(min(start + block, N), N)
        earlier = torch.arange(here.stop - start, device=boxes.device)
        hits = _overlap(row, here, here, iou_threshold) & (earlier[:, None] < earlier)
        keep = _settle_in_full(hits, row.alive[:, here])
        row.alive[:, here] = keep
        row.alive[:, rest] &= ~(_overlap(row, here, rest, iou_threshold) & keep[:, :, None]).any(dim=1)
    indices, found = _collect(row.order, row.alive, limit)
    return indices.contiguous(), found  # laid out as `_shapes` says


_static_as_one = torch.library.custom_op("maskrcnn::nms_static", _static, mutates_args=())


@_static_as_one.register_fake
def _shapes(
    boxes: Tensor,
    scores: Tensor,  # noqa: ARG001  # as `_static`
    iou_threshold: float,  # noqa: ARG001
    valid: Tensor,
    limit: int,
    groups: Tensor | None,  # noqa: ARG001
    block: int,  # noqa: ARG001
) -> tuple[Tensor, Tensor]:
    size = (len(boxes), limit)
    return valid.new_empty(size, dtype=torch.int64), valid.new_empty(size)
