from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from maskrcnn.data import open_dataset, tiles
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats import rasters
from maskrcnn.data.formats.coco import encode_instances
from maskrcnn.data.images import read_image
from maskrcnn.data.synth import synthesise
from maskrcnn.data.tiles import Tiling, write_tiles
from maskrcnn.errors import AnnotationError, InputError, OutputError
from maskrcnn.structures import Bitmap, Bitmaps, Instances


@pytest.fixture
def drawn(tmp_path: Path) -> Dataset:
    synthesise("shapes", tmp_path / "drawn", 3, seed=5, size_hw=(64, 96))
    return open_dataset(tmp_path / "drawn")


def make_set(folder: Path, pictures: dict[str, np.ndarray], masks: dict[str, list[Bitmap]]) -> Dataset:
    (folder / "images").mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for i, (name, pixels) in enumerate(pictures.items(), start=1):
        (folder / "images" / name).parent.mkdir(exist_ok=True)
        if name.endswith(".png"):
            Image.fromarray(pixels).save(folder / "images" / name)
        else:
            tifffile = pytest.importorskip("tifffile")
            tifffile.imwrite(folder / "images" / name, np.moveaxis(pixels, 2, 0), photometric="minisblack")
        h, w = pixels.shape[:2]
        images.append({"id": i, "file_name": name, "height": h, "width": w})
        found = Bitmaps(masks.get(name, []), (h, w))
        labels = np.zeros(len(found.bitmaps), np.int64)
        instances = Instances((h, w), found.boxes(), labels, ["thing"], found)
        annotations += encode_instances(instances, i, len(annotations) + 1, [7])
    categories = [{"id": 7, "name": "thing", "supercategory": "stuff"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(document))
    return open_dataset(folder)


def block(x: int, y: int, w: int, h: int) -> Bitmap:
    return Bitmap(x, y, np.ones((h, w), dtype=bool))


def origin(name: str) -> tuple[int, int]:
    stem = Path(name).stem
    return int(stem.rsplit("_x", 1)[1]), int(stem.rsplit("_x", 1)[0].rsplit("_y", 1)[1])


def black(h: int, w: int) -> np.ndarray:
    return np.zeros((h, w, 3), np.uint8)


# ---- laws


@pytest.mark.parametrize(("size_hw", "overlap"), [((20, 30), 0), ((32, 32), 10), ((64, 96), 5), ((70, 40), 39)])
def test_tiles_put_together_are_the_set(size_hw: tuple[int, int], overlap: int, drawn: Dataset, tmp_path: Path) -> None:
    made = write_tiles(drawn, tmp_path / "out", Tiling(size_hw, overlap, min_share=0))
    cut = open_dataset(tmp_path / "out")
    assert made.tiles == len(cut)
    assert made.objects == sum(len(record.annotations) for record in cut.records)
    assert (cut.class_names, cut.category_ids) == (drawn.class_names, drawn.category_ids)
    for i, whole in enumerate(drawn):
        name = Path(drawn.records[i].name).stem
        labels = np.zeros((len(drawn.class_names), *whole.instances.size_hw), int)
        again, seen = labels.copy(), np.zeros(whole.instances.size_hw, bool)
        for mask, label in zip(whole.instances.masks.dense(), whole.instances.labels, strict=True):
            labels[label] |= mask
        for k, record in enumerate(cut.records):
            if not record.name.startswith(f"{name}_y"):
                continue
            (x, y), (h, w) = origin(record.name), record.size_hw
            assert (h, w) == (min(size_hw[0], 64), min(size_hw[1], 96))
            part = cut[k]
            assert np.array_equal(part.image, whole.image[y : y + h, x : x + w])
            seen[y : y + h, x : x + w] = True
            for mask, label in zip(part.instances.masks.dense(), part.instances.labels, strict=True):
                again[label, y : y + h, x : x + w] |= mask
        assert seen.all()
        assert np.array_equal(again, labels)


def test_tiles_start_where_they_should() -> None:
    starts = Tiling((10, 10), 3).starts
    assert starts(10, 10) == starts(4, 10) == [0]
    assert starts(11, 10) == [0, 1]
    assert starts(17, 10) == [0, 7]
    assert starts(18, 10) == [0, 7, 8]
    for length in range(1, 60):
        covered = {pixel for start in starts(length, 10) for pixel in range(start, min(start + 10, length))}
        assert covered == set(range(length))
        assert all(start + 10 <= max(length, 10) for start in starts(length, 10))


@pytest.mark.parametrize(
    ("size_hw", "overlap", "share"), [((8, 8), 8, 0), ((8, 8), -1, 0), ((0, 8), 0, 0), ((8, 8), 0, 2)]
)
def test_settings_that_make_no_sense(size_hw: tuple[int, int], overlap: int, share: float) -> None:
    with pytest.raises(InputError, match="expected"):
        Tiling(size_hw, overlap, share)


# ---- objects


def test_a_sliver_is_ignored_and_the_rest_is_not(tmp_path: Path) -> None:
    dataset = make_set(tmp_path / "in", {"a.png": black(10, 20)}, {"a.png": [block(0, 2, 11, 5)]})
    made = write_tiles(dataset, tmp_path / "out", Tiling((10, 10), 0))
    assert made == (2, 0, 2, 1)
    cut = open_dataset(tmp_path / "out")
    assert [cut.instances(i).crowd.tolist() for i in range(2)] == [[False], [True]]
    assert [cut.instances(i).boxes.tolist() for i in range(2)] == [[[0, 2, 10, 7]], [[0, 2, 1, 7]]]
    assert write_tiles(dataset, tmp_path / "other", Tiling((10, 10), 0, min_share=0.05)).ignored == 0


def test_empty_tiles_are_kept_or_dropped(tmp_path: Path) -> None:
    pictures = {"a.png": black(10, 20), "b.png": black(10, 20)}
    dataset = make_set(tmp_path / "in", pictures, {"a.png": [block(12, 2, 3, 3)]})
    assert write_tiles(dataset, tmp_path / "keep", Tiling((10, 10), 0))[:2] == (4, 3)
    assert write_tiles(dataset, tmp_path / "drop", Tiling((10, 10), 0, empty="drop"))[:2] == (1, 3)
    assert [path.name for path in (tmp_path / "drop/images").iterdir()] == ["a_y00000_x00010.png"]
    with pytest.raises(AnnotationError, match="expected an object in at least one tile, got none"):
        write_tiles(dataset[1:], tmp_path / "none", Tiling((10, 10), 0, empty="drop"))


def test_columns_say_which_picture_and_names_are_apart(tmp_path: Path) -> None:
    pictures = {"x/a.png": black(10, 20), "y/a.png": black(10, 10), "x a.png": black(10, 10), "x+A.png": black(5, 5)}
    dataset = make_set(tmp_path / "in", pictures, {})
    write_tiles(dataset, tmp_path / "out", Tiling((10, 10), 0))
    images = json.loads((tmp_path / "out/annotations.json").read_text())["images"]
    assert [(entry["file_name"], entry["columns"]) for entry in images] == [
        ("x_a_id1_y00000_x00000.png", {"picture": "x/a.png"}),
        ("x_a_id1_y00000_x00010.png", {"picture": "x/a.png"}),
        ("y_a_y00000_x00000.png", {"picture": "y/a.png"}),
        ("x_a_id3_y00000_x00000.png", {"picture": "x a.png"}),
        ("x+A_y00000_x00000.png", {"picture": "x+A.png"}),
    ]


def test_boxes_without_masks_and_labels_that_were_looked_for(tmp_path: Path) -> None:
    dataset = make_set(tmp_path / "in", {"a.png": black(10, 20)}, {})
    path = tmp_path / "in/annotations.json"
    document = json.loads(path.read_text())
    document["annotations"] = [{"id": 1, "image_id": 1, "category_id": 7, "bbox": [5, 2, 10, 4]}]
    path.write_text(json.dumps(document))
    dataset = open_dataset(tmp_path / "in")
    looked = [dataset.records[0].__class__(**{**fields(dataset.records[0]), "labelled": frozenset({0})})]
    write_tiles(dataset.change(records=looked), tmp_path / "out", Tiling((10, 10), 0))
    cut = open_dataset(tmp_path / "out")
    assert [cut.instances(i).boxes.tolist() for i in range(2)] == [[[5, 2, 10, 6]], [[0, 2, 5, 6]]]
    assert cut.instances(0).masks is None
    assert json.loads((tmp_path / "out/annotations.json").read_text())["images"][0]["labelled"] == [7]


def fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


# ---- going on


def test_a_call_that_was_cut_off_goes_on(drawn: Dataset, tmp_path: Path) -> None:
    tiling = Tiling((32, 32), 8)
    write_tiles(drawn, tmp_path / "whole", tiling)

    def stop(done: int, total: int) -> None:
        if done == 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_tiles(drawn, tmp_path / "out", tiling, stop)
    assert not (tmp_path / "out/annotations.json").exists()
    with (tmp_path / "out/tiles.jsonl.partial").open("a") as log:
        log.write('{"image": {"file_na')  # as a killed process leaves it
    first = (tmp_path / "out/images/000001_y00000_x00000.png").stat().st_mtime_ns
    seen: list[int] = []
    made = write_tiles(drawn, tmp_path / "out", tiling, lambda done, total: seen.append(done))
    assert seen[0] == 12
    assert (tmp_path / "out/images/000001_y00000_x00000.png").stat().st_mtime_ns == first
    for file in (tmp_path / "whole").rglob("*.*"):
        assert (tmp_path / "out" / file.relative_to(tmp_path / "whole")).read_bytes() == file.read_bytes()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [".made.json", "annotations.json", "images"]
    assert write_tiles(drawn, tmp_path / "out", tiling) == made


def test_another_folder_is_left_alone(drawn: Dataset, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"expected an empty folder .* got a folder with annotations\.json"):
        write_tiles(drawn, tmp_path / "drawn", Tiling((32, 32), 0))
    write_tiles(drawn, tmp_path / "out", Tiling((32, 32), 0))
    with pytest.raises(OutputError, match="begun with overlap 0 instead of 1"):
        write_tiles(drawn, tmp_path / "out", Tiling((32, 32), 1))
    with pytest.raises(OutputError, match="begun from another set"):
        write_tiles(drawn[1:], tmp_path / "out", Tiling((32, 32), 0))


def test_a_picture_of_another_size_is_named(tmp_path: Path) -> None:
    dataset = make_set(tmp_path / "in", {"a.png": black(10, 20)}, {})
    Image.new("RGB", (10, 20)).save(tmp_path / "in/images/a.png")
    with pytest.raises(AnnotationError, match=r"a\.png: expected a picture of 10x20 .*, got 20x10"):
        write_tiles(dataset, tmp_path / "out", Tiling((10, 10), 0))


# ---- other pictures


@pytest.mark.parametrize(("bands", "dtype"), [(1, np.uint16), (5, np.uint8), (3, np.float32), (2, np.int16)])
def test_values_stay_whatever_they_are(bands: int, dtype: type, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 120, (30, 50, bands)).astype(dtype)
    dataset = make_set(tmp_path / "in", {"a.tif": pixels}, {"a.tif": [block(3, 3, 4, 4)]})
    whole = read_image(tmp_path / "in/images/a.tif")
    assert whole.shape == (30, 50, bands)
    write_tiles(dataset, tmp_path / "out", Tiling((20, 20), 0))
    for sample in open_dataset(tmp_path / "out"):
        x, y = origin(sample.path.name)
        assert sample.image.dtype == dtype
        assert np.array_equal(sample.image, whole[y : y + 20, x : x + 20])


@pytest.fixture
def field(tmp_path: Path) -> Path:
    rasterio = pytest.importorskip("rasterio")
    pytest.importorskip("shapely")
    pixels = np.random.default_rng(0).integers(1, 9000, (1, 60, 90)).astype(np.uint16)
    transform = rasterio.Affine(0.5, 0, 733600, 0, -0.5, 3725100)
    profile = {"driver": "GTiff", "count": 1, "height": 60, "width": 90, "dtype": "uint16", "crs": "EPSG:32616"}
    (tmp_path / "field").mkdir()
    with rasterio.open(tmp_path / "field/a.tif", "w", **profile, transform=transform, nodata=0) as file:
        file.write(pixels)
    rings = [[[733600 + x / 2, 3725100 - y / 2] for x, y in ring] for ring in RINGS]
    features = [
        {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}} for ring in rings
    ]
    crs = {"type": "name", "properties": {"name": "EPSG:32616"}}
    document = {"type": "FeatureCollection", "crs": crs, "features": features}
    (tmp_path / "field/a.geojson").write_text(json.dumps(document))
    return tmp_path / "field"


