"""Greedy non-maximum suppression, exact, of many rows at once.

Boxes are taken in blocks by falling score: a block is settled within itself, then everything that it keeps suppresses
the rest in one matrix. The result is the greedy one, box for box.

Letters: S rows (pictures, or pictures times levels), N boxes a row, D slots of the result.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from maskrcnn.ops.boxes import iou


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
    boxes: Tensor
    groups: Tensor | None
    alive: Tensor
    order: Tensor


def _sort(boxes: Tensor, scores: Tensor, valid: Tensor, groups: Tensor | None) -> _Sorted:
    order = torch.sort(scores.masked_fill(~valid, -torch.inf), dim=1, descending=True, stable=True).indices
    return _Sorted(
        boxes.gather(1, order[..., None].expand(-1, -1, 4)),
        None if groups is None else groups.gather(1, order),
        valid.gather(1, order),
        order,
    )


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


def _collect(row: _Sorted, limit: int) -> Kept:
    """Take the first survivors into D slots."""
    S = row.alive.shape[0]
    place = torch.where(row.alive, row.alive.cumsum(dim=1) - 1, limit).clamp(max=limit)
    index = row.order.new_zeros(S, limit + 1).scatter_(1, place, row.order)[:, :limit]
    slots = torch.arange(limit, device=index.device)
    return Kept(index, slots < row.alive.sum(dim=1, keepdim=True))


def nms(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    *,
    valid: Tensor,
    limit: int,
    groups: Tensor | None = None,
    block: int = 256,
) -> Kept:
    """Suppress as `NMS` says, looking at values to stop early: for a CPU, and for inference."""
    row = _sort(boxes, scores, valid, groups)
    N = boxes.shape[1]
    last = int(row.alive.sum(dim=1).max()) if N else 0
    for start in range(0, last, block):
        here, rest = slice(start, min(start + block, last)), slice(min(start + block, last), last)
        earlier = torch.arange(here.stop - start, device=boxes.device)
        hits = _overlap(row, here, here, iou_threshold) & (earlier[:, None] < earlier)
        keep = _settle_until_stable(hits, row.alive[:, here])
        row.alive[:, here] = keep
        if bool((row.alive[:, : here.stop].sum(dim=1) >= limit).all()):
            break
        row.alive[:, rest] &= ~(_overlap(row, here, rest, iou_threshold) & keep[:, :, None]).any(dim=1)
    return _collect(row, limit)


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
    """Suppress as `NMS` says in a fixed number of operations, never waiting for the device."""
    row = _sort(boxes, scores, valid, groups)
    N = boxes.shape[1]
    for start in range(0, N, block):
        here, rest = slice(start, min(start + block, N)), slice(min(start + block, N), N)
        earlier = torch.arange(here.stop - start, device=boxes.device)
        hits = _overlap(row, here, here, iou_threshold) & (earlier[:, None] < earlier)
        keep = _settle_in_full(hits, row.alive[:, here])
        row.alive[:, here] = keep
        row.alive[:, rest] &= ~(_overlap(row, here, rest, iou_threshold) & keep[:, :, None]).any(dim=1)
    return _collect(row, limit)
