"""What is behind a spacecraft: stars, a planet with its air and clouds, and the glare of the sun.

All colours are linear light, in which 1 is about white. The axes are the camera's: x right, y down, z away.

Letters: H, W height and width of the picture; N side of a noise tile; n points on a planet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.synth.noise import cloud, sample
from maskrcnn.data.synth.rendering import Light

Floats = NDArray[np.float32]
TILE = 256


class Sky(NamedTuple):
    """A backdrop and the light that falls from it on what is in front.

    Attributes:
        backdrop: (H, W, 3) float32.
        glare: (H, W, 3) float32. Light scattered in the lens, before everything.
        light: What shines on a craft there.
    """

    backdrop: Floats
    glare: Floats
    light: Light


class Planet(NamedTuple):
    """A ball in the picture.

    Attributes:
        x: Column of its centre, in pixels.
        y: Row of its centre, in pixels.
        radius: In pixels.
    """

    x: float
    y: float
    radius: float


def _colour(*rgb: float) -> Floats:
    return np.array(rgb, dtype=np.float32)


def _unit(vector: Floats) -> Floats:
    result: Floats = (vector / np.linalg.norm(vector)).astype(np.float32)
    return result


def _smooth(x: Floats, low: float, high: float) -> Floats:
    """Rise from 0 to 1 between two values."""
    share = np.clip((x - np.float32(low)) / np.float32(high - low), 0, 1)
    risen: Floats = share * share * (3 - 2 * share)
    return risen


def _mix(first: Floats, second: Floats, share: Floats) -> Floats:
    result: Floats = first + (second - first) * share
    return result


def _grid(size_hw: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return the centres of the pixels: columns (1, W) and rows (H, 1)."""
    h, w = size_hw
    return np.arange(w, dtype=np.float32)[None, :] + 0.5, np.arange(h, dtype=np.float32)[:, None] + 0.5


def _stars(rng: np.random.Generator, size_hw: tuple[int, int]) -> Floats:
    h, w = size_hw
    count = int(rng.uniform(0.0012, 0.005) * h * w)
    x, y = rng.uniform(0, w - 1, count), rng.uniform(0, h - 1, count)
    bright = np.minimum(0.03 / rng.uniform(0.004, 1, count) ** 0.9, 2.5)
    warmth = rng.uniform(-1, 1, count)
    tint = np.stack([1 + 0.25 * warmth, np.ones(count), 1 - 0.3 * warmth], axis=1) * bright[:, None]
    field = np.zeros((h, w, 3), dtype=np.float32)
    left, top = x.astype(np.intp), y.astype(np.intp)
    for down in (0, 1):
        for right in (0, 1):
            share = np.abs(1 - right - (x - left)) * np.abs(1 - down - (y - top))
            np.add.at(field, (top + down, left + right), share[:, None] * tint)
    return field


