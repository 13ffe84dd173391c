"""SA-1B, the set of Segment Anything: beside each picture a JSON file with its masks, which have no class.

Every mask becomes an object of one class. Of a folder, the JSON files that lie directly in it are the set.

References: ai.meta.com/datasets/segment-anything.
"""

from __future__ import annotations

from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from maskrcnn.data.columns import Builder, ColumnRecords, Placed
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.coco_annotations import Picture, annotation_of, shape_of
from maskrcnn.data.formats.coco_records import side_by_side
from maskrcnn.data.formats.fields import listing, mapping, text, whole
from maskrcnn.data.formats.pictures import places
from maskrcnn.data.formats.place import Place
from maskrcnn.data.formats.reading import Reading
from maskrcnn.errors import AnnotationError

ONLY_CLASS = "object"
"""The class of every mask."""

_FORMAT = "segment-anything"
_LOOKED_AT = 3


class _File(NamedTuple):
    where: str
    picture: Picture
    size_hw: tuple[int, int]
    annotations: list[object]


def find(place: Place) -> list[Path]:
    """List the file, or the folder itself where the first of its JSON files are of this kind."""
    files = place.ending(".json")
    return [place.path] if any(_recognises(place.json(path)) for path in islice(files, _LOOKED_AT)) else []


def _recognises(document: object) -> bool:
    if not isinstance(document, dict):
        return False
    image = document.get("image")
    return isinstance(image, dict) and "file_name" in image and isinstance(document.get("annotations"), list)


def read(source: Path, reading: Reading) -> Dataset:
    """Read a folder of SA-1B, or one file of it.

    Args:
        source: The folder or the JSON file.
        reading: What becomes of faults; pictures may be missing as long as the files say their sizes.

    Raises:
        AnnotationError: A file is broken, or a field of it is not what SA-1B says.
        ImageError: Pictures are missing.
    """
    files = Place(source).ending(".json")
    builder = Builder()
    seen: set[int] = set()
    pictures: list[Picture] = []
    for file in reading.each(files, lambda path: _file(path, reading, seen)):
        placed = reading.each(enumerate(file.annotations), partial(_placed, file=file, picture=len(pictures)))
        builder.add(list(placed))
        pictures.append(file.picture)
    if not pictures:
        raise AnnotationError(f"{source}: expected at least one picture, got none")
    paths = places([picture.name for picture in pictures], [files[0].parent], files[0], reading)
    columns, left_out = builder.finish(side_by_side(pictures), source)
    return Dataset(source, _FORMAT, (ONLY_CLASS,), (1,), ColumnRecords(columns, paths), left_out)


def _file(path: Path, reading: Reading, seen: set[int]) -> _File:
    where = str(path)
    root = mapping(reading.json(path), where, "top level")
    entry = mapping(root.get("image"), where, "image")
    image_id = whole(entry.get("image_id"), where, "image_id")
    if image_id in seen:
        raise AnnotationError(f"{where}: image_id: expected every id once, got {image_id} a second time", code="F004")
    size_hw = whole(entry.get("height"), where, "height", 1), whole(entry.get("width"), where, "width", 1)
    picture = Picture(text(entry.get("file_name"), where, "file_name"), image_id, size_hw, None)
    file = _File(where, picture, size_hw, listing(root.get("annotations"), where, "annotations"))
    seen.add(image_id)
    return file


def _placed(numbered: tuple[int, object], file: _File, picture: int) -> Placed:
    position, item = numbered
    entry = mapping(item, f"{file.where}: annotations[{position}]", "annotation")
    name = f"annotation {entry['id']}" if "id" in entry else f"annotations[{position}]"
    where = f"{file.where}: {name}"
    shape = shape_of(entry.get("segmentation"), where, file.size_hw)
    return Placed(position, picture, annotation_of(entry, name, where, 0, shape))
