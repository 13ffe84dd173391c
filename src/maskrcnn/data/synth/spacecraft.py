"""Pictures of spacecraft before stars and planets."""

from __future__ import annotations

import numpy as np

from maskrcnn.data.synth.canvas import Canvas
from maskrcnn.data.synth.craft import TYPES
from maskrcnn.data.synth.lens import Lens
from maskrcnn.data.synth.rendering import Camera, Light, Part, extent, render
from maskrcnn.data.synth.scene import MIN_PIXELS, Scene
from maskrcnn.data.synth.sky import draw_sky
from maskrcnn.data.synth.solids import Floats

CLASSES = tuple(TYPES)
MIN_SHARE = 0.35
TRIES = 12
TRIES_OF_THE_FIRST = 500
MAX_OVERLAP = 0.12  # of the boxes of two craft, in the smaller one
SIZES = (0.32, 0.68)  # of the long side of a craft's box, in short sides of the picture

Box = tuple[float, float, float, float]


def draw_spacecraft(
    rng: np.random.Generator,
    backdrop_rng: np.random.Generator,
    size_hw: tuple[int, int],
    objects: tuple[int, int],
) -> Scene:
    """Draw one to four spacecraft before a sky; see `Artist`."""
    sky = draw_sky(backdrop_rng, size_hw)
    canvas = Canvas(size_hw)
    labels: list[int] = []
    boxes: list[Box] = []
    wanted = rng.choice(np.arange(1, 5), p=[0.3, 0.4, 0.2, 0.1])
    for _ in range(int(np.clip(wanted, *objects))):
        # The first one finds a place after a few tries; the others may be left out of a crowded picture.
        for _ in range(TRIES if labels else TRIES_OF_THE_FIRST):
            label = int(rng.integers(len(CLASSES)))
            box = _add(rng, canvas, label, boxes, sky.light)
            if box is not None:
                labels.append(label)
                boxes.append(box)
                break
    return Scene(canvas, tuple(labels), sky.backdrop, Lens(rng, sky.glare).develop)


def _add(rng: np.random.Generator, canvas: Canvas, label: int, boxes: list[Box], light: Light) -> Box | None:
    """Try to put a craft of a class somewhere; return its box, or None where it would hide too much."""
    turn = random_turn(rng)
    parts = [part.turned(turn) for part in TYPES[CLASSES[label]](rng)]
    camera, box = _aim(rng, parts, canvas.size_hw)
    if any(_overlap(box, other) > MAX_OVERLAP for other in boxes):
        return None
    return box if canvas.add(render(parts, camera, light), MIN_SHARE, MIN_PIXELS) else None


def random_turn(rng: np.random.Generator) -> Floats:
    """Return a rotation (3, 3) float32, every one equally likely, from a random quaternion."""
    a, b, c, d = (q := rng.standard_normal(4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (c * c + d * d), 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), 1 - 2 * (b * b + d * d), 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), 1 - 2 * (b * b + c * c)],
        ],
        dtype=np.float32,
    )


def _aim(rng: np.random.Generator, parts: list[Part], size_hw: tuple[int, int]) -> tuple[Camera, Box]:
    """Choose size and place: mostly whole in the picture, sometimes cut off by its border."""
    distance = float(rng.uniform(6, 14))
    x1, y1, x2, y2 = extent(parts, distance)
    low, high = np.log(SIZES)
    size = float(np.exp(rng.uniform(low, high))) * min(size_hw)
    scale = size / max(x2 - x1, y2 - y1)
    h, w = size_hw
    beyond = 0.15 if rng.random() < 0.2 else 0.0
    left = rng.uniform(-beyond * size, w - (x2 - x1) * scale + beyond * size)
    top = rng.uniform(-beyond * size, h - (y2 - y1) * scale + beyond * size)
    box = (left, top, left + (x2 - x1) * scale, top + (y2 - y1) * scale)
    return Camera(left - x1 * scale, top - y1 * scale, scale, distance), box


def _overlap(first: Box, second: Box) -> float:
    """Return the share of the smaller box that the other covers."""
    w = min(first[2], second[2]) - max(first[0], second[0])
    h = min(first[3], second[3]) - max(first[1], second[1])
    smaller = min((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (first, second))
    return max(w, 0.0) * max(h, 0.0) / smaller
