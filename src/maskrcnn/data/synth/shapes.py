"""Pictures of squares, circles and triangles, the plainest thing that a detector can learn.

Letters: H, W height and width of the picture; h, w of a window in samples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.synth.canvas import SAMPLES, Canvas, Layer
from maskrcnn.data.synth.noise import cloud
from maskrcnn.data.synth.scene import MIN_PIXELS, Scene

CLASSES = ("circle", "square", "triangle")
MIN_SHARE = 0.35
TRIES = 12
SIZES = (0.08, 0.26)  # radius of the circle around a shape, in short sides of the picture
EMPTY_SHARE = 0.1

Floats = NDArray[np.float32]


def draw_shapes(
    rng: np.random.Generator,
    backdrop_rng: np.random.Generator,
    size_hw: tuple[int, int],
    objects: tuple[int, int],
) -> Scene:
    """Draw none to four shapes on a plain or mottled ground; see `Artist`."""
    backdrop = _ground(backdrop_rng, size_hw)
    ground = backdrop.mean(axis=(0, 1))
    canvas = Canvas(size_hw)
    labels: list[int] = []
    for _ in range(int(np.clip(_count(rng), *objects))):
        for _ in range(TRIES):
            label = int(rng.integers(len(CLASSES)))
            if canvas.add(_shape(rng, label, ground, size_hw), MIN_SHARE, MIN_PIXELS):
                labels.append(label)
                break
    noise = rng.uniform(0, 4) * rng.standard_normal(backdrop.shape, dtype=np.float32)

    def develop(light: Floats) -> NDArray[np.uint8]:
        return np.clip(light * 255 + noise + 0.5, 0, 255).astype(np.uint8)

    return Scene(canvas, tuple(labels), backdrop, develop)


def _count(rng: np.random.Generator) -> int:
    return 0 if rng.random() < EMPTY_SHARE else int(rng.integers(1, 5))


def _ground(rng: np.random.Generator, size_hw: tuple[int, int]) -> Floats:
    """Return one colour, in half of the pictures with spots: (H, W, 3) float32."""
    ground = np.broadcast_to(rng.uniform(0.1, 0.9, 3).astype(np.float32), (*size_hw, 3))
    if rng.random() < 0.5:
        return ground.copy()
    side = max(size_hw)
    spots = np.stack([cloud(rng, side, slope) for slope in rng.uniform(0.3, 1.2, 3)], axis=2)
    return ground + np.float32(rng.uniform(0.02, 0.06)) * spots[: size_hw[0], : size_hw[1]]


def _shape(rng: np.random.Generator, label: int, ground: Floats, size_hw: tuple[int, int]) -> Layer:
    """Return a shape that lies in the picture whole, in a colour that differs from the ground."""
    h, w = size_hw
    radius = rng.uniform(*SIZES) * min(size_hw)
    x, y = rng.uniform(radius, w - radius), rng.uniform(radius, h - radius)
    covered, left, top = _cover(label, x, y, radius, rng.uniform(0, 2 * np.pi))
    colour = rng.uniform(0, 1, 3)
    while np.abs(colour - ground).max() < 0.3:
        colour = rng.uniform(0, 1, 3)
    return Layer(left, top, np.where(covered[:, :, None], colour.astype(np.float32), np.float32(0)), covered)


def _cover(label: int, x: float, y: float, radius: float, angle: float) -> tuple[NDArray[np.bool_], int, int]:
    """Return the samples of a window that a shape covers, and the window's first column and row in pixels.

    A square or triangle is cut out of the circle by straight edges between its corners.
    """
    left, top = int(np.floor(x - radius)), int(np.floor(y - radius))
    right, bottom = int(np.ceil(x + radius)), int(np.ceil(y + radius))
    dx = (np.arange((right - left) * SAMPLES) + 0.5) / SAMPLES + left - x
    dy = (np.arange((bottom - top) * SAMPLES)[:, None] + 0.5) / SAMPLES + top - y
    covered = dx**2 + dy**2 <= radius**2
    edges = {"circle": 0, "square": 4, "triangle": 3}[CLASSES[label]]
    for edge in range(edges):
        turn = angle + 2 * np.pi * edge / edges
        covered &= dx * np.cos(turn) + dy * np.sin(turn) <= radius * np.cos(np.pi / edges)
    return covered, left, top
