"""How a set is written, and what a format can hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from maskrcnn.data.dataset import Dataset, Record

Boxes = Literal["kept", "kept where all are", "as rectangles", "left out"]
Held = Literal["crowds", "overlaps", "classes", "ids", "supercategories", "columns", "labelled"]
Masks = Literal["pixels", "outlines", "labels"]
Way = Literal["copy", "link", "none"]
Placing = Literal["copy", "link", "keep", "none"]


@dataclass(frozen=True)
class Exactness:
    """What comes out of a format as it went in.

    Attributes:
        masks: `pixels`, all of them as they are; `outlines`, which are exact unless they are simplified; `labels`,
            one number a pixel, so that overlaps are lost.
        boxes: What becomes of objects with a box only: some readers take a box for an outline in a set that has
            outlines too.
        holds: What else it can hold.
    """

    masks: Masks
    boxes: Boxes
    holds: frozenset[Held]


@dataclass(frozen=True)
class Writing:
    """How a set is written.

    Attributes:
        exactness: What the format can hold.
        tolerance: Pixels by which an outline may be simplified; 0 for exact ones.
        pictures: What becomes of the pictures.
        progress: Is told how many pictures are done, of how many.
    """

    exactness: Exactness
    tolerance: float
    pictures: Placing
    progress: Callable[[int, int], None]

    def records(self, dataset: Dataset) -> Iterator[Record]:
        """Give one picture after the other, and say how far it is."""
        total = len(dataset)
        for done, record in enumerate(dataset.records):
            self.progress(done, total)
            yield record
        self.progress(total, total)
