"""Parts of a craft, seen by a camera and lit by the sun, become a layer.

The camera looks along +z, x runs right and y down. Every sample of the window is one ray; the nearest
part wins, and a second ray to the sun finds the shadows.

Letters: h, w of the window in samples; n covered samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.synth.canvas import SAMPLES, Layer
from maskrcnn.data.synth.materials import Material
from maskrcnn.data.synth.solids import Floats, Solid, Vectors


class Part(NamedTuple):
    """A solid in its place.

    Attributes:
        solid: The form.
        material: Its surface.
        centre: (3) float32. Where its origin is.
        turn: (3, 3) float32. Rotation from its own frame.
    """

    solid: Solid
    material: Material
    centre: Floats
    turn: Floats

    def turned(self, turn: Floats) -> Part:
        """Return the part after the whole craft was rotated."""
        return self._replace(centre=turn @ self.centre, turn=turn @ self.turn)

    def corners(self) -> Floats:
        """Return the corners of a box around it: (3, 8) float32."""
        return self.turn @ self.solid.corners() + self.centre[:, None]

    def to_own(self, vectors: Vectors) -> Vectors:
        """Rotate vectors into the frame of the solid."""
        x, y, z = vectors
        a, b, c = (x * self.turn[0, k] + y * self.turn[1, k] + z * self.turn[2, k] for k in range(3))
        return a, b, c


class Light(NamedTuple):
    """What shines on a craft; directions are unit vectors towards the light, colours are linear.

    Attributes:
        sun: (3) float32. Direction of the sun.
        sun_colour: (3) float32.
        glow: (3) float32. Direction of the planet, or of whatever else is bright.
        glow_colour: (3) float32.
        ambient: (3) float32. Light from everywhere.
    """

    sun: Floats
    sun_colour: Floats
    glow: Floats
    glow_colour: Floats
    ambient: Floats


class Camera(NamedTuple):
    """Where a craft is seen.

    Attributes:
        x: Column of the craft's origin, in pixels.
        y: Row of the craft's origin, in pixels.
        scale: Pixels a unit of length at the origin.
        distance: From the camera to the origin, in units of length.
    """

    x: float
    y: float
    scale: float
    distance: float

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """Return column and row, in pixels, of points (3, n) float32."""
        factor = self.scale * self.distance / (self.distance + points[2])
        return self.x + points[0] * factor, self.y + points[1] * factor

    def rays(self, window: Window) -> Vectors:
        """Return the directions of a window's samples, such that t = 1 is at the distance of the origin."""
        columns = (np.arange(window.x1, window.x2) + 0.5) / SAMPLES - self.x
        rows = (np.arange(window.y1, window.y2) + 0.5) / SAMPLES - self.y
        x, y = columns[None, :] / self.scale, rows[:, None] / self.scale
        return x.astype(np.float32), y.astype(np.float32), np.full((1, 1), self.distance, dtype=np.float32)


class Window(NamedTuple):
    """A rectangle of samples, ends excluded."""

    x1: int
    y1: int
    x2: int
    y2: int


class Surfaces(NamedTuple):
    """What each sample of a window shows, row after row.

    Attributes:
        t: (h·w) float32. How far along its ray, inf where nothing is.
        colour: (3, h·w) float32.
        normals: (3, h·w) float32.
        gloss: (2, h·w) float32. Strength and exponent of the highlight.
    """

    t: Floats
    colour: Floats
    normals: Floats
    gloss: Floats

    def at(self, index: NDArray[np.intp]) -> Surfaces:
        """Return some of the samples."""
        return Surfaces(*(np.take(values, index, axis=-1) for values in self))


