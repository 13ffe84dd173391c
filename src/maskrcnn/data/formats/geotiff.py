"""GeoTIFF with outlines on a map: GeoJSON, GeoPackage or Shapefile, in any coordinate reference system.

```
field/tile_1.tif  field/tile_1.geojson  field/tile_2.tif  field/tile_2.geojson     a file for each raster
field/images/tile_1.tif  field/labels/tile_1.geojson                               the same in two folders
field/north.tif  field/south.tif  field/buildings.gpkg                             one file for all
```

Outlines go to the coordinates of the raster, and from there to its pixels. One with holes becomes run lengths, when
it is asked for.

References: OGC GeoTIFF 1.1; RFC 7946.
Letters: N features; H, W height and width.
"""

from __future__ import annotations

import importlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Annotation, Box, Dataset, LeftOut, Record, Rings, Runs
from maskrcnn.data.formats import features as outlines
from maskrcnn.data.formats import rasters as grids
from maskrcnn.data.formats.deferred import Deferred
from maskrcnn.data.formats.drafts import ONLY_CLASS
from maskrcnn.data.formats.features import Features, read_features
from maskrcnn.data.formats.place import Place, folders_up
from maskrcnn.data.formats.rasters import Raster, affine, geo_library, locate_raster, reader
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.formats.via_regions import CLASS_KEYS
from maskrcnn.errors import AnnotationError
from maskrcnn.ops.polygons import rasterise
from maskrcnn.ops.rle import Bitmap, clip, overlaid

_RASTER_FOLDERS = ("images", "rasters")
_FEATURE_FOLDERS = ("labels", "vectors", "annotations", "geojson")
_SURE_KEYS = CLASS_KEYS[: CLASS_KEYS.index("category") + 1]
_BEYOND = 2048.0  # pixels outside of a raster from which on an outline is cut before it is drawn
_BORDER = 16.0  # pixels that the cut leaves
_AREAS = (3, 6, 7)  # shapely's numbers of polygons, multipolygons and collections
_NOTHING = 1e-6  # pixels: what only touches a raster's border has no part in it

Part = tuple[NDArray[np.float64], ...]
"""A ring and its holes, each (V, 2) float64 x, y."""


# Finding


def find(place: Place) -> list[Path]:
    """List the files of outlines beside rasters; the folder itself where each raster has its own."""
    if not place.is_folder:
        return [path for path in _named(place) if _rasters_for(path)]
    rasters, files = _inside(place, _rasters_in, _RASTER_FOLDERS), _inside(place, _features_in, _FEATURE_FOLDERS)
    if not rasters or not files:
        return []
    return [place.path] if {path.stem for path in rasters} & {path.stem for path in files} else files


def _named(place: Place) -> list[Path]:
    """List the file of outlines that is named, or that of the raster that is."""
    if not _rasters_in(place):
        return _features_in(place)
    return [path for path in _features_in(Place(place.path.parent)) if path.stem == place.path.stem]


def _inside(place: Place, listed: Callable[[Place], list[Path]], names: Iterable[str]) -> list[Path]:
    """List what lies in a folder, or else in the first of its folders of a usual name that has any."""
    inner = (place.inside(name) for name in names)
    return next(filter(None, (listed(each) for each in (place, *inner) if each is not None)), [])


def _rasters_in(place: Place) -> list[Path]:
    return place.ending(*grids.SUFFIXES)


def _features_in(place: Place) -> list[Path]:
    named = [path for path in place.ending(*outlines.SUFFIXES) if outlines.may_be_features(path, place.head(path, 64))]
    return named or [path for path in place.ending(".json") if outlines.is_collection(place.json(path))]


def _rasters_for(path: Path) -> list[Path]:
    """List the rasters that a file of outlines may be about: the one of its name, or else all."""
    around = folders_up(path, 2)[1] if path.parent.name in _FEATURE_FOLDERS else path.parent
    rasters = _rasters_in(Place(path.parent)) or _inside(Place(around), _rasters_in, _RASTER_FOLDERS)
    return [raster for raster in rasters if raster.stem == path.stem] or rasters


# Reading


