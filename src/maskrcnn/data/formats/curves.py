"""Outlines of shapes that are said by a few numbers: circles, ellipses, turned rectangles.

Letters: V corners of a ring.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

CURVE_ERROR = 0.01
"""How far, in pixels, a ring may leave the curve that it stands for."""


def ellipse_ring(cx: float, cy: float, rx: float, ry: float, turn: float = 0.0) -> NDArray[np.float64]:
    """Return a ring whose corners lie on an ellipse and whose sides leave it by at most `CURVE_ERROR`.

    Args:
        cx: Centre, in pixels.
        cy: Centre, in pixels.
        rx: Half axis along x before the turn, in pixels, from 0 up.
        ry: Half axis along y before the turn.
        turn: Radians, clockwise on the screen, as y points down.

    Returns:
        (V, 2) float64. x, y in continuous pixels.
    """
    corners = max(8, math.ceil(math.pi * math.sqrt(max(rx, ry) / (2 * CURVE_ERROR))))
    angle = np.arange(corners) * (2 * math.pi / corners)
    return turned(np.stack([cx + rx * np.cos(angle), cy + ry * np.sin(angle)], axis=1), (cx, cy), turn)


def rectangle_ring(x1: float, y1: float, x2: float, y2: float, turn: float = 0.0) -> NDArray[np.float64]:
    """Return the four corners of a rectangle that is turned about its middle; `turn` is in radians, clockwise.

    >>> rectangle_ring(0, 0, 4, 2).tolist()
    [[0.0, 0.0], [4.0, 0.0], [4.0, 2.0], [0.0, 2.0]]
    >>> rectangle_ring(0, 0, 4, 2, math.pi / 2).round(6).tolist()
    [[3.0, -1.0], [3.0, 3.0], [1.0, 3.0], [1.0, -1.0]]
    """
    ring = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], dtype=np.float64)
    return turned(ring, ((x1 + x2) / 2, (y1 + y2) / 2), turn)


def turned(ring: NDArray[np.float64], about: tuple[float, float], turn: float) -> NDArray[np.float64]:
    """Turn the corners of a ring, (V, 2) float64, about a point by an angle in radians, clockwise on the screen."""
    if turn == 0:
        return ring
    along, across = (ring - about).T
    cosine, sine = math.cos(turn), math.sin(turn)
    return np.stack([about[0] + along * cosine - across * sine, about[1] + along * sine + across * cosine], axis=1)
