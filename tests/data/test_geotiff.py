from __future__ import annotations

import json
import math
import pickle
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from odd_values import with_odd_values

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Dataset, Rings, Runs
from maskrcnn.data.formats import geotiff
from maskrcnn.data.formats.rasters import locate_raster, read_raster, windows
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.images import read_image
from maskrcnn.errors import AnnotationError, DataError, FormatError, ImageError

rasterio = pytest.importorskip("rasterio")
pyogrio = pytest.importorskip("pyogrio")
shapely = pytest.importorskip("shapely")
warp = pytest.importorskip("rasterio.warp")

SHARED = Path(__file__).parents[2] / "../shared/data/geotiff_buildings"
SIZE = (30, 40)
UTM = "EPSG:32616"
ORIGIN = (733600.0, 3725100.0)  # its upper left corner
METRES = 0.5  # a pixel
Json = dict[str, Any]


def save_raster(path: Path, pixels: np.ndarray | None = None, crs: str | None = UTM, **how: Any) -> Path:
    values = np.arange(SIZE[0] * SIZE[1], dtype=np.uint16).reshape(1, *SIZE) if pixels is None else pixels
    transform = how.pop("transform", rasterio.Affine(METRES, 0, ORIGIN[0], 0, -METRES, ORIGIN[1]))
    profile = {"driver": "GTiff", "count": len(values), "height": values.shape[1], "width": values.shape[2]}
    with rasterio.open(path, "w", **profile, dtype=values.dtype, crs=crs, transform=transform, **how) as file:
        file.write(values)
    return path


