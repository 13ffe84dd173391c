from __future__ import annotations

import base64
import copy
import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from odd_texts import open_or_refuse
from odd_values import with_odd_values
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.images import read_image
from maskrcnn.errors import AnnotationError, FormatError, ImageError

Json = dict[str, object]
H, W = 60, 80
SQUARE = [[10, 20], [30, 20], [30, 50], [10, 50]]


def png(pixels: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def shape(kind: str | None, points: object, label: str = "cat", **more: object) -> Json:
    return {"label": label, "points": points, "group_id": None, "flags": {}, **more} | (
        {"shape_type": kind} if kind else {}
    )


def sheet(*shapes: Json, picture: str = "a.png", **more: object) -> Json:
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": picture,
        "imageData": None,
        "imageHeight": H,
        "imageWidth": W,
        **more,
    }


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Dataset]:
    Image.new("RGB", (W, H)).save(tmp_path / "a.png")

    def _make(*shapes: Json, **more: object) -> Dataset:
        (tmp_path / "a.json").write_text(json.dumps(sheet(*shapes, **more)))
        return open_dataset(tmp_path / "a.json")

    return _make


# Shapes


def test_polygons_with_and_without_their_kind(make) -> None:
    dataset = make(shape("polygon", SQUARE), shape(None, SQUARE, "big\n dog "), shape("rotation", SQUARE))
    assert (dataset.format, dataset.class_names, dataset.instances(0).names) == (
        "labelme",
        ("big dog", "cat"),
        ["cat", "big dog", "cat"],
    )
    assert dataset.instances(0).boxes.tolist() == [[10, 20, 30, 50]] * 3
    assert dataset.instances(0).masks.areas().tolist() == [600] * 3


@pytest.mark.parametrize("points", [[[10, 20], [30, 50]], [[30, 50], [10, 20]], SQUARE])
def test_a_rectangle_by_any_two_corners_or_all_four(make, points: object) -> None:
    instances = make(shape("rectangle", points)).instances(0)
    assert instances.boxes.tolist() == [[10, 20, 30, 50]]
    assert instances.masks.areas().tolist() == [600]


def test_a_circle_by_its_centre_and_its_rim(make) -> None:
    instances = make(shape("circle", [[40, 30], [43, 34]])).instances(0)
    assert instances.boxes.tolist() == [[35, 25, 45, 35]]
    assert instances.masks.areas()[0] == pytest.approx(np.pi * 25, rel=0.05)


@pytest.mark.parametrize("depth", [bool, np.uint8])
def test_a_mask_lies_at_its_first_point_and_ends_with_its_second(make, depth: type) -> None:
    pixels = np.zeros((3, 5), dtype=bool)
    pixels[0], pixels[:, 0] = True, True
    points = [[11.0, 7.0], [15.0, 9.0]]
    instances = make(shape("mask", points, mask=png(pixels.astype(depth) * depth(1)))).instances(0)
    dense = np.zeros((H, W), dtype=bool)
    dense[7:10, 11:16] = pixels
    assert (instances.masks.dense()[0] == dense).all()


def test_a_mask_beyond_the_border_is_cut_and_one_outside_left_out(make) -> None:
    full = png(np.ones((5, 5), dtype=bool))
    dataset = make(
        shape("mask", [[W - 2, -3], [W + 2, 1]], mask=full), shape("mask", [[W, H], [W + 4, H + 4]], mask=full)
    )
    assert dataset.instances(0).boxes.tolist() == [[W - 2, 0, W, 2]]
    assert [left.name for left in dataset.left_out] == ["shape 1"]


def test_points_and_lines_are_left_out_with_a_reason(make) -> None:
    two = [[1, 2], [3, 4]]
    dataset = make(*(shape(kind, two) for kind in ("line", "linestrip", "points")), shape("point", two[:1]))
    assert (len(dataset.instances(0)), dataset.class_names) == (0, ("object",))
    assert [left.reason for left in dataset.left_out] == ["a line of 2 points has no area"] * 2 + [
        "points have no area",
        "a point has no area",
    ]


