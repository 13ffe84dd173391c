"""The XML files of the first LabelMe, the web tool: `Annotations/**/*.xml`, `Images/**`, `Masks/**`.

| object | becomes |
|---|---|
| `polygon`, also one of type `bounding_box` | its outline |
| `segm` | the pixels of its mask |
| `polygon` of 1 or 2 points | left out, with the reason |
| marked as deleted | no object, as the tool shows none |

An object that is a part of another one is an object of its own.

References: labelme.csail.mit.edu; B. Russell et al., LabelMe: a database and web-based tool, IJCV 2008.
Letters: V corners of a ring.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskrcnn.data.dataset import Dataset, Rings, Runs, stated_or_header_size
from maskrcnn.data.formats.drafts import Draft, Skipped, Thing, assemble
from maskrcnn.data.formats.fields import number, stated_size, text
from maskrcnn.data.formats.label_maps import of_mask
from maskrcnn.data.formats.mask_pictures import read_mask
from maskrcnn.data.formats.pictures import is_file, locate_each
from maskrcnn.data.formats.place import Place, folders_up
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.formats.xml_nodes import Node, load_xml
from maskrcnn.data.images import natural_key
from maskrcnn.errors import AnnotationError

_FOLDERS = ("Annotations", "Images", "Masks")
_SIGNS = (b"<polygon>", b"<segm>", b"<imagesize>", b"<sourceAnnotation>", b"<sourceImage>")
_FEW = 4
_DEEPEST_LOOK = 2


@dataclass(frozen=True)
class _Sheet:
    file: Path
    name: str
    root: Node


def find(place: Place) -> list[Path]:
    """List the file, or the folder if it or its `Annotations` hold such files."""
    if not place.is_folder:
        return [path for path in place.ending(".xml") if _recognises(place.head(path))]
    annotations = place.inside(_FOLDERS[0])
    inner = annotations.walk(_DEEPEST_LOOK, _FEW) if annotations else [place]
    heads = (each.head(path) for each in inner for path in each.ending(".xml")[:_FEW])
    return [place.path] if any(map(_recognises, heads)) else []


def _recognises(head: bytes) -> bool:
    return b"<annotation>" in head and b"<bndbox>" not in head and any(sign in head for sign in _SIGNS)


def read(source: Path, reading: Reading) -> Dataset:
    """Read an XML file of LabelMe, or a folder of them with its sub-folders.

    Raises:
        AnnotationError: A file is broken, or an object is not what LabelMe writes.
        ImageError: Pictures are missing.
    """
    place = Place(source)
    inner = (place.inside(_FOLDERS[0]) or place).walk()
    files = sorted((path for each in inner for path in each.ending(".xml")), key=natural_key)
    sheets = list(reading.each(files, _sheet))
    paths = locate_each(
        [sheet.name for sheet in sheets], [_beside(sheet.file, "Images") for sheet in sheets], source, reading
    )
    drafts = reading.each(zip(sheets, paths, strict=True), lambda each: _draft(*each, reading))
    return assemble(source, "labelme-xml", list(drafts), reading)


def _sheet(file: Path) -> _Sheet:
    root = load_xml(file)
    if root.tag != "annotation":
        raise AnnotationError(f"{file}: expected <annotation>, got <{root.tag:.40}>")
    return _Sheet(file, text(root.value("filename"), str(file), "filename"), root)


def _beside(file: Path, kind: str) -> list[Path]:
    """List where the pictures or masks of an XML file lie: beside it, or in the tree beside `Annotations`."""
    parts = file.parent.absolute().parts
    if _FOLDERS[0] not in parts:
        return [file.parent, folders_up(file, 2)[-1] / kind]
    i = len(parts) - 1 - parts[::-1].index(_FOLDERS[0])
    tree = Path(*parts[:i], kind)
    return [tree.joinpath(*parts[i + 1 :]), tree, file.parent]


def _draft(sheet: _Sheet, path: Path, reading: Reading) -> Draft:
    where, root = str(sheet.file), sheet.root
    stated = stated_size(root.value("imagesize", "nrows"), root.value("imagesize", "ncols"), where)
    size_hw = stated_or_header_size(path, stated)
    folder = root.value("folder")
    objects = [(i, each) for i, each in enumerate(root.all("object")) if each.value("deleted") != "1"]
    things = reading.each(objects, lambda item: _thing(*item, sheet.file, size_hw))
    name = f"{folder}/{sheet.name}" if folder else sheet.name
    return Draft(name, path, size_hw, list(things), columns={"folder": folder} if folder else {})


def _thing(i: int, node: Node, file: Path, size_hw: tuple[int, int]) -> Thing | Skipped:
    name = f"object {node.value('id') or i}"
    where = f"{file}: {name}"
    outline, segm = node.first("polygon"), node.first("segm")
    shape: Rings | Runs | str
    if outline is not None:
        shape = _ring(outline, where)
    elif segm is not None:
        shape = _segm(segm, file, where, size_hw)
    else:
        raise AnnotationError(f"{where}: expected <polygon> or <segm>, got neither")
    if isinstance(shape, str):
        return Skipped(name, shape)
    label = node.value("name")
    if label is None:
        raise AnnotationError(f"{where}: name: expected a class, got nothing", code="C302")
    return Thing(name, " ".join(label.split()), shape)


def _ring(outline: Node, where: str) -> Rings | str:
    points = [
        [number(point.value(axis), where, f"pt {i}: {axis}") for axis in "xy"]
        for i, point in enumerate(outline.all("pt"))
    ]
    if not points:
        raise AnnotationError(f"{where}: polygon has 0 points, expected at least 3", code="G201")
    return _no_area(points) or Rings((np.array(points, dtype=np.float64),))


def _no_area(points: Sequence[Sequence[float]]) -> str:
    """Say why points are no outline; the web tool has points and lines too, and writes them as polygons."""
    if len(points) >= 3:
        return ""
    return "a point has no area" if len(points) == 1 else "a line of 2 points has no area"


def _segm(segm: Node, file: Path, where: str, size_hw: tuple[int, int]) -> Runs:
    name = Path(text(segm.value("mask"), where, "mask").replace("\\", "/")).name
    places = [folder / name for folder in _beside(file, "Masks")]
    path = next((place for place in places if is_file(place)), places[0])
    pixels = read_mask(path, f"{where}: mask", size_hw)
    if pixels.shape != size_hw:
        raise AnnotationError(
            f"{where}: mask: expected {size_hw[0]}x{size_hw[1]} (height x width) as the picture, "
            f"got {pixels.shape[0]}x{pixels.shape[1]} in {path}"
        )
    return of_mask(pixels)
