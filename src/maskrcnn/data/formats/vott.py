"""VoTT 2 exports as JSON: assets with regions, whose tags are the classes.

| region | becomes |
|---|---|
| POLYGON | its outline |
| RECTANGLE, SQUARE | its four sides; boxes only where the file has no polygon |
| POLYLINE of 3 points and more | its outline, closed |
| POINT; POLYLINE of 1 or 2 points | left out, with the reason |

References: github.com/microsoft/VoTT, its source.
Letters: V corners of a ring.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Box, Dataset, Rings, stated_or_header_size
from maskrcnn.data.formats.drafts import Draft, Skipped, Thing, assemble, boxes_as_outlines
from maskrcnn.data.formats.fields import expected, listing, mapping, number, polygon, stated_size, text
from maskrcnn.data.formats.pictures import locate
from maskrcnn.data.formats.place import Place, folders_up
from maskrcnn.data.formats.reading import Reading
from maskrcnn.errors import AnnotationError

_SIGNS = (b'"assets"', b'"videoSettings"', b'"securityToken"', b'"tags"')
_KINDS = ("POLYGON", "RECTANGLE", "SQUARE", "POLYLINE", "POINT")


def find(place: Place) -> list[Path]:
    """List VoTT's exports of a place."""
    maybe = (path for path in place.ending(".json") if any(sign in place.head(path) for sign in _SIGNS))
    return [path for path in maybe if _recognises(place.json(path))]


def _recognises(document: object) -> bool:
    assets = document.get("assets") if isinstance(document, dict) else None
    first = next(iter(assets.values()), None) if isinstance(assets, dict) else None
    return isinstance(first, dict) and "asset" in first


def read(source: Path, reading: Reading) -> Dataset:
    """Read an export of VoTT; pictures may be missing where it says their sizes.

    Raises:
        AnnotationError: The file is broken, a region is not what VoTT writes, or has no tag or several.
        ImageError: Pictures are missing.
    """
    root = mapping(reading.json(source), str(source), "top level")
    assets = mapping(root.get("assets"), str(source), "assets")
    seen: set[str] = set()
    entries = list(reading.each(assets.items(), lambda item: (_asset(*item, source, seen), item[1])))
    names = [str(asset["name"]) for asset, _ in entries]
    folders = [place for folder in folders_up(source, 2) for place in (folder, folder / "images")]
    paths = locate(names, folders, source, reading)

    def draft(each: tuple[tuple[dict[str, object], object], str, Path]) -> Draft:
        (asset, entry), name, path = each
        where = f"{source}: {name}"
        stated = mapping(asset.get("size") or {}, where, "size")
        size_hw = stated_or_header_size(path, stated_size(stated.get("height"), stated.get("width"), where))
        regions = listing(mapping(entry, where, "entry").get("regions") or [], where, "regions")
        return Draft(name, path, size_hw, list(reading.each(regions, lambda region: _thing(region, where))))

    drafts = list(reading.each(zip(entries, names, paths, strict=True), draft))
    return assemble(source, "vott", boxes_as_outlines(drafts), reading, _declared(root.get("tags"), source))


def _asset(key: str, value: object, source: Path, seen: set[str]) -> dict[str, object]:
    """Return what is said of a picture, with a name that can be looked for."""
    where = f"{source}: asset {key}"
    asset = mapping(mapping(value, where, "entry").get("asset"), where, "asset")
    name = asset.get("name") or unquote(text(asset.get("path"), where, "path")).rsplit("/", 1)[-1]
    plain = text(name, where, "name")
    if plain in seen:
        raise AnnotationError(f"{where}: expected one asset for {plain}, got a second one", code="F004")
    seen.add(plain)
    return {**asset, "name": plain}


def _declared(value: object, source: Path) -> dict[int, str] | None:
    tags = [mapping(tag, f"{source}: tags", "tag") for tag in listing(value or [], str(source), "tags")]
    names = dict.fromkeys(text(tag.get("name"), f"{source}: tags", "name") for tag in tags)
    return dict(enumerate(names, start=1)) or None


def _thing(value: object, picture: str) -> Thing | Skipped:
    region = mapping(value, picture, "region")
    name = f"region {str(region.get('id', '?'))[:40]}"
    where = f"{picture}: {name}"
    kind = region.get("type")
    if kind not in _KINDS:
        raise expected(f"one of {', '.join(_KINDS)}", kind, where, "type")
    if kind in ("RECTANGLE", "SQUARE"):
        return Thing(name, _tag(region, where), None, _box(region.get("boundingBox"), where))
    ring = _ring(region.get("points"), where)
    if kind == "POINT" or (kind == "POLYLINE" and len(ring) < 3):
        return Skipped(name, "a point has no area" if len(ring) < 2 else f"a line of {len(ring)} points has no area")
    return Thing(name, _tag(region, where), Rings((polygon(ring, where),)))


def _tag(region: dict[str, object], where: str) -> str:
    tags = [text(tag, where, "tags") for tag in listing(region.get("tags") or [], where, "tags")]
    if len(tags) != 1:
        got = " and ".join(tags)[:99] or "nothing"
        raise AnnotationError(f"{where}: tags: expected one class, got {got}", code="C303" if tags else "C302")
    return tags[0]


def _box(value: object, where: str) -> Box:
    box = mapping(value, where, "boundingBox")
    x, y, w, h = (number(box.get(field), where, field) for field in ("left", "top", "width", "height"))
    if min(w, h) < 0:
        raise expected("a width and a height from 0 up", [w, h], where, "boundingBox")
    return x, y, x + w, y + h


def _ring(value: object, where: str) -> NDArray[np.float64]:
    points = [mapping(point, where, f"points[{i}]") for i, point in enumerate(listing(value, where, "points"))]
    corners = [
        [number(point.get(axis), where, f"points[{i}]: {axis}") for axis in "xy"] for i, point in enumerate(points)
    ]
    return np.array(corners, dtype=np.float64).reshape(-1, 2)
