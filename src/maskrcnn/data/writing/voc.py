"""Pascal VOC: pictures, an XML file a picture, and palette images with the number of each pixel's object and class.

A crowd is an object that is `difficult`. Object i of the XML file is number i of `SegmentationObject`; objects with
a box only come after those with a mask. Where objects overlap, the smaller keeps the pixels.

References: host.robots.ox.ac.uk/pascal/VOC, the development kit of 2012.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Annotation, Box, Dataset, Record, border
from maskrcnn.data.writing.cvat import decimal
from maskrcnn.data.writing.how import Writing
from maskrcnn.data.writing.label_image import Painted, paint
from maskrcnn.data.writing.pictures import FLAT, Pictures
from maskrcnn.data.writing.tally import Tally, Written, renamed
from maskrcnn.errors import InputError
from maskrcnn.files import replacing, write_text

_MOST = 254  # 255 is what belongs to no class
_UNFIT = re.compile(r"[:\r\n]|^#")  # as `labelmap.txt` parts its rows by colons
_PICTURES = "JPEGImages"


def write(dataset: Dataset, out: Path, how: Writing) -> Written:
    """Write `JPEGImages`, `Annotations`, `SegmentationObject`, `SegmentationClass`, `ImageSets` and `labelmap.txt`."""
    if len(dataset.class_names) > _MOST:
        raise InputError(f"voc: expected at most {_MOST} classes, got {len(dataset.class_names)}")
    pictures = Pictures(out / _PICTURES, how.pictures, "undone", FLAT)
    tally = Tally(dataset, how.exactness)
    dataset = dataset.change(class_names=renamed(dataset.class_names, _UNFIT, tally))
    names = []
    for record in how.records(dataset):
        name = pictures.put(record)
        objects = list(tally.objects(record))
        painted = paint([each for each in objects if each.bitmap is not None], record, _MOST, tally)
        boxes = [annotation for annotation, bitmap in objects if bitmap is None]
        for annotation in boxes:
            tally.wrote(record, annotation, None)
        _write_masks(out, name, painted)
        _write_xml(out, name, record, _described(painted, boxes), dataset)
        names.append(str(name.with_suffix("")))
    for kind in ("Main", "Segmentation"):
        write_text(out / "ImageSets" / kind / "train.txt", "".join(f"{name}\n" for name in names))
    write_text(out / "labelmap.txt", _label_map(dataset.class_names))
    return tally.written()


def _described(painted: Painted, boxes: Iterable[Annotation]) -> list[tuple[Annotation, Box]]:
    """List the objects in the order of their numbers, each with the box of what can be seen of it."""
    listed = [(annotation, border(bitmap)) for annotation, bitmap in painted.shown if bitmap is not None]
    return [*listed, *((annotation, annotation.box) for annotation in boxes if annotation.box is not None)]


def _write_masks(out: Path, name: PurePosixPath, painted: Painted) -> None:
    class_of = np.array([0, *(annotation.label + 1 for annotation, _ in painted.shown)])
    for folder, labels in (("SegmentationObject", painted.labels), ("SegmentationClass", class_of[painted.labels])):
        _save(out / folder / name.with_suffix(".png"), labels.astype(np.uint8))


def _save(path: Path, labels: NDArray[np.uint8]) -> None:
    from PIL import Image

    image = Image.fromarray(labels)
    image.putpalette([int(band) for colour in palette() for band in colour])
    with replacing(path) as temporary:
        image.save(temporary, format="PNG")


def palette() -> NDArray[np.uint8]:
    """Return VOC's colours, (256, 3) uint8 RGB: the bits of a number spread over the bands.

    >>> palette()[[1, 2, 255]].tolist()
    [[128, 0, 0], [0, 128, 0], [224, 224, 192]]
    """
    numbers, colours = np.arange(256), np.zeros((256, 3), dtype=np.uint8)
    for bit in range(8):
        for band in range(3):
            colours[:, band] |= ((numbers >> band & 1) << (7 - bit)).astype(np.uint8)
        numbers = numbers >> 3
    return colours


def _label_map(class_names: Sequence[str]) -> str:
    nothing = "background" if "background" not in class_names else "_background_"
    rows = zip((nothing, *class_names), palette().tolist(), strict=False)
    lines = [f"{name}:{','.join(map(str, colour))}::\n" for name, colour in rows]
    return "# label:color_rgb:parts:actions\n" + "".join(lines)


def _write_xml(
    out: Path, name: PurePosixPath, record: Record, objects: Sequence[tuple[Annotation, Box]], dataset: Dataset
) -> None:
    root = Element("annotation")
    _add(root, folder=_PICTURES, filename=str(name))
    h, w = record.size_hw
    _add(SubElement(root, "size"), width=w, height=h, depth=3)
    _add(root, segmented=1)
    for annotation, box in objects:
        entry = SubElement(root, "object")
        _add(
            entry,
            name=dataset.class_names[annotation.label],
            pose="Unspecified",
            truncated=0,
            difficult=int(annotation.crowd),
        )
        edges = dict(zip(("xmin", "ymin", "xmax", "ymax"), map(decimal, box), strict=True))
        _add(SubElement(entry, "bndbox"), **edges)
    indent(root, " ")
    write_text(out / "Annotations" / name.with_suffix(".xml"), tostring(root, encoding="unicode") + "\n")


def _add(parent: Element, **fields: object) -> None:
    for name, value in fields.items():
        SubElement(parent, name).text = str(value)
