"""What the surfaces of a spacecraft look like, as functions of the place on the part.

Letters: n points.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Colour = tuple[float, float, float]


class Surface(NamedTuple):
    """Colour and direction of points of a surface.

    Attributes:
        colour: (3, n) float32. Share of red, green and blue light that is thrown back.
        normals: (3, n) float32. Unit vectors, in the frame of the part.
    """

    colour: Floats
    normals: Floats


Pattern = Callable[[Floats, Surface], Surface]


class Material(NamedTuple):
    """A surface: its pattern and how much it shines.

    Attributes:
        colour: Share of red, green and blue light that is thrown back.
        pattern: Changes colour and normals from place to place.
        gloss: Strength of the highlight.
        sharpness: Exponent of the highlight.
    """

    colour: Colour
    pattern: Pattern
    gloss: float = 0.2
    sharpness: float = 12.0

    def at(self, points: Floats, normals: Floats) -> Surface:
        """Return the surface at points (3, n) float32, in the frame of the part."""
        colour = np.repeat(np.array(self.colour, dtype=np.float32)[:, None], points.shape[1], axis=1)
        return self.pattern(points, Surface(colour, normals))


def _on_face(points: Floats, normals: Floats) -> tuple[Floats, Floats]:
    """Return the two coordinates that run along the face."""
    x, y, z = points
    across = np.abs(normals).argmax(axis=0)
    return np.where(across == 0, y, x), np.where(across == 2, y, z)


def _hash(*cells: Floats) -> Floats:
    """Return a number in [0, 1) that looks random but is the same for the same cell."""
    mixed = np.zeros_like(cells[0], dtype=np.uint32)
    for cell in cells:
        mixed = (mixed ^ cell.astype(np.int32).view(np.uint32)) * np.uint32(0x9E3779B1)
        mixed ^= mixed >> np.uint32(15)
    mixed *= np.uint32(0x85EBCA6B)
    return ((mixed >> np.uint32(8)) / np.float32(2**24)).astype(np.float32)


def _near_line(position: Floats, width: float) -> NDArray[np.bool_]:
    """Say which positions lie within `width` (in cells) of a cell's border."""
    return np.abs(position - np.round(position)) < width / 2


def plain(_points: Floats, surface: Surface) -> Surface:
    """Leave a surface smooth and of one colour."""
    return surface


def cells(pitch: float, line: Colour = (0.75, 0.75, 0.8), width: float = 0.14) -> Pattern:
    """Make solar cells: squares of slightly different colour between bright lines."""

    def pattern(points: Floats, surface: Surface) -> Surface:
        u, v = (along / np.float32(pitch) for along in _on_face(points, surface.normals))
        shade = 0.8 + 0.4 * _hash(np.floor(u), np.floor(v))
        on_line = _near_line(u, width) | _near_line(v, width)
        return surface._replace(
            colour=np.where(on_line, np.array(line, dtype=np.float32)[:, None], surface.colour * shade)
        )

    return pattern


def plates(pitch: float, contrast: float = 0.25) -> Pattern:
    """Make panels of slightly different brightness with dark seams."""

    def pattern(points: Floats, surface: Surface) -> Surface:
        u, v = (along / np.float32(pitch) + np.float32(0.37) for along in _on_face(points, surface.normals))
        shade = 1 - contrast * _hash(np.floor(u), np.floor(v))
        shade = np.where(_near_line(u, 0.08) | _near_line(v, 0.08), shade * 0.55, shade)
        return surface._replace(colour=surface.colour * shade)

    return pattern


def rings(pitch: float, contrast: float = 0.3) -> Pattern:
    """Make bands around the z axis."""

    def pattern(points: Floats, surface: Surface) -> Surface:
        height = points[2] / np.float32(pitch)
        shade = 1 - contrast * _hash(np.floor(height))
        return surface._replace(colour=surface.colour * np.where(_near_line(height, 0.1), shade * 0.6, shade))

    return pattern


def foil(size: float, depth: float = 0.55) -> Pattern:
    """Make crinkled foil: small facets that look in slightly different directions."""

    def pattern(points: Floats, surface: Surface) -> Surface:
        x, y, z = (along / np.float32(size) for along in points)
        facet = [
            np.floor(x + 0.8 * y + 0.3 * z),
            np.floor(y - 0.7 * z + 0.4 * x),
            np.floor(z + 0.6 * x - 0.5 * y),
        ]
        tilt = np.stack([_hash(*facet, np.full_like(x, axis)) for axis in range(3)]) - np.float32(0.5)
        normals = surface.normals + np.float32(2 * depth) * tilt
        normals /= np.linalg.norm(normals, axis=0)
        return Surface(surface.colour * (0.85 + 0.3 * _hash(*facet)), normals)

    return pattern
