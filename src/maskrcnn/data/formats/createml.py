"""Create ML's JSON, as Roboflow exports it too: a list of pictures with boxes in pixels.

`x` and `y` are the middle of a box, as Apple's tools have it. Some writers put its upper left corner there: where
boxes about a middle leave their pictures and boxes from a corner do not, they are corners.

A `_classes.csv` of Roboflow lies in the same place and says what is in a picture, not where. It is recognised, so
that this can be said.

References: developer.apple.com/documentation/createml (object detection data sources).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from maskrcnn.data.dataset import Box, Dataset
from maskrcnn.data.formats.drafts import Draft, Thing, assemble
from maskrcnn.data.formats.fields import expected, listing, mapping, number, text
from maskrcnn.data.formats.pictures import is_file, locate
from maskrcnn.data.formats.place import Place
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.images import header_size
from maskrcnn.errors import AnnotationError, FormatError

CLASSES_FILE = "_classes.csv"

_SIGNS = (b'"image"', b'"imagefilename"', b'"coordinates"')
_HEADER = b"filename"
_BORDER = 1.0  # pixels that a box may leave its picture by, for rounding


class _Sized(NamedTuple):
    """A box of which it is not known yet whether x and y are its middle or its corner."""

    name: str
    class_name: str
    x: float
    y: float
    w: float
    h: float

    def about_middle(self) -> Box:
        return self.x - self.w / 2, self.y - self.h / 2, self.x + self.w / 2, self.y + self.h / 2

    def from_corner(self) -> Box:
        return self.x, self.y, self.x + self.w, self.y + self.h


class _Sheet(NamedTuple):
    name: str
    boxes: list[_Sized]


def find(place: Place) -> list[Path]:
    """List Create ML's files of a place, or Roboflow's list of classes."""
    maybe = (path for path in place.ending(".json") if any(sign in place.head(path) for sign in _SIGNS))
    found = [path for path in maybe if _recognises(place.json(path))]
    return found or [path for path in place.files if path.name == CLASSES_FILE and _HEADER in place.head(path, 64)]


def _recognises(document: object) -> bool:
    entries = document if isinstance(document, list) else []
    first = entries[0] if entries else None
    return isinstance(first, dict) and bool({"image", "imagefilename"} & first.keys()) and "annotations" in first


def read(source: Path, reading: Reading) -> Dataset:
    """Read a file of Create ML; its pictures are needed, for it does not say their sizes.

    Raises:
        FormatError: It is a list of classes without boxes.
        AnnotationError: The file is broken, or an entry is not what Create ML reads.
        ImageError: Pictures are missing.
    """
    if source.name == CLASSES_FILE:
        raise FormatError(
            f"{source}: expected outlines or boxes, got a classification export of Roboflow, which says what is in "
            "a picture and not where; export the set as COCO segmentation"
        )
    entries = enumerate(listing(reading.json(source), str(source), "top level"))
    sheets = list(reading.each(entries, lambda item: _sheet(*item, source, reading)))
    here = source.parent
    paths = locate(
        [sheet.name for sheet in sheets], [here, here / "images"], source, replace(reading, pictures="required")
    )
    there = [each for each in zip(sheets, paths, strict=True) if is_file(each[1])]  # what is not is reported
    sized = list(reading.each(there, lambda each: (*each, header_size(each[1]))))
    place = _Sized.from_corner if _are_corners(sized) else _Sized.about_middle
    drafts = [
        Draft(sheet.name, path, size_hw, [Thing(b.name, b.class_name, None, place(b)) for b in sheet.boxes])
        for sheet, path, size_hw in sized
    ]
    return assemble(source, "createml", drafts, reading)


def _sheet(i: int, value: object, source: Path, reading: Reading) -> _Sheet:
    entry = mapping(value, f"{source}: [{i}]", "entry")
    name = text(entry.get("image") or entry.get("imagefilename"), f"{source}: [{i}]", "image")
    where = f"{source}: {name}"
    objects = enumerate(listing(entry.get("annotations") or [], where, "annotations"))
    return _Sheet(name, list(reading.each(objects, lambda item: _box(*item, where))))


def _box(i: int, value: object, picture: str) -> _Sized:
    name = f"annotation {i}"
    where = f"{picture}: {name}"
    entry = mapping(value, where, "entry")
    label = entry.get("label")
    if not isinstance(label, str) or not label.strip():
        raise AnnotationError(f"{where}: label: expected a class, got {label!r:.40}", code="C302")
    at = mapping(entry.get("coordinates"), where, "coordinates")
    x, y, w, h = (number(at.get(field), where, field) for field in ("x", "y", "width", "height"))
    if min(w, h) < 0:
        raise expected("a width and a height from 0 up", [w, h], where, "coordinates")
    return _Sized(name, " ".join(label.split()), x, y, w, h)


def _are_corners(sized: Sequence[tuple[_Sheet, Path, tuple[int, int]]]) -> bool:
    boxes = [(box, size_hw) for sheet, _, size_hw in sized for box in sheet.boxes]
    middle = all(_is_inside(box.about_middle(), size_hw) for box, size_hw in boxes)
    return not middle and all(_is_inside(box.from_corner(), size_hw) for box, size_hw in boxes)


def _is_inside(box: Box, size_hw: tuple[int, int]) -> bool:
    x1, y1, x2, y2 = box
    return min(x1, y1) >= -_BORDER and x2 <= size_hw[1] + _BORDER and y2 <= size_hw[0] + _BORDER
