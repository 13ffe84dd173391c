"""What became of a set when it was written: how much of it is there, and what the format could not hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from maskrcnn.data.dataset import Annotation, Dataset, Record, drawn
from maskrcnn.data.writing.how import Exactness
from maskrcnn.ops.rle import Bitmap

EXACT = 1.0


@dataclass(frozen=True)
class Loss:
    """Something that a format cannot hold.

    Attributes:
        what: What it is and what became of it.
        count: How many objects, pictures or classes have it.
        first: One of them; empty where it is the whole set.
    """

    what: str
    count: int
    first: str

    def __str__(self) -> str:
        such_as = f", such as {self.first}" if self.first else ""
        return f"{self.what} ({self.count:,}{such_as})"


@dataclass(frozen=True)
class Worst:
    """The object that changed most.

    Attributes:
        iou: Pixels in both masks over pixels in either, 0 to 1: the mask that went in and the one that is read.
        name: Which object of which picture.
    """

    iou: float
    name: str


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        pictures: Pictures that came in, all of which are in the new set.
        objects_in: Objects that came in.
        objects: Objects that were written; the others are in `losses`.
        exact: Those of them whose mask, or box where there is no mask, comes out as it went in.
        worst: The written mask that differs most; None where no mask was written.
        losses: What the format cannot hold.
    """

    pictures: int
    objects_in: int
    objects: int
    exact: int
    worst: Worst | None
    losses: tuple[Loss, ...]


class Drawn(NamedTuple):
    """An object on its way out.

    Attributes:
        annotation: As the set has it.
        bitmap: Its pixels; None where it has a box only.
    """

    annotation: Annotation
    bitmap: Bitmap | None


class Tally:
    """Counts what is written while it is written.

    Args:
        dataset: The set that comes in.
        exactness: What the format can hold.
    """

    def __init__(self, dataset: Dataset, exactness: Exactness) -> None:
        self._dataset, self._exactness, self._holds = dataset, exactness, exactness.holds
        self._losses: dict[str, Loss] = {}
        self._used: set[int] = set()
        self._pictures = self._objects_in = self._objects = self._exact = 0
        self._worst: Worst | None = None
        self._boxes, self._first_box = 0, ""

    def objects(self, record: Record) -> Iterator[Drawn]:
        """Count a picture, and give those of its objects that the format can hold, drawn."""
        for annotation in self.annotations(record):
            yield Drawn(annotation, drawn(annotation, record.size_hw))

    def annotations(self, record: Record) -> Iterator[Annotation]:
        """Count a picture, and give those of its objects that the format can hold."""
        self._pictures += 1
        if record.columns and "columns" not in self._holds:
            self.lose("pictures with columns, which are left out", record.name)
        if record.labelled is not None and "labelled" not in self._holds:
            self.lose("partly labelled pictures; that other classes were not looked for is left out", record.name)
        for annotation in record.annotations:
            self._objects_in += 1
            self._used.add(annotation.label)
            reason = self._unfit(annotation)
            if reason is None:
                yield annotation
            else:
                self.lose(reason, name_of(record, annotation))

    def wrote(self, record: Record, annotation: Annotation, iou: float | None) -> None:
        """Count an object that was written.

        Args:
            record: Its picture.
            annotation: The object.
            iou: Of the mask that went in and the one that is read again; None where it has a box only.
        """
        if iou is None:
            self._first_box = self._first_box or name_of(record, annotation)
            self._boxes += 1
        self._objects += 1
        self._exact += iou is None or iou == EXACT
        if iou is not None and (self._worst is None or iou < self._worst.iou):
            self._worst = Worst(iou, name_of(record, annotation))

    def lose(self, what: str, first: str, count: int = 1) -> None:
        """Take note of a loss, and of the first that has it."""
        known = self._losses.get(what, Loss(what, 0, first))
        self._losses[what] = replace(known, count=known.count + count)

    def written(self) -> Written:
        """Return the sum."""
        losses = (*self._losses.values(), *self._of_the_set())
        return Written(self._pictures, self._objects_in, self._objects, self._exact, self._worst, losses)

    def _unfit(self, annotation: Annotation) -> str | None:
        if annotation.crowd and "crowds" not in self._holds:
            return "crowd regions, which are left out"
        if annotation.shape is None and self._exactness.boxes == "left out":
            return "objects with a box only, which are left out"
        return None

    def _of_the_set(self) -> Iterator[Loss]:
        if self._boxes and self._are_outlined():
            yield Loss("objects with a box only, which are read as full rectangles", self._boxes, self._first_box)
        names = self._dataset.class_names
        unused = [name for label, name in enumerate(names) if label not in self._used]
        if unused and "classes" not in self._holds:
            yield Loss("classes without an object, which are left out", len(unused), repr(unused[0]))
        if "ids" not in self._holds and self._dataset.category_ids != tuple(range(1, len(names) + 1)):
            yield Loss("category ids, which are left out", len(names), "")
        wider = [name for name in self._dataset.supercategories if name]
        if wider and "supercategories" not in self._holds:
            yield Loss("supercategories, which are left out", len(set(wider)), repr(wider[0]))

    def _are_outlined(self) -> bool:
        boxes = self._exactness.boxes
        return boxes == "as rectangles" or (boxes == "kept where all are" and self._boxes < self._objects)


def name_of(record: Record, annotation: Annotation) -> str:
    """Say which object of which picture it is."""
    return f"{annotation.name} of {record.name}"


def renamed(class_names: Sequence[str], unfit: re.Pattern[str], tally: Tally) -> list[str]:
    """Put `-` for what a format cannot have in the name of a class, so that no two names are alike; say so."""
    given: dict[str, str] = {}
    for name in class_names:
        plain = base = unfit.sub("-", name)
        number = 1
        while plain in given.values():
            number += 1
            plain = f"{base}-{number}"
        given[name] = plain
        if plain != name:
            tally.lose("classes whose name can't be written, which are renamed", f"{name!r} to {plain!r}")
    return list(given.values())


def overlap(a: Bitmap, b: Bitmap) -> float:
    """Return the pixels in both masks over the pixels in either; 1 where neither has any.

    >>> two, one = np.ones((1, 2), dtype=bool), np.ones((1, 1), dtype=bool)
    >>> overlap(Bitmap(4, 7, two), Bitmap(5, 7, one))
    0.5
    """
    (ah, aw), (bh, bw) = a.pixels.shape, b.pixels.shape
    x1, y1 = max(a.x, b.x), max(a.y, b.y)
    x2, y2 = max(x1, min(a.x + aw, b.x + bw)), max(y1, min(a.y + ah, b.y + bh))
    both = int(
        np.count_nonzero(
            a.pixels[y1 - a.y : y2 - a.y, x1 - a.x : x2 - a.x] & b.pixels[y1 - b.y : y2 - b.y, x1 - b.x : x2 - b.x]
        )
    )
    either = int(np.count_nonzero(a.pixels)) + int(np.count_nonzero(b.pixels)) - both
    return both / either if either else 1.0
