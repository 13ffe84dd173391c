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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Annotation, Dataset, LeftOut, Record, Rings, sift
from maskrcnn.data.formats.fields import expected, listing, load_json, mapping, number, numbers, polygon, text
from maskrcnn.data.formats.pictures import Pictures, locate
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


def recognises(document: object) -> bool:
    """Say whether parsed JSON is a VIA file."""
    if not isinstance(document, dict):
        return False
    if isinstance(document.get("_via_img_metadata"), dict):
        return True
    first = next(iter(document.values()), None)
    return isinstance(first, dict) and "filename" in first


def read(
    path: str | Path,
    *,
    document: object = None,
    class_key: str | None = None,
    pictures: Pictures = "required",  # noqa: ARG001  # every format is opened alike
) -> Dataset:
    """Read a VIA file; its pictures are needed, for the file does not say their sizes.

    Args:
        path: The JSON file.
        document: Its content, where it has been parsed already.
        class_key: The region attribute that holds the class; found by itself where it is one of `CLASS_KEYS`
            or the only one, or where all candidates agree on every region.
        pictures: Of no effect.

    Raises:
        AnnotationError: The file is broken, a region is not what VIA writes or has no class where others have
            one, or several attributes could be the class.
        ImageError: Pictures are missing or broken.
    """
    source = Path(path)
    root = mapping(load_json(source) if document is None else document, str(source), "top level")
    entries = list(_entries(root, source))
    objects = [region for entry in entries for region in entry.regions if isinstance(region.shape, Rings)]
    key = _class_key(objects, source) if class_key is None else class_key
    class_names = tuple(sorted({_class_of(region, key) for region in objects})) or (ONLY_CLASS,)
    paths = locate([entry.name for entry in entries], _folders(root, source), source, "required")
    records = [
        Record(entry.name, place, image_id, header_size(place), _annotations(entry, key, class_names))
        for image_id, (entry, place) in enumerate(zip(entries, paths, strict=True), start=1)
    ]
    kept, outside = sift(records, source)
    shapeless = [
        LeftOut(source, entry.name, region.name, region.shape)
        for entry in entries
        for region in entry.regions
        if isinstance(region.shape, str)
    ]
    return Dataset(source, "via", class_names, range(1, len(class_names) + 1), kept, [*shapeless, *outside])


def _annotations(entry: _Entry, key: str | None, class_names: Sequence[str]) -> tuple[Annotation, ...]:
    return tuple(
        Annotation(region.name, class_names.index(_class_of(region, key)), region.shape)
        for region in entry.regions
        if isinstance(region.shape, Rings)
    )


def _folders(root: dict[str, object], source: Path) -> list[Path]:
    here = source.parent
    folders = [here, here / "images", here.parent / "images", here.parent]
    core: object = root.get("_via_settings")
    for field in ("core", "default_filepath"):
        core = core.get(field) if isinstance(core, dict) else None
    return [*folders, here / core] if isinstance(core, str) else folders


def _entries(root: dict[str, object], source: Path) -> Iterator[_Entry]:
    if "_via_img_metadata" in root:
        root = mapping(root["_via_img_metadata"], str(source), "_via_img_metadata")
    seen: set[str] = set()
    for key, value in root.items():
        where = f"{source}: {key}"
        entry = mapping(value, where, "entry")
        name = text(entry.get("filename"), where, "filename")
        if name in seen:
            raise AnnotationError(
                f"{where}: expected one entry for {name}, got a second one; remove one of them in VIA"
            )
        seen.add(name)
        yield _Entry(name, list(_regions(entry.get("regions"), name, source)))


def _regions(value: object, picture: str, source: Path) -> Iterator[_Region]:
    if value is None:
        return
    where = f"{source}: {picture}"
    named = value.items() if isinstance(value, dict) else enumerate(listing(value, where, "regions"))
    for key, item in named:
        name = f"region {key}"
        where = f"{source}: {name} of {picture}"
        region = mapping(item, where, name)
        shape = _shape(_Shape(where, mapping(region.get("shape_attributes"), where, "shape_attributes")))
        attributes = mapping(region.get("region_attributes") or {}, where, "region_attributes")
        yield _Region(name, where, shape, attributes)


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
        "rename the one that does to 'class'"
    )


def _class_of(region: _Region, key: str | None) -> str:
    if key is None:
        return ONLY_CLASS
    options = _options(region, key)
    if len(options) != 1:
        got = " and ".join(options) or "nothing"
        raise AnnotationError(f"{region.where}: attribute {key!r}: expected one class, got {got}")
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
