"""One number an object in an image as large as the picture, where a pixel has room for one object only.

Letters: H, W height and width of the picture; N objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Record
from maskrcnn.data.writing.tally import Drawn, Tally, name_of, overlap
from maskrcnn.ops.rle import Bitmap, trim


class Painted(NamedTuple):
    """A label image and what it shows.

    Attributes:
        labels: (H, W) int64. 0 for background, i + 1 for `shown[i]`.
        shown: The objects of which a pixel can be seen, each with what can be seen of it, trimmed.
    """

    labels: NDArray[np.int64]
    shown: tuple[Drawn, ...]


def paint(objects: Sequence[Drawn], record: Record, most: int, tally: Tally) -> Painted:
    """Paint objects over each other, the smaller over the larger, so that the worst overlap is small.

    Args:
        objects: Each with its pixels.
        record: Their picture.
        most: Largest number that a pixel can hold; objects beyond it are left out.
        tally: Is told what is written, and what can't be seen.
    """
    kept = objects[:most]
    for annotation, _ in objects[most:]:
        tally.lose(
            f"objects beyond the {most:,} that a picture can have, which are left out", name_of(record, annotation)
        )
    bitmaps = [bitmap for _, bitmap in kept if bitmap is not None]
    labels = np.zeros(record.size_hw, dtype=np.int64)
    for i in sorted(range(len(bitmaps)), key=lambda i: _depth(kept[i])):
        _window(labels, bitmaps[i])[bitmaps[i].pixels] = i + 1
    seen = [_seen(labels, bitmap, i + 1) for i, bitmap in enumerate(bitmaps)]
    for (annotation, _), part, bitmap in zip(kept, seen, bitmaps, strict=True):
        if part.pixels.size:
            tally.wrote(record, annotation, overlap(part, bitmap))
        else:
            tally.lose("objects wholly covered by others, which are left out", name_of(record, annotation))
    shown = [i for i, part in enumerate(seen) if part.pixels.size]
    renumbered = np.zeros(len(kept) + 1, dtype=np.int64)
    renumbered[[i + 1 for i in shown]] = np.arange(1, len(shown) + 1)
    return Painted(renumbered[labels], tuple(Drawn(kept[i].annotation, seen[i]) for i in shown))


def _depth(each: Drawn) -> tuple[bool, int]:
    """Return what decides who lies below whom: crowds below objects, then the larger below the smaller."""
    assert each.bitmap is not None  # only what has pixels is painted
    return not each.annotation.crowd, -int(np.count_nonzero(each.bitmap.pixels))


def _window(labels: NDArray[np.int64], bitmap: Bitmap) -> NDArray[np.int64]:
    h, w = bitmap.pixels.shape
    return labels[bitmap.y : bitmap.y + h, bitmap.x : bitmap.x + w]


def _seen(labels: NDArray[np.int64], bitmap: Bitmap, value: int) -> Bitmap:
    return trim(Bitmap(bitmap.x, bitmap.y, _window(labels, bitmap) == value))