def extent(parts: Sequence[Part], distance: float) -> tuple[float, float, float, float]:
    """Return x1, y1, x2, y2 of the parts as a camera sees them, in units of length around the origin."""
    x, y = Camera(0.0, 0.0, 1.0, distance).project(np.concatenate([part.corners() for part in parts], axis=1))
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def render(parts: Sequence[Part], camera: Camera, light: Light) -> Layer:
    """Draw a craft alone.

    Args:
        parts: In the frame of the camera, around the origin.
        camera: Where it is seen.
        light: What shines on it.
    """
    window = _window(parts, camera)
    h, w = window.y2 - window.y1, window.x2 - window.x1
    surfaces = _look(parts, camera, window)
    covered = np.isfinite(surfaces.t)
    index = np.flatnonzero(covered)
    seen = surfaces.at(index)
    x, y, z = camera.rays(window)
    points = np.stack([x[0, index % w] * seen.t, y[index // w, 0] * seen.t, z[0, 0] * (seen.t - 1)])
    colour = np.zeros((h * w, 3), dtype=np.float32)
    colour[index] = _shade(parts, points, seen, light).T
    return Layer(window.x1 // SAMPLES, window.y1 // SAMPLES, colour.reshape(h, w, 3), covered.reshape(h, w))


def _window(parts: Sequence[Part], camera: Camera) -> Window:
    """Return the samples of the whole pixels around the parts."""
    x, y = camera.project(np.concatenate([part.corners() for part in parts], axis=1))
    x1, y1, x2, y2 = np.floor(x.min()), np.floor(y.min()), np.ceil(x.max()), np.ceil(y.max())
    return Window(*(int(side) * SAMPLES for side in (x1, y1, x2, y2)))


def _part_window(part: Part, camera: Camera, whole: Window) -> Window:
    x, y = camera.project(part.corners())
    x1, y1 = int(np.floor(x.min() * SAMPLES)), int(np.floor(y.min() * SAMPLES))
    x2, y2 = int(np.ceil(x.max() * SAMPLES)), int(np.ceil(y.max() * SAMPLES))
    return Window(max(x1, whole.x1), max(y1, whole.y1), min(x2, whole.x2), min(y2, whole.y2))


def _look(parts: Sequence[Part], camera: Camera, window: Window) -> Surfaces:
    count = (window.y2 - window.y1) * (window.x2 - window.x1)
    surfaces = Surfaces(
        np.full(count, np.inf, dtype=np.float32),
        *(np.zeros((channels, count), dtype=np.float32) for channels in (3, 3, 2)),
    )
    # Near parts first, so that little is painted that another part then hides.
    for part in sorted(parts, key=lambda part: float(part.centre[2])):
        _look_at(part, camera, window, surfaces)
    return surfaces


def _look_at(part: Part, camera: Camera, whole: Window, surfaces: Surfaces) -> None:
    """Paint one part into the samples where it is nearer than what they show."""
    window = _part_window(part, camera, whole)
    direction = part.to_own(camera.rays(window))
    origin = part.turn.T @ (np.array([0.0, 0.0, -camera.distance], dtype=np.float32) - part.centre)
    hits = part.solid.cast((origin[0], origin[1], origin[2]), direction)
    w = whole.x2 - whole.x1
    columns, rows = np.arange(window.x1, window.x2) - whole.x1, np.arange(window.y1, window.y2) - whole.y1
    places = rows[:, None] * w + columns
    won = np.flatnonzero(hits.t < surfaces.t[places])
    t, place = hits.t.ravel()[won], places.ravel()[won]
    rays = np.stack([axis.ravel()[won] for axis in direction])
    points = origin[:, None] + t * rays
    normals = part.solid.normals(points, hits.face.ravel()[won])
    normals = normals * -np.sign((normals * rays).sum(axis=0))  # a shell is seen from both sides
    surface = part.material.at(points, normals)
    surfaces.t[place] = t
    surfaces.colour[:, place] = surface.colour
    surfaces.normals[:, place] = part.turn @ surface.normals
    surfaces.gloss[:, place] = np.array([[part.material.gloss], [part.material.sharpness]], dtype=np.float32)


def _shade(parts: Sequence[Part], points: Floats, seen: Surfaces, light: Light) -> Floats:
    """Return the light that comes from points (3, n) float32, as (3, n) float32."""
    facing = light.sun @ seen.normals
    lit = np.flatnonzero(facing > 0)
    lit = lit[~_shadowed(parts, points[:, lit] + np.float32(0.01) * seen.normals[:, lit], light.sun)]
    glow = np.maximum(0.35 + 0.65 * (light.glow @ seen.normals), 0)
    ambient = 0.6 - 0.4 * seen.normals[2]
    shaded: Floats = (light.glow_colour[:, None] * glow + light.ambient[:, None] * ambient) * seen.colour
    shaded[:, lit] += light.sun_colour[:, None] * _sunlit(seen.at(lit), facing[lit], light.sun)
    return shaded


def _sunlit(seen: Surfaces, facing: Floats, sun: Floats) -> Floats:
    """Return the share of sunlight, (3, n) float32, that surfaces in the sun throw at the camera."""
    gloss, sharpness = seen.gloss
    halfway = sun - np.array([0, 0, 1], dtype=np.float32)
    halfway /= np.maximum(np.linalg.norm(halfway), 1e-6)
    highlight = gloss * np.maximum(halfway @ seen.normals, 0) ** sharpness
    # Metal colours its highlights, paint does not: take the middle.
    thrown: Floats = seen.colour * (facing + 0.6 * highlight) + 0.4 * highlight
    return thrown


def _shadowed(parts: Sequence[Part], points: Floats, sun: Floats) -> NDArray[np.bool_]:
    """Say which points (3, n) float32 have a part between them and the sun."""
    from_sun = _facing_frame(sun)
    x, y, z = from_sun @ points
    shadowed = np.zeros(points.shape[1], dtype=np.bool_)
    for part in parts:
        (x1, y1, _), (x2, y2, z2) = ((f(from_sun @ part.corners(), axis=1)) for f in (np.min, np.max))
        near = np.flatnonzero((x > x1) & (x < x2) & (y > y1) & (y < y2) & (z < z2) & ~shadowed)
        direction = part.turn.T @ sun
        origin = part.turn.T @ (points[:, near] - part.centre[:, None])
        hits = part.solid.cast((origin[0], origin[1], origin[2]), (direction[0], direction[1], direction[2]))
        shadowed[near] = np.isfinite(hits.t) & (hits.t > 0)
    return shadowed


def _facing_frame(axis: Floats) -> Floats:
    """Return a rotation (3, 3) float32 whose last row is a unit vector."""
    side = np.eye(3, dtype=np.float32)[np.abs(axis).argmin()]
    right = np.cross(axis, side)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(axis, right), axis]).astype(np.float32)
