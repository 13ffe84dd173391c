"""LabelMe JSON, versions 3 to 5: a file a picture.

| shape | becomes |
|---|---|
| polygon; rectangle of 4 points; rotation | its outline |
| rectangle of 2 points | its outline |
| circle: centre and a point of the rim | a polygon that leaves the curve by at most 0.01 pixels |
| mask | its pixels |
| point, points, line, linestrip | left out, with the reason |

Shapes of one picture and label with the same `group_id` are one object. Where the picture does not lie beside
the file, the copy inside (`imageData`) is read.

References: LabelMe 5.5, its source (`label_file.py`, `utils/shape.py`).
Letters: V corners of a ring; H, W height and width.
"""

from __future__ import annotations

import base64
import io
import math
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Dataset, Rings, Runs, stated_or_header_size
from maskrcnn.data.formats.curves import ellipse_ring, rectangle_ring
from maskrcnn.data.formats.drafts import Draft, Skipped, Thing, assemble
from maskrcnn.data.formats.fields import expected, listing, load_json, mapping, numbers, polygon, stated_size, text
from maskrcnn.data.formats.mask_pictures import read_mask
from maskrcnn.data.formats.pictures import is_file, locate_each
from maskrcnn.data.formats.place import Place
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.images import natural_key, read_image, to_array
from maskrcnn.errors import AnnotationError, ImageError
from maskrcnn.ops.rle import Bitmap

_SIGNS = (b'"shapes"', b'"imagePath"', b'"imageData"')
_FEW = 4
_DEEPEST_LOOK = 3


@dataclass(frozen=True)
class _Sheet:
    """A file, before its picture is found."""

    file: Path
    name: str  # of the picture, from the set's folder
    entry: dict[str, object]
    has_picture: bool
    stated_hw: tuple[int, int] | None


# Recognised


def find(place: Place) -> list[Path]:
    """List the file, or the folder if it or its sub-folders hold such files.

    Sub-folders that are called `train`, `val` or the like are sets of their own.
    """
    files = _probable(place)
    if not place.is_folder:
        return [path for path in files if _recognises(place.json(path))]
    inner = place.walk(_DEEPEST_LOOK, _FEW)
    return [place.path] if any(_recognises(each.json(path)) for each in inner for path in _probable(each)[:1]) else []


def _probable(place: Place) -> list[Path]:
    """List the JSON files, among the first few, that start like one of LabelMe's."""
    return [path for path in place.ending(".json")[:_FEW] if any(sign in place.head(path) for sign in _SIGNS)]


def _recognises(document: object) -> bool:
    return isinstance(document, dict) and "shapes" in document and "imagePath" in document


def _is_one(path: Path, place: Place) -> bool:
    """Say whether a file is LabelMe's, or broken, so that it is reported and not passed over."""
    if any(sign in place.head(path, 1 << 16) for sign in _SIGNS):
        return True
    return place.json(path) is None


# Read


def read(source: Path, reading: Reading) -> Dataset:
    """Read a LabelMe file, or a folder of them.

    Args:
        source: The file or the folder.
        reading: What becomes of faults; pictures may be missing as long as the file says their sizes.

    Raises:
        AnnotationError: A file is broken, or a shape is not what LabelMe writes.
        ImageError: Pictures are missing, and there is no copy inside.
    """
    root = source if source.is_dir() else source.parent
    files = [source]
    if source.is_dir():
        ours = (path for place in Place(source).walk() for path in place.ending(".json") if _is_one(path, place))
        files = sorted(ours, key=natural_key)
    file_of: dict[str, Path] = {}
    sheets = list(reading.each(files, lambda file: _once(_sheet(file, root, reading), file_of)))
    folders = [[root, sheet.file.parent, sheet.file.parent / "images", root / "images"] for sheet in sheets]
    names = [sheet.name for sheet in sheets]
    paths = locate_each(names, folders, source, replace(reading, pictures="optional"))
    gone = [i for i, path in enumerate(paths) if not is_file(path) and not sheets[i].has_picture]
    locate_each([names[i] for i in gone], [folders[i] for i in gone], source, reading)
    drafts = list(reading.each(zip(sheets, paths, strict=True), lambda each: _draft(*each, reading)))
    return assemble(source, "labelme", drafts, reading)


def _sheet(file: Path, root: Path, reading: Reading) -> _Sheet:
    entry = dict(mapping(reading.json(file), str(file), "top level"))
    spelled = text(entry.get("imagePath"), str(file), "imagePath").replace("\\", "/")
    name = spelled if Path(spelled).is_absolute() else os.path.normpath(file.parent.relative_to(root) / spelled)
    stated = stated_size(entry.get("imageHeight"), entry.get("imageWidth"), str(file))
    picture = entry.pop("imageData", None)
    return _Sheet(file, Path(name).as_posix(), entry, isinstance(picture, str) and bool(picture), stated)


def _once(sheet: _Sheet, file_of: dict[str, Path]) -> _Sheet:
    other = file_of.setdefault(sheet.name, sheet.file)
    if other is not sheet.file:
        raise AnnotationError(
            f"{sheet.file}: expected one file for {sheet.name}, got a second one beside {other}", code="F004"
        )
    return sheet