RINGS = [[(5, 5), (40, 8), (44, 50), (10, 41)], [(60, 10), (88, 10), (88, 58)], [(-5, 50), (7, 50), (7, 65)]]


def test_tiles_of_a_raster_know_where_they_lie(field: Path, tmp_path: Path) -> None:
    write_tiles(open_dataset(field), tmp_path / "out", Tiling((32, 32), 4, min_share=0))
    cut = open_dataset(tmp_path / "out")
    images = json.loads((tmp_path / "out/annotations.json").read_text())["images"]
    (tmp_path / "out/images/all.geojson").write_bytes((field / "a.geojson").read_bytes())
    again = open_dataset(tmp_path / "out/images", format="geotiff")
    assert len(cut) == len(again) == 8
    for i, record in enumerate(cut.records):
        raster = rasters.locate_raster(record.path)
        assert raster.nodata == 0
        assert images[i]["columns"] == {**raster.columns, "picture": "a.tif"}
        k = [other.name for other in again.records].index(record.name)
        cut_then_drawn, drawn_then_cut = again.instances(k).masks.dense(), cut.instances(i).masks.dense()
        # a corner left of the tile or above it is rounded to fifths of a pixel towards zero, others downwards
        assert (cut_then_drawn != drawn_then_cut).sum() <= 2
        assert np.array_equal(cut[i].image, again[k].image)


def test_a_large_raster_is_read_by_the_window(field: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiles(open_dataset(field), tmp_path / "whole", Tiling((32, 32), 4))
    monkeypatch.setattr(tiles, "_READ_WHOLE", 0)
    dataset = open_dataset(field)
    unreadable = [tiles.Record(**{**fields(record), "read": Path.unlink}) for record in dataset.records]
    write_tiles(dataset.change(records=unreadable), tmp_path / "out", Tiling((32, 32), 4))
    for file in (tmp_path / "whole").rglob("*.*"):
        assert (tmp_path / "out" / file.relative_to(tmp_path / "whole")).read_bytes() == file.read_bytes()
