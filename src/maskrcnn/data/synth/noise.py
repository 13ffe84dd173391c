"""Cloudy noise that repeats at its borders, and its bilinear lookup.

Letters: N side of a tile; n points.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray


def cloud(rng: np.random.Generator, side: int, slope: float) -> NDArray[np.float32]:
    """Make noise whose spectrum falls as frequency ** (-slope), tileable, with mean 0 and deviation 1.

    Args:
        rng: Where the noise comes from.
        side: N, samples a side.
        slope: 1 is rough, 2 is smooth.

    Returns:
        (N, N) float32.
    """
    spectrum = np.fft.rfft2(rng.standard_normal((side, side), dtype=np.float32))
    field = np.fft.irfft2(spectrum * _falling(side, slope), s=(side, side))
    result: NDArray[np.float32] = (field / field.std()).astype(np.float32)
    return result


@cache
def _falling(side: int, slope: float) -> NDArray[np.float64]:
    """Return the factor of each frequency of a tile; 0 for the mean."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    frequency[0, 0] = np.inf
    factor: NDArray[np.float64] = frequency**-slope
    return factor


def sample(tile: NDArray[np.float32], x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Look a tile up between its samples; it goes on for ever in both directions.

    Args:
        tile: (N, N) float32.
        x: (n) float32. Column, in samples.
        y: (n) float32. Row, in samples.

    Returns:
        (n) float32.

    >>> sample(np.array([[0, 4], [8, 12]], np.float32), np.float32([0.5, 2]), np.float32([0, 0.25]))
    array([2., 2.], dtype=float32)
    """
    side = tile.shape[0]
    left, top = np.floor(x), np.floor(y)
    right_share, low_share = x - left, y - top
    column, row = left.astype(np.int32) % side, top.astype(np.int32) % side
    next_column, next_row = (column + 1) % side, (row + 1) % side
    upper = tile[row, column] * (1 - right_share) + tile[row, next_column] * right_share
    lower = tile[next_row, column] * (1 - right_share) + tile[next_row, next_column] * right_share
    result: NDArray[np.float32] = upper * (1 - low_share) + lower * low_share
    return result
