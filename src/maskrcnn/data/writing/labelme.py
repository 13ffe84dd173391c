"""LabelMe: a JSON file beside each picture.

An object is a polygon, or several with one `group_id`; one with holes is a shape of the kind `mask`, which
LabelMe has from 5.2 on.

References: LabelMe 5.5, `labelme/label_file.py`.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from maskrcnn.data.dataset import Dataset, Record
from maskrcnn.data.writing.how import Writing
from maskrcnn.data.writing.outlines import polygons_or_pixels
from maskrcnn.data.writing.pictures import STEM, Pictures
from maskrcnn.data.writing.tally import Drawn, Tally, Written
from maskrcnn.files import write_text
from maskrcnn.ops.outlines import Ring
from maskrcnn.ops.rle import Bitmap

_VERSION = "5.5.0"

Json = dict[str, object]


def write(dataset: Dataset, out: Path, how: Writing) -> Written:
    """Write the pictures and the JSON files beside them."""
    pictures = Pictures(out, how.pictures, "kept", STEM)
    tally = Tally(dataset, how.exactness)
    for record in how.records(dataset):
        name = pictures.put(record)
        shapes = list(_shapes(record, dataset, how.tolerance, tally))
        h, w = record.size_hw
        document: Json = {
            "version": _VERSION,
            "flags": {},
            "shapes": shapes,
            "imagePath": name.name,
            "imageData": None,
            "imageHeight": h,
            "imageWidth": w,
        }
        write_text(out / name.with_suffix(".json"), json.dumps(document, ensure_ascii=False, indent=1))
    return tally.written()


def _shapes(record: Record, dataset: Dataset, tolerance: float, tally: Tally) -> Iterator[Json]:
    for group, each in enumerate(tally.objects(record), start=1):
        label = dataset.class_names[each.annotation.label]
        if each.bitmap is None:
            yield _rectangle(record, each, label, tally)
            continue
        said, iou = polygons_or_pixels(each.annotation.shape, each.bitmap, tolerance, record.size_hw)
        tally.wrote(record, each.annotation, iou)
        if isinstance(said, Bitmap):
            yield _mask(said, label)
        else:
            yield from (_polygon(ring, label, group if len(said) > 1 else None) for ring in said)


def _shape(label: str, kind: str, points: list[list[float]], **more: object) -> Json:
    plain: Json = {"label": label, "points": points, "group_id": None, "description": "", "shape_type": kind}
    return {**plain, "flags": {}, "mask": None, **more}


def _polygon(ring: Ring, label: str, group: int | None) -> Json:
    return _shape(label, "polygon", ring.tolist(), group_id=group)


def _rectangle(record: Record, each: Drawn, label: str, tally: Tally) -> Json:
    assert each.annotation.box is not None  # what has neither shape nor box is no object
    tally.wrote(record, each.annotation, None)
    x1, y1, x2, y2 = each.annotation.box
    return _shape(label, "rectangle", [[x1, y1], [x2, y2]])


def _mask(bitmap: Bitmap, label: str) -> Json:
    """Say pixels as a PNG of 0 and 1 between its first and its last pixel."""
    from PIL import Image

    h, w = bitmap.pixels.shape
    png = io.BytesIO()
    Image.fromarray(bitmap.pixels.astype(np.uint8)).save(png, format="PNG")
    corners = [[float(bitmap.x), float(bitmap.y)], [float(bitmap.x + w - 1), float(bitmap.y + h - 1)]]
    return _shape(label, "mask", corners, mask=base64.b64encode(png.getvalue()).decode("ascii"))
