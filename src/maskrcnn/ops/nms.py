"""Greedy non-maximum suppression, exact, of many rows at once.

Boxes are taken in blocks by falling score: a block is settled within itself, then everything that it keeps suppresses
the rest. The result is the greedy one, box for box.

Letters: S rows (pictures, or pictures times levels), N boxes a row, D slots of the result; n, m boxes of a stretch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskrcnn.ops.boxes import iou

PAIRS_AT_ONCE = 1 << 16  # on a CPU: a byte each, so that they stay in its cache
CELLS = 255  # of a grid over all centres, counted from 0, so that a place is a byte
HAIR = 1e-5  # more than rounding can add to an IoU
LEAST = 1e-99  # of a divisor
TINY = np.finfo(np.float32).tiny

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
Bytes = NDArray[np.uint8]


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


class _Row:
    """The boxes of one row by falling score, on a CPU, where looking at values costs nothing.

    Of all pairs few overlap much. Two boxes can only have an IoU above t where their centres lie within
    (1/t - 1) / 2 of a side of each other, along both axes. On a grid of bytes that is told quickly for all pairs, with
    some too many and none too few, and the IoU is computed for those that are left.

    Args:
        boxes: (N, 4) float.
        threshold: Of the IoU.
        groups: (N) int, or None.
    """

    def __init__(self, boxes: Floats, threshold: float, groups: Indices | None) -> None:
        self.corners = np.ascontiguousarray(boxes.T)
        width, height = np.maximum(self.corners[2:] - self.corners[:2], 0)
        self.area = width * height
        self.groups = groups
        self.threshold = threshold
        self.place, self.begin, self.span = self._grid()
        self.room = [np.empty(PAIRS_AT_ONCE, dtype=np.uint8) for _ in range(3)]  # small enough to be kept by malloc

    def _grid(self) -> tuple[Bytes, Bytes, Bytes]:
        """Return where each centre lies, (2, N), and where those that its box may suppress begin and how far they go.

        Rounding keeps the order, so a centre within reach is in a cell within reach.
        """
        sides = self.corners.astype(np.float64)
        at, reach = sides[:2] + sides[2:], np.maximum(sides[2:] - sides[:2], 0)  # both twice as large
        first = at.min(axis=1, keepdims=True)
        scale = CELLS / np.maximum(at.max(axis=1, keepdims=True) - first, LEAST)
        at = (at - first) * scale
        reach *= scale * (1 / max(self.threshold - HAIR, LEAST) - 1)
        begin = np.maximum(at - reach, 0).astype(np.uint8)
        end = np.minimum(at + reach, CELLS).astype(np.uint8)
        return at.astype(np.uint8), begin, end - begin

    def near(self, first: Indices, second: Indices) -> Iterator[tuple[Indices, Indices]]:
        """List the pairs whose centres are within reach, as positions in `first` and in `second`."""
        begin, span = self.begin.take(first, axis=1)[:, :, None], self.span.take(first, axis=1)[:, :, None]
        place = self.place.take(second, axis=1)
        step = max(PAIRS_AT_ONCE // max(len(first), 1), 1)
        for start in range(0, len(second), step):
            here = place[:, start : start + step]
            flat = self._within(here, begin, span)
            i = flat // here.shape[1]
            yield i, flat - i * here.shape[1] + start

    def _within(self, place: Bytes, begin: Bytes, span: Bytes) -> Indices:
        shape = (begin.shape[1], place.shape[1])
        away, along_x, along_y = (part[: shape[0] * shape[1]].reshape(shape) for part in self.room)
        for axis, within in enumerate((along_x, along_y)):
            np.subtract(place[axis], begin[axis], out=away)  # below the begin it wraps round to a large number
            np.less_equal(away, span[axis], out=within.view(np.bool_))
        np.bitwise_and(along_x, along_y, out=along_x)
        return along_x.view(np.bool_).ravel().nonzero()[0]

    def hits(self, i: Indices, j: Indices) -> NDArray[np.bool_]:
        """Say of pairs of boxes whether one would suppress the other; the IoU is computed as `iou` does."""
        left, top, right, bottom = self.corners
        shared = np.minimum(right.take(i), right.take(j))
        shared -= np.maximum(left.take(i), left.take(j))
        height = np.minimum(bottom.take(i), bottom.take(j))
        height -= np.maximum(top.take(i), top.take(j))
        shared = np.maximum(shared, 0) * np.maximum(height, 0)
        union = self.area.take(i) + self.area.take(j) - shared
        over: NDArray[np.bool_] = shared / np.maximum(union, TINY) > self.threshold
        if self.groups is not None:
            over &= self.groups.take(i) == self.groups.take(j)
        return over

    def settle(self, block: Indices) -> Indices:
        """Decide box after box of a block: return those that stay."""
        keep = bytearray(b"\1") * len(block)
        for i, j in self.near(block, block):
            later = i < j
            i, j = i[later], j[later]
            hit = self.hits(block.take(i), block.take(j))
            for better, other in zip(i[hit].tolist(), j[hit].tolist(), strict=True):
                if keep[better]:
                    keep[other] = 0
        return block[np.frombuffer(keep, dtype=np.bool_)]

    def survivors(self, block: int, limit: int) -> Indices:
        """Return the positions of the boxes that stay, at most `limit`."""
        left, kept, found, count = np.arange(len(self.area)), [], 0, block
        while len(left) and found < limit:
            here, rest = self.settle(left[:count]), left[count:]
            kept.append(here)
            found += len(here)
            if len(rest):
                alive = np.ones(len(rest), dtype=np.bool_)
                for i, j in self.near(here, rest):
                    alive[j[self.hits(here.take(i), rest.take(j))]] = False
                rest = rest[alive]
            left, count = rest, min(2 * count, 4 * block)
        return np.concatenate(kept)[:limit]


def nms(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    *,
    valid: Tensor,
    limit: int,
    groups: Tensor | None = None,
    block: int = 96,
) -> Kept:
    """Suppress as `NMS` says, looking at values to stop early: for a CPU, and for inference.

    The first block has `block` boxes, later ones up to four times as many.
    """
    if boxes.device.type != "cpu":
        return nms_batched(boxes, scores, iou_threshold, valid=valid, limit=limit, groups=groups)
    indices = np.zeros((len(boxes), limit), dtype=np.int64)
    found = np.zeros((len(boxes), limit), dtype=np.bool_)
    own = [None] * len(boxes) if groups is None else groups.numpy()
    rows = zip(boxes.detach().numpy(), scores.detach().numpy(), valid.numpy(), own, strict=True)
    for s, (box, score, present, group) in enumerate(rows):
        chosen = present.nonzero()[0]
        if not len(chosen):
            continue
        order = chosen.take(np.argsort(-score.take(chosen), kind="stable"))
        row = _Row(box.take(order, axis=0), iou_threshold, None if group is None else group.take(order))
        kept = order.take(row.survivors(block, limit))
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
    return _collect(row.order, row.alive, limit)
