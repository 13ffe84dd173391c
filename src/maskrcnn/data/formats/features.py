"""Outlines on a map: GeoJSON, GeoPackage and Shapefile.

A GeoJSON without a `crs` member holds longitude and latitude (RFC 7946); one whose coordinates can't be that is
refused, never shifted.

References: RFC 7946; the GeoJSON format specification of 2008 (`crs`); OGC GeoPackage 1.3; ESRI Shapefile (1998).
Letters: N features.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.formats.fields import expected, listing, mapping, polygon, shown
from maskrcnn.data.formats.rasters import Raster, geo_library, rasterio_for
from maskrcnn.data.formats.reading import Reading
from maskrcnn.errors import AnnotationError

SUFFIXES = (".geojson", ".gpkg", ".shp")

_STARTS = {".gpkg": b"SQLite format 3\0", ".shp": b"\0\0\x27\x0a"}
_LON_LAT = "OGC:CRS84"
_FARTHEST = np.array([180.0, 90.0]) * 1.001
_MOST = 1e12  # a coordinate in any unit of length


@dataclass(frozen=True, eq=False)
class Features:
    """Outlines of one file.

    Attributes:
        source: The file.
        crs: Its coordinate reference system, as rasterio has it.
        names: What errors call each of the N.
        properties: What is said of each, texts and numbers.
        shapes: (N) object. Polygons and multipolygons of shapely; other geometries and None as they are.
        layers: The layer that each lies in; the same for all where the file has one.
    """

    source: Path
    crs: Any
    names: Sequence[str]
    properties: Sequence[Mapping[str, object]]
    shapes: NDArray[np.object_]
    layers: Sequence[str]


def may_be_features(path: Path, head: bytes) -> bool:
    """Say whether a file begins as those of its suffix do."""
    start = _STARTS.get(path.suffix.lower())
    return head.startswith(start) if start else head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def is_collection(document: object) -> bool:
    """Say whether parsed JSON is a GeoJSON of several features."""
    return isinstance(document, dict) and document.get("type") == "FeatureCollection" and "features" in document


def read_features(path: Path, reading: Reading, near: Sequence[Raster]) -> Features:
    """Read a file of outlines.

    Args:
        path: The file.
        reading: What becomes of a fault in a feature.
        near: Rasters that they may lie in, for the hint where coordinates are not what they claim.

    Raises:
        AnnotationError: The file is broken, or does not say what its coordinates are.
    """
    suffix = path.suffix.lower()
    if suffix not in _STARTS:
        return _read_geojson(path, reading, near)
    with path.open("rb") as file:
        if not may_be_features(path, file.read(16)):
            raise AnnotationError(f"{path}: expected a {suffix} file, got one of another kind", code="F001")
    return _read_layers(path)


# GeoJSON


def _read_geojson(path: Path, reading: Reading, near: Sequence[Raster]) -> Features:
    document = mapping(reading.json(path), str(path), "top level")
    if not is_collection(document):
        raise expected("a FeatureCollection", document.get("type"), str(path), "type")
    features = enumerate(listing(document["features"], str(path), "features"))
    parsed = list(reading.each(features, lambda numbered: _feature(path, *numbered)))
    shapes = _objects([shape for _, _, shape in parsed])
    stated = _stated_crs(document.get("crs"), path)
    if stated is None:
        _check_degrees(shapes, path, near)
    return Features(
        path,
        _crs(_LON_LAT if stated is None else stated, path),
        [name for name, _, _ in parsed],
        [properties for _, properties, _ in parsed],
        shapes,
        [""] * len(parsed),
    )


def _feature(path: Path, i: int, value: object) -> tuple[str, dict[str, object], object]:
    name = f"feature {i}"
    where = f"{path}: {name}"
    feature = mapping(value, where, "feature")
    properties = mapping(feature.get("properties") or {}, where, "properties")
    geometry = feature.get("geometry")
    return name, properties, None if geometry is None else _geometry(mapping(geometry, where, "geometry"), where)


def _geometry(geometry: dict[str, object], where: str) -> object:
    shapely = geo_library("shapely", Path(where.split(": ", 1)[0]))
    kind, value = geometry.get("type"), geometry.get("coordinates")
    if kind == "Polygon":
        return shapely.Polygon(*_rings(value, where))
    if kind == "MultiPolygon":
        return shapely.MultiPolygon([_rings(part, where) for part in listing(value, where, "coordinates")])
    if kind in ("Point", "MultiPoint", "LineString", "MultiLineString"):
        return shapely.Point()  # of no area, and so of no interest
    if kind == "GeometryCollection":
        inner = listing(geometry.get("geometries"), where, "geometries")
        kinds = [mapping(each, where, "geometries").get("type") for each in inner]
        if "GeometryCollection" in kinds:
            raise expected("no collection inside of another", kinds, where, "geometries")
        parts = [_geometry(mapping(each, where, "geometries"), where) for each in inner if _is_area(each)]
        return shapely.MultiPolygon([part for each in parts for part in _polygons(each)])
    raise expected("a geometry of GeoJSON", kind, where, "type of the geometry")


def _is_area(value: object) -> bool:
    return isinstance(value, dict) and value.get("type") in ("Polygon", "MultiPolygon")


def _polygons(shape: Any) -> list[Any]:
    return list(shape.geoms) if hasattr(shape, "geoms") else [shape]


def _rings(value: object, where: str) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    rings = [_ring(ring, where) for ring in listing(value, where, "coordinates")]
    if not rings:
        raise expected("at least one ring", value, where, "coordinates")
    return rings[0], rings[1:]


def _ring(value: object, where: str) -> NDArray[np.float64]:
    points = listing(value, where, "coordinates")
    try:
        ring = np.array([point[:2] for point in points], dtype=np.float64)  # type: ignore[index]  # or else below
    except (TypeError, ValueError, KeyError, OverflowError):
        raise expected("points of x and y", value, where, "coordinates") from None
    if ring.size and (ring.ndim != 2 or ring.shape[1] != 2 or not (np.abs(ring) <= _MOST).all()):
        raise expected(f"points of x and y within {_MOST:.0e}", value, where, "coordinates")
    closed = len(ring) > 1 and (ring[0] == ring[-1]).all()
    return polygon(ring[:-1] if closed else ring, where)


def _stated_crs(value: object, path: Path) -> str | None:
    """Return the name of the coordinate reference system that a GeoJSON of the older kind states."""
    if value is None:
        return None
    inner = value.get("properties") if isinstance(value, dict) else None
    name = inner.get("name") if isinstance(inner, dict) else None
    if not isinstance(name, str) or not name.strip():
        raise AnnotationError(f"{path}: crs: expected a name such as EPSG:32616, got {shown(value)}", code="F006")
    return name.strip()


def _check_degrees(shapes: NDArray[np.object_], path: Path, near: Sequence[Raster]) -> None:
    """Refuse coordinates that can't be longitude and latitude, and say whose they may be."""
    shapely = geo_library("shapely", path)
    corners = shapely.get_coordinates(shapes)
    if not len(corners) or (np.abs(corners) <= _FARTHEST).all():
        return
    (x1, y1), (x2, y2) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    hint = "say it in a member crs"
    for raster in near:
        left, bottom, right, top = raster.bounds
        if x1 < right and x2 > left and y1 < top and y2 > bottom:
            hint = f"they fit {raster.path.name}; if they are in its coordinates, {_how_to_say(raster.crs)}"
    raise AnnotationError(
        f"{path}: expected longitude and latitude, which a GeoJSON that states no coordinate reference system holds, "
        f"got x from {x1:.10g} to {x2:.10g} and y from {y1:.10g} to {y2:.10g}, of some projection; {hint}",
        code="F006",
    )


