"""Outlines made simpler: with fewer corners, or with all parts and holes in one ring.

References: Douglas and Peucker, "Algorithms for the reduction of the number of points", 1973.
Letters: V corners of a ring.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from maskrcnn.ops.polygons import Polygon

Ring = NDArray[np.float64]


def simplify(ring: Ring, tolerance: float) -> Ring:
    """Drop corners so that none of the dropped ones is farther than `tolerance` from the line that replaces it.

    At least three corners are kept.

    Args:
        ring: (V, 2) float64. x, y in pixels; its last corner is not its first.
        tolerance: Pixels, from 0 up.

    >>> simplify(np.array([[0.0, 0.0], [4.0, 0.1], [8.0, 0.0], [8.0, 8.0]]), 0.5).tolist()
    [[0.0, 0.0], [8.0, 0.0], [8.0, 8.0]]
    """
    if len(ring) <= 3:
        return ring
    closed = np.concatenate([ring, ring[:1]])
    opposite = int(np.argmax(((ring - ring[0]) ** 2).sum(axis=1)))
    kept = {0, opposite}
    spans = [(0, opposite), (opposite, len(ring))]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        distances = _distances(closed[first + 1 : last], closed[first], closed[last])
        farthest = int(np.argmax(distances))
        if distances[farthest] > tolerance:
            middle = first + 1 + farthest
            kept.add(middle)
            spans += [(first, middle), (middle, last)]
    for corner in np.argsort(-_distances(ring, ring[0], ring[opposite]), kind="stable").tolist():
        if len(kept) >= 3:
            break
        kept.add(corner)
    return ring[sorted(kept)]


def _distances(points: Ring, first: Ring, last: Ring) -> NDArray[np.float64]:
    """Return how far each point lies from the stretch between two others."""
    along = last - first
    length = float(along @ along)
    share = np.clip((points - first) @ along / length, 0.0, 1.0) if length else np.zeros(len(points))
    gaps = points - (first + share[:, None] * along)
    distances: NDArray[np.float64] = np.hypot(gaps[:, 0], gaps[:, 1])
    return distances


def one_ring(parts: Sequence[Polygon]) -> Ring:
    """Join all parts and holes of a mask into one ring by bridges without width.

    A bridge leads out and back over the same corners, along rows and columns, so it encloses nothing: filled as
    pycocotools does it, by the even-odd or by the non-zero rule, the ring has the pixels of the parts less those
    of the holes, as long as the parts do not overlap.

    Args:
        parts: One or more; holes turn the other way than their exterior.

    >>> square, far = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]), np.array([[3.0, 5], [4, 5], [4, 6], [3, 6]])
    >>> one_ring([Polygon(square, ()), Polygon(far, ())]).astype(int).tolist()[2:7]
    [[1, 1], [3, 1], [3, 5], [4, 5], [4, 6]]
    """
    ring = parts[0].exterior
    for other in _in_turn(parts):
        ring = _bridged(ring, other)
    return ring


def _in_turn(parts: Sequence[Polygon]) -> Iterable[Ring]:
    yield from parts[0].holes
    for part in parts[1:]:
        yield part.exterior
        yield from part.holes


def _bridged(ring: Ring, other: Ring) -> Ring:
    """Go round a ring, at the corner nearest to another ring over to that one, round it, and back."""
    goal = other[0]
    start = int(np.argmin(np.abs(ring - goal).sum(axis=1)))
    knee = np.array([goal[0], ring[start, 1]])
    straight = bool((knee == goal).all() or (knee == ring[start]).all())
    way = [] if straight else [knee[None]]
    return np.concatenate([ring[: start + 1], *way, other, goal[None], *way, ring[start:]])
