"""Ranges of areas: COCO's small, medium and large, and ranges with free borders."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.errors import InputError

_MOST = 1e10  # pycocotools' largest area


class Area(NamedTuple):
    """A range of areas in pixels, both ends in it: an object outside of it is ignored, not missed."""

    name: str
    low: float
    high: float
    words: str

    def outside(self, areas: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Say which areas are not in the range."""
        return (areas < self.low) | (areas > self.high)


ALL = Area("all", 0.0, _MOST, "all areas")
AREAS = (
    ALL,
    Area("small", 0.0, 32.0**2, "small (under 32² pixels)"),
    Area("medium", 32.0**2, 96.0**2, "medium (32² to 96² pixels)"),
    Area("large", 96.0**2, _MOST, "large (over 96² pixels)"),
)


def between(sides: Sequence[float]) -> tuple[Area, ...]:
    """Return the ranges between borders, given as the side of a square of that area, and those below and above.

    >>> [area.name for area in between([16, 64])]
    ['under_16', '16_to_64', 'over_64']

    Raises:
        InputError: There is none, one is not above 0, or they do not rise.
    """
    if not sides or sides[0] <= 0 or list(sides) != sorted(set(sides)):
        raise InputError(f"sizes: expected borders above 0 that rise, such as 32 and 96, got {list(sides)}")
    first, last = sides[0], sides[-1]
    inner = [
        Area(f"{low:g}_to_{high:g}", low**2, high**2, f"areas of {low:g}² to {high:g}² pixels")
        for low, high in itertools.pairwise(sides)
    ]
    return (
        Area(f"under_{first:g}", 0.0, first**2, f"areas under {first:g}² pixels"),
        *inner,
        Area(f"over_{last:g}", last**2, _MOST, f"areas over {last:g}² pixels"),
    )