def _draft(sheet: _Sheet, path: Path, reading: Reading) -> Draft:
    embedded = sheet.has_picture and not is_file(path)
    path, read_pixels = (sheet.file, read_embedded) if embedded else (path, read_image)
    if embedded and sheet.stated_hw is None:
        height, width, _ = read_embedded(path).shape
        size_hw = height, width
    else:
        size_hw = stated_or_header_size(path, sheet.stated_hw)
    where = str(sheet.file)
    shapes = enumerate(listing(sheet.entry.get("shapes"), where, "shapes"))
    things = list(reading.each(shapes, lambda item: _thing(*item, where, size_hw)))
    flags = mapping(sheet.entry.get("flags") or {}, where, "flags")
    columns = {name: "yes" if value is True else "no" for name, value in flags.items()}
    return Draft(sheet.name, path, size_hw, things, columns=columns, read=read_pixels)


def read_embedded(path: Path) -> NDArray[np.generic]:
    """Read the copy of a picture that a LabelMe file holds, upright.

    Returns:
        (H, W, bands), as `read_image` gives it.

    Raises:
        ImageError: There is none, or it is broken.
        AnnotationError: The file is broken.
    """
    from PIL import Image, ImageOps

    content = mapping(load_json(path), str(path), "top level").get("imageData")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(base64.b64decode(content if isinstance(content, str) else ""))) as picture:
                return to_array(ImageOps.exif_transpose(picture))
    except Exception as error:  # the decoders raise whatever their own slip is
        raise ImageError(f"{path}: imageData: expected a whole picture, got one that can't be read: {error}") from None


# Shapes


@dataclass(frozen=True)
class _Shape:
    where: str
    fields: dict[str, object]
    size_hw: tuple[int, int]

    def points(self) -> NDArray[np.float64]:
        """Return the points, (V, 2) float64."""
        pairs = listing(self.fields.get("points"), self.where, "points")
        flat: list[object] = []
        for i, pair in enumerate(pairs):
            if not isinstance(pair, list) or len(pair) != 2:
                raise expected("x and y", pair, self.where, f"points[{i}]")
            flat += pair
        return numbers(flat, self.where, "x and y of points").reshape(-1, 2)

    def two(self) -> tuple[float, float, float, float]:
        """Return the coordinates of the only two points."""
        points = self.points()
        if len(points) != 2:
            raise AnnotationError(f"{self.where}: points: expected 2, got {len(points)}", code="G201")
        (x1, y1), (x2, y2) = points.tolist()
        return x1, y1, x2, y2


def _thing(i: int, value: object, file: str, size_hw: tuple[int, int]) -> Thing | Skipped:
    name = f"shape {i}"
    where = f"{file}: {name}"
    fields = mapping(value, where, name)
    kind = fields.get("shape_type") or "polygon"
    outline = _OUTLINES.get(kind) if isinstance(kind, str) else None
    if outline is None:
        raise expected(f"one of {', '.join(_OUTLINES)}", kind, where, "shape_type")
    shape = outline(_Shape(where, fields, size_hw))
    if isinstance(shape, str):
        return Skipped(name, shape)
    label = fields.get("label")
    if not isinstance(label, str) or not label.strip():
        raise AnnotationError(f"{where}: label: expected a class, got {label!r:.40}", code="C302")
    group = fields.get("group_id")
    return Thing(name, " ".join(label.split()), shape, group=None if group is None else str(group)[:99])


def _polygon(shape: _Shape) -> Rings:
    return Rings((polygon(shape.points(), shape.where),))


def _rectangle(shape: _Shape) -> Rings:
    return _polygon(shape) if len(shape.points()) == 4 else Rings((rectangle_ring(*shape.two()),))


def _circle(shape: _Shape) -> Rings:
    cx, cy, x, y = shape.two()
    radius = math.hypot(x - cx, y - cy)
    return Rings((ellipse_ring(cx, cy, radius, radius),))


def _mask(shape: _Shape) -> Runs:
    """Place a mask with its upper left pixel at the first point; the second names its last pixel."""
    x1, y1, x2, y2 = (math.floor(value) for value in shape.two())
    content = shape.fields.get("mask")
    try:
        raw = base64.b64decode(content if isinstance(content, str) else "", validate=False)
    except ValueError:
        raw = b""
    pixels = read_mask(raw, f"{shape.where}: mask", (max(y2 - y1, 0) + 2, max(x2 - x1, 0) + 2))
    h, w = pixels.shape
    if min(y2 - y1 + 1 - h, x2 - x1 + 1 - w) < -1 or max(y2 - y1 + 1 - h, x2 - x1 + 1 - w) > 1:
        raise AnnotationError(
            f"{shape.where}: mask: expected {y2 - y1 + 1}x{x2 - x1 + 1} (height x width) as its points say, got {h}x{w}"
        )
    return Runs.of(Bitmap(x1, y1, pixels), shape.size_hw)


def _line(shape: _Shape) -> str:
    return f"a line of {len(shape.points())} points has no area"


def _points(shape: _Shape) -> str:
    return "a point has no area" if len(shape.points()) == 1 else "points have no area"


_OUTLINES: dict[str, Callable[[_Shape], Rings | Runs | str]] = {
    "polygon": _polygon,
    "rectangle": _rectangle,
    "rotation": _polygon,
    "circle": _circle,
    "mask": _mask,
    "line": _line,
    "linestrip": _line,
    "point": _points,
    "points": _points,
}
