"""One colour per class name, the same in every run, chosen so that the classes of one model look different.

Colours lie on rings of equal lightness in OKLab, bright enough for dark and dark enough for light ground.

References: Ottosson 2020, https://bottosson.github.io/posts/oklab/
Letters: S colours to choose from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

RGB = tuple[int, int, int]

_RINGS = ((0.72, 0.17), (0.62, 0.19), (0.80, 0.13), (0.55, 0.15))  # lightness and chroma, the favourite first
_HUES = 24
_APART = (0.13, 0.10, 0.07, 0.05, 0.03, 0.0)  # distances in OKLab tried in turn; 0.02 is just noticeable


def palette(class_names: Sequence[str]) -> tuple[RGB, ...]:
    """Return a colour for each class, in order.

    A class has the colour that `colour` gives its name, unless another class of the same list has a similar
    one; then the later one by hash moves to its next choice. The order of the list does not matter.

    Args:
        class_names: The classes in label order.

    >>> palette(("cat", "dog")) == palette(("dog", "cat"))[::-1]
    True
    """
    return _palette(tuple(class_names))


def colour(class_name: str) -> RGB:
    """Return the colour that a class name has when nothing else claims it.

    >>> colour("cat") == palette(["cat"])[0]
    True
    """
    return _palette((class_name,))[0]


def ink_on(background: RGB) -> RGB:
    """Return black or white, whichever has the higher contrast (WCAG) on a background.

    >>> ink_on((255, 255, 0)), ink_on((0, 0, 160))
    ((0, 0, 0), (255, 255, 255))
    """
    linear = _to_linear(np.array(background) / 255)
    luminance = float(linear @ np.array([0.2126, 0.7152, 0.0722]))
    return (0, 0, 0) if (luminance + 0.05) ** 2 > 0.05 * 1.05 else (255, 255, 255)


@lru_cache(maxsize=64)
def _palette(class_names: tuple[str, ...]) -> tuple[RGB, ...]:
    lab, rgb = _choices()
    nearest = np.full(len(lab), np.inf)
    chosen: dict[str, int] = {}
    for name in sorted(set(class_names), key=_digest):
        wishes = _wishes(name)
        apart = next(limit for limit in _APART if (nearest >= limit).any())
        chosen[name] = int(wishes[np.argmax(nearest[wishes] >= apart)])
        nearest = np.minimum(nearest, np.linalg.norm(lab - lab[chosen[name]], axis=1))
    return tuple(rgb[chosen[name]] for name in class_names)


def _digest(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _wishes(name: str) -> NDArray[np.int64]:
    """Order the S colours by preference of a name: its own hue first, then round the circle."""
    first = int.from_bytes(_digest(name)) % _HUES
    hues = (first + np.arange(_HUES) * 7) % _HUES  # 7 and 24 share no divisor, so every hue comes once
    wishes: NDArray[np.int64] = np.concatenate([ring * _HUES + hues for ring in range(len(_RINGS))])
    return wishes


@lru_cache(maxsize=1)
def _choices() -> tuple[NDArray[np.float64], list[RGB]]:
    """Return the S colours in OKLab, (S, 3), and in sRGB."""
    hues = np.arange(_HUES) * (2 * np.pi / _HUES)
    rings = [
        np.stack([np.full(_HUES, light), chroma * np.cos(hues), chroma * np.sin(hues)], axis=1)
        for light, chroma in _RINGS
    ]
    lab = np.concatenate(rings)
    rgb = np.round(_to_srgb(lab) * 255).astype(int)
    return lab, [(r, g, b) for r, g, b in rgb.tolist()]


def _to_srgb(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn OKLab (S, 3) into sRGB in [0, 1]; what the screen can't show is clipped."""
    to_cone = np.array(
        [
            [1, 0.3963377774, 0.2158037573],
            [1, -0.1055613458, -0.0638541728],
            [1, -0.0894841775, -1.2914855480],
        ]
    )
    to_linear = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip((lab @ to_cone.T) ** 3 @ to_linear.T, 0, 1)
    srgb: NDArray[np.float64] = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return srgb


def _to_linear(srgb: NDArray[np.float64]) -> NDArray[np.float64]:
    linear: NDArray[np.float64] = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return linear
