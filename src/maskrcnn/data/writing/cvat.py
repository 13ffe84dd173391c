"""CVAT for images 1.1: one XML file.

An object is a polygon, or several with one `group_id`; one with holes is a `mask`: run lengths along the rows of
a window, background first.

References: docs.cvat.ai, "CVAT for images"; CVAT 2.20, `cvat/apps/dataset_manager/formats/cvat.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from maskrcnn.data.dataset import Box, Dataset, Record
from maskrcnn.data.writing.how import Writing
from maskrcnn.data.writing.outlines import polygons_or_pixels
from maskrcnn.data.writing.pictures import Pictures
from maskrcnn.data.writing.tally import Tally, Written
from maskrcnn.files import replacing
from maskrcnn.ops.outlines import Ring
from maskrcnn.ops.rle import Bitmap


def write(dataset: Dataset, out: Path, how: Writing) -> Written:
    """Write `annotations.xml` and `images`."""
    pictures = Pictures(out / "images", how.pictures, "kept")
    tally = Tally(dataset, how.exactness)
    with replacing(out / "annotations.xml") as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n')
        file.write(_text(_meta(dataset)))
        for number, record in enumerate(how.records(dataset)):
            h, w = record.size_hw
            name = str(pictures.put(record))
            image = Element("image", id=str(number), name=name, width=str(w), height=str(h))
            image.extend(_shapes(record, dataset, how.tolerance, tally))
            file.write(_text(image))
        file.write("</annotations>\n")
    return tally.written()


def _text(element: Element) -> str:
    indent(element, " ")
    return tostring(element, encoding="unicode") + "\n"


def _meta(dataset: Dataset) -> Element:
    meta = Element("meta")
    labels = SubElement(SubElement(meta, "task"), "labels")
    for name in dataset.class_names:
        label = SubElement(labels, "label")
        SubElement(label, "name").text = name
        SubElement(label, "type").text = "any"
        SubElement(label, "attributes")
    return meta


def _shapes(record: Record, dataset: Dataset, tolerance: float, tally: Tally) -> Iterator[Element]:
    for group, (annotation, bitmap) in enumerate(tally.objects(record), start=1):
        fields = {"label": dataset.class_names[annotation.label], "source": "file", "occluded": "0"}
        if bitmap is None:
            assert annotation.box is not None  # what has neither shape nor box is no object
            tally.wrote(record, annotation, None)
            yield Element("box", {**fields, **_edges(annotation.box)})
            continue
        said, iou = polygons_or_pixels(annotation.shape, bitmap, tolerance, record.size_hw)
        tally.wrote(record, annotation, iou)
        if isinstance(said, Bitmap):
            yield Element("mask", {**fields, **_runs(said)})
            continue
        together = {"group_id": str(group)} if len(said) > 1 else {}
        yield from (Element("polygon", {**fields, "points": _points(ring), **together}) for ring in said)


def _edges(box: Box) -> dict[str, str]:
    return dict(zip(("xtl", "ytl", "xbr", "ybr"), map(decimal, box), strict=True))


def _points(ring: Ring) -> str:
    return ";".join(f"{decimal(x)},{decimal(y)}" for x, y in ring.tolist())


def decimal(value: float) -> str:
    """Write a number so that the same number is read again, whole ones without a point.

    >>> decimal(2.0), decimal(0.1)
    ('2', '0.1')
    """
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _runs(bitmap: Bitmap) -> dict[str, str]:
    h, w = bitmap.pixels.shape
    flat = bitmap.pixels.ravel()
    ends = np.flatnonzero(np.append(flat[1:] != flat[:-1], True)) + 1
    runs = np.diff(ends, prepend=0).tolist()
    counts = [0, *runs] if flat[0] else runs
    window = {"left": bitmap.x, "top": bitmap.y, "width": w, "height": h}
    return {"rle": ", ".join(map(str, counts)), **{key: str(value) for key, value in window.items()}}
