"""What a camera does to light: blur, vignette, exposure, noise, and rounding to eight bits.

Letters: H, W height and width of the picture.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Lens:
    """A camera with its own small faults.

    Args:
        rng: Where they come from.
        glare: (H, W, 3) float32. Linear light scattered in the lens.
    """

    def __init__(self, rng: np.random.Generator, glare: Floats) -> None:
        self._glare = glare
        self._blur = np.float32(rng.uniform(0.0, 0.16))
        self._vignette = np.float32(rng.uniform(0.05, 0.4))
        self._exposure = np.float32(rng.uniform(0.75, 1.05))
        self._noise = rng.uniform(1.0, 5.0) * rng.standard_normal(glare.shape, dtype=np.float32)

    def develop(self, light: Floats) -> NDArray[np.uint8]:
        """Turn linear light (H, W, 3) float32 into a picture (H, W, 3) uint8."""
        exposed = self._exposure * self._darken(_blur(light + self._glare, self._blur))
        display = _film(exposed) ** np.float32(1 / 2.2)
        return np.clip(display * 255 + self._noise + 0.5, 0, 255).astype(np.uint8)

    def _darken(self, light: Floats) -> Floats:
        y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in light.shape[:2])
        darkening = 1 - self._vignette * (x[None, :] ** 2 + y[:, None] ** 2) / 2
        return (light * darkening[:, :, None]).astype(np.float32)


def _film(light: Floats) -> Floats:
    """Bend light as film does, with a soft shoulder and a dark toe; Narkowicz's fit of the ACES curve."""
    bent = light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14)
    return np.clip(bent, 0, 1).astype(np.float32)


def _blur(light: Floats, share: np.float32) -> Floats:
    """Give a share of every pixel's light to each pair of its neighbours, first across, then down."""
    for axis in (0, 1):
        padding = [(1, 1) if axis == side else (0, 0) for side in range(3)]
        padded = np.pad(light, padding, mode="edge")
        before, after = (
            np.split(padded, [2], axis=axis)[1],
            np.split(padded, [light.shape[axis]], axis=axis)[0],
        )
        light = light * (1 - share) + (before + after) * (share / 2)
    return light