def on_map(ring: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return where corners in pixels lie on the map."""
    return [(ORIGIN[0] + METRES * x, ORIGIN[1] - METRES * y) for x, y in ring]


def square(x1: float, y1: float, x2: float, y2: float) -> list[tuple[float, float]]:
    return on_map([(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)])


def polygon(*rings: list[tuple[float, float]]) -> Json:
    return {"type": "Polygon", "coordinates": rings}


def feature(geometry: Json | None, **properties: object) -> Json:
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def collection(*features: Json, crs: str | None = UTM) -> Json:
    named = {} if crs is None else {"crs": {"type": "name", "properties": {"name": crs}}}
    return {"type": "FeatureCollection", **named, "features": list(features)}


def save(path: Path, *features: Json, crs: str | None = UTM) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(collection(*features, crs=crs)))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_raster(tmp_path / "a.tif")
    return tmp_path


def dense(dataset: Dataset, i: int = 0) -> np.ndarray:
    masks = dataset.instances(i).masks
    assert masks is not None
    return masks.dense()


def full(x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
    mask = np.zeros(SIZE, dtype=bool)
    mask[y1:y2, x1:x2] = True
    return mask


# ---- what is read


def test_outlines_become_pixels_and_values_stay(folder: Path) -> None:
    save(folder / "a.geojson", feature(polygon(square(3, 4, 10, 12))), feature(polygon(square(20, 0, 40, 5))))
    dataset = open_dataset(folder)
    assert (dataset.format, dataset.source, dataset.class_names) == ("geotiff", folder, ("object",))
    sample = dataset[0]
    assert (sample.image.shape, sample.image.dtype) == ((*SIZE, 1), np.uint16)
    assert sample.image[..., 0].tolist() == np.arange(1200).reshape(SIZE).tolist()
    assert (dense(dataset) == [full(3, 4, 10, 12), full(20, 0, 40, 5)]).all()
    assert dataset.records[0].columns == {"x": "733610", "y": "3725092.5", "crs": UTM}
    for named in ("a.geojson", "a.tif"):
        assert open_dataset(folder / named).fingerprint() == dataset.fingerprint()
    pickle.loads(pickle.dumps(dataset.records[0]))


def test_holes_and_several_parts(folder: Path) -> None:
    ring = polygon(square(2, 2, 12, 12), square(4, 4, 8, 8))
    parts = {
        "type": "MultiPolygon",
        "coordinates": [[square(20, 2, 24, 6)], [square(30, 20, 38, 28), square(32, 22, 36, 26)]],
    }
    two = {"type": "MultiPolygon", "coordinates": [[square(20, 2, 24, 6)], [square(30, 20, 38, 28)]]}
    save(folder / "a.geojson", feature(ring), feature(parts), feature(two))
    dataset = open_dataset(folder)
    expected = [
        full(2, 2, 12, 12) & ~full(4, 4, 8, 8),
        full(20, 2, 24, 6) | full(30, 20, 38, 28) & ~full(32, 22, 36, 26),
        full(20, 2, 24, 6) | full(30, 20, 38, 28),
    ]
    assert (dense(dataset) == expected).all()
    kinds = [type(annotation.shape) for annotation in dataset.records[0].annotations]
    assert issubclass(kinds[0], Runs)
    assert kinds[2] is Rings
    again = pickle.loads(pickle.dumps(dataset.records[0]))
    assert again.annotations[1].shape.pixels == expected[1].sum()


def test_holes_equal_the_even_odd_rule_on_random_outlines() -> None:
    random = np.random.default_rng(0)
    for _ in range(40):
        angles = np.sort(random.uniform(0, 2 * math.pi, 9))
        circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        centre, radius = random.uniform(0, 40, 2), random.uniform(4, 15)
        outer, inner = centre + radius * circle, centre + 0.4 * radius * circle
        drawn = geotiff.draw_with_holes([(outer, inner)], SIZE).bitmap(SIZE)
        both = [Rings((ring,)).bitmap(SIZE) for ring in (outer, inner)]
        canvas = np.zeros((3, *SIZE), dtype=bool)
        for layer, bitmap in zip(canvas, [drawn, *both], strict=True):
            h, w = bitmap.pixels.shape
            layer[bitmap.y : bitmap.y + h, bitmap.x : bitmap.x + w] = bitmap.pixels
        assert (canvas[0] == canvas[1] & ~canvas[2]).all()


def as_shapes(*rings: list[tuple[float, float]]) -> Any:
    return np.array([shapely.Polygon(ring) for ring in rings])


def save_layer(path: Path, shapes: Any, crs: str | None = UTM, fields: Json | None = None, **how: Any) -> Path:
    fields = fields or {"height": [1.0] * len(shapes)}
    values = [np.array(v, dtype=object if isinstance(v[0], str) else None) for v in fields.values()]
    pyogrio.raw.write(path, shapely.to_wkb(shapes), values, list(fields), geometry_type="Polygon", crs=crs, **how)
    return path


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson"])
def test_every_kind_of_file_and_crs_gives_the_same(suffix: str, folder: Path) -> None:
    rings = [square(3, 4, 10, 12), square(20.4, 0.2, 33, 5)]
    save(folder / "a.geojson", *(feature(polygon(ring)) for ring in rings))
    expected = open_dataset(folder).records[0].annotations
    (folder / "a.geojson").unlink()
    for crs in (UTM, "EPSG:4326", "EPSG:3857", "EPSG:32617"):
        if suffix == ".geojson" and crs == UTM:
            continue
        moved = [list(zip(*warp.transform(UTM, crs, *zip(*ring, strict=True)), strict=True)) for ring in rings]
        if suffix == ".geojson":
            save(folder / "b.geojson", *(feature(polygon(r)) for r in moved), crs=None if crs == "EPSG:4326" else crs)
        else:
            save_layer(folder / f"b{suffix}", as_shapes(*moved), crs)
        got = open_dataset(folder).records[0].annotations
        for mine, theirs in zip(got, expected, strict=True):
            a, b = mine.shape.rings[0], theirs.shape.rings[0]
            order = np.argmin(np.abs(a[:, None] - b).sum(axis=2), axis=0)  # a Shapefile turns rings round
            assert np.abs(a[order] - b).max() < 1e-3


def test_a_turned_raster(tmp_path: Path) -> None:
    cosine, sine = 0.4, 0.3
    turned = rasterio.Affine(cosine, sine, ORIGIN[0], sine, -cosine, ORIGIN[1])
    save_raster(tmp_path / "a.tif", transform=turned)
    corners = [(3, 4), (10, 4), (10, 12), (3, 12)]
    ring = [(ORIGIN[0] + cosine * x + sine * y, ORIGIN[1] + sine * x - cosine * y) for x, y in corners]
    save(tmp_path / "a.geojson", feature(polygon(ring)))
    shape = open_dataset(tmp_path).records[0].annotations[0].shape
    assert isinstance(shape, Rings)
    assert np.allclose(shape.rings[0], corners, atol=1e-6)


# ---- classes


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        ([{"class": "house"}, {"class": " barn "}], ["house", "barn"]),
        ([{"Label": 3}, {"Label": 7.0}], ["3", "7"]),
        ([{"name": "Smith & Co"}, {"name": ""}], ["object", "object"]),
        ([{"name": "house"}, {"name": "barn"}], ["house", "barn"]),
        ([{"name": "x", "class": "house"}, {"name": "y", "class": "house"}], ["house", "house"]),
        ([{"building": "yes"}, {}], ["object", "object"]),
    ],
)
def test_the_class_is_found(rows: list[Json], names: list[str], folder: Path) -> None:
    rings = [square(3, 4, 10, 12), square(20, 0, 33, 5)]
    save(folder / "a.geojson", *(feature(polygon(r), **row) for r, row in zip(rings, rows, strict=True)))
    assert open_dataset(folder)[0].instances.names == names


def test_a_class_that_is_missing_is_named_and_can_be_passed_over(folder: Path) -> None:
    save(folder / "a.geojson", feature(polygon(square(3, 4, 9, 9)), label="a"), feature(polygon(square(9, 4, 12, 9))))
    with pytest.raises(AnnotationError, match=r"a\.geojson: feature 1: property 'label': expected a class") as error:
        open_dataset(folder)
    assert error.value.code == "C302"
    found: list[DataError] = []
    dataset = open_dataset(folder, fault=found.append)
    assert len(found) == len(dataset.records[0].annotations) == 1


def test_layers_of_a_geopackage_are_classes(folder: Path) -> None:
    path = folder / "a.gpkg"
    save_layer(path, as_shapes(square(3, 4, 9, 9)), layer="house")
    save_layer(path, as_shapes(square(20, 4, 25, 9), square(30, 4, 35, 9)), layer="barn", append=True)
    dataset = open_dataset(folder)
    assert dataset[0].instances.names == ["house", "barn", "barn"]
    assert dataset.records[0].annotations[0].name == "feature 1 of house"


# ---- what lies partly or wholly outside


def test_what_reaches_out_is_cut_and_what_lies_outside_is_listed(folder: Path) -> None:
    corner = on_map([(38, -9), (60, 20), (60, -9)])  # its box reaches into the picture, and it does not
    save(
        folder / "a.geojson",
        feature(polygon(square(35, 25, 60, 60))),
        feature(polygon(square(50, 0, 60, 5))),
        feature(polygon(corner)),
        feature(polygon(square(40, 0, 45, 5))),
        feature({"type": "Point", "coordinates": square(1, 1, 2, 2)[0]}),
        feature(None),
        feature({"type": "LineString", "coordinates": square(1, 1, 2, 2)}),
        feature({"type": "GeometryCollection", "geometries": [polygon(square(1, 1, 3, 3))]}),
    )
    dataset = open_dataset(folder)
    assert (dense(dataset) == [full(35, 25, 40, 30), full(1, 1, 3, 3)]).all()
    assert [(left.name, left.code) for left in dataset.left_out] == [
        ("feature 1", "G203"),
        ("feature 2", "G203"),
        ("feature 3", "G203"),
        ("feature 4", "G202"),
        ("feature 5", "G202"),
        ("feature 6", "G202"),
    ]


def test_a_country_over_a_garden_is_cut_before_it_is_drawn(folder: Path) -> None:
    far = 3e6
    land = on_map([(-far, -far), (far, -far), (far, 10), (-far, 10)])
    save(folder / "a.geojson", feature(polygon(land)), feature(polygon(land, square(5, 2, 9, 6))))
    dataset = open_dataset(folder)
    assert (dense(dataset) == [full(0, 0, 40, 10), full(0, 0, 40, 10) & ~full(5, 2, 9, 6)]).all()
    assert dataset.records[0].annotations[0].extent() == (-16, -16, 56, 10)


def test_an_outline_that_crosses_itself_far_out_is_still_read(folder: Path) -> None:
    bow = on_map([(-9000, -9000), (9000, 9000), (9000, -9000), (-9000, 9000)])
    save(folder / "a.geojson", feature(polygon(bow)))
    assert dense(open_dataset(folder)).shape == (1, *SIZE)


# ---- which raster


def test_a_collection_inside_of_another_is_refused(folder: Path) -> None:
    inner = {"type": "GeometryCollection", "geometries": [polygon(square(1, 1, 3, 3))]}
    save(folder / "a.geojson", feature({"type": "GeometryCollection", "geometries": [inner]}))
    with pytest.raises(AnnotationError, match="feature 0: geometries: expected no collection inside of another"):
        open_dataset(folder)


def test_one_file_for_several_rasters(folder: Path) -> None:
    right = rasterio.Affine(METRES, 0, ORIGIN[0] + 20, 0, -METRES, ORIGIN[1])
    away = rasterio.Affine(METRES, 0, ORIGIN[0] + 2000, 0, -METRES, ORIGIN[1])
    save_raster(folder / "b.tif", transform=right)
    save_raster(folder / "c.tif", transform=away)
    save(folder / "all.geojson", feature(polygon(square(30, 4, 50, 12))), feature(polygon(square(99, 9, 100, 10))))
    dataset = open_dataset(folder)
    assert dataset.source == folder / "all.geojson"
    assert [record.name for record in dataset.records] == ["a.tif", "b.tif"]
    assert dense(dataset, 0).sum() == dense(dataset, 1).sum() == 80
    assert [str(left).split(": ", 1)[1] for left in dataset.left_out] == [
        "every feature of c.tif: left out: all of them lie elsewhere, so nothing says what is on it",
        "feature 1 of 2 rasters: left out: nothing of it lies inside",
    ]


def test_folders_of_rasters_and_of_labels(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in "ab":
        save_raster(tmp_path / f"images/{name}.tif")
        save(tmp_path / f"labels/{name}.geojson", *[feature(polygon(square(3, 4, 9, 9)))] * (name == "a"))
    dataset = open_dataset(tmp_path)
    assert [len(record.annotations) for record in dataset.records] == [1, 0]
    assert [record.name for record in open_dataset(tmp_path / "labels/a.geojson").records] == ["a.tif"]


def test_partners_that_are_missing(folder: Path) -> None:
    save(folder / "a.geojson", feature(polygon(square(3, 4, 9, 9))))
    save_raster(folder / "b.tif")
    with pytest.raises(AnnotationError, match=r"b\.tif: expected outlines in b\.geojson, \.gpkg or \.shp, found none"):
        open_dataset(folder)
    save(folder / "c.geojson")
    with pytest.raises(AnnotationError, match=r"c\.geojson: expected a raster c\.tif, found none") as error:
        open_dataset(folder)
    assert error.value.code == "F005"
    found: list[DataError] = []
    assert [record.name for record in open_dataset(folder, fault=found.append).records] == ["a.tif"]
    assert len(found) == 2


def test_several_files_of_other_names_have_to_be_chosen(folder: Path) -> None:
    save(folder / "x.geojson"), save(folder / "y.geojson")
    with pytest.raises(FormatError, match=r"expected one annotation file, got x\.geojson, y\.geojson; name the one"):
        open_dataset(folder)
    (folder / "a.tif").rename(folder / "a.txt")
    with pytest.raises(FormatError, match=r"x\.geojson: expected annotations of a known kind"):
        open_dataset(folder / "x.geojson")


def test_a_collection_in_a_json_file(folder: Path) -> None:
    save(folder / "a.json", feature(polygon(square(3, 4, 9, 9))))
    assert len(open_dataset(folder)[0].instances) == 1


# ---- coordinates that are not what they claim


def test_projected_coordinates_without_a_crs_are_refused(folder: Path) -> None:
    path = save(folder / "a.geojson", feature(polygon(square(3, 4, 9, 9))), crs=None)
    with pytest.raises(AnnotationError, match="expected longitude and latitude") as error:
        open_dataset(folder)
    assert error.value.code == "F006"
    hint = '{"type": "name", "properties": {"name": "EPSG:32616"}}'
    assert f'they fit a.tif; if they are in its coordinates, add "crs": {hint} at its top level' in str(error.value)
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "crs": json.loads(hint)}))
    assert (dense(open_dataset(folder)) == full(3, 4, 9, 9)).all()


def test_features_that_all_lie_elsewhere_are_refused(folder: Path) -> None:
    save(folder / "a.geojson", feature(polygon([(1, 2), (3, 2), (3, 4)])), crs=None)
    with pytest.raises(AnnotationError, match=r"expected features on a\.tif, got 1 that lie elsewhere") as error:
        open_dataset(folder)
    assert error.value.code == "F006"
    save(folder / "a.geojson", feature(polygon(square(3, 4, 9, 9))), crs="EPSG:32617")
    with pytest.raises(AnnotationError, match="is the coordinate reference system of both the right one"):
        open_dataset(folder / "a.geojson")


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_files_that_do_not_say_where_they_are(folder: Path) -> None:
    save(folder / "a.geojson", crs="EPSG:999999")
    with pytest.raises(AnnotationError, match="expected a known coordinate reference system, got 'EPSG:999999'"):
        open_dataset(folder)
    (folder / "a.geojson").unlink()
    save_layer(folder / "a.shp", as_shapes(square(3, 4, 9, 9)), crs=None)
    with pytest.raises(AnnotationError, match=r"expected one coordinate reference system, got none; the \.prj"):
        open_dataset(folder)
    for file in folder.glob("a.*"):
        file.unlink()
    save(folder / "a.geojson", feature(polygon(square(3, 4, 9, 9))))
    save_raster(folder / "a.tif", crs=None)
    with pytest.raises(AnnotationError, match="expected a georeferenced raster, got one without a coordinate ref"):
        open_dataset(folder)


def test_a_raster_whose_pixels_have_no_area_is_refused(folder: Path) -> None:
    save(folder / "a.geojson", feature(polygon(square(3, 4, 9, 9))))
    save_raster(folder / "a.tif", transform=rasterio.Affine(1e-309, 0, 500000, 0, -1e-312, 5000000))
    with pytest.raises(AnnotationError, match="expected pixels that cover a part of the map") as error:
        open_dataset(folder)
    assert error.value.code == "F006"


def test_a_hole_that_reaches_far_beyond_its_outline_is_cut(folder: Path) -> None:
    ring = square(3, 4, 9, 9)
    far = [on_map([corner])[0] for corner in ((6.0, 4.0), (9.0, 4.0), (9.0, 1e9), (6.0, 4.0))]
    outline = polygon(ring)
    outline["coordinates"] = [*outline["coordinates"], far]
    save(folder / "a.geojson", feature(outline))
    started = time.process_time()
    assert (dense(open_dataset(folder)) == full(3, 4, 6, 9)).all()  # its left side is almost upright
    assert time.process_time() - started < 5


def test_an_outline_of_which_a_far_hole_leaves_nothing_is_named(folder: Path) -> None:
    outline = polygon(square(3, 4, 9, 9))
    everything = [on_map([corner])[0] for corner in ((-1e6, -1e6), (1e6, -1e6), (1e6, 1e6), (-1e6, 1e6), (-1e6, -1e6))]
    outline["coordinates"] = [*outline["coordinates"], everything]
    save(folder / "a.geojson", feature(outline), feature(polygon(square(3, 4, 9, 9))))
    dataset = open_dataset(folder)
    assert len(dataset[0].instances) == 1
    assert "nothing of it lies inside" in str(dataset.left_out[0])


# ---- broken files


def test_odd_geojson_ends_in_a_sentence_or_in_a_set(folder: Path) -> None:
    ring = polygon(square(3, 4, 9, 9)[:4])
    document = collection(
        feature(ring, label="x"), feature({"type": "MultiPolygon", "coordinates": [[square(9, 9, 12, 12)]]})
    )
    path = folder / "a.geojson"
    read = 0
    for odd in with_odd_values(document):
        path.write_text(json.dumps(odd))
        try:
            open_dataset(folder, format="geotiff")[0]
            read += 1
        except DataError as error:
            assert str(folder) in str(error)  # noqa: PT017  # some can be read
    assert read > 10


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".tif"])
def test_changed_bytes_end_in_a_sentence_or_in_a_set(suffix: str, folder: Path) -> None:
    if suffix == ".tif":
        save(folder / "a.geojson", feature(polygon(square(3, 4, 9, 9))))
    else:
        save_layer(folder / f"a{suffix}", as_shapes(square(3, 4, 10, 12)))
    path = folder / f"a{suffix}"
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for i in range(20):
        raw = bytearray(whole[: random.integers(len(whole))] if i % 3 == 0 else whole)
        for at in random.integers(0, max(len(raw), 1), 20):
            raw[at : at + 1] = bytes([random.integers(256)])
        path.write_bytes(raw)
        try:
            open_dataset(folder, format="geotiff")[0]
        except DataError as error:
            assert str(folder) in str(error)  # noqa: PT017  # some can be read


def test_a_file_of_another_kind_is_not_followed(folder: Path) -> None:
    (folder / "a.gpkg").write_text("<OGRVRTDataSource/>")
    with pytest.raises(FormatError):
        open_dataset(folder / "a.gpkg")
    with pytest.raises(AnnotationError, match="expected"):
        geotiff.read(folder / "a.gpkg", Reading())
    (folder / "v.tif").write_text('<VRTDataset rasterXSize="2" rasterYSize="2"/>')
    with pytest.raises(ImageError, match=r"v\.tif: expected a whole raster, got one that can't be read"):
        locate_raster(folder / "v.tif")


@pytest.mark.parametrize("library", ["rasterio", "shapely"])
def test_without_the_libraries_the_sentence_says_what_to_install(
    library: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(folder / "a.geojson", feature(polygon(square(3, 4, 9, 9))))
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(AnnotationError, match=rf"expected {library} to read this file.*pip install maskrcnn\[geo\]"):
        open_dataset(folder)


# ---- pixels


BLOCKS = {"blockxsize": 16, "blockysize": 16}
KINDS: dict[str, tuple[np.ndarray, Json]] = {
    "grey": (np.arange(1200).reshape(1, *SIZE).astype(np.uint8), {}),
    "rgb": (np.arange(3600).reshape(3, *SIZE).astype(np.uint8), {"photometric": "RGB"}),
    "rgb, by the pixel": (np.arange(3600).reshape(3, *SIZE).astype(np.uint8), {"interleave": "pixel"}),
    "rgba": (np.arange(4800).reshape(4, *SIZE).astype(np.uint8), {"photometric": "RGB", "ALPHA": "YES"}),
    "4 bands": (np.arange(4800).reshape(4, *SIZE).astype(np.uint8), {"photometric": "MINISBLACK"}),
    "uint16": (np.arange(1200).reshape(1, *SIZE).astype(np.uint16), {"compress": "deflate", "predictor": 2}),
    "8 of uint16": (np.arange(9600).reshape(8, *SIZE).astype(np.uint16), {}),
    "float": (np.arange(1200).reshape(1, *SIZE).astype(np.float32) / 7, {"compress": "deflate"}),
    "int16": (np.arange(3600).reshape(3, *SIZE).astype(np.int16) - 1800, {"tiled": True, **BLOCKS}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_of_the_usual_reader(kind: str, tmp_path: Path) -> None:
    pixels, how = KINDS[kind]
    path = save_raster(tmp_path / "a.tif", pixels, **how)
    assert locate_raster(path).is_plain
    usual, ours = read_image(path), read_raster(path)
    assert (ours.shape, ours.dtype) == (usual.shape, usual.dtype)
    assert (ours == usual).all()
    with windows(path) as read_window:
        assert (read_window(5, 7, (9, 11)) == usual[7:16, 5:16]).all()


def test_a_palette_becomes_colours(tmp_path: Path) -> None:
    path = save_raster(tmp_path / "a.tif", (np.arange(1200) % 4).reshape(1, *SIZE).astype(np.uint8))
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {0: (0, 0, 0), 1: (255, 0, 0), 2: (0, 9, 255), 3: (1, 2, 3)})
    assert read_image(path).reshape(-1, 3)[:4].tolist() == [[0, 0, 0], [255, 0, 0], [0, 9, 255], [1, 2, 3]]
    assert (read_raster(path) == read_image(path)).all()


@pytest.mark.parametrize("how", [{"compress": "lzw"}, {"compress": "zstd"}, {"compress": "deflate", "predictor": 3}])
def test_other_compressions_are_read_too(how: Json, folder: Path) -> None:
    pixels = np.arange(3600).reshape(3, *SIZE).astype(np.float32)
    save_raster(folder / "a.tif", pixels, **how)
    save(folder / "a.geojson", feature(polygon(square(3, 4, 9, 9))))
    assert (open_dataset(folder)[0].image == pixels.transpose(1, 2, 0)).all()


# ---- real files


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data/geotiff_buildings is not here")
def test_real_footprints() -> None:
    dataset = open_dataset(SHARED / "geotiff_labels.geojson")
    assert [(record.name, len(record.annotations)) for record in dataset.records] == [("sample_geotiff.tif", 43)]
    assert [left.picture for left in dataset.left_out] == ["sample_geotiff_custom_proj.tif"]
    assert dataset[0].image.dtype == np.uint16
    with pytest.raises(AnnotationError, match=r"they fit sample_geotiff_custom_proj\.tif"):
        open_dataset(SHARED / "geotiff_custom_proj_labels.geojson")