def _how_to_say(crs: Any) -> str:
    code = crs.to_epsg()
    if code is None:
        return "save the labels as a GeoPackage with them"
    return f'add "crs": {{"type": "name", "properties": {{"name": "EPSG:{code}"}}}} at its top level'


def _crs(name: str, path: Path) -> Any:
    rasterio = rasterio_for(path)
    try:
        with rasterio.Env():
            return rasterio.crs.CRS.from_user_input(name)
    except Exception as error:  # PROJ's errors are of many kinds
        raise AnnotationError(
            f"{path}: crs: expected a known coordinate reference system, got {shown(name)}: {error}", code="F006"
        ) from None


# GeoPackage and Shapefile


def _read_layers(path: Path) -> Features:
    layers = list(_layers(path))
    stated = {crs for _, crs, _ in layers}
    if None in stated or len(stated) > 1:
        got = "none; the .prj beside a Shapefile says it" if None in stated else " and ".join(map(str, stated))
        raise AnnotationError(f"{path}: expected one coordinate reference system, got {got}", code="F006")
    if not layers:
        raise AnnotationError(f"{path}: expected a layer of polygons, got none")
    rows = [(layer, *row) for layer, _, rows in layers for row in rows]
    several = len(layers) > 1
    return Features(
        path,
        _crs(str(stated.pop()), path),
        [f"feature {fid}{f' of {layer}' if several else ''}" for layer, fid, _, _ in rows],
        [properties for _, _, properties, _ in rows],
        _objects([shape for _, _, _, shape in rows]),
        [layer if several else "" for layer, _, _, _ in rows],
    )


def _layers(path: Path) -> Iterator[tuple[str, str | None, list[tuple[int, dict[str, object], object]]]]:
    """Yield name, coordinate reference system and features of each layer that has polygons."""
    pyogrio, shapely = geo_library("pyogrio", path), geo_library("shapely", path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for layer, kind in pyogrio.list_layers(path.absolute()).tolist():
                if kind is None or ("Polygon" not in kind and "Unknown" not in kind and "Collection" not in kind):
                    continue
                about, fids, geometry, values = pyogrio.raw.read(
                    path.absolute(), layer=layer, force_2d=True, return_fids=True
                )
                shapes = shapely.from_wkb(geometry, on_invalid="ignore")
                names = about["fields"].tolist()
                rows = [dict(zip(names, row, strict=True)) for row in zip(*(v.tolist() for v in values), strict=True)]
                yield layer, about["crs"], list(zip(fids.tolist(), rows or [{}] * len(fids), shapes, strict=True))
    except Exception as error:  # GDAL's errors are of many kinds
        raise AnnotationError(
            f"{path}: expected a file of map features, got a broken one: {error}", code="F001"
        ) from None


def _objects(items: Sequence[object]) -> NDArray[np.object_]:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array
