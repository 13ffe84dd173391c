"""Greedy non-maximum suppression, exact, of many rows at once.

Boxes are taken in blocks by falling score: a block is settled within itself, then everything that it keeps suppresses
the rest. The result is the greedy one, box for box.

Letters: S rows (pictures, or pictures times levels), N boxes a row, D slots of the result; n, m boxes of a stretch.
"""

from __future__ import annotations

import sys
import threading
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
TINY = float(np.finfo(np.float32).tiny)
UPPER = int(sys.byteorder == "little")  # which half of 64 bits counts more
SPECK = 1e-30  # an area so far above TINY that no union with it comes near, whatever is rounded

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


class _Room(threading.local):
    """Memory for pairs that a thread keeps: fresh memory costs as much as the pairs."""

    def __init__(self) -> None:
        self.pairs = np.empty(2 * PAIRS_AT_ONCE, dtype=np.uint8)


_ROOM = _Room()


class _Row(NamedTuple):
    """Boxes of one row by falling score, on a CPU, where looking at values costs nothing.

    Every call costs about as much as a thousand numbers, so what belongs together lies in one array.

    Attributes:
        sides: (5, N) float32. x1, y1, x2, y2 and area.
        order: (N) int64. Where each came from.
        floor: What a union is at least; 0 where none could be less.
        groups: (N) int, or None.
        grid: (6, N) uint8. Where each centre lies, where those that its box may suppress begin, and how far they go;
            x and y of each. (0, N) until it pays.
    """

    sides: Floats
    order: Indices
    floor: float
    groups: Indices | None
    grid: Bytes

    def take(self, index: Indices) -> _Row:
        """Return the boxes at some places."""
        groups = None if self.groups is None else self.groups.take(index)
        grid = self.grid.take(index, axis=1)
        return _Row(self.sides.take(index, axis=1), self.order.take(index), self.floor, groups, grid)

    def cut(self, part: slice) -> _Row:
        """Return the boxes of a stretch."""
        groups = None if self.groups is None else self.groups[part]
        return _Row(self.sides[:, part], self.order[part], self.floor, groups, self.grid[:, part])


def _lay_out(boxes: Floats, order: Indices, groups: Indices | None) -> _Row:
    """Put (N, 4) boxes in order."""
    sides = np.empty((5, len(order)), dtype=np.float32)
    sides[:4] = boxes.take(order, axis=0).T
    extent = np.maximum(sides[2:4] - sides[:2], 0)
    floor = 0.0 if np.multiply(extent[0], extent[1], out=sides[4]).min() >= SPECK else TINY
    grid = np.empty((0, len(order)), dtype=np.uint8)
    return _Row(sides, order, floor, None if groups is None else groups.take(order), grid)


def _above(one: Floats, other: Floats, floor: float, threshold: float) -> NDArray[np.bool_]:
    """Say where the IoU is above a threshold, computed as `iou` does; the sides (5, ...) broadcast."""
    high = np.minimum(one[2:4], other[2:4])
    low = np.maximum(one[:2], other[:2])
    np.minimum(low, high, out=low)
    high -= low
    shared = high[0]
    shared *= high[1]
    union = one[4] + other[4]
    union -= shared
    if floor:
        np.maximum(union, floor, out=union)
    shared /= union
    above: NDArray[np.bool_] = shared > threshold
    return above


# Looking at all pairs: for boxes in a crowd


def _hits(first: _Row, second: _Row, threshold: float) -> NDArray[np.bool_]:
    """Say which boxes of one stretch would suppress which of another: (n, m)."""
    hits = _above(first.sides[:, :, None], second.sides[:, None], first.floor, threshold)
    if first.groups is not None and second.groups is not None:
        hits &= first.groups[:, None] == second.groups
    return hits


def _settle(block: _Row, threshold: float) -> Indices:
    """Decide box after box: return the places of those that stay.

    A row of hits is read as one whole number, so that all that a box suppresses go at once.
    """
    rows = np.packbits(_hits(block, block, threshold), axis=1, bitorder="little")
    n, width = rows.shape
    data = rows.tobytes()
    left, stays = (1 << n) - 1, []
    while left:
        best = left & -left
        place = best.bit_length() - 1
        stays.append(place)
        left &= ~(best | int.from_bytes(data[place * width : (place + 1) * width], "little"))
    return np.array(stays)


def _untouched(better: _Row, rest: _Row, threshold: float) -> Indices:
    """Return the places of those that no better box suppresses."""
    gone: NDArray[np.bool_] = np.logical_or.reduce(_hits(better, rest, threshold), axis=0)
    return (~gone).nonzero()[0]


# Looking at pairs near each other: for boxes that are spread


