"""Polygons to pixels as pycocotools does it, and pixels back to exact outlines.

References: pycocotools, `maskApi.c` (`rleFrPoly`).
Letters: V corners of a ring.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.ops.rle import Bitmap, counts_to_bitmap, decompress


class Polygon(NamedTuple):
    """One connected part of a mask, in pixels of the picture; a ring's last corner is not its first.

    `exterior` is (V, 2) float64 x, y; each of `holes` likewise, turning the other way.
    """

    exterior: NDArray[np.float64]
    holes: tuple[NDArray[np.float64], ...]


def rasterise(rings: Sequence[NDArray[np.float64]], size_hw: tuple[int, int]) -> Bitmap:
    """Fill the union of rings, with the same pixels as pycocotools, in the smallest window that holds them.

    Args:
        rings: Each (V, 2) float64. x, y in continuous pixels, V at least 3; may leave the picture.
        size_hw: Height and width of the picture; pixels outside it are dropped.

    >>> rasterise([np.array([[1.0, 1.0], [3.0, 1.0], [3.0, 2.0], [1.0, 2.0]])], (4, 5))
    Bitmap(x=1, y=1, pixels=array([[ True,  True]]))
    """
    from faster_coco_eval.core import mask as coco_mask

    if not rings:
        return counts_to_bitmap(np.array([size_hw[0] * size_hw[1]]), size_hw)
    parts = coco_mask.frPyObjects([ring.ravel().tolist() for ring in rings], size_hw[0], size_hw[1])
    whole = parts[0] if len(parts) == 1 else coco_mask.merge(parts)
    return counts_to_bitmap(decompress(whole["counts"]), size_hw)


_STEP = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])  # right, down, left, up; the mask is always on the right hand


def _edges(pixels: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """List the unit edges round a mask: tails (E, 2) int64 x, y and directions (E) int64."""
    framed = np.zeros((pixels.shape[0] + 2, pixels.shape[1] + 2), dtype=np.bool_)
    framed[1:-1, 1:-1] = pixels
    width, cells = framed.shape[1], framed.ravel()
    right, down = ((cells[step:] != cells[:-step]).nonzero()[0] for step in (1, width))  # from cell p to p + step
    tails, directions = [], []
    for direction, at in enumerate(
        [down[~cells[down]], right[cells[right]] - width, down[cells[down]], right[~cells[right]]]
    ):
        y = at // width
        tails.append(np.stack([at - y * width, y], axis=1))
        directions.append(np.full(len(at), direction))
    tails[0][:, 0] -= 1
    return np.concatenate(tails), np.concatenate(directions)


def _successors(tails: NDArray[np.int64], directions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Link each edge to the next one round its part; at a corner that two parts share, turn right."""
    head = tails + _STEP[directions]
    width = int(tails[:, 0].max(initial=0)) + 1
    key = 4 * (tails[:, 1] * width + tails[:, 0]) + directions
    corner = 4 * (head[:, 1] * width + head[:, 0])
    order = np.argsort(key)
    key = key[order]
    linked = np.zeros_like(order)
    for turn in (3, 0, 1):  # the last that is there holds
        wanted = corner + (directions + turn) % 4
        place = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
        linked = np.where(key[place] == wanted, order[place], linked)
    return linked


def _rings(pixels: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    tails, directions = _edges(pixels)
    following = _successors(tails, directions).tolist() if len(tails) else []
    seen = bytearray(len(following))
    rings = []
    for first in range(len(following)):
        if seen[first]:
            continue
        ring, edge = [], first
        while not seen[edge]:
            seen[edge] = 1
            ring.append(edge)
            edge = following[edge]
        index = np.array(ring)
        turns = directions[index] != directions[np.roll(index, 1)]
        rings.append(tails[index[turns]])
    return rings


def signed_area(ring: NDArray[np.float64]) -> float:
    """Return the area of a ring, positive where it turns clockwise on the screen (y down).

    >>> signed_area(np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 3.0], [0.0, 3.0]]))
    6.0
    """
    x, y = ring[:, 0], ring[:, 1]
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def contains(ring: NDArray[np.float64], x: float, y: float) -> bool:
    """Say whether a point that lies on no edge is inside a ring, by counting crossings."""
    x1, y1 = ring[:, 0], ring[:, 1]
    x2, y2 = np.roll(x1, -1), np.roll(y1, -1)
    crosses = (y1 > y) != (y2 > y)
    at = x1 + (y - y1) / np.where(crosses, y2 - y1, 1.0) * (x2 - x1)
    return bool(np.count_nonzero(crosses & (at > x)) % 2)


def trace(bitmap: Bitmap) -> list[Polygon]:
    """Follow the pixel borders of a mask: exact outlines, every part and every hole.

    Pixels that touch at a corner only are separate parts. `rasterise` of a part without holes gives the same pixels.

    >>> trace(Bitmap(5, 7, np.array([[1, 1]], dtype=bool)))[0].exterior.tolist()
    [[5.0, 7.0], [7.0, 7.0], [7.0, 8.0], [5.0, 8.0]]
    """
    offset = np.array([bitmap.x, bitmap.y], dtype=np.float64)
    rings = [ring + offset for ring in _rings(bitmap.pixels)]
    areas = [signed_area(ring) for ring in rings]
    order = sorted((area, i) for i, area in enumerate(areas) if area > 0)
    holes: dict[int, list[NDArray[np.float64]]] = {i: [] for _, i in order}
    for ring, area in zip(rings, areas, strict=True):
        if area < 0:
            x, y = _inner_point(ring)
            owner = next(i for _, i in order if contains(rings[i], x, y))
            holes[owner].append(ring)
    return [Polygon(rings[i], tuple(holes[i])) for i in sorted(holes)]


def _inner_point(hole: NDArray[np.float64]) -> tuple[float, float]:
    """Return the centre of a mask pixel beside the first edge of a hole."""
    step = np.sign(hole[1] - hole[0])
    right_hand = np.array([-step[1], step[0]])
    x, y = hole[0] + 0.5 * step + 0.5 * right_hand
    return float(x), float(y)
