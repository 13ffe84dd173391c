"""What was drawn on pictures, with classes by name, put together into a set.

Drawing tools differ in how they write a shape, not in what they mean. Each reader makes `Page`s of `Drawn` and
`Skipped`, and `assemble` gives them labels.

Letters: K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Annotation, Box, Dataset, LeftOut, Record, Rings, Runs, sift
from maskrcnn.data.formats.curves import rectangle_ring
from maskrcnn.data.formats.fields import number, whole
from maskrcnn.data.formats.pictures import locate
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.images import read_image
from maskrcnn.errors import AnnotationError
from maskrcnn.ops.rle import EMPTY_BITMAP, Bitmap, clip

_MOST_PIXELS = 1 << 30

ONLY_CLASS = "object"
"""The class of a set in which none is named."""


@dataclass(frozen=True)
class Drawn:
    """A shape that becomes an object, or a part of one.

    Attributes:
        name: What errors call it, such as `shape 3`.
        where: File, name and picture, for errors.
        class_name: Its class.
        shape: Its outline or run lengths; None where it is a box only.
        box: x1, y1, x2, y2, where the source says one.
        group: Shapes of one picture and class with the same group are one object; None for an object of its own.
    """

    name: str
    where: str
    class_name: str
    shape: Rings | Runs | None
    box: Box | None = None
    group: str | None = None


@dataclass(frozen=True)
class Skipped:
    """A shape that cannot become an object.

    Attributes:
        name: What errors call it.
        reason: Why.
        code: Which of the findings this is.
    """

    name: str
    reason: str
    code: str = "G202"


@dataclass(frozen=True)
class Page:
    """A picture and what was drawn on it.

    Attributes:
        name: The picture's name in the set.
        path: Where it lies.
        size_hw: Upright height and width.
        drawn: Its shapes, in the file's order.
        columns: What else is known of the picture.
        read: How its pixels are read from `path`.
    """

    name: str
    path: Path
    size_hw: tuple[int, int]
    drawn: Sequence[Drawn | Skipped]
    columns: Mapping[str, str] = field(default_factory=dict)
    read: Callable[[Path], NDArray[np.generic]] = read_image


def assemble(
    source: Path,
    format_name: str,
    pages: Iterable[Page],
    reading: Reading,
    declared: Mapping[int, str] | None = None,
    left_out: Sequence[LeftOut] = (),
) -> Dataset:
    """Make a set of pages.

    Args:
        source: The annotation file or folder.
        format_name: Its kind.
        pages: The pictures; they get the ids 1, 2, ... in this order.
        reading: What becomes of objects of an unknown class.
        declared: The classes by the file's own ids; None where the file declares none: then they are those
            that occur, in alphabetical order.
        left_out: What is known already to belong to none of the pages.

    Raises:
        AnnotationError: There is no page, or an object is of a class that is not declared.
    """
    pages = [replace(page, drawn=_joined(page)) for page in pages]
    if declared is None:
        occurring = sorted({each.class_name for page in pages for each in page.drawn if isinstance(each, Drawn)})
        declared = dict(enumerate(occurring or [ONLY_CLASS], start=1))
    label_of = {name: label for label, name in enumerate(declared.values())}

    def annotation(each: Drawn) -> Annotation:
        if each.class_name not in label_of:
            raise AnnotationError(
                f"{each.where}: expected one of the classes {_first(label_of)}, got {each.class_name!r}", code="C301"
            )
        return Annotation(each.name, label_of[each.class_name], each.shape, each.box)

    records = [
        Record(
            page.name,
            page.path,
            image_id,
            page.size_hw,
            tuple(reading.each((each for each in page.drawn if isinstance(each, Drawn)), annotation)),
            columns=page.columns,
            read=page.read,
        )
        for image_id, page in enumerate(pages, start=1)
    ]
    skipped = [
        LeftOut(source, page.name, each.name, each.reason, each.code)
        for page in pages
        for each in page.drawn
        if isinstance(each, Skipped)
    ]
    kept, outside = sift(records, source)
    return Dataset(
        source, format_name, tuple(declared.values()), tuple(declared), kept, [*left_out, *skipped, *outside]
    )


def boxes_as_outlines(pages: Iterable[Page]) -> list[Page]:
    """Give boxes their four sides as outline in a set that has other outlines.

    Beside polygons a rectangle is one more way to draw an outline. In a set that has nothing but rectangles they
    are boxes, and nothing is known of the masks.
    """
    pages = list(pages)
    if not any(isinstance(each, Drawn) and each.shape is not None for page in pages for each in page.drawn):
        return pages
    return [replace(page, drawn=[_outlined(each) for each in page.drawn]) for page in pages]


def _outlined(each: Drawn | Skipped) -> Drawn | Skipped:
    if isinstance(each, Skipped) or each.shape is not None or each.box is None:
        return each
    return replace(each, shape=Rings((rectangle_ring(*each.box),)))


def locate_each(names: Sequence[str], folders: Sequence[Sequence[Path]], source: Path, reading: Reading) -> list[Path]:
    """Find pictures of which each has folders of its own.

    Raises:
        ImageError: Pictures are missing and required.
    """
    lenient = replace(reading, pictures="optional")
    paths = [locate([name], own, source, lenient)[0] for name, own in zip(names, folders, strict=True)]
    missing = [i for i, path in enumerate(paths) if not is_file(path)]
    if missing and reading.pictures == "required":
        everywhere = [folder for i in missing for folder in folders[i]]
        locate([names[i] for i in missing], everywhere, source, reading)
    return paths


def is_file(path: Path) -> bool:
    """Say whether there is a file of this name, which a set says and which may be no name that a file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def stated_size(height: object, width: object, where: str) -> tuple[int, int] | None:
    """Return the height and width that a file says; None where it says neither.

    Raises:
        AnnotationError: They are no whole numbers from 1 up, or those of no picture.
    """
    if height is None and width is None:
        return None
    h, w = (whole(number(side, where, name), where, name, 1) for name, side in (("height", height), ("width", width)))
    if h * w > _MOST_PIXELS:
        raise AnnotationError(f"{where}: expected at most {_MOST_PIXELS:,} pixels, got {h}x{w} (height x width)")
    return h, w


