"""COCO instances JSON, which holds everything that a set knows.

An outline stays the polygons that it was, anything else is written as run lengths, so that holes, parts and
single pixels come out as they went in. An object without a stated box or area gets those of its pixels, as
programs that read COCO want them. What COCO has no field for stands in two of ours in the entry of an image:

- `labelled`: the ids of the categories that were looked for, where these are not all;
- `columns`: an object of texts, such as `{"background_id": "17"}`.

References: cocodataset.org/#format-data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from maskrcnn.data.dataset import Annotation, Box, Dataset, Record, Rings, border
from maskrcnn.data.formats import coco
from maskrcnn.data.writing.how import Writing
from maskrcnn.data.writing.pictures import Pictures
from maskrcnn.data.writing.tally import Drawn, Tally, Written

_NUMBERED = re.compile(r"annotation ([0-9]{1,18})")
_DECIMALS = range(2, 12)


def write(dataset: Dataset, out: Path, how: Writing) -> Written:
    """Write `annotations.json` and `images`."""
    pictures = Pictures(out / "images", how.pictures, "undone")
    tally = Tally(dataset, how.exactness)
    ids = _ids(dataset)
    images, annotations = [], []
    for record in how.records(dataset):
        images.append(_image(record, pictures.put(record), dataset))
        for each in tally.objects(record):
            annotations.append(_annotation(next(ids), record, each, dataset))
            tally.wrote(record, each.annotation, None if each.bitmap is None else 1.0)
    categories = [
        {"id": category_id, "name": name, "supercategory": wider}
        for category_id, name, wider in zip(
            dataset.category_ids, dataset.class_names, dataset.supercategories, strict=True
        )
    ]
    coco.write(out / "annotations.json", images, annotations, categories)
    return tally.written()


def _ids(dataset: Dataset) -> Iterator[int]:
    """Give the ids that a COCO file had, or else 1, 2, ..."""
    names = [each.name for record in dataset.records for each in record.annotations]
    found = [int(match[1]) for match in map(_NUMBERED.fullmatch, names) if match]
    return iter(found if len(set(found)) == len(names) else range(1, len(names) + 1))


def _image(record: Record, name: PurePosixPath, dataset: Dataset) -> dict[str, object]:
    h, w = record.size_hw
    entry: dict[str, object] = {"id": record.image_id, "file_name": str(name), "height": h, "width": w}
    if record.labelled is not None:
        entry["labelled"] = [dataset.category_ids[label] for label in sorted(record.labelled)]
    if record.columns:
        entry["columns"] = dict(record.columns)
    return entry


def _annotation(number: int, record: Record, each: Drawn, dataset: Dataset) -> dict[str, object]:
    annotation, bitmap = each
    box = annotation.box
    if box is None:
        assert bitmap is not None  # an object without a box has a mask
        box = border(bitmap)
    x1, y1, x2, y2 = box
    area = annotation.area
    if area is None:
        area = (x2 - x1) * (y2 - y1) if bitmap is None else int(np.count_nonzero(bitmap.pixels))
    entry: dict[str, object] = {
        "id": number,
        "image_id": record.image_id,
        "category_id": dataset.category_ids[annotation.label],
        "bbox": _xywh(box),
        "area": area,
        "iscrowd": int(annotation.crowd),
    }
    if annotation.shape is not None:
        entry["segmentation"] = _segmentation(annotation, record.size_hw)
    return entry


def _segmentation(annotation: Annotation, size_hw: tuple[int, int]) -> object:
    if isinstance(annotation.shape, Rings):
        return [ring.ravel().tolist() for ring in annotation.shape.rings]
    assert annotation.shape is not None  # objects with a box only have none
    return {"size": [*size_hw], "counts": annotation.shape.counts}


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
