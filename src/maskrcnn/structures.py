"""The nouns: a picture with its instances, masks that live inside their boxes, and a batch for the model.

Letters: N instances of one picture, K classes, H, W height and width of the picture; h, w of a window; M side of a
mask patch; B pictures of a batch, G slots for ground truth, I slots for ignored regions, T cells of a table.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.ops.paste import Paste, paste
from maskrcnn.ops.polygons import Polygon, trace
from maskrcnn.ops.rle import RLE, Bitmap, encode_each

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "Batch",
    "Bitmap",
    "Bitmaps",
    "Instances",
    "MaskTable",
    "Masks",
    "Patches",
    "Sample",
]

Index = slice | Sequence[int] | NDArray[np.int64] | NDArray[np.bool_]


class Masks(ABC):
    """N masks of one picture, each inside its own box; anything as large as the picture is made when asked for."""

    size_hw: tuple[int, int]

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def crop(self, i: int) -> Bitmap:
        """Return mask i inside its window, clipped to the picture."""

    @abstractmethod
    def select(self, index: Index) -> Masks:
        """Return the masks that an index array, a boolean array or a slice names."""

    def crops(self) -> Iterator[Bitmap]:
        """Make one window after the other."""
        return (self.crop(i) for i in range(len(self)))

    def dense(self) -> NDArray[np.bool_]:
        """Return (N, H, W) bool, the only form that takes N·H·W bytes."""
        out = np.zeros((len(self), *self.size_hw), dtype=np.bool_)
        for plane, (x, y, pixels) in zip(out, self.crops(), strict=True):
            plane[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
        return out

    def rle(self) -> list[RLE]:
        """Return COCO's compressed run lengths, one a mask, in time and memory proportional to the boxes."""
        return encode_each(self.crops(), self.size_hw)

    def polygons(self) -> list[list[Polygon]]:
        """Return the exact outlines of each mask: its parts, each with its holes, in pixels of the picture."""
        return [trace(bitmap) for bitmap in self.crops()]

    def areas(self) -> NDArray[np.int64]:
        """Return (N) int64, the pixels of each mask."""
        return np.array([np.count_nonzero(bitmap.pixels) for bitmap in self.crops()], dtype=np.int64)


class Bitmaps(Masks):
    """Ground truth: small boolean windows at whole-pixel offsets."""

    def __init__(self, bitmaps: Sequence[Bitmap], size_hw: tuple[int, int]) -> None:
        for i, (x, y, pixels) in enumerate(bitmaps):
            h, w = pixels.shape
            if x < 0 or y < 0 or x + w > size_hw[1] or y + h > size_hw[0]:
                raise ValueError(
                    f"mask {i}: expected a window inside {size_hw[0]}x{size_hw[1]}, got x {x}, y {y}, {h}x{w}"
                )
        self.bitmaps = tuple(bitmaps)
        self.size_hw = size_hw

    def __len__(self) -> int:
        return len(self.bitmaps)

    def crop(self, i: int) -> Bitmap:
        """Return mask i as it is kept."""
        return self.bitmaps[i]

    def select(self, index: Index) -> Bitmaps:
        """Return the named masks."""
        return Bitmaps([self.bitmaps[i] for i in _positions(index, len(self))], self.size_hw)

    def boxes(self) -> NDArray[np.float32]:
        """Return (N, 4) float32 x1, y1, x2, y2: the windows' borders, tight where the windows are."""
        edges = [(x, y, x + p.shape[1], y + p.shape[0]) for x, y, p in self.bitmaps]
        return np.array(edges, dtype=np.float32).reshape(-1, 4)


class Patches(Masks):
    """Predictions: M by M probabilities over a box that may lie anywhere between pixels.

    Args:
        probabilities: (N, M, M) float32 in [0, 1], rows from the top.
        boxes: (N, 4) float32 x1, y1, x2, y2. In pixels of the picture.
        size_hw: Height and width of the picture.
        threshold: A pixel belongs to the mask where its probability is at least this.
        way: How a patch becomes pixels.
    """

    def __init__(
        self,
        probabilities: NDArray[np.float32],
        boxes: NDArray[np.float32],
        size_hw: tuple[int, int],
        threshold: float = 0.5,
        way: Paste = paste,
    ) -> None:
        if probabilities.ndim != 3 or len(probabilities) != len(boxes):
            raise ValueError(
                f"probabilities: expected ({len(boxes)}, M, M) to go with the boxes, got {probabilities.shape}"
            )
        self.probabilities = probabilities
        self.boxes = boxes
        self.size_hw = size_hw
        self.threshold = threshold
        self.way = way

    def __len__(self) -> int:
        return len(self.boxes)

    def crop(self, i: int) -> Bitmap:
        """Paste patch i into the pixels that its box covers."""
        return self.way(self.probabilities[i], self.boxes[i], self.size_hw, self.threshold)

    def select(self, index: Index) -> Patches:
        """Return the named masks."""
        keep = _positions(index, len(self))
        return Patches(self.probabilities[keep], self.boxes[keep], self.size_hw, self.threshold, self.way)


def _positions(index: Index, length: int) -> NDArray[np.int64]:
    return np.arange(length)[index].reshape(-1)


