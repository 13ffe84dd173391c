"""Four types of spacecraft, each with its own livery, in proportions and shades that vary every time one is built.

Lengths have no unit; what matters is the form. The craft's origin is about its middle.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from maskrcnn.data.synth.materials import Colour, Material, Pattern, cells, foil, plain, plates, rings
from maskrcnn.data.synth.rendering import Part
from maskrcnn.data.synth.solids import Floats, Solid, ball, bowl, box, cone, cylinder, hexagonal_prism

Craft = list[Part]

GOLD: Colour = (0.95, 0.62, 0.2)
SILVER: Colour = (0.72, 0.73, 0.76)
WHITE: Colour = (0.82, 0.82, 0.8)
DARK: Colour = (0.06, 0.06, 0.075)
GREY: Colour = (0.35, 0.35, 0.37)
COPPER: Colour = (0.8, 0.42, 0.22)
SAGE: Colour = (0.36, 0.58, 0.3)
AZURE: Colour = (0.12, 0.3, 0.66)
BLUE_CELLS: Colour = (0.04, 0.14, 0.5)
VIOLET_CELLS: Colour = (0.3, 0.07, 0.42)
BRONZE_CELLS: Colour = (0.62, 0.3, 0.06)


def about(axis: str, degrees: float) -> Floats:
    """Return the (3, 3) rotation about the x, y or z axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    turn = np.eye(3, dtype=np.float32)
    turn[first, first], turn[first, second], turn[second, first], turn[second, second] = c, -s, s, c
    return turn


ALONG_X = about("y", 90)
ALONG_Y = about("x", -90)
ALONG_Z = np.eye(3, dtype=np.float32)


def _part(solid: Solid, material: Material, at: Colour = (0.0, 0.0, 0.0), turn: Floats = ALONG_Z) -> Part:
    return Part(solid, material, np.array(at, dtype=np.float32), turn)


def _pick(rng: np.random.Generator, *colours: Colour) -> Colour:
    """Choose one of the colours and shift it a little."""
    shifted = np.array(colours[rng.integers(len(colours))]) * rng.uniform(0.88, 1.12, size=3)
    r, g, b = np.clip(shifted, 0.01, 0.97)
    return float(r), float(g), float(b)


def _solar(rng: np.random.Generator, pitch: float, *colours: Colour) -> Material:
    return Material(_pick(rng, *colours), cells(pitch), gloss=0.4, sharpness=30.0)


def _wrapped(rng: np.random.Generator, size: float) -> Material:
    """Return crinkled golden foil."""
    return Material(_pick(rng, GOLD), foil(size), gloss=0.8, sharpness=14.0)


def _painted(rng: np.random.Generator, colour: Colour, pattern: Pattern = plain) -> Material:
    return Material(_pick(rng, colour), pattern, gloss=0.25)


def cubesat(rng: np.random.Generator) -> Craft:
    """Build a cube of one to two units with cells on its sides, four tape antennas and, often, four flaps."""
    height = float(rng.choice([1.0, 1.5, 2.0]))
    frame = Material(_pick(rng, SILVER, GREY), plain, gloss=0.5)
    side = _solar(rng, 0.25, VIOLET_CELLS)
    parts = [_part(box(0.92, 0.92, height), side)]
    parts += [_part(box(0.14, 0.14, height + 0.06), frame, (x * 0.45, y * 0.45, 0.0)) for x in (-1, 1) for y in (-1, 1)]
    ends = (_wrapped(rng, 0.16), Material(_pick(rng, SILVER, GREY), plates(0.34), gloss=0.4))
    for end, material in zip((-1, 1), ends, strict=True):
        parts.append(_part(box(1.0, 1.0, 0.1), material, (0.0, 0.0, end * height / 2)))
    parts.append(_part(cylinder(0.24, 0.12), Material(DARK, plain, 1.5, 40.0), (0.0, 0.0, height / 2 + 0.08)))
    parts += _tapes(height)
    if rng.random() < 0.6:
        parts += _flaps(rng, height)
    return parts


