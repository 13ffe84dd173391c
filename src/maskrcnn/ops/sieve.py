"""Greedy non-maximum suppression of one row of boxes on a CPU, where looking at values costs nothing.

Letters: N boxes; n, m boxes of a stretch.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PAIRS_AT_ONCE = 1 << 16  # a byte each, so that they stay in the cache
CELLS = 255  # of a grid over all centres, counted from 0, so that a place is a byte
HAIR = 1e-5  # more than rounding can add to an IoU
LEAST = 1e-99  # of a divisor
TINY = float(np.finfo(np.float32).tiny)
UPPER = int(sys.byteorder == "little")  # which half of 64 bits counts more
SPECK = 1e-30  # an area so far above TINY that no union with it comes near, whatever is rounded

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
Bytes = NDArray[np.uint8]


class _Room(threading.local):
    """Memory for pairs that a thread keeps: fresh memory costs as much as the pairs."""

    def __init__(self) -> None:
        self.pairs = np.empty(2 * PAIRS_AT_ONCE, dtype=np.uint8)


_ROOM = _Room()


class _Row(NamedTuple):
    """Boxes of one row by falling score.

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


def survivors(
    boxes: Floats,
    scores: Floats,
    present: NDArray[np.bool_],
    groups: Indices | None,
    threshold: float,
    block: int,
    limit: int,
) -> Indices:
    """Return the places of the boxes that stay, at most `limit`, by falling score; `nms` says what the rest is.

    Args:
        boxes: (N, 4) float32 x1, y1, x2, y2.
        scores: (N) float32.
        present: (N) bool.
        groups: (N) int; None is one group.
        threshold: Of the IoU.
        block: Boxes of the first block.
        limit: At least 0.
    """
    order = _by_falling_score(scores)
    if np.count_nonzero(present) < len(order):
        order = order[present.take(order)]
    return _survivors(_lay_out(boxes, order, groups), threshold, block, limit) if len(order) else order