def test_shapes_of_a_group_and_label_are_one_object(make) -> None:
    far = [[50, 5], [60, 5], [60, 15], [50, 15]]
    mask = png(np.ones((10, 10), dtype=bool))
    dataset = make(
        shape("polygon", SQUARE, group_id=1),
        shape("polygon", far, "dog", group_id=1),
        shape("polygon", far, group_id=1),
        shape("polygon", SQUARE, group_id=0),
        shape("mask", [[50, 5], [59, 14]], group_id=0, mask=mask),
        shape("line", [[0, 0], [9, 9]], group_id=0),
        shape("polygon", far),
    )
    instances = dataset.instances(0)
    assert instances.names == ["cat", "dog", "cat", "cat"]
    assert instances.masks.areas().tolist() == [700, 100, 700, 100]
    assert (instances.masks.dense()[0] == instances.masks.dense()[2]).all()
    assert [annotation.name for annotation in dataset.records[0].annotations] == [
        "shape 0 + shape 2",
        "shape 1",
        "shape 3 + shape 4",
        "shape 6",
    ]
    assert len(dataset.left_out) == 1


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (shape("polygon", SQUARE[:2]), "polygon has 2 points, expected at least 3"),
        (shape("polygon", [[1, 2], [3], [4, 5]]), "points[1]: expected x and y, got [3]"),
        (shape("polygon", [[1, 2], [3, "b"], [4, 5]]), "x and y of points[3]: expected a number, got 'b'"),
        (shape("rectangle", SQUARE[:3]), "points: expected 2, got 3"),
        (shape("blob", SQUARE), "shape_type: expected one of polygon, rectangle, rotation, circle, mask, line, "),
        (shape("polygon", SQUARE, " "), "label: expected a class, got ' '"),
        (shape("mask", [[1, 1], [4, 4]]), "mask: expected a mask as a picture, got one that can't be read"),
        (shape("mask", [[1, 1], [4, 4]], mask=png(np.ones((9, 9), bool))), "mask: expected a mask of at most 5x5"),
        (shape("mask", [[1, 1], [9, 9]], mask=png(np.ones((4, 4), bool))), "mask: expected 9x9 (height x width) as"),
    ],
)
def test_errors_name_the_file_and_the_shape(make, odd: Json, words: str) -> None:
    with pytest.raises(AnnotationError) as caught:
        make(shape("polygon", SQUARE), odd)
    assert f"a.json: shape 1: {words}" in str(caught.value)


# Pictures


def test_a_picture_that_is_not_there_is_read_from_the_file(tmp_path: Path) -> None:
    pixels = np.arange(H * W * 3, dtype=np.uint8).reshape(H, W, 3)
    document = sheet(shape("polygon", SQUARE), picture="..\\gone\\a.png", imageData=png(pixels))
    for size in ({}, {"imageHeight": None, "imageWidth": None}):
        (tmp_path / "a.json").write_text(json.dumps(document | size))
        dataset = open_dataset(tmp_path)
        assert (dataset[0].image == pixels).all()
        assert dataset.records[0].size_hw == (H, W)
        assert pickle.loads(pickle.dumps(dataset.records[0])).read is dataset.records[0].read
    Image.new("RGB", (W, H)).save(tmp_path / "a.png")
    (tmp_path / "a.json").write_text(json.dumps(document | {"imagePath": "a.png"}))
    assert open_dataset(tmp_path).records[0].read is read_image


def test_a_copy_inside_is_turned_upright(tmp_path: Path) -> None:
    file, exif = io.BytesIO(), Image.Exif()
    exif[274] = 6
    Image.new("RGB", (H, W)).save(file, "JPEG", exif=exif)
    entry = sheet(picture="gone.jpg", imageData=base64.b64encode(file.getvalue()).decode(), imageHeight=None)
    (tmp_path / "a.json").write_text(json.dumps(entry | {"imageWidth": None}))
    assert open_dataset(tmp_path)[0].image.shape[:2] == (H, W)