def _tapes(height: float) -> Craft:
    metal = Material(COPPER, plain, gloss=0.6)
    parts = []
    for angle in (45, 135, 225, 315):
        turn = about("z", angle) @ about("y", 35)
        middle = turn @ np.array([0.75, 0.0, 0.0]) - np.array([0, 0, height / 2])
        parts.append(_part(box(0.75, 0.07, 0.03), metal, (middle[0], middle[1], middle[2]), turn))
    return parts


def _flaps(rng: np.random.Generator, height: float) -> Craft:
    material = _solar(rng, 0.225, VIOLET_CELLS)
    tilt = float(rng.uniform(-10, 50))
    parts = []
    for angle in (0, 90, 180, 270):
        turn = about("z", angle) @ about("y", tilt)
        middle = about("z", angle) @ np.array([0.52, 0.0, 0.0]) + turn @ np.array([0.4, 0.0, 0.0])
        at = (float(middle[0]), float(middle[1]), float(middle[2] - height / 2))
        parts.append(_part(box(0.8, 0.9, 0.05), material, at, turn))
    return parts


def dish_probe(rng: np.random.Generator) -> Craft:
    """Build a wide white dish on a foiled hexagonal bus, with a generator and an instrument on booms."""
    radius, depth = 1.0, float(rng.uniform(0.28, 0.42))
    white = Material(_pick(rng, WHITE), rings(0.09, 0.12), gloss=0.15)
    metal = Material(_pick(rng, GREY, SILVER), plain, gloss=0.5)
    parts = [
        _part(bowl(radius, depth), white, (0.0, 0.0, 0.1)),
        _part(cylinder(0.22, 0.3), metal, (0.0, 0.0, 0.02)),
        _part(hexagonal_prism(0.52, 0.42), _wrapped(rng, 0.11), (0.0, 0.0, -0.25)),
        _part(cone(0.16, 0.28, 0.24), Material(DARK, plain, 0.6), (0.0, 0.0, -0.56), about("x", 180)),
    ]
    parts += _feed(depth + 0.1, metal)
    reach = float(rng.uniform(0.4, 0.6))
    turn = ALONG_X
    parts.append(_part(cylinder(0.05, reach), metal, (0.5 + reach / 2, 0.0, -0.3), turn))
    generator = Material(_pick(rng, DARK, GREY), rings(0.1, 0.5), gloss=0.4)
    parts.append(_part(cylinder(0.15, 0.55), generator, (0.5 + reach, 0.0, -0.3), turn))
    parts.append(_part(box(0.5, 0.06, 0.06), metal, (-0.7, 0.0, -0.3)))
    parts.append(_part(box(0.22, 0.24, 0.3), _wrapped(rng, 0.09), (-1.0, 0.0, -0.3)))
    return parts


def _feed(rim: float, metal: Material) -> Craft:
    """Return the small reflector before a dish and the three struts that hold it."""
    top = rim + 0.3
    parts = [_part(cylinder(0.15, 0.1), metal, (0.0, 0.0, top))]
    for angle in (90, 210, 330):
        foot = about("z", angle) @ np.array([0.8, 0.0, rim - 0.12])
        middle = (foot + np.array([0.0, 0.0, top])) / 2
        rise = float(np.degrees(np.arctan2(top - rim + 0.12, 0.8)))
        turn = about("z", angle) @ about("y", rise)
        parts.append(_part(box(0.88, 0.045, 0.045), metal, (middle[0], middle[1], middle[2]), turn))
    return parts