def _grid(corners: Floats, threshold: float) -> Bytes:
    """Put (4, N) corners on the grid of `_Row`.

    Of boxes that are spread few pairs overlap much. Two boxes can only have an IoU above t where their centres lie
    within (1/t - 1) / 2 of a side of each other, along both axes. On a grid of bytes that is told quickly for all
    pairs, with some too many and none too few, and the IoU is computed for those that are left.

    Rounding keeps the order, so a centre within reach is in a cell within reach.
    """
    exact = corners.astype(np.float64)
    at, reach = exact[:2] + exact[2:], np.maximum(exact[2:] - exact[:2], 0)  # both twice as large
    first = at.min(axis=1, keepdims=True)
    scale = CELLS / np.maximum(at.max(axis=1, keepdims=True) - first, LEAST)
    at -= first
    at *= scale
    reach *= scale * (1 / max(threshold - HAIR, LEAST) - 1)
    grid = np.empty((6, corners.shape[1]), dtype=np.uint8)
    grid[:2] = at
    grid[2:4] = np.maximum(at - reach, 0)
    grid[4:] = np.minimum(at + reach, CELLS)
    grid[4:] -= grid[2:4]
    return grid


def _near(first: _Row, second: _Row) -> Iterator[tuple[Indices, Indices]]:
    """List the pairs whose centres are within reach, as places in `first` and in `second`."""
    begin, span = first.grid[2:4, :, None], first.grid[4:, :, None]
    n, m = first.grid.shape[1], second.grid.shape[1]
    step = max(PAIRS_AT_ONCE // max(n, 1), 1)
    for start in range(0, m, step):
        place = second.grid[:2, None, start : start + step]
        width = place.shape[2]
        away = _ROOM.pairs[: 2 * n * width].reshape(2, n, width)
        np.subtract(place, begin, out=away)  # below the begin it wraps round to a large number
        within = away.view(np.bool_)
        np.less_equal(away, span, out=within)
        flat = np.logical_and(within[0], within[1], out=within[0]).ravel().nonzero()[0]
        i = flat // width
        flat -= i * width
        flat += start
        yield i, flat


def _near_hits(first: _Row, i: Indices, second: _Row, j: Indices, threshold: float) -> NDArray[np.bool_]:
    """Say of pairs of boxes whether one would suppress the other."""
    hits = _above(first.sides.take(i, axis=1), second.sides.take(j, axis=1), first.floor, threshold)
    if first.groups is not None and second.groups is not None:
        hits &= first.groups.take(i) == second.groups.take(j)
    return hits


def _settle_near(block: _Row, threshold: float) -> Indices:
    """Do what `_settle` does."""
    keep = bytearray(b"\1") * block.sides.shape[1]
    for i, j in _near(block, block):
        later = (i < j).nonzero()[0]
        i, j = i.take(later), j.take(later)
        hit = _near_hits(block, i, block, j, threshold).nonzero()[0]
        for better, other in zip(i.take(hit).tolist(), j.take(hit).tolist(), strict=True):
            if keep[better]:
                keep[other] = 0
    return np.frombuffer(keep, dtype=np.bool_).nonzero()[0]


def _untouched_near(better: _Row, rest: _Row, threshold: float) -> Indices:
    """Do what `_untouched` does."""
    alive = np.ones(rest.sides.shape[1], dtype=np.bool_)
    for i, j in _near(better, rest):
        alive[j[_near_hits(better, i, rest, j, threshold)]] = False
    return alive.nonzero()[0]


def _survivors(row: _Row, threshold: float, block: int, limit: int) -> Indices:
    """Return where the boxes that stay came from, at most `limit`."""
    settle, untouched = _settle, _untouched
    kept, found, count = [], 0, block
    while found < limit and len(row.order):
        stays = settle(row.cut(slice(count)), threshold)
        kept.append(row.order.take(stays))
        found += len(stays)
        if count >= len(row.order):
            break
        spread = 2 * len(stays) > count
        if not len(row.grid) and (spread or len(stays) * len(row.order) > PAIRS_AT_ONCE):
            settle, untouched = _settle_near, _untouched_near
            row = row._replace(grid=_grid(row.sides[:4], threshold))
        rest = row.cut(slice(count, None))
        row = rest.take(untouched(row.take(stays), rest, threshold))
        # where most go, a larger block has more pairs that hit each other than are worth looking at
        count = min(2 * count, 4 * block) if spread else block
    return np.concatenate(kept)[:limit]


def _by_falling_score(scores: Floats) -> Indices:
    """Return the order of (N) scores, equal ones as they came, what is no number last.

    The bits of a number are as ordered as the number; with its place behind them every key is another, and one call
    sorts them without having to be stable.
    """
    keys = np.arange(len(scores))
    bits = np.fmin(0 - scores, np.inf).view(np.int32)
    np.bitwise_xor(bits, (bits >> 31) & 0x7FFFFFFF, out=keys.view(np.int32)[UPPER::2])
    keys.sort()
    keys &= 0xFFFFFFFF
    return keys


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
        order = _by_falling_score(score)
        if np.count_nonzero(present) < len(order):
            order = order[present.take(order)]
        if not len(order):
            continue
        row = _lay_out(box, order, group)
        kept = _survivors(row, iou_threshold, block, limit)
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
