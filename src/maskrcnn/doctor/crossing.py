"""Outlines that cross themselves.

Letters: n rings of V corners each.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 2_000_000  # pairs of edges


def crossing(rings: list[NDArray[np.float64]]) -> NDArray[np.bool_]:
    """Say of each ring whether two of its edges cross; edges that only touch do not.

    >>> bow = np.array([[0.0, 0.0], [4.0, 4.0], [4.0, 0.0], [0.0, 4.0]])
    >>> crossing([bow, bow[[0, 2, 1, 3]]]).tolist()
    [True, False]
    """
    counts = np.array([len(ring) for ring in rings], dtype=np.int64)
    found = np.zeros(len(rings), dtype=np.bool_)
    for V in np.unique(counts[counts > 3]).tolist():
        alike = np.flatnonzero(counts == V)
        share = max(1, _AT_ONCE // (V * V))
        for first in range(0, len(alike), share):
            some = alike[first : first + share]
            found[some] = _any_crosses(np.stack([rings[i] for i in some]))
    return found


def _any_crosses(rings: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Test every edge of n rings (n, V, 2) against every edge of the same ring."""
    n, V, _ = rings.shape
    found = np.zeros(n, dtype=np.bool_)
    block = max(1, _AT_ONCE // (n * V))
    ends = np.roll(rings, -1, axis=1)
    for first in range(0, V, block):
        a, b = rings[:, first : first + block, None], ends[:, first : first + block, None]
        c, d = rings[:, None], ends[:, None]
        apart = _side(a, b, c) * _side(a, b, d) < 0
        found |= (apart & (_side(c, d, a) * _side(c, d, b) < 0)).any(axis=(1, 2))
    return found


def _side(a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return on which side of the line a-b a point lies: -1, 0 or 1."""
    turn = (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
    side: NDArray[np.float64] = np.sign(turn)
    return side
