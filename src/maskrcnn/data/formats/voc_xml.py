"""What the XML files of Pascal VOC say, and those of tools that write like it.

References: VOC2012 development kit; Roboflow's polygons.
Letters: V corners of a ring.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskrcnn.data.dataset import Box, Rings
from maskrcnn.data.formats.drafts import Thing
from maskrcnn.data.formats.fields import expected, number, polygon, stated_size
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.formats.xml_nodes import Node, load_xml
from maskrcnn.errors import AnnotationError

_OWN_FOLDER = re.compile(r"VOC\d{4}")
_OWN_DATABASE = re.compile(r"The VOC\d{4} Database")
_ROOT = re.compile(rb"<annotation[\s>]")
_SIGNS = (b"<bndbox", b"<segmented", b"<size>")
_LABELME_SIGNS = (b"<pt>", b"<imagesize", b"<sourceImage")
_COORDINATE = re.compile(r"([xy])(\d+)")


@dataclass(frozen=True)
class Entry:
    """An XML file.

    Attributes:
        picture: The file name of its picture; None where it says none.
        size_hw: The picture's height and width; None where it says none.
        things: Its objects.
        is_own: Whether it is VOC's own, which counts pixels from 1.
    """

    picture: str | None
    size_hw: tuple[int, int] | None
    things: list[Thing]
    is_own: bool


def recognises(head: bytes) -> bool:
    """Say whether a file that starts so is one of VOC's; LabelMe's look much alike."""
    is_voc = any(sign in head for sign in _SIGNS) and not any(sign in head for sign in _LABELME_SIGNS)
    return is_voc and _ROOT.search(head) is not None


def read_entry(path: Path, reading: Reading) -> Entry:
    """Read one XML file.

    Raises:
        AnnotationError: It is not XML, not VOC's, or an object in it has no class or no box.
    """
    root = load_xml(path)
    if root.tag != "annotation":
        raise expected("an element called annotation", root.tag, str(path), "top level")
    is_own = bool(
        _OWN_FOLDER.fullmatch(root.value("folder") or "")
        or _OWN_DATABASE.fullmatch(root.value("source", "database") or "")
    )
    things = reading.each(enumerate(root.all("object"), 1), lambda item: _thing(*item, is_own, str(path)))
    return Entry(root.value("filename"), _size(root, str(path)), list(things), is_own)


def _size(root: Node, where: str) -> tuple[int, int] | None:
    """Return the stated size; some tools write 0 by 0 where they don't know it."""
    texts = root.value("size", "height"), root.value("size", "width")
    if texts == ("0", "0"):
        return None
    return stated_size(*texts, f"{where}: size")


def _thing(i: int, node: Node, is_own: bool, path: str) -> Thing:
    where = f"{path}: object {i}"
    class_name = node.value("name")
    if class_name is None:
        raise AnnotationError(f"{where}: name: expected a class, got nothing", code="C302")
    shape, box = _outline(node, where), _box(node, where, is_own)
    if shape is None and box is None:
        raise AnnotationError(f"{where}: expected a bndbox or a polygon, got neither")
    return Thing(f"object {i}", class_name, shape, box, crowd=node.value("difficult") == "1")


def _box(node: Node, where: str, is_own: bool) -> Box | None:
    box = node.first("bndbox")
    if box is None:
        return None
    x1, y1, x2, y2 = (number(box.value(side), where, side) for side in ("xmin", "ymin", "xmax", "ymax"))
    if x2 < x1 or y2 < y1:
        raise expected("xmax and ymax from xmin and ymin up", [x1, y1, x2, y2], where, "bndbox")
    first = 1 if is_own else 0  # pixel 1 covers [0, 1): only the near sides move
    return x1 - first, y1 - first, x2, y2


def _outline(node: Node, where: str) -> Rings | None:
    """Return the corners x1, y1, x2, y2, ... of a polygon, in the order of their numbers."""
    outline = node.first("polygon")
    if outline is None:
        return None
    sides = dict(_coordinates(outline, where))
    numbers = sorted({i for _, i in sides})
    if any((axis, i) not in sides for axis in "xy" for i in numbers):
        raise AnnotationError(f"{where}: polygon: expected an x and a y for every corner, got one without the other")
    ring = np.array([[sides["x", i], sides["y", i]] for i in numbers], dtype=np.float64).reshape(-1, 2)
    return Rings((polygon(ring, where),))


def _coordinates(outline: Node, where: str) -> Iterator[tuple[tuple[str, int], float]]:
    for child in outline.children:
        found = _COORDINATE.fullmatch(child.tag)
        if found is None or len(found[2]) > 9:
            raise expected("x1, y1, x2, y2, ...", child.tag, where, "polygon")
        yield (found[1], int(found[2])), number(child.text or None, where, child.tag)