@dataclass(frozen=True)
class Instances:
    """The N objects of one picture, annotated or predicted.

    Attributes:
        size_hw: Height and width of the picture.
        boxes: (N, 4) float32 x1, y1, x2, y2. Continuous pixels of the picture.
        labels: (N) int64 in [0, K). Index into `class_names`.
        class_names: The K classes, in label order.
        masks: N masks, or None where the source has boxes only.
        scores: (N) float32 in [0, 1]. Probabilities; ones for annotations.
        crowd: (N) bool. True where the region holds many objects and is ignored rather than learnt.

    Raises:
        ValueError: A length, a shape or a label does not fit the others.
    """

    size_hw: tuple[int, int]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    masks: Masks | None = None
    scores: NDArray[np.float32] = field(default=None)  # type: ignore[arg-type]  # ones, made below
    crowd: NDArray[np.bool_] = field(default=None)  # type: ignore[arg-type]  # zeros, made below

    def __post_init__(self) -> None:
        n = len(self.labels)
        if self.scores is None:
            object.__setattr__(self, "scores", np.ones(n, dtype=np.float32))
        if self.crowd is None:
            object.__setattr__(self, "crowd", np.zeros(n, dtype=np.bool_))
        if self.boxes.shape != (n, 4):
            raise ValueError(f"boxes: expected shape ({n}, 4) to go with the labels, got {self.boxes.shape}")
        for name, length in (("scores", len(self.scores)), ("crowd", len(self.crowd))):
            if length != n:
                raise ValueError(f"{name}: expected {n} to go with the labels, got {length}")
        if self.masks is not None and (len(self.masks), self.masks.size_hw) != (n, self.size_hw):
            raise ValueError(f"masks: expected {n} of {self.size_hw}, got {len(self.masks)} of {self.masks.size_hw}")
        if n and not (self.labels.min() >= 0 and self.labels.max() < len(self.class_names)):
            raise ValueError(
                f"labels: expected 0 to {len(self.class_names) - 1}, got {self.labels.min()} to {self.labels.max()}"
            )

    @classmethod
    def empty(cls, size_hw: tuple[int, int], class_names: Sequence[str]) -> Instances:
        """Return a picture in which nothing is."""
        boxes, labels = np.zeros((0, 4), dtype=np.float32), np.zeros(0, dtype=np.int64)
        return cls(size_hw, boxes, labels, tuple(class_names), Bitmaps([], size_hw))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Index) -> Instances:
        """Return the instances that an index array, a boolean array or a slice names."""
        keep = _positions(index, len(self))
        return Instances(
            self.size_hw,
            self.boxes[keep],
            self.labels[keep],
            self.class_names,
            None if self.masks is None else self.masks.select(keep),
            self.scores[keep],
            self.crowd[keep],
        )

    @property
    def names(self) -> list[str]:
        """The class name of each of the N instances."""
        return [self.class_names[label] for label in self.labels]


@dataclass(frozen=True)
class Sample:
    """One picture of a data set, read, with its instances.

    Attributes:
        image: (H, W, bands) of any dtype, uint8 RGB as a rule, upright (EXIF orientation applied).
        instances: What is annotated on it.
        path: Where the picture came from.
        image_id: The id by which results name the picture (COCO's `image_id`).
        labelled: The labels of the classes that were looked for in it; None for all of them. An object of another
            class may be in it without being annotated.
    """

    image: NDArray[np.generic]
    instances: Instances
    path: Path
    image_id: int
    labelled: frozenset[int] | None = None

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[:2] != self.instances.size_hw:
            raise ValueError(
                f"{self.path}: expected a picture of {self.instances.size_hw} with bands last, got {self.image.shape}"
            )


class MaskTable(NamedTuple):
    """The ground-truth masks of a batch as summed-area tables, one behind the other in one flat array.

    A mask of h by w pixels takes (h + 1)(w + 1) cells; cell (y, x) holds the number of mask pixels above and left of
    that pixel corner, so the covered part of any box is four look-ups.

    Attributes:
        sums: (T) int32. All tables, row by row; T at least 1.
        start: (B, G) int64. Where each table begins; 0 for an empty slot.
        window: (B, G, 4) int64 x, y, h, w. The place of each mask in its padded picture; zeros for an empty slot.
        known: (B, G) bool. True where the slot has a mask (data with boxes only trains boxes only).
    """

    sums: Tensor
    start: Tensor
    window: Tensor
    known: Tensor


class Batch(NamedTuple):
    """B pictures padded to one shape, with ground truth in a fixed number of slots.

    Attributes:
        images: (B, C, H, W) uint8 or float32. Pixel values as read, before normalisation; the padding is zero.
        size_hw: (B, 2) int64. Height and width of each picture without padding.
        boxes: (B, G, 4) float32 x1, y1, x2, y2. Pixels of the padded picture.
        labels: (B, G) int64. Classes in [0, K); -1 for an empty slot.
        ignored: (B, I, 4) float32. Regions that are neither object nor background (crowds); zero area when empty.
        masks: The masks of the boxes.
        keys: (B) int64. A random number a picture, from which all sampling in the step follows.
        labelled: (B, K) bool. True where the class was looked for in the picture, so that what is not annotated is
            not there; (B, 0) where every class was in every picture.
    """

    images: Tensor
    size_hw: Tensor
    boxes: Tensor
    labels: Tensor
    ignored: Tensor
    masks: MaskTable
    keys: Tensor
    labelled: Tensor
