"""New pictures from cut-outs over backgrounds, with exact masks of what remains visible.

Every picture is a function of the order and its number: a set of a hundred begins with the ten of a set of ten,
and a command that was cut off goes on when it is given again.

References: Dwibedi et al., Cut, Paste and Learn (2017); the winners of the Pose Bowl challenge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from maskrcnn.data.compose.cutouts import CutOuts
from maskrcnn.data.compose.scene import Composed, arrange, background
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.images import list_images
from maskrcnn.data.synth.layouts import CocoLayout, Record
from maskrcnn.data.synth.writing import write_set
from maskrcnn.errors import InputError

__all__ = ["Look", "Order", "compose", "draw"]


@dataclass(frozen=True)
class Look:
    """How cut-outs are placed and changed.

    Attributes:
        objects: Fewest and most objects of a picture.
        scale: Smallest and largest longer side of an object, as a share of the picture's shorter side; an
            object is enlarged by half at most.
        turn: Degrees by which an object is turned at most, either way.
        light: Largest relative change of brightness and contrast, and of a shade across the object.
        hidden: Share of an object that the border and objects before it may hide at most.
    """

    objects: tuple[int, int] = (1, 5)
    scale: tuple[float, float] = (0.2, 0.8)
    turn: float = 180.0
    light: float = 0.3
    hidden: float = 0.5

    def __post_init__(self) -> None:
        for name, (low, high), least, most in (
            ("objects", self.objects, 1, 200),
            ("scale", self.scale, 0.01, 4),
            ("turn", (0, self.turn), 0, 180),
            ("light", (0, self.light), 0, 1),
            ("hidden", (0, self.hidden), 0, 0.95),
        ):
            if not least <= low <= high <= most:
                raise InputError(f"{name}: expected from {least:g} up to {most:g}, got {low:g} to {high:g}")


@dataclass(frozen=True)
class Order:
    """What a set is made of; the same order makes the same pictures.

    Attributes:
        objects: Fingerprint of the set that the objects are cut out of.
        backgrounds: Fingerprint of the names of the backgrounds' files.
        count: Number of pictures.
        seed: Start of everything random.
        size_hw: Height and width of every picture; None keeps that of its background.
        look: How objects are placed and changed.
        generation: Grows when the same order would make other pictures than before.
    """

    file: ClassVar[str] = "compose.json"

    objects: str
    backgrounds: str
    count: int
    seed: int
    size_hw: tuple[int, int] | None
    look: Look
    generation: int = 1

    @property
    def kind(self) -> str:
        """What the annotation file calls it."""
        return "composition"

    def values(self) -> dict[str, object]:
        """Return the fields as plain JSON."""
        return asdict(self)


class _Layout(CocoLayout):
    """A COCO set whose pictures remember their background, so that a split can keep them apart."""

    def record(self, index: int, scene: Composed) -> Record:  # type: ignore[override]  # what this layout's scenes are
        record = super().record(index, scene)
        return {**record, "image": {**record["image"], "columns": {"background": scene.background}}}


def compose(
    objects: Dataset,
    out: Path,
    count: int,
    *,
    backgrounds: Sequence[str | Path],
    seed: int = 0,
    size_hw: tuple[int, int] | None = None,
    look: Look | None = None,
    progress: Callable[[int], None] | None = None,
    workers: int = 0,
) -> None:
    """Paste objects of a set over backgrounds and write the pictures as a COCO set.

    Args:
        objects: A set with masks; where a picture file has an alpha channel, that is its objects' soft edge.
        out: Folder of the new set: new, empty, or begun by the same call.
        count: Number of pictures.
        backgrounds: Files, folders and patterns of pictures without objects.
        seed: Start of everything random.
        size_hw: Height and width of every picture, filled by its background; None keeps the background's size.
        look: How objects are placed and changed.
        progress: Is told how many pictures are there, after each.
        workers: Processes; 0 works in this one, -1 takes all cores, at most 8.

    Raises:
        InputError: A number is out of range, or no object has a mask.
        ImageError: There is no background, or a picture can't be read.
        OutputError: The folder holds something else, or a file can't be written.
    """
    look = look or Look()
    if count < 1 or seed < 0 or (size_hw is not None and min(size_hw) < 1):
        raise InputError(f"compose: expected count and size from 1 and seed from 0 up, got {count}, {size_hw}, {seed}")
    paths = tuple(list_images(backgrounds))
    cutouts = CutOuts(objects)
    names = hashlib.sha256("\n".join(path.name for path in paths).encode()).hexdigest()
    order = Order(objects.fingerprint(), names, count, seed, size_hw, look)
    layout = _Layout(order, objects.class_names)
    write_set(Path(out), order, layout, partial(draw, order, cutouts, paths), progress, workers)


def draw(order: Order, cutouts: CutOuts, backgrounds: Sequence[Path], index: int) -> Composed:
    """Make one picture of a set, counted from 0, without writing it."""
    rng = np.random.default_rng([3, order.seed, index])
    path = backgrounds[int(rng.integers(len(backgrounds)))]
    return arrange(background(path, order.size_hw, rng), path.name, cutouts, order.look, rng)
