"""COCO instances JSON, which holds everything that a set knows, written as it goes: a large set needs no memory.

An outline stays the polygons that it was, anything else is written as run lengths, so that holes, parts and
single pixels come out as they went in. An object without a stated box or area gets those of its pixels, as
programs that read COCO want them. What COCO has no field for stands in two of ours in the entry of an image:

- `labelled`: the ids of the categories that were looked for, where these are not all;
- `columns`: an object of texts, such as `{"background_id": "17"}`.

References: cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
import re
import shutil
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import TextIO, get_args

import numpy as np

from maskrcnn.data.dataset import Annotation, Box, Dataset, Record, Rings, border, drawn
from maskrcnn.data.writing.how import Exactness, Held, Writing
from maskrcnn.data.writing.pictures import Exif, Pictures
from maskrcnn.data.writing.tally import EXACT, Tally, Written
from maskrcnn.files import replacing

NAME = "annotations.json"
EXACTNESS = Exactness("pixels", "kept", frozenset(get_args(Held)))

_NUMBERED = re.compile(r"annotation ([0-9]{1,18})")
_DECIMALS = range(2, 12)

Entry = Mapping[str, object]


def write(dataset: Dataset, out: Path, how: Writing, exif: Exif = "undone") -> Written:
    """Write `annotations.json` and `images`.

    Args:
        dataset: The set.
        out: The folder; an `annotations.json` that is there is replaced at the end.
        how: What becomes of the pictures, and who is told how far it is.
        exif: What becomes of pictures that EXIF turns.

    Raises:
        ImageError: A picture is missing or broken.
        OutputError: A file can't be written.
    """
    pictures = Pictures(out / "images", how.pictures, exif)
    tally = Tally(dataset, how.exactness)
    ids = _ids(dataset)
    with document(out / NAME, dataset) as file:
        for record in how.records(dataset):
            file.add_image(_image(record, pictures.put(record), dataset))
            for annotation in tally.annotations(record):
                file.add_annotation({"id": next(ids), **_annotation(annotation, record, dataset)})
                tally.wrote(record, annotation, None if annotation.shape is None else EXACT)
    return tally.written()


class Document:
    """A COCO file that is being written; made by `document`.

    Args:
        file: Has the beginning of the file.
        images: Keeps the entries of the images, which come last.
    """

    def __init__(self, file: TextIO, images: TextIO) -> None:
        self._annotations, self._images = _List(file), _List(images)

    def add_image(self, entry: Entry) -> None:
        """Write the entry of an image."""
        self._images.add(entry)

    def add_annotation(self, entry: Entry) -> None:
        """Write the entry of an annotation."""
        self._annotations.add(entry)


class _List:
    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._between = "\n"

    def add(self, entry: Entry) -> None:
        self._file.write(self._between + json.dumps(entry))
        self._between = ",\n"


@contextmanager
def document(path: Path, dataset: Dataset) -> Iterator[Document]:
    """Open a COCO file to be written, with the categories of a set; it is there once the block has ended well.

    Raises:
        OutputError: It can't be written.
    """
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8") as file,
        TemporaryFile("w+", encoding="utf-8", dir=path.parent) as images,
    ):
        file.write('{"categories": ' + json.dumps(_categories(dataset)) + ',\n"annotations": [')
        yield Document(file, images)
        file.write('],\n"images": [')
        images.seek(0)
        shutil.copyfileobj(images, file)
        file.write("\n]}\n")


def _ids(dataset: Dataset) -> Iterator[int]:
    """Give the ids that a COCO file had, or else 1, 2, ..."""
    found = array("q")
    for record in dataset.records:
        for annotation in record.annotations:
            match = _NUMBERED.fullmatch(annotation.name)
            if match is None:
                return count(1)
            found.append(int(match[1]))
    return iter(found) if len(np.unique(found)) == len(found) else count(1)


def _categories(dataset: Dataset) -> list[Entry]:
    columns = zip(dataset.category_ids, dataset.class_names, dataset.supercategories, strict=True)
    return [
        {"id": category_id, "name": name, **({"supercategory": wider} if wider else {})}
        for category_id, name, wider in columns
    ]


def _image(record: Record, name: PurePosixPath, dataset: Dataset) -> Entry:
    h, w = record.size_hw
    entry: dict[str, object] = {"id": record.image_id, "file_name": str(name), "height": h, "width": w}
    if record.labelled is not None:
        entry["labelled"] = [dataset.category_ids[label] for label in sorted(record.labelled)]
    if record.columns:
        entry["columns"] = dict(record.columns)
    return entry


def _annotation(annotation: Annotation, record: Record, dataset: Dataset) -> Entry:
    box, area = _measured(annotation, record.size_hw)
    entry: dict[str, object] = {
        "image_id": record.image_id,
        "category_id": dataset.category_ids[annotation.label],
        "bbox": _xywh(box),
        "area": area,
        "iscrowd": int(annotation.crowd),
    }
    if isinstance(annotation.shape, Rings):
        entry["segmentation"] = [ring.ravel().tolist() for ring in annotation.shape.rings]
    elif annotation.shape is not None:
        entry["segmentation"] = {"size": [*record.size_hw], "counts": annotation.shape.counts}
    return entry


def _measured(annotation: Annotation, size_hw: tuple[int, int]) -> tuple[Box, float]:
    """Return the box and the area that are stated, or else those of the pixels, or of the box."""
    box, area = annotation.box, annotation.area
    if box is not None and area is not None:
        return box, area
    bitmap = drawn(annotation, size_hw)
    if bitmap is not None:
        covered = int(np.count_nonzero(bitmap.pixels))
        return (border(bitmap) if box is None else box), (covered if area is None else area)
    assert box is not None  # an object without a box has a mask
    x1, y1, x2, y2 = box
    return box, (x2 - x1) * (y2 - y1)


def _xywh(box: Box) -> list[float]:
    x1, y1, x2, y2 = box
    return [x1, y1, _length(x1, x2), _length(y1, y2)]


def _length(first: float, last: float) -> float:
    """Return the length of a side with as few decimals as lead back to its end.

    >>> _length(0.1, 0.1 + 0.2)
    0.2
    """
    length = last - first
    return next((short for n in _DECIMALS if first + (short := round(length, n)) == last), length)