def _haze(rng: np.random.Generator, size_hw: tuple[int, int]) -> Floats:
    """Return a band of unresolved stars and dust across the picture."""
    x, y = _grid(size_hw)
    h, w = size_hw
    angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.3, 0.3)
    across = (np.cos(angle) * (x - w / 2) + np.sin(angle) * (y - h / 2)) / max(h, w) - offset
    step = np.float32(TILE / 4 / max(h, w))
    columns, rows = (axis.ravel() for axis in np.broadcast_arrays(x * step, y * step))
    dust = sample(cloud(rng, TILE // 2, 1.5), columns, rows).reshape(h, w)
    band = np.exp(-((across / 0.22) ** 2)) * np.clip(0.6 + 0.4 * dust, 0, 2)
    tint = _colour(0.9, 0.75, 1.0) * rng.uniform(0.6, 1.2, 3).astype(np.float32)
    haze: Floats = (rng.uniform(0.0, 0.05) * band[:, :, None] * tint).astype(np.float32)
    return haze


class Ground(NamedTuple):
    """Colour of a planet's surface and of its air.

    Attributes:
        colour: (n, 3) float32.
        shine: (n) float32. How much of it mirrors the sun, as water does.
    """

    colour: Floats
    shine: Floats


Painter = Callable[[np.random.Generator, Floats, Floats], Ground]


def _ocean_world(rng: np.random.Generator, u: Floats, v: Floats) -> Ground:
    land_tile, cloud_tile = cloud(rng, TILE, 1.75), cloud(rng, TILE, 1.45)
    height = sample(land_tile, u, v)
    land = _smooth(height, 0.25, 0.4)[:, None]
    soil = _mix(_colour(0.07, 0.12, 0.03), _colour(0.36, 0.25, 0.12), _smooth(height, 0.5, 1.5)[:, None])
    water = _mix(_colour(0.006, 0.03, 0.1), _colour(0.02, 0.12, 0.2), _smooth(height, -0.6, 0.3)[:, None])
    swirl = 9 * sample(land_tile, 0.6 * v + 40, 0.6 * u)
    cover = _smooth(sample(cloud_tile, 1.3 * u + swirl, 1.3 * v - swirl), rng.uniform(-0.2, 0.6), 1.9)[:, None]
    colour = _mix(_mix(water, soil, land), _colour(0.85, 0.87, 0.9), cover)
    return Ground(colour, ((1 - land) * (1 - cover))[:, 0])


def _desert_world(rng: np.random.Generator, u: Floats, v: Floats) -> Ground:
    height = sample(cloud(rng, TILE, 1.6), u, v)
    dark, pale = _colour(0.16, 0.06, 0.03), _colour(0.5, 0.26, 0.13)
    dust = _smooth(sample(cloud(rng, TILE, 1.9), 0.7 * u, 0.7 * v), 0.6, 2.0)[:, None]
    colour = _mix(_mix(dark, pale, _smooth(height, -1.3, 1.3)[:, None]), _colour(0.6, 0.42, 0.3), dust)
    return Ground(colour, np.zeros_like(height))


def _banded_world(rng: np.random.Generator, u: Floats, v: Floats) -> Ground:
    wobble = sample(cloud(rng, TILE, 1.8), 0.5 * u, v)
    tone = sample(cloud(rng, TILE, 1.2), np.zeros_like(u), 0.5 * v + 3.0 * wobble)
    hue = [
        (_colour(0.42, 0.28, 0.17), _colour(0.62, 0.52, 0.4)),
        (_colour(0.06, 0.2, 0.34), _colour(0.2, 0.42, 0.5)),
    ]
    low, high = hue[rng.integers(2)]
    return Ground(_mix(low, high, _smooth(tone, -1.4, 1.4)[:, None]), np.zeros_like(tone))


def _grey_world(rng: np.random.Generator, u: Floats, v: Floats) -> Ground:
    plain, rough = (
        sample(cloud(rng, TILE, 1.7), 0.6 * u, 0.6 * v),
        sample(cloud(rng, TILE, 0.9), 2 * u, 2 * v),
    )
    tone = 0.1 + 0.12 * _smooth(plain, -1.0, 0.8) + 0.05 * np.clip(rough, -1.5, 1.5)
    return Ground(np.maximum(tone, 0.02)[:, None] * _colour(1.0, 0.97, 0.92), np.zeros_like(tone))


class World(NamedTuple):
    """A kind of planet: what paints it, and the colour and depth (share of the radius) of its air."""

    paint: Painter
    air: Floats
    depth: float


WORLDS = (
    World(_ocean_world, _colour(0.22, 0.5, 1.0), 0.022),
    World(_ocean_world, _colour(0.22, 0.5, 1.0), 0.022),
    World(_ocean_world, _colour(0.25, 0.55, 1.0), 0.018),
    World(_desert_world, _colour(0.8, 0.5, 0.3), 0.01),
    World(_banded_world, _colour(0.5, 0.55, 0.6), 0.012),
    World(_grey_world, _colour(0.0, 0.0, 0.0), 0.01),
)


def _place_planet(rng: np.random.Generator, size_hw: tuple[int, int], sun: Floats) -> Planet:
    """Put a wide limb, lit from above, across a side of the picture, or a whole planet somewhere in it."""
    h, w = size_hw
    short = min(size_hw)
    if rng.random() < 0.3:
        radius = short * rng.uniform(0.15, 0.42)
        return Planet(rng.uniform(0, w), rng.uniform(0, h), radius)
    radius = short * rng.uniform(0.9, 2.6)
    angle = np.arctan2(-sun[1], -sun[0]) + rng.uniform(-1.5, 1.5)
    edge = short * rng.uniform(-0.25, 0.3)
    return Planet(w / 2 + np.cos(angle) * (radius + edge), h / 2 + np.sin(angle) * (radius + edge), radius)


def _draw_planet(rng: np.random.Generator, sky: Floats, planet: Planet, world: World, sun: Floats) -> Floats:
    """Return a sky (H, W, 3) with a planet before it."""
    x, y = _grid((sky.shape[0], sky.shape[1]))
    x, y = np.broadcast_arrays((x - planet.x) / planet.radius, (y - planet.y) / planet.radius)
    x, y = x.astype(np.float32), y.astype(np.float32)
    away = np.hypot(x, y)
    edge = np.clip((1 - away) * planet.radius + 0.5, 0, 1)[:, :, None]
    inside = np.nonzero(edge[:, :, 0] > 0)
    drawn = sky * (1 - edge)
    drawn[inside] += edge[inside] * _globe(rng, x[inside], y[inside], planet.radius, world, sun)
    lit = np.clip((x * sun[0] + y * sun[1]) / np.maximum(away, 1e-3) - 0.5 * sun[2] + 0.35, 0, 1.3)
    height = np.maximum(away - 1, 0) / world.depth
    halo = (np.exp(-height * 1.4) + 0.18 * np.exp(-height / 2.5)) * lit
    result: Floats = drawn + (1 - edge) * (0.75 * halo[:, :, None] * world.air)
    return result


def _globe(rng: np.random.Generator, x: Floats, y: Floats, radius: float, world: World, sun: Floats) -> Floats:
    """Return the light (n, 3) of points of a ball's face, x and y in radii from its centre."""
    away = np.minimum(np.hypot(x, y), 0.9999)
    depth = np.sqrt(1 - away * away)
    stretch = np.arcsin(away) / np.maximum(away, 1e-4)
    detail = np.float32(TILE * np.clip(radius / 420, 0.25, 0.9))
    c, s = (np.float32(f(rng.uniform(0, 2 * np.pi))) for f in (np.cos, np.sin))
    norm = np.hypot(c, s)
    u = (c * x + s * y) / norm * stretch * detail + np.float32(rng.uniform(0, TILE))
    v = (c * y - s * x) / norm * stretch * detail + np.float32(rng.uniform(0, TILE))
    ground = world.paint(rng, u, v)
    facing = x * sun[0] + y * sun[1] - depth * sun[2]
    day = _smooth(facing, -0.12, 0.9)[:, None] * np.float32(0.6)
    dusk = np.exp(-(((facing - 0.08) / 0.1) ** 2))[:, None] * _colour(0.12, 0.04, 0.01) * (world.air.max() > 0)
    mirror = _unit(sun - _colour(0, 0, 1))
    glint = np.maximum(x * mirror[0] + y * mirror[1] - depth * mirror[2], 0) ** 40 * ground.shine
    air = (1 - depth)[:, None] ** 2.2 * world.air * np.clip(facing + 0.25, 0, 1)[:, None]
    lit = ground.colour * (day + dusk) + glint[:, None] * _colour(0.9, 0.8, 0.6) * day
    result: Floats = lit * (1 - 0.5 * (1 - depth)[:, None]) + air + 0.002 * world.air
    return result


def _glare(rng: np.random.Generator, size_hw: tuple[int, int], sun: Floats) -> Floats:
    """Return the glow of a sun near the border, its rays, and a few reflections in the lens."""
    h, w = size_hw
    x, y = _grid(size_hw)
    side = _unit(sun[:2])
    reach = rng.uniform(0.75, 1.1)
    at = np.array([w / 2 + side[0] * reach * w / 2, h / 2 + side[1] * reach * h / 2], dtype=np.float32)
    dx, dy = (x - at[0]) / min(h, w), (y - at[1]) / min(h, w)
    away = np.hypot(dx, dy)
    angle = np.arctan2(dy, dx)
    rays = 1 + 0.5 * np.cos(6 * angle + rng.uniform(0, 6)) ** 8 + 0.25 * np.cos(11 * angle + rng.uniform(0, 6)) ** 6
    glow = 0.0035 / (away**2 + 0.0012) * rays + 0.05 * np.exp(-away / 0.3)
    glare: Floats = glow[:, :, None].astype(np.float32) * _colour(1.0, 0.9, 0.74)
    return glare + _ghosts(rng, size_hw, at)


def _ghosts(rng: np.random.Generator, size_hw: tuple[int, int], at: Floats) -> Floats:
    """Return pale discs on the line from the sun through the middle of the picture."""
    h, w = size_hw
    x, y = _grid(size_hw)
    discs = np.zeros((h, w, 3), dtype=np.float32)
    for along in rng.uniform(0.5, 2.1, 3):
        cx, cy = at[0] + (w / 2 - at[0]) * along, at[1] + (h / 2 - at[1]) * along
        radius = min(h, w) * rng.uniform(0.025, 0.09)
        away = np.hypot(x - cx, y - cy) / radius
        ring = _smooth(1 - away, 0, 0.12) * (0.35 + 0.65 * np.minimum(away, 1) ** 2)
        discs += ring[:, :, None] * rng.uniform(0.0, 0.035, 3).astype(np.float32)
    return discs


def _sun_direction(rng: np.random.Generator) -> Floats:
    """Choose where the sun is: mostly behind the camera or beside it, so that something can be seen."""
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(-0.9, -0.1)
    flat = np.sqrt(1 - depth**2)
    return _colour(np.cos(angle) * flat, np.sin(angle) * flat, depth)


def draw_sky(rng: np.random.Generator, size_hw: tuple[int, int]) -> Sky:
    """Draw a backdrop of its own for every state of `rng`."""
    sun = _sun_direction(rng)
    backdrop = _stars(rng, size_hw) + _haze(rng, size_hw) + _colour(0.0012, 0.0014, 0.0022)
    glow, glow_colour = -sun, _colour(0.02, 0.025, 0.04)
    if rng.random() < 0.72:
        planet, world = _place_planet(rng, size_hw, sun), WORLDS[rng.integers(len(WORLDS))]
        backdrop = _draw_planet(rng, backdrop, planet, world, sun)
        h, w = size_hw
        size = min(planet.radius / min(size_hw), 1.0)
        glow = _unit(_colour(planet.x - w / 2, planet.y - h / 2, 0.35 * planet.radius + 1))
        glow_colour = np.float32(0.3 * size) * (_colour(0.3, 0.3, 0.3) + 0.7 * world.air)
    glare = np.zeros_like(backdrop)
    if sun[2] > -0.5 and rng.random() < 0.4:
        glare = _glare(rng, size_hw, sun)
    light = Light(sun, _colour(1.7, 1.64, 1.54), glow, glow_colour, _colour(0.2, 0.21, 0.24))
    return Sky(backdrop, glare, light)