def read(source: Path, reading: Reading, class_key: str | None = None) -> Dataset:
    """Read rasters and their outlines.

    Args:
        source: A file of outlines, or a folder in which each raster has its own.
        reading: What becomes of faults.
        class_key: The property that holds the class; found by itself where it is one of `CLASS_KEYS`.

    Raises:
        AnnotationError: A file is broken, does not say what its coordinates are, or lies elsewhere than its raster.
        ImageError: A raster is broken.
    """
    pairs = _pairs(source, reading) if source.is_dir() else _pairs_of_file(source, reading)
    placed = [_place(*pair) for pair in pairs]
    placed, elsewhere = _part(placed, source, reading)
    files = list({each.features.source: each.features for each in placed}.values())
    key = _class_key(files) if class_key is None else class_key
    objects = dict.fromkeys((each.features, i) for each in placed for i in each.index)
    class_of = dict(reading.each(objects, lambda each: (each, _class_of(*each, key))))
    class_names = tuple(sorted(set(class_of.values()))) or (ONLY_CLASS,)
    label_of = {each: class_names.index(name) for each, name in class_of.items()}
    records = [_record(image_id, each, label_of) for image_id, each in enumerate(placed, start=1)]
    unplaced = [left for features in files for left in _unplaced(features, placed)]
    left_out = [*elsewhere, *unplaced]
    return Dataset(source, "geotiff", class_names, range(1, len(class_names) + 1), records, left_out)


def _pairs_of_file(source: Path, reading: Reading) -> list[tuple[Raster, Features]]:
    """Pair one file of outlines with every raster that it may be about."""
    rasters = list(reading.each(_rasters_for(source), locate_raster))
    if not rasters:
        raise AnnotationError(f"{source}: expected a raster ({', '.join(grids.SUFFIXES)}) beside it, found none")
    features = read_features(source, reading, rasters)
    return [(raster, features) for raster in rasters]


def _pairs(folder: Path, reading: Reading) -> list[tuple[Raster, Features]]:
    """Pair rasters and files of outlines of the same name."""
    place = Place(folder)
    rasters = {path.stem: path for path in _inside(place, _rasters_in, _RASTER_FOLDERS)}
    files = {path.stem: path for path in _inside(place, _features_in, _FEATURE_FOLDERS)}
    for stem in files.keys() - rasters.keys():
        reading.fault(AnnotationError(f"{files[stem]}: expected a raster {stem}.tif, found none", code="F005"))

    def pair(item: tuple[str, Path]) -> tuple[Raster, Features]:
        stem, path = item
        if stem not in files:
            raise AnnotationError(
                f"{path}: expected outlines in {stem}.geojson, .gpkg or .shp, found none; where there is nothing to "
                "outline, a file without features says so",
                code="F009",
            )
        raster = locate_raster(path)
        return raster, read_features(files[stem], reading, [raster])

    return list(reading.each(rasters.items(), pair))


def _record(image_id: int, placed: _Placed, label_of: Mapping[tuple[Features, int], int]) -> Record:
    raster, features = placed.raster, placed.features
    annotations = tuple(
        _annotation(features.names[i], label_of[features, i], shape, raster.size_hw)
        for i, shape in zip(placed.index, placed.shapes, strict=True)
        if (features, i) in label_of
    )
    return Record(
        raster.path.name,
        raster.path,
        image_id,
        raster.size_hw,
        annotations,
        columns=raster.columns,
        read=reader(raster),
    )


# Classes


def _class_key(files: Sequence[Features]) -> str | None:
    """Find the property that holds the class.

    `class`, `label` and their like are it wherever they are filled; `name` or `type`, which may be that of a single
    building, only where they are filled for every feature.
    """
    rows = [row for features in files for row, shape in _areas(features) if shape]
    filled = Counter(key for row in rows for key in row if _text(row[key]))
    for name in CLASS_KEYS:
        for key, count in filled.items():
            if key.strip().lower() == name and (name in _SURE_KEYS or count == len(rows)):
                return key
    return None


def _areas(features: Features) -> Iterator[tuple[Mapping[str, object], bool]]:
    return zip(features.properties, _is_area(features), strict=True)


def _is_area(features: Features) -> NDArray[np.bool_]:
    shapely = geo_library("shapely", features.source)
    is_area: NDArray[np.bool_] = np.isin(shapely.get_type_id(features.shapes), _AREAS)
    return is_area


