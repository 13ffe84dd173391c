"""Boxes, lines and maps over the picture that the network saw, as a template draws them.

Letters: N boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Rect = tuple[float, float, float, float]
ROOM = 0.2  # round what a close view shows, of its longer side
LEAST_VIEW = 24.0  # pixels


class Shape(NamedTuple):
    """A box.

    Attributes:
        box: x1, y1, x2, y2.
        kind: How it is drawn: `anchor`, `moved`, `kept`, `dropped`, `truth`, `found`, `positive` or `negative`.
        text: What a pointer on it shows.
        of: The detections, by number, that came from it.
        colour: Of its line, as CSS has it; that of its kind where none is given.
    """

    box: Rect
    kind: str
    text: str
    of: tuple[int, ...] = ()
    colour: str = ""


class Line(NamedTuple):
    """A line from a point to another one, x1, y1, x2, y2, of something that became the given detections."""

    ends: Rect
    of: tuple[int, ...] = ()


class Dot(NamedTuple):
    """A cell that was read: its centre, and how much it counts, from 0 to 1."""

    x: float
    y: float
    share: float


class Map(NamedTuple):
    """Numbers as colours, over the box that they cover; see-through where the picture is to be seen too."""

    image: Image.Image
    box: Rect
    opacity: float = 0.75


@dataclass(frozen=True)
class Figure:
    """The picture with something on it.

    Attributes:
        title: What is shown.
        view: x1, y1, x2, y2 of the part that is seen.
        note: What has to be known beside it.
        shapes: Boxes.
        lines: Lines.
        dots: Cells.
        maps: Maps, under all of them.
        ground: What lies below: the picture as `seen` by the network, dimmed, or the `result`.
    """

    title: str
    view: Rect
    note: str = ""
    shapes: Sequence[Shape] = ()
    lines: Sequence[Line] = ()
    dots: Sequence[Dot] = ()
    maps: Sequence[Map] = ()
    ground: str = "seen"


def rect(box: NDArray[np.floating]) -> Rect:
    """Round a box (4) to a hundredth of a pixel; corners that are no number are 0."""
    x1, y1, x2, y2 = np.nan_to_num(box.astype(np.float64), posinf=0.0, neginf=0.0).round(2).tolist()
    return x1, y1, x2, y2


def close_view(boxes: NDArray[np.floating], padded_hw: tuple[int, int]) -> Rect:
    """Choose a view that shows boxes with some room round them.

    Args:
        boxes: (N, 4) float x1, y1, x2, y2. N at least 1.
        padded_hw: Height and width of the whole picture, at which the view ends.

    >>> close_view(np.array([[40.0, 40.0, 80.0, 60.0]]), (100, 100))
    (32.0, 22.0, 88.0, 78.0)
    """
    x1, y1 = boxes[:, :2].min(axis=0).tolist()
    x2, y2 = boxes[:, 2:].max(axis=0).tolist()
    side = max(max(x2 - x1, y2 - y1) * (1 + 2 * ROOM), LEAST_VIEW)
    left, right = _stretch(x1, x2, side, padded_hw[1])
    top, bottom = _stretch(y1, y2, side, padded_hw[0])
    return left, top, right, bottom


def _stretch(low: float, high: float, side: float, most: int) -> tuple[float, float]:
    side = min(side, most)
    first = min(max((low + high - side) / 2, 0.0), most - side)
    return round(first, 2), round(first + side, 2)
