from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from odd_values import with_odd_values
from PIL import Image, ImageDraw

from maskrcnn.data import open_dataset
from maskrcnn.data.formats import cityscapes
from maskrcnn.errors import AnnotationError, ImageError, MaskRCNNError

H, W = 20, 30
LABELS = "gtFine/train/aachen/aachen_000000_000019_gtFine_"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    picture = tmp_path / "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png"
    picture.parent.mkdir(parents=True)
    Image.new("RGB", (W, H)).save(picture)
    (tmp_path / LABELS).parent.mkdir(parents=True)
    return tmp_path


def write_ids(root: Path, ids: np.ndarray) -> None:
    Image.fromarray(ids.astype(np.uint16)).save(root / f"{LABELS}instanceIds.png")


def write_polygons(root: Path, *objects: tuple[str, list[list[float]]], size: tuple[int, int] = (H, W)) -> None:
    listed = [{"label": label, "polygon": ring} for label, ring in objects]
    document = {"imgHeight": size[0], "imgWidth": size[1], "objects": listed}
    (root / f"{LABELS}polygons.json").write_text(json.dumps(document))


def square(x: float, y: float, side: float) -> list[list[float]]:
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side]]


def test_values_are_objects_groups_or_nothing(root: Path) -> None:
    ids = np.full((H, W), 7)
    ids[0:5, 0:5], ids[0:5, 10:14], ids[10:12, 3:9], ids[15:18, 20:22] = 26000, 26001, 24, 24012
    write_ids(root, ids)
    dataset = open_dataset(root / "gtFine/train")
    assert (dataset.format, dataset.class_names) == ("cityscapes", cityscapes.EVALUATED)
    instances = dataset[0].instances
    assert instances.names == ["person", "person", "car", "car"]
    assert instances.crowd.tolist() == [True, False, False, False]
    assert instances.masks.areas().tolist() == [12, 6, 25, 20]
    assert [annotation.name for annotation in dataset.records[0].annotations] == [
        "group 24",
        "object 24012",
        "object 26000",
        "object 26001",
    ]


def test_later_outlines_cover_earlier_ones_with_the_pixels_of_cityscapes_script(root: Path) -> None:
    objects = [
        ("road", square(0, 0, 19)),
        ("car", square(2, 2, 10)),
        ("person", square(6, 6, 4)),
        ("license plate", square(3, 3, 2)),
        ("cargroup", square(20, 10, 5)),
        ("car", [[15.0, 2.0], [24.5, 3.0], [18.0, 12.0]]),
        ("pole", square(8, 8, 1)),
    ]
    write_polygons(root, *objects)
    # cityscapesScripts' createInstanceImage, for these labels
    canvas = Image.new("I", (W, H))
    pen = ImageDraw.Draw(canvas)
    for value, i in ((7, 0), (26000, 1), (24000, 2), (26, 4), (26001, 5), (17, 6)):
        pen.polygon([tuple(corner) for corner in objects[i][1]], fill=value)
    expected = np.array(canvas)
    dataset = open_dataset(root / "gtFine/train")
    assert {annotation.name: annotation.shape.pixels for annotation in dataset.records[0].annotations} == {
        "group 26": (expected == 26).sum(),
        "object 24000": (expected == 24000).sum(),
        "object 26000": (expected == 26000).sum(),
        "object 26001": (expected == 26001).sum(),
    }
    write_ids(root, expected)
    assert open_dataset(root / "gtFine/train").fingerprint() == dataset.fingerprint()


def test_classes_of_ones_own_are_objects(root: Path) -> None:
    write_polygons(root, ("scooter", square(1, 1, 4)), ("scooter", square(10, 1, 4)), ("bus", square(20, 1, 4)))
    dataset = open_dataset(root / "gtFine/train")
    assert dataset.class_names == (*cityscapes.EVALUATED, "scooter")
    assert sorted(dataset.instances(0).names) == ["bus", "scooter", "scooter"]


def test_an_outline_that_was_deleted_is_not_there(root: Path) -> None:
    write_polygons(root, ("bus", square(1, 1, 4)))
    document = json.loads((root / f"{LABELS}polygons.json").read_text())
    document["objects"][0]["deleted"] = 1
    (root / f"{LABELS}polygons.json").write_text(json.dumps(document))
    assert len(open_dataset(root / "gtFine/train").instances(0)) == 0


def test_the_folder_of_a_split_of_a_city_and_of_all(root: Path) -> None:
    write_ids(root, np.full((H, W), 26000))
    places = [root, root / "gtFine", root / "gtFine/train", root / "gtFine/train/aachen"]
    assert [open_dataset(place).format for place in places] == ["cityscapes"] * 4
    other = root / "gtFine/val/bonn/bonn_0_0_gtFine_instanceIds.png"
    other.parent.mkdir(parents=True)
    Image.new("I;16", (W, H)).save(other)
    with pytest.raises(AnnotationError, match=r"got gtFine/train, gtFine/val; name the one to open"):
        open_dataset(root)
    with pytest.raises(ImageError, match=r"bonn_0_0_gtFine_instanceIds\.png: expected a picture called") as caught:
        open_dataset(root / "gtFine/val")
    assert caught.value.code == "P101"


def test_another_size_is_refused(root: Path) -> None:
    write_ids(root, np.zeros((H, W + 1)))
    with pytest.raises(AnnotationError, match="got 20x31") as caught:
        open_dataset(root / "gtFine/train")
    (root / f"{LABELS}instanceIds.png").unlink()
    write_polygons(root, size=(10**9, 10**9))
    with pytest.raises(AnnotationError, match="got 1000000000x1000000000"):
        open_dataset(root / "gtFine/train")
    assert caught.value.code == "P103"


def test_odd_polygons_end_in_no_bare_exception(root: Path) -> None:
    write_polygons(root, ("car", [[2, 2], [9, 2], [5, 9]]))
    path = root / f"{LABELS}polygons.json"
    good = json.loads(path.read_text())
    refused = []
    for document in with_odd_values(copy.deepcopy(good)):
        path.write_text(json.dumps(document))
        try:
            open_dataset(root / "gtFine/train")
        except MaskRCNNError as error:
            refused.append(str(error))
    assert len(refused) > 50
    assert all(str(path) in sentence for sentence in refused)
