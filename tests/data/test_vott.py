from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from odd_texts import open_or_refuse
from odd_values import with_odd_values
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Dataset
from maskrcnn.errors import AnnotationError

SHARED = Path(__file__).parents[2] / "../shared/data/format_examples/vott_json_dataset"
H, W = 60, 80
Json = dict[str, object]
SQUARE = [{"x": x, "y": y} for x, y in ((10, 20), (30, 20), (30, 50), (10, 50))]


def region(kind: str, tags: object = ("cat",), points: object = SQUARE, **more: object) -> Json:
    box = {"left": 10, "top": 20, "width": 20, "height": 30}
    return {"id": kind.lower(), "type": kind, "tags": list(tags), "boundingBox": box, "points": points, **more}


def export(*regions: Json) -> Json:
    asset = {"name": "a.png", "path": "file:/gone/a.png", "size": {"width": W, "height": H}, "state": 2, "type": 1}
    tags = [{"name": "dog", "color": "#000"}, {"name": "cat", "color": "#fff"}]
    return {"name": "x", "tags": tags, "assets": {"1": {"asset": asset, "regions": list(regions)}}}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Dataset]:
    Image.new("RGB", (W, H)).save(tmp_path / "a.png")

    def _make(*regions: Json) -> Dataset:
        (tmp_path / "x-export.json").write_text(json.dumps(export(*regions)))
        return open_dataset(tmp_path)

    return _make


def test_outlines_and_declared_classes(make) -> None:
    dataset = make(region("POLYGON"), region("RECTANGLE", ["dog"]), region("POLYLINE"))
    assert (dataset.format, dataset.class_names) == ("vott", ("dog", "cat"))
    assert dataset.instances(0).names == ["cat", "dog", "cat"]
    assert dataset.instances(0).masks.areas().tolist() == [600] * 3


def test_nothing_but_rectangles_has_no_masks(make) -> None:
    instances = make(region("RECTANGLE")).instances(0)
    assert (instances.boxes.tolist(), instances.masks) == ([[10, 20, 30, 50]], None)


def test_points_and_lines_are_left_out(make) -> None:
    dataset = make(region("POINT", points=SQUARE[:1]), region("POLYLINE", points=SQUARE[:2]))
    assert [left.reason for left in dataset.left_out] == ["a point has no area", "a line of 2 points has no area"]


@pytest.mark.parametrize(
    ("odd", "words", "code"),
    [
        (region("POLYGON", []), "tags: expected one class, got nothing", "C302"),
        (region("POLYGON", ["cat", "dog"]), "tags: expected one class, got cat and dog", "C303"),
        (region("POLYGON", ["cow"]), "expected one of the classes 'dog', 'cat', got 'cow'", "C301"),
        (region("POLYGON", points=SQUARE[:2]), "polygon has 2 points, expected at least 3", "G201"),
        (region("POLYGON", points=[{"x": 1}]), "points[0]: y: expected a number, got nothing", "F003"),
        (region("RECTANGLE", boundingBox={}), "left: expected a number, got nothing", "F003"),
        (region("BLOB"), "type: expected one of POLYGON, RECTANGLE, SQUARE, POLYLINE, POINT, got 'BLOB'", "F003"),
    ],
)
def test_errors_name_the_picture_and_the_region(make, odd: Json, words: str, code: str) -> None:
    with pytest.raises(AnnotationError) as caught:
        make(odd)
    assert f"x-export.json: a.png: region {odd['id']}: {words}" in str(caught.value)
    assert caught.value.code == code


def test_two_assets_of_one_name_are_an_error(tmp_path: Path) -> None:
    document = export()
    document["assets"]["2"] = copy.deepcopy(document["assets"]["1"])
    (tmp_path / "x.json").write_text(json.dumps(document))
    with pytest.raises(AnnotationError, match=r"asset 2: expected one asset for a\.png, got a second one"):
        open_dataset(tmp_path)


def test_no_odd_file_ends_in_a_bare_exception(make, tmp_path: Path) -> None:
    good = export(region("POLYGON", points=SQUARE[:3]), region("RECTANGLE"))
    make()
    for changed in with_odd_values(good):
        (tmp_path / "x-export.json").write_text(json.dumps(changed))
        open_or_refuse(tmp_path, "vott")


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data/format_examples is not here")
@pytest.mark.parametrize(
    ("folder", "words", "codes"),
    [
        ("dataset", r"img0002\.jpg: region mosw0b97K: tags: expected one class, got animal and dog", {"C303"}),
        ("dataset_with_meta_file", r"img0003\.jpg: region 35t9mf-Zr: tags: expected one class, got nothing", {"C302"}),
    ],
)
def test_the_real_sets_are_refused_by_their_tags_and_read_without_those(
    folder: str, words: str, codes: set[str]
) -> None:
    with pytest.raises(AnnotationError, match=words):
        open_dataset(SHARED / folder)
    found = []
    dataset = open_dataset(SHARED / folder, fault=found.append)
    assets = json.loads((SHARED / folder / "train-export.json").read_text())["assets"].values()
    regions = sum(len(asset["regions"]) for asset in assets)
    kept = sum(len(record.annotations) for record in dataset.records)
    assert (len(dataset), kept + len(dataset.left_out) + len(found)) == (len(assets), regions)
    assert {error.code for error in found} >= codes
