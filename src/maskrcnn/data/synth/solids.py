"""Solid forms and where rays meet them.

A ray is origin + t · direction; either may be one vector or one a ray. Lengths have no unit.

Letters: n rays or points, k pairs of parallel faces.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Vectors = tuple[Floats, Floats, Floats]

_IS_HIGH = np.arange(8) >> np.arange(3)[:, None] & 1 > 0


class Hits(NamedTuple):
    """Where rays meet a form.

    Attributes:
        t: (n) float32. How far along each ray, inf where it misses.
        face: (n) int8. Which face it meets; the form knows the meaning.
    """

    t: Floats
    face: NDArray[np.int8]


class Solid(Protocol):
    """A form around its own origin."""

    def cast(self, origin: Vectors, direction: Vectors) -> Hits:
        """Find the first point of each ray on the form."""

    def normals(self, points: Floats, face: NDArray[np.int8]) -> Floats:
        """Return the unit normals, (3, n) float32, at points (3, n) float32 of known faces (n) int8."""

    def corners(self) -> Floats:
        """Return the corners of a box around the form: (3, 8) float32."""


def _box_corners(low: Floats, high: Floats) -> Floats:
    return np.where(_IS_HIGH, high[:, None], low[:, None])


class Convex:
    """The points between k pairs of parallel faces, symmetric about the origin.

    Args:
        axes: (k, 3) float32. Unit normal of each pair.
        halves: (k) float32. Distance of each pair's faces from the origin.
        reach: (3) float32. Half sides of a box around it.
    """

    def __init__(self, axes: Floats, halves: Floats, reach: Floats) -> None:
        self._axes, self._halves, self._reach = axes, halves, reach

    def cast(self, origin: Vectors, direction: Vectors) -> Hits:
        """Clip each ray by one pair of faces after the other."""
        enter, leave = np.full(1, -np.inf, dtype=np.float32), np.full(1, np.inf, dtype=np.float32)
        face: NDArray[np.int8] = np.zeros(1, dtype=np.int8)
        for index, (axis, half) in enumerate(zip(self._axes, self._halves, strict=True)):
            start, slope = _dot(axis, origin), _dot(axis, direction)
            inverse = 1 / _nonzero(slope)
            middle, spread = -start * inverse, half * np.abs(inverse)
            near = middle - spread
            face = np.where(near > enter, np.int8(index), face)
            enter, leave = np.maximum(enter, near), np.minimum(leave, middle + spread)
        met = (enter <= leave) & (leave > 0)
        return Hits(np.where(met, enter, np.float32(np.inf)), face)

    def normals(self, points: Floats, face: NDArray[np.int8]) -> Floats:
        """Return the normal of the pair, on the side where the point is."""
        normals = self._axes[face].T
        outward: Floats = normals * np.sign((normals * points).sum(axis=0))
        return outward

    def corners(self) -> Floats:
        """Return the corners of the box that was given."""
        return _box_corners(-self._reach, self._reach)


class Lathe:
    """A form turned about the z axis: x² + y² = a z² + b z + c between two heights.

    Args:
        profile: a, b and c.
        low: Smallest z.
        high: Largest z.
        closed: Whether flat discs close both ends; an open one is a thin shell seen from both sides.
    """

    def __init__(self, profile: tuple[float, float, float], low: float, high: float, closed: bool) -> None:
        self._profile, self._low, self._high, self._closed = profile, low, high, closed

    def cast(self, origin: Vectors, direction: Vectors) -> Hits:
        """Solve the quadratic of the wall, then look at the discs."""
        t, face = self._wall(origin, direction), np.int8(0)
        if not self._closed:
            return Hits(t, np.broadcast_to(face, t.shape))
        faces: NDArray[np.int8] = np.zeros(t.shape, dtype=np.int8)
        for index, z in ((1, self._low), (2, self._high)):
            disc = self._disc(origin, direction, z)
            faces = np.where(disc < t, np.int8(index), faces)
            t = np.minimum(t, disc)
        return Hits(t, faces)

    def _wall(self, origin: Vectors, direction: Vectors) -> Floats:
        a, b, c = (np.float32(value) for value in self._profile)
        (ox, oy, oz), (dx, dy, dz) = origin, direction
        square = dx * dx + dy * dy - a * dz * dz
        linear = ox * dx + oy * dy - a * oz * dz - b * dz / 2
        constant = ox * ox + oy * oy - (a * oz + b) * oz - c
        discriminant = linear * linear - square * constant
        missed = discriminant < 0
        # This form loses no digits where the square vanishes, as it does along the axis.
        larger = -(linear + np.copysign(np.sqrt(np.where(missed, 0, discriminant)), linear))
        first = self._between(larger / _nonzero(square), oz, dz, missed)
        second = self._between(constant / _nonzero(larger), oz, dz, missed)
        return np.minimum(first, second)

    def _between(self, t: Floats, oz: Floats, dz: Floats, missed: NDArray[np.bool_]) -> Floats:
        z = oz + t * dz
        outside = missed | (z < self._low) | (z > self._high) | (t <= 0)
        return np.where(outside, np.float32(np.inf), t)

    def _disc(self, origin: Vectors, direction: Vectors, z: float) -> Floats:
        (ox, oy, oz), (dx, dy, dz) = origin, direction
        t = (np.float32(z) - oz) / _nonzero(dz)
        x, y = ox + t * dx, oy + t * dy
        outside = (x * x + y * y > self._radius_squared(z)) | (t <= 0)
        return np.where(outside, np.float32(np.inf), t)

    def _radius_squared(self, z: float) -> np.float32:
        a, b, c = self._profile
        return np.float32(max((a * z + b) * z + c, 0.0))

    def normals(self, points: Floats, face: NDArray[np.int8]) -> Floats:
        """Return the slope of the wall, or the direction of the disc."""
        a, b, _ = self._profile
        x, y, z = points
        wall = np.stack([x, y, -a * z - np.float32(b / 2)])
        wall /= np.maximum(np.linalg.norm(wall, axis=0), 1e-9)
        disc = np.zeros_like(wall)
        disc[2] = np.where(face == 1, -1, 1)
        return np.where(face == 0, wall, disc)

    def corners(self) -> Floats:
        """Return the corners of the upright box around it."""
        a, b, _ = self._profile
        heights = [self._low, self._high]
        if a < 0:
            heights.append(min(max(-b / (2 * a), self._low), self._high))
        radius = np.sqrt(max(self._radius_squared(z) for z in heights))
        low = np.array([-radius, -radius, self._low], dtype=np.float32)
        return _box_corners(low, np.array([radius, radius, self._high], dtype=np.float32))


def _dot(axis: Floats, vectors: Vectors) -> Floats:
    x, y, z = vectors
    result: Floats = axis[0] * x + axis[1] * y + axis[2] * z
    return result


def _nonzero(divisor: Floats) -> Floats:
    return np.where(np.abs(divisor) < 1e-9, np.float32(1e-9), divisor)


def box(x: float, y: float, z: float) -> Convex:
    """Make a box of these sides."""
    halves = np.array([x / 2, y / 2, z / 2], dtype=np.float32)
    return Convex(np.eye(3, dtype=np.float32), halves, halves)


def hexagonal_prism(radius: float, height: float) -> Convex:
    """Make a prism along z whose faces are `radius` from the axis."""
    angles = np.arange(3) * np.pi / 3
    around = np.stack([np.cos(angles), np.sin(angles), np.zeros(3)], axis=1)
    axes = np.concatenate([around, [[0.0, 0.0, 1.0]]]).astype(np.float32)
    halves = np.array([radius, radius, radius, height / 2], dtype=np.float32)
    reach = np.array([radius * 1.1548, radius * 1.1548, height / 2], dtype=np.float32)
    return Convex(axes, halves, reach)


def cylinder(radius: float, height: float) -> Lathe:
    """Make a cylinder along z."""
    return Lathe((0.0, 0.0, radius**2), -height / 2, height / 2, closed=True)


def cone(low_radius: float, high_radius: float, height: float) -> Lathe:
    """Make a cone along z that is cut off at both ends."""
    middle, slope = (low_radius + high_radius) / 2, (high_radius - low_radius) / height
    return Lathe((slope**2, 2 * middle * slope, middle**2), -height / 2, height / 2, closed=True)


def bowl(radius: float, depth: float) -> Lathe:
    """Make a thin paraboloid whose lowest point is the origin and that opens along z."""
    return Lathe((0.0, radius**2 / depth, 0.0), 0.0, depth, closed=False)


def ball(radius: float) -> Lathe:
    """Make a ball."""
    return Lathe((-1.0, 0.0, radius**2), -radius, radius, closed=False)
