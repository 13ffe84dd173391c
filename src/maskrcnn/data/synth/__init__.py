"""Drawn pictures with exact ground truth, for demos and tests: no download, no torch.

Every picture is a function of the kind, the layout, the seed, its number and its size, and of nothing else:
the first ten pictures of a set of a thousand are the ten pictures of a set of ten.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from maskrcnn.data.synth.layouts import LAYOUTS, Call, Layout
from maskrcnn.data.synth.scene import Artist, Scene
from maskrcnn.data.synth.shapes import CLASSES as SHAPES
from maskrcnn.data.synth.shapes import draw_shapes
from maskrcnn.data.synth.spacecraft import CLASSES as SPACECRAFT
from maskrcnn.data.synth.spacecraft import draw_spacecraft
from maskrcnn.data.synth.writing import write_set
from maskrcnn.errors import InputError

__all__ = ["KINDS", "LAYOUTS", "Kind", "Scene", "draw", "synthesise"]

MIN_SIDE = 64


class Kind(NamedTuple):
    """Something that can be drawn.

    Attributes:
        draw: Draws one scene.
        class_names: In label order.
        number: Keeps the randomness of kinds apart.
    """

    draw: Artist
    class_names: tuple[str, ...]
    number: int


KINDS = {"spacecraft": Kind(draw_spacecraft, SPACECRAFT, 1), "shapes": Kind(draw_shapes, SHAPES, 2)}


def synthesise(
    kind: str,
    out: Path,
    count: int,
    *,
    seed: int = 0,
    size_hw: tuple[int, int] = (192, 256),
    layout: str = "coco",
    progress: Callable[[int], None] | None = None,
    workers: int = 0,
) -> None:
    """Draw a set of pictures and write it with its annotations.

    A call that was broken off goes on where it stopped when it is made again; a finished one does nothing.

    Args:
        kind: What to draw: a name in `KINDS`.
        out: Folder of the set: new, empty, or begun by the same call.
        count: Number of pictures.
        seed: Start of everything random; sets with different seeds have no picture in common.
        size_hw: Height and width of every picture, in pixels, at least 64.
        layout: `coco`, or `pose-bowl` with one object a picture: a name in `LAYOUTS`.
        progress: Is told how many pictures are there, after each.
        workers: Processes that draw the same pictures in less time; 0 draws in this one, -1 takes all cores, at most 8.

    Raises:
        InputError: An argument is unknown or out of range.
        OutputError: The folder holds something else, or a file cannot be written.
    """
    _check(kind, count, seed, size_hw, layout)
    call = Call(kind, layout, count, seed, *size_hw)
    write_set(Path(out), call, _layout(call), partial(draw, call), progress, workers)


def draw(call: Call, index: int) -> Scene:
    """Draw one picture of a set, counted from 0, without writing it."""
    kind, layout = KINDS[call.kind], _layout(call)
    rng = np.random.default_rng([1, kind.number, call.seed, index])
    backdrop_rng = np.random.default_rng([2, kind.number, call.seed, layout.background(index)])
    return kind.draw(rng, backdrop_rng, (call.height, call.width), layout.objects)


def _layout(call: Call) -> Layout:
    return LAYOUTS[call.layout](call, KINDS[call.kind].class_names)


def _check(kind: str, count: int, seed: int, size_hw: tuple[int, int], layout: str) -> None:
    for what, name, known in (("kind", kind, KINDS), ("layout", layout, LAYOUTS)):
        if name not in known:
            raise InputError(f"{what}: expected one of {', '.join(known)}, got {name!r}")
    for what, value, least in (("count", count, 1), ("seed", seed, 0), ("size", min(size_hw), MIN_SIDE)):
        if value < least:
            raise InputError(f"{what}: expected at least {least}, got {value}")
