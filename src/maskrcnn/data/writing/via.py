"""VGG Image Annotator, an export of 2.x beside the pictures: one ring an object, its class in `class`.

Parts and holes are joined to the ring by bridges without width.

References: VIA 2.0.12, its source.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

from maskrcnn.data.dataset import Box, Dataset, Record
from maskrcnn.data.writing.how import Writing
from maskrcnn.data.writing.outlines import fitted
from maskrcnn.data.writing.pictures import Pictures
from maskrcnn.data.writing.tally import Drawn, Tally, Written
from maskrcnn.files import write_text
from maskrcnn.ops.outlines import Ring, one_ring
from maskrcnn.ops.polygons import rasterise

_FILE = "via_region_data.json"
_UNKNOWN = -1  # as VIA says it of pictures that it can't measure


def write(dataset: Dataset, out: Path, how: Writing) -> Written:
    """Write `via_region_data.json` and the pictures beside it."""
    pictures = Pictures(out, how.pictures, "kept")
    tally = Tally(dataset, how.exactness)
    entries: dict[str, object] = {}
    for record in how.records(dataset):
        name = pictures.put(record)
        size = _bytes(record.path if how.pictures == "none" else out / name)
        regions = [_region(record, each, dataset, how, tally) for each in tally.objects(record)]
        entries[f"{name}{size}"] = _entry(name, size, regions)
    write_text(out / _FILE, json.dumps(entries))
    return tally.written()


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() else _UNKNOWN


def _entry(name: PurePosixPath, size: int, regions: list[dict[str, object]]) -> dict[str, object]:
    return {"filename": str(name), "size": size, "regions": regions, "file_attributes": {}}


def _region(record: Record, each: Drawn, dataset: Dataset, how: Writing, tally: Tally) -> dict[str, object]:
    annotation, bitmap = each
    if bitmap is None:
        assert annotation.box is not None  # what has neither shape nor box is no object
        tally.wrote(record, annotation, None)
        shape = _rect(annotation.box)
    else:
        ring, iou = fitted(
            annotation.shape, bitmap, how.tolerance, one_ring, lambda ring: rasterise([ring], record.size_hw)
        )
        tally.wrote(record, annotation, iou)
        shape = _polygon(ring)
    return {"shape_attributes": shape, "region_attributes": {"class": dataset.class_names[annotation.label]}}


def _rect(box: Box) -> dict[str, object]:
    x1, y1, x2, y2 = box
    return {"name": "rect", "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}


def _polygon(ring: Ring) -> dict[str, object]:
    x, y = ring.T.tolist()
    return {"name": "polygon", "all_points_x": plain(x), "all_points_y": plain(y)}


def plain(values: list[float]) -> list[int | float]:
    """Write whole numbers as whole numbers.

    >>> plain([1.0, 2.5])
    [1, 2.5]
    """
    return [int(value) if value.is_integer() else value for value in values]