# Groups


def _joined(page: Page) -> list[Drawn | Skipped]:
    """Make one object of the shapes of a class that share a group; it stands where the first of them stood."""
    parts: dict[tuple[str, str], list[Drawn]] = {}
    for each in page.drawn:
        if isinstance(each, Drawn) and each.group is not None:
            parts.setdefault((each.group, each.class_name), []).append(each)
    joined: list[Drawn | Skipped] = []
    for each in page.drawn:
        if isinstance(each, Skipped) or each.group is None:
            joined.append(each)
        elif (mine := parts[each.group, each.class_name])[0] is each:
            joined.append(_union(mine, page.size_hw))
    return joined


def _union(parts: list[Drawn], size_hw: tuple[int, int]) -> Drawn:
    if len(parts) == 1:
        return parts[0]
    first = replace(parts[0], name=" + ".join(part.name for part in parts[:4]) + (" + ..." if len(parts) > 4 else ""))
    if all(part.shape is None for part in parts):
        x1, y1, x2, y2 = zip(*(part.box for part in parts if part.box is not None), strict=True)
        return replace(first, box=(min(x1), min(y1), max(x2), max(y2)))
    shapes = [each.shape for each in map(_outlined, parts) if isinstance(each, Drawn) and each.shape is not None]
    rings = [shape for shape in shapes if isinstance(shape, Rings)]
    if len(rings) == len(shapes):
        return replace(first, shape=Rings(tuple(ring for shape in rings for ring in shape.rings)), box=None)
    bitmap = _overlaid([clip(shape.bitmap(size_hw), size_hw) for shape in shapes])
    return replace(first, shape=Runs.of(bitmap, size_hw), box=None)


def _overlaid(bitmaps: Sequence[Bitmap]) -> Bitmap:
    """Return what is set in any of the bitmaps, in the smallest window that holds them all."""
    filled = [bitmap for bitmap in bitmaps if bitmap.pixels.size]
    if not filled:
        return EMPTY_BITMAP
    x, y = min(each.x for each in filled), min(each.y for each in filled)
    h = max(each.y + each.pixels.shape[0] for each in filled) - y
    w = max(each.x + each.pixels.shape[1] for each in filled) - x
    pixels = np.zeros((h, w), dtype=np.bool_)
    for each in filled:
        rows, columns = each.pixels.shape
        pixels[each.y - y : each.y - y + rows, each.x - x : each.x - x + columns] |= each.pixels
    return Bitmap(x, y, pixels)


def _first(names: Iterable[str]) -> str:
    listed = [repr(name) for name in names]
    return ", ".join(listed[:6]) + (", ..." if len(listed) > 6 else "")
