"""VGG Image Annotator: exports of 1.x and 2.x, and projects of 2.x.

| region | becomes |
|---|---|
| polygon; polyline of 3 points and more | its outline, closed |
| rect | its outline |
| circle, ellipse (`theta` in radians) | a polygon that leaves the curve by at most 0.01 pixels |
| point; polyline of 1 or 2 points | left out, with the reason |

Numbers may be floats or strings. `regions` may be a dict (1.x), a list (2.x), empty or missing (a picture
without objects). Image ids are 1, 2, ... in the file's order, label order is alphabetical.

References: VIA 1.0.6 and 2.0.12, their source.
Letters: V corners of a ring.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Annotation, Dataset, LeftOut, Record, Rings, sift
from maskrcnn.data.formats.fields import expected, listing, mapping, number, numbers, polygon, text
from maskrcnn.data.formats.pictures import locate
from maskrcnn.data.formats.place import Place
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.images import header_size
from maskrcnn.errors import AnnotationError

CLASS_KEYS = (
    "class",
    "class_name",
    "classname",
    "label",
    "category",
    "name",
    "object_name",
    "object",
    "type",
)
"""Names of the region attribute that holds the class, the surest first."""

USUAL_NAME = "via_region_data.json"

ONLY_CLASS = "object"
"""The class of regions that have no attribute."""

_CURVE_ERROR = 0.01


@dataclass(frozen=True)
class _Shape:
    where: str
    fields: dict[str, object]


@dataclass(frozen=True)
class _Region:
    name: str
    where: str
    shape: Rings | str  # or the reason why it has none
    attributes: dict[str, object]


@dataclass(frozen=True)
class _Entry:
    name: str
    regions: list[_Region]


@dataclass(frozen=True)
class _Classes:
    chosen: Mapping[str, str]  # of each region, by where it is
    names: tuple[str, ...]


def find(place: Place) -> list[Path]:
    """List the VIA files of a place: the one of the usual name, or else every JSON file that is one."""
    usual = [path for path in place.files if path.name == USUAL_NAME]
    return usual or [path for path in place.ending(".json") if _recognises(place.json(path))]


def _recognises(document: object) -> bool:
    if not isinstance(document, dict):
        return False
    if isinstance(document.get("_via_img_metadata"), dict):
        return True
    first = next(iter(document.values()), None)
    return isinstance(first, dict) and "filename" in first


def read(source: Path, reading: Reading, class_key: str | None = None) -> Dataset:
    """Read a VIA file; its pictures are needed, for the file does not say their sizes.

    Args:
        source: The JSON file.
        reading: What becomes of faults.
        class_key: The region attribute that holds the class; found by itself where it is one of `CLASS_KEYS`
            or the only one, or where all candidates agree on every region.

    Raises:
        AnnotationError: The file is broken, a region is not what VIA writes or has no class where others have
            one, or several attributes could be the class.
        ImageError: Pictures are missing or broken.
    """
    root = mapping(reading.json(source), str(source), "top level")
    entries = list(_entries(root, source, reading))
    objects = [region for entry in entries for region in entry.regions if isinstance(region.shape, Rings)]
    key = _class_key(objects, source) if class_key is None else class_key
    classes = dict(reading.each(objects, lambda region: (region.where, _class_of(region, key))))
    class_names = tuple(sorted(set(classes.values()))) or (ONLY_CLASS,)
    paths = locate(
        [entry.name for entry in entries], _folders(root, source), source, replace(reading, pictures="required")
    )
    numbered = zip(range(1, len(entries) + 1), entries, paths, strict=True)
    records = reading.each(numbered, lambda each: _record(*each, _Classes(classes, class_names)))
    kept, outside = sift(records, source)
    shapeless = [
        LeftOut(source, entry.name, region.name, region.shape, "G202")
        for entry in entries
        for region in entry.regions
        if isinstance(region.shape, str)
    ]
    return Dataset(source, "via", class_names, range(1, len(class_names) + 1), kept, [*shapeless, *outside])


def _record(image_id: int, entry: _Entry, path: Path, classes: _Classes) -> Record:
    annotations = tuple(
        Annotation(region.name, classes.names.index(classes.chosen[region.where]), region.shape)
        for region in entry.regions
        if isinstance(region.shape, Rings) and region.where in classes.chosen
    )
    return Record(entry.name, path, image_id, header_size(path), annotations)


def _folders(root: dict[str, object], source: Path) -> list[Path]:
    here = source.parent
    folders = [here, here / "images", here.parent / "images", here.parent]
    core: object = root.get("_via_settings")
    for field in ("core", "default_filepath"):
        core = core.get(field) if isinstance(core, dict) else None
    return [*folders, here / core] if isinstance(core, str) else folders


def _entries(root: dict[str, object], source: Path, reading: Reading) -> Iterator[_Entry]:
    if "_via_img_metadata" in root:
        root = mapping(root["_via_img_metadata"], str(source), "_via_img_metadata")
    seen: set[str] = set()

    def parse(item: tuple[str, object]) -> _Entry:
        key, value = item
        where = f"{source}: {key}"
        entry = mapping(value, where, "entry")
        name = text(entry.get("filename"), where, "filename")
        if name in seen:
            raise AnnotationError(
                f"{where}: expected one entry for {name}, got a second one; remove one of them in VIA", code="F004"
            )
        seen.add(name)
        return _Entry(name, list(_regions(entry.get("regions"), name, source, reading)))

    return reading.each(root.items(), parse)


def _regions(value: object, picture: str, source: Path, reading: Reading) -> Iterator[_Region]:
    if value is None:
        return iter(())
    where = f"{source}: {picture}"
    named = value.items() if isinstance(value, dict) else enumerate(listing(value, where, "regions"))
    return reading.each(named, lambda item: _region(str(item[0]), item[1], picture, source))


def _region(key: str, value: object, picture: str, source: Path) -> _Region:
    name = f"region {key}"
    where = f"{source}: {name} of {picture}"
    region = mapping(value, where, name)
    shape = _shape(_Shape(where, mapping(region.get("shape_attributes"), where, "shape_attributes")))
    attributes = mapping(region.get("region_attributes") or {}, where, "region_attributes")
    return _Region(name, where, shape, attributes)


# Classes


def _class_key(regions: Sequence[_Region], source: Path) -> str | None:
    """Find the attribute that holds the class; None where no region has any attribute."""
    filled = Counter(key for region in regions for key in region.attributes if _options(region, key))
    known = [key for name in CLASS_KEYS for key in filled if key.strip().lower() == name]
    if known or len(filled) <= 1:
        return next(iter([*known, *filled]), None)
    first, *others = filled
    if all(_options(region, first) == _options(region, key) for region in regions for key in others):
        return first
    raise AnnotationError(
        f"{source}: expected one region attribute that holds the class, got {', '.join(map(repr, filled))}; "
        "rename the one that does to 'class'",
        code="F006",
    )


def _class_of(region: _Region, key: str | None) -> str:
    if key is None:
        return ONLY_CLASS
    options = _options(region, key)
    if len(options) != 1:
        got = " and ".join(options) or "nothing"
        raise AnnotationError(
            f"{region.where}: attribute {key!r}: expected one class, got {got}", code="C303" if options else "C302"
        )
    return options[0]


def _options(region: _Region, key: str) -> list[str]:
    """Return what an attribute (text, dropdown, radio, checkbox) has chosen, without stray white space."""
    value = region.attributes.get(key)
    if isinstance(value, dict):
        chosen = [option for option, is_chosen in value.items() if is_chosen in (True, "true")]
    elif value is None or isinstance(value, str | int | float):
        chosen = ["" if value is None else str(value)]
    else:
        raise expected("a class", value, region.where, f"attribute {key!r}")
    cleaned = [" ".join(option.split()) for option in chosen]
    return [option for option in cleaned if option]


# Shapes


def _shape(shape: _Shape) -> Rings | str:
    """Return the outline, or the reason why there is none."""
    kind = shape.fields.get("name")
    outline = _OUTLINES.get(kind) if isinstance(kind, str) else None
    if outline is None:
        raise expected(f"one of {', '.join(_OUTLINES)}", kind, shape.where, "name of the shape")
    ring = outline(shape)
    return ring if isinstance(ring, str) else Rings((ring,))


def _number(shape: _Shape, field: str) -> float:
    return number(shape.fields.get(field), shape.where, field)


def _length(shape: _Shape, field: str) -> float:
    length = _number(shape, field)
    if length < 0:
        raise expected("a number from 0 up", shape.fields.get(field), shape.where, field)
    return length


def _points(shape: _Shape) -> NDArray[np.float64]:
    """Return the corners of a ring, without the first one that 1.x repeats at the end."""
    x, y = (numbers(shape.fields.get(f"all_points_{axis}"), shape.where, f"all_points_{axis}") for axis in "xy")
    if len(x) != len(y):
        raise AnnotationError(f"{shape.where}: expected as many x as y, got {len(x)} x and {len(y)} y")
    ring = np.stack([x, y], axis=1)
    return ring[:-1] if len(ring) > 1 and (ring[0] == ring[-1]).all() else ring


def _polygon(shape: _Shape) -> NDArray[np.float64]:
    return polygon(_points(shape), shape.where)


def _polyline(shape: _Shape) -> NDArray[np.float64] | str:
    ring = _points(shape)
    return ring if len(ring) >= 3 else f"a line of {len(ring)} points has no area"


def _rect(shape: _Shape) -> NDArray[np.float64]:
    x, y = _number(shape, "x"), _number(shape, "y")
    w, h = _length(shape, "width"), _length(shape, "height")
    return np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]])


def _circle(shape: _Shape) -> NDArray[np.float64]:
    radius = _length(shape, "r")
    return _ellipse_ring(_number(shape, "cx"), _number(shape, "cy"), radius, radius, 0.0)


def _ellipse(shape: _Shape) -> NDArray[np.float64]:
    theta = _number(shape, "theta") if "theta" in shape.fields else 0.0
    centre = _number(shape, "cx"), _number(shape, "cy")
    return _ellipse_ring(*centre, _length(shape, "rx"), _length(shape, "ry"), theta)


def _ellipse_ring(cx: float, cy: float, rx: float, ry: float, theta: float) -> NDArray[np.float64]:
    corners = max(8, math.ceil(math.pi * math.sqrt(max(rx, ry) / (2 * _CURVE_ERROR))))
    angle = np.arange(corners) * (2 * math.pi / corners)
    along, across = rx * np.cos(angle), ry * np.sin(angle)
    cosine, sine = math.cos(theta), math.sin(theta)
    return np.stack([cx + along * cosine - across * sine, cy + along * sine + across * cosine], axis=1)


def _point(shape: _Shape) -> str:
    _number(shape, "cx"), _number(shape, "cy")
    return "a point has no area"


_OUTLINES: dict[str, Callable[[_Shape], NDArray[np.float64] | str]] = {
    "polygon": _polygon,
    "polyline": _polyline,
    "rect": _rect,
    "circle": _circle,
    "ellipse": _ellipse,
    "point": _point,
}