def _class_of(features: Features, i: int, key: str | None) -> str:
    if key is None:
        return features.layers[i] or ONLY_CLASS
    name = _text(features.properties[i].get(key))
    if not name:
        raise AnnotationError(
            f"{features.source}: {features.names[i]}: property {key!r}: expected a class, got nothing", code="C302"
        )
    return name


def _text(value: object) -> str:
    """Return a property as a class name; nothing where it is not filled.

    >>> _text(" big  house "), _text(3.0), _text(float("nan")), _text(None)
    ('big house', '3', '', '')
    """
    if isinstance(value, float):
        return f"{value:g}" if math.isfinite(value) else ""
    return " ".join(str(value).split()) if isinstance(value, str | int) else ""


# Places


@dataclass(frozen=True)
class _Placed:
    """The outlines of a file that have a part in a raster, in its pixels."""

    raster: Raster
    features: Features
    index: list[int]
    shapes: list[Any]
    is_near: bool  # whether the extent of all outlines touches the raster


def _place(raster: Raster, features: Features) -> _Placed:
    shapely = geo_library("shapely", features.source)
    shapes = _reprojected(features, raster.crs)
    bounds = shapely.bounds(shapes)
    areas = bounds[_is_area(features) & np.isfinite(bounds).all(axis=1)]
    total = np.concatenate([areas[:, :2].min(axis=0), areas[:, 2:].max(axis=0)])[None] if len(areas) else areas
    index = np.flatnonzero(_is_area(features) & _overlap(bounds, raster.bounds))
    drawn = shapely.transform(shapes[index], partial(affine, ~raster.transform))
    inside = [(int(i), _cut(shape, raster.size_hw)) for i, shape in zip(index, drawn, strict=True)]
    kept = [(i, shape) for i, shape in inside if shape is not None]
    return _Placed(
        raster, features, [i for i, _ in kept], [s for _, s in kept], bool(_overlap(total, raster.bounds).any())
    )


def _overlap(bounds: NDArray[np.float64], other: Box) -> NDArray[np.bool_]:
    x1, y1, x2, y2 = bounds.T
    overlap: NDArray[np.bool_] = (x1 < other[2]) & (x2 > other[0]) & (y1 < other[3]) & (y2 > other[1])
    return overlap


def _reprojected(features: Features, crs: Any) -> NDArray[np.object_]:
    """Return the shapes in another coordinate reference system; without a place in it, corners are infinite."""
    if crs == features.crs:
        return features.shapes
    shapely = geo_library("shapely", features.source)
    warp = importlib.import_module("rasterio.warp")

    def move(points: NDArray[np.float64]) -> NDArray[np.float64]:
        try:
            return np.stack(warp.transform(features.crs, crs, *points.T), axis=1)
        except Exception:  # of which PROJ does not say the point
            return np.full_like(points, np.inf)

    moved: NDArray[np.object_] = shapely.transform(features.shapes, move)
    return moved


def _cut(shape: Any, size_hw: tuple[int, int]) -> Any:
    """Return a shape, in pixels, that has a part in a picture; None where it has none.

    One that reaches far beyond is cut, for drawing it takes time in proportion to its length.
    """
    shapely = importlib.import_module("shapely")
    h, w = size_hw
    try:
        shape = _without_far_holes(shape)
    except shapely.GEOSException:  # as below
        return None
    x1, y1, x2, y2 = shape.bounds
    if x1 >= 0 and y1 >= 0 and x2 <= w and y2 <= h:
        return shape
    try:
        if not shape.intersects(shapely.box(_NOTHING, _NOTHING, w - _NOTHING, h - _NOTHING)):
            return None
        if min(x1, y1, w - x2, h - y2) < -_BEYOND:
            shape = shapely.make_valid(shape).intersection(shapely.box(-_BORDER, -_BORDER, w + _BORDER, h + _BORDER))
    except shapely.GEOSException:  # an outline that crosses itself beyond repair is drawn as it is
        pass
    return shape if _polygons(shape) else None  # what is left may be a line