def test_a_broken_copy_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(sheet(picture="gone.png", imageData="AAAA")))
    with pytest.raises(ImageError, match=r"a\.json: imageData: expected a whole picture, got one that can't be read"):
        open_dataset(tmp_path)[0]


def test_missing_pictures_are_counted(tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.json").write_text(json.dumps(sheet(picture=f"{i}.png")))
    Image.new("RGB", (W, H)).save(tmp_path / "1.png")
    with pytest.raises(ImageError, match=r"2 of 2 pictures are missing: 0\.png, 2\.png; looked in"):
        open_dataset(tmp_path)
    assert len(open_dataset(tmp_path, pictures="optional")) == 3


# Folders


def test_a_folder_with_its_sub_folders(tmp_path: Path) -> None:
    for name in ("b10", "b9", "one/a", "写真/猫"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        entry = sheet(shape("polygon", SQUARE), picture=f"{Path(name).name}.png", flags={"night": name == "b9"})
        (tmp_path / f"{name}.json").write_text(json.dumps(entry, ensure_ascii=False), encoding="utf-8")
        Image.new("RGB", (W, H)).save(tmp_path / f"{name}.png")
    dataset = open_dataset(tmp_path)
    assert [record.name for record in dataset.records] == ["b9.png", "b10.png", "one/a.png", "写真/猫.png"]
    assert dataset.records[0].columns == {"night": "yes"}
    assert len(open_dataset(tmp_path / "写真")) == 1


def test_train_and_val_are_not_read_as_one(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "a.json").write_text(json.dumps(sheet()))
        Image.new("RGB", (W, H)).save(tmp_path / split / "a.png")
    with pytest.raises(FormatError, match=r"try .*train or .*val"):
        open_dataset(tmp_path)
    assert len(open_dataset(tmp_path / "val")) == 1


def test_pictures_beside_the_folder_of_annotations(tmp_path: Path) -> None:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    (tmp_path / "labels/a.json").write_text(json.dumps(sheet(picture="..\\images\\a.png")))
    Image.new("RGB", (W, H)).save(tmp_path / "images/a.png")
    for path in (tmp_path, tmp_path / "labels", tmp_path / "labels/a.json"):
        assert open_dataset(path).path(0).samefile(tmp_path / "images/a.png")


def test_a_broken_file_among_good_ones_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(sheet()))
    (tmp_path / "b.json").write_text("")
    Image.new("RGB", (W, H)).save(tmp_path / "a.png")
    with pytest.raises(AnnotationError, match=r"b\.json: line 1, column 1: expected JSON"):
        open_dataset(tmp_path)
    found = []
    assert len(open_dataset(tmp_path, fault=found.append)) == 1
    assert [error.code for error in found] == ["F001"]


def test_two_files_for_one_picture_are_an_error(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(json.dumps(sheet()))
    with pytest.raises(AnnotationError, match=r"b\.json: expected one file for a\.png, got a second one beside"):
        open_dataset(tmp_path)


def test_no_odd_file_ends_in_a_bare_exception(tmp_path: Path) -> None:
    Image.new("RGB", (W, H)).save(tmp_path / "a.png")
    good = sheet(
        shape("polygon", SQUARE[:3], group_id=1),
        shape("mask", [[3, 3], [4, 4]], mask=png(np.ones((2, 2), bool)), group_id=1),
        shape("circle", [[3, 3], [4, 4]]),
        imageData=png(np.ones((H, W), np.uint8)),
    )
    path = tmp_path / "a.json"
    for changed in with_odd_values(copy.deepcopy(good)):
        path.write_text(json.dumps(changed))
        open_or_refuse(path, "labelme")
