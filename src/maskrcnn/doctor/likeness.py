"""Pictures that look the same, found among hundreds of thousands.

Of seven blocks of bits, hashes that differ in at most five bits agree in two at least: only hashes that share two
blocks, 18 bits or more, are compared.

Letters: n pictures, P pairs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

RADIUS = 5
"""Bits by which the hashes of pictures that look the same may differ."""

CORRELATION = 0.98
"""Least correlation of their small grey pictures."""

_BLOCKS = ((0, 9), (9, 9), (18, 9), (27, 9), (36, 9), (45, 9), (54, 10))  # first bit and number of bits
_ONES = np.array([value.bit_count() for value in range(1 << 16)], dtype=np.uint8)


def near_pairs(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """List pictures whose hashes differ in at most `RADIUS` bits.

    Of many with one hash, each is paired with the first, and that one alone with those of other hashes.

    Args:
        hashes: (n) uint64.

    Returns:
        (P, 2) int64, the smaller number first, each pair once.

    >>> near_pairs(np.array([0, 2**63, 2**40 - 1, 0], dtype=np.uint64)).tolist()
    [[0, 1], [0, 3]]
    """
    values, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[inverse] != np.arange(len(hashes)))
    pairs = [np.stack([first[inverse[again]], again], axis=1)]
    masks = [np.uint64(((1 << length) - 1) << start) for start, length in _BLOCKS]
    for one, other in combinations(masks, len(_BLOCKS) - RADIUS):
        pairs.append(first[_in_block(values, values & (one | other))])
    found = np.sort(np.concatenate(pairs).astype(np.int64), axis=1)
    return np.unique(found, axis=0)


def _in_block(values: NDArray[np.uint64], block: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return (P, 2) int64, the near ones among values that share some bits, by sliding the sorted list over itself."""
    order = np.argsort(block, kind="stable")
    sorted_block = block[order]
    left = np.arange(len(order) - 1)
    step, found = 1, [np.zeros((0, 2), dtype=np.int64)]
    while len(left := left[left + step < len(order)]):
        left = left[sorted_block[left] == sorted_block[left + step]]
        one, other = order[left], order[left + step]
        near = _distance(values[one], values[other]) <= RADIUS
        found.append(np.stack([one[near], other[near]], axis=1))
        step += 1
    return np.concatenate(found)


def _distance(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.int64]:
    parts = np.ascontiguousarray(a ^ b).view(np.uint16).reshape(-1, 4)
    distance: NDArray[np.int64] = _ONES[parts].sum(axis=1, dtype=np.int64)
    return distance


def alike(pairs: NDArray[np.int64], thumbs: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Confirm pairs by the correlation of their small grey pictures.

    Args:
        pairs: (P, 2) int64.
        thumbs: (n, pixels) uint8.
    """
    confirmed = np.zeros(len(pairs), dtype=np.bool_)
    for first in range(0, len(pairs), 100_000):
        one, other = (_standard(thumbs[side]) for side in pairs[first : first + 100_000].T)
        confirmed[first : first + 100_000] = (one * other).sum(axis=1) >= CORRELATION
    return confirmed


def _standard(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    centred = thumbs.astype(np.float32) - thumbs.mean(axis=1, keepdims=True, dtype=np.float32)
    unit: NDArray[np.float32] = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)
    return unit


def groups(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Join pairs to groups.

    >>> groups([(1, 2), (5, 7), (2, 9)])
    [[1, 2, 9], [5, 7]]
    """
    parent: dict[int, int] = {}

    def root(i: int) -> int:
        while parent.setdefault(i, i) != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in pairs:
        a, b = sorted((root(i), root(j)))
        parent[b] = a
    joined: dict[int, list[int]] = defaultdict(list)
    for i in sorted(parent):
        joined[root(i)].append(i)
    return sorted(joined.values())