def _without_far_holes(shape: Any) -> Any:
    """Cut holes that reach far beyond their outline, which the bounds of a shape do not count."""
    shapely = importlib.import_module("shapely")
    corners, (x1, y1, x2, y2) = shapely.get_coordinates(shape), shape.bounds
    if not len(corners) or (np.abs(corners - [(x1 + x2) / 2, (y1 + y2) / 2]).max() <= _BEYOND + max(x2 - x1, y2 - y1)):
        return shape
    parts, frame = [], shapely.box(x1, y1, x2, y2)
    for polygon in _polygons(shape):
        holes = [shapely.make_valid(shapely.Polygon(hole)).intersection(frame) for hole in polygon.interiors]
        parts.append(shapely.make_valid(shapely.Polygon(polygon.exterior)).difference(shapely.union_all(holes)))
    return shapely.union_all(parts)


def _part(placed: Sequence[_Placed], source: Path, reading: Reading) -> tuple[list[_Placed], list[LeftOut]]:
    """Part the rasters that the outlines are about from those that lie elsewhere."""
    near = [each for each in placed if each.is_near or not len(each.features.shapes)]
    far = [each for each in placed if each not in near]
    if near and not source.is_dir():
        reason = "all of them lie elsewhere, so nothing says what is on it"
        return near, [LeftOut(source, each.raster.path.name, "every feature", reason, "G203") for each in far]
    for each in far:
        reading.fault(_far_away(each))
    return near, []


def _far_away(placed: _Placed) -> AnnotationError:
    raster, features = placed.raster, placed.features
    shapely = geo_library("shapely", features.source)
    bounds = shapely.total_bounds(_reprojected(features, raster.crs)).tolist()
    theirs, its = (", ".join(f"{side:.10g}" for side in sides) for sides in (bounds, raster.bounds))
    return AnnotationError(
        f"{features.source}: expected features on {raster.path.name}, got {len(features.shapes)} that lie elsewhere: "
        f"they span {theirs} (x1, y1, x2, y2 in the coordinates of the raster), and the raster {its}; "
        "is the coordinate reference system of both the right one?",
        code="F006",
    )


def _unplaced(features: Features, placed: Sequence[_Placed]) -> Iterator[LeftOut]:
    """List the outlines of a file that are no objects."""
    mine = [each for each in placed if each.features is features]
    used = {i for each in mine for i in each.index}
    picture = mine[0].raster.path.name if len(mine) == 1 else f"{len(mine)} rasters"
    for i, is_area in enumerate(_is_area(features)):
        if i in used:
            continue
        code, why = ("G203", "nothing of it lies inside") if is_area else ("G202", "it is no polygon, and has no area")
        yield LeftOut(features.source, picture, features.names[i], why, code)


# Shapes


def _annotation(name: str, label: int, shape: Any, size_hw: tuple[int, int]) -> Annotation:
    parts = [_rings(polygon) for polygon in _polygons(shape)]
    if all(len(rings) == 1 for rings in parts):
        return Annotation(name, label, Rings(tuple(rings[0] for rings in parts)))
    return Annotation(name, label, Deferred(partial(draw_with_holes, parts, size_hw)), shape.bounds)


def _polygons(shape: Any) -> list[Any]:
    """List the polygons of a shape, however deep they are in collections."""
    if hasattr(shape, "geoms"):
        return [polygon for part in shape.geoms for polygon in _polygons(part)]
    return [shape] if shape.geom_type == "Polygon" and not shape.is_empty else []


def _rings(polygon: Any) -> Part:
    rings = [polygon.exterior, *polygon.interiors]
    return tuple(np.array(ring.coords, dtype=np.float64)[:-1, :2] for ring in rings)


def draw_with_holes(parts: Sequence[Part], size_hw: tuple[int, int]) -> Runs:
    """Fill rings and clear their holes.

    Args:
        parts: Rings with their holes, in pixels.
        size_hw: Height and width of the picture.
    """
    return Runs.of(overlaid(_pierced(part, size_hw) for part in parts), size_hw)


def _pierced(part: Part, size_hw: tuple[int, int]) -> Bitmap:
    filled = rasterise(part[:1], size_hw)
    pixels = filled.pixels.copy()
    for hole in part[1:]:
        x, y, hollow = rasterise([hole], size_hw)
        x, y, hollow = clip(Bitmap(x - filled.x, y - filled.y, hollow), pixels.shape)
        h, w = hollow.shape
        pixels[y : y + h, x : x + w] &= ~hollow
    return Bitmap(filled.x, filled.y, pixels)
