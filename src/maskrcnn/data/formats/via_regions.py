"""Regions as VIA writes them, whatever the kind of its file: shapes, attributes, and which of these is the class.

| region | becomes |
|---|---|
| polygon; polyline of 3 points and more | its outline, closed |
| rect | its outline |
| circle, ellipse (`theta` in radians) | a polygon that leaves the curve by at most 0.01 pixels |
| point; polyline of 1 or 2 points | left out, with the reason |

Numbers may be floats or strings.

References: VIA 1.0.6 and 2.0.12, their source.
Letters: V corners of a ring.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Rings
from maskrcnn.data.formats.curves import ellipse_ring, rectangle_ring
from maskrcnn.data.formats.drafts import ONLY_CLASS
from maskrcnn.data.formats.fields import expected, mapping, number, numbers, polygon
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


@dataclass(frozen=True)
class Region:
    """A region of a picture.

    Attributes:
        name: What errors call it, such as `region 3`.
        where: File, name and picture, for errors.
        shape: Its outline, or the reason why it has none.
        attributes: What the annotator said about it.
    """

    name: str
    where: str
    shape: Rings | str
    attributes: dict[str, object]


@dataclass(frozen=True)
class Entry:
    """A picture and its regions."""

    name: str
    regions: list[Region]


class Once:
    """Pictures that were named so far, each of which may come once."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def check(self, name: str, where: str) -> str:
        """Return the name of a picture.

        Raises:
            AnnotationError: It came before.
        """
        if name in self._seen:
            raise AnnotationError(
                f"{where}: expected one entry for {name}, got a second one; remove one of them in VIA", code="F004"
            )
        self._seen.add(name)
        return name


@dataclass(frozen=True)
class _Shape:
    where: str
    fields: dict[str, object]


def parse_region(key: str, value: object, picture: str, source: Path) -> Region:
    """Read a region.

    Raises:
        AnnotationError: It is not what VIA writes.
    """
    name = f"region {key}"
    where = f"{source}: {name} of {picture}"
    region = mapping(value, where, name)
    shape = _shape(_Shape(where, mapping(region.get("shape_attributes"), where, "shape_attributes")))
    attributes = mapping(region.get("region_attributes") or {}, where, "region_attributes")
    return Region(name, where, shape, attributes)


# Classes


def find_class_key(regions: Sequence[Region], source: Path) -> str | None:
    """Find the attribute that holds the class; None where no region has any attribute.

    Raises:
        AnnotationError: Several could be it.
    """
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


def class_of(region: Region, key: str | None) -> str:
    """Return the class of a region.

    Raises:
        AnnotationError: It has none, or several.
    """
    if key is None:
        return ONLY_CLASS
    options = _options(region, key)
    if len(options) != 1:
        got = " and ".join(options) or "nothing"
        raise AnnotationError(
            f"{region.where}: attribute {key!r}: expected one class, got {got}", code="C303" if options else "C302"
        )
    return options[0]


def _options(region: Region, key: str) -> list[str]:
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
    return rectangle_ring(x, y, x + _length(shape, "width"), y + _length(shape, "height"))


def _circle(shape: _Shape) -> NDArray[np.float64]:
    radius = _length(shape, "r")
    return ellipse_ring(_number(shape, "cx"), _number(shape, "cy"), radius, radius)


def _ellipse(shape: _Shape) -> NDArray[np.float64]:
    theta = _number(shape, "theta") if "theta" in shape.fields else 0.0
    centre = _number(shape, "cx"), _number(shape, "cy")
    return ellipse_ring(*centre, _length(shape, "rx"), _length(shape, "ry"), theta)


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