def telescope(rng: np.random.Generator) -> Craft:
    """Build a long tube with an open lid, a wider aft end and one wing on each side."""
    length, radius = float(rng.uniform(1.9, 2.4)), 0.4
    skin = Material(_pick(rng, SILVER), rings(0.28, 0.22), gloss=0.7, sharpness=16.0)
    aft = _painted(rng, AZURE, plates(0.3))
    front = length / 2
    parts = [
        _part(cylinder(radius, length), skin),
        _part(cylinder(radius * 0.86, 0.02), Material((0.01, 0.01, 0.015), plain, 0.0), (0.0, 0.0, front + 0.01)),
        _part(cylinder(radius * 1.3, length * 0.36), aft, (0.0, 0.0, -front)),
        _part(
            cone(radius * 1.3, radius * 0.7, 0.16),
            aft,
            (0.0, 0.0, -front - length * 0.18 - 0.08),
            about("x", 180),
        ),
        _lid(radius, front, float(rng.uniform(75, 135)), aft),
    ]
    return parts + _wings(rng, radius)


def _lid(radius: float, front: float, degrees: float, material: Material) -> Part:
    turn = about("x", degrees)
    middle = np.array([0.0, -radius, front]) + turn @ np.array([0.0, radius, 0.03])
    return _part(cylinder(radius, 0.05), material, (middle[0], middle[1], middle[2]), turn)


def _wings(rng: np.random.Generator, radius: float) -> Craft:
    material = _solar(rng, 0.16, BLUE_CELLS)
    metal = Material(GREY, plain, gloss=0.4)
    turn = about("x", float(rng.uniform(0, 180)))
    width = float(rng.uniform(0.5, 0.66))
    parts = []
    for side in (-1, 1):
        parts.append(_part(cylinder(0.06, 0.34), metal, (side * (radius + 0.12), 0.0, 0.0), ALONG_X))
        parts.append(_part(box(width, 1.5, 0.05), material, (side * (radius + 0.25 + width / 2), 0.0, 0.0), turn))
    return parts


def station(rng: np.random.Generator) -> Craft:
    """Build modules across a truss that carries four pairs of large panels and two radiators."""
    truss = Material(_pick(rng, GREY, SILVER), plates(0.16, 0.5), gloss=0.3)
    parts = [_part(box(3.4, 0.22, 0.22), truss)]
    solar = _solar(rng, 0.14, BRONZE_CELLS)
    turn = about("x", float(rng.uniform(-35, 35)))
    parts += [_part(box(0.56, 2.3, 0.06), solar, (x, 0.0, 0.0), turn) for x in (-1.56, -0.94, 0.94, 1.56)]
    return parts + _modules(rng) + _radiators(rng)


def _modules(rng: np.random.Generator) -> Craft:
    hull = _painted(rng, SAGE, rings(0.2, 0.2))
    second = _painted(rng, SAGE, plates(0.2))
    length = float(rng.uniform(1.5, 2.1))
    parts = [
        _part(cylinder(0.28, length), hull, (0.0, 0.0, 0.34), ALONG_Y),
        _part(cylinder(0.22, 1.1), second, (0.0, float(rng.uniform(-0.3, 0.3)), 0.34), ALONG_X),
        _part(cone(0.26, 0.1, 0.22), second, (0.0, length / 2 + 0.1, 0.34), ALONG_Y),
        _part(ball(0.3), hull, (0.0, -length / 2, 0.34)),
    ]
    if rng.random() < 0.6:
        parts.append(_part(cylinder(0.18, 0.7), second, (0.0, -0.35, 0.8)))
    return parts


def _radiators(rng: np.random.Generator) -> Craft:
    white = _painted(rng, WHITE, plates(0.2, 0.1))
    turn = about("x", float(rng.uniform(60, 120)))
    return [_part(box(0.3, 0.8, 0.04), white, (x, 0.0, -0.45), turn) for x in (-0.6, 0.6)]


TYPES: dict[str, Callable[[np.random.Generator], Craft]] = {
    "cubesat": cubesat,
    "dish_probe": dish_probe,
    "station": station,
    "telescope": telescope,
}
