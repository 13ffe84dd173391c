"""The dialects of instance masks: what each becomes, and that none is taken for another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.data.formats import id_images, mask_files, mask_folders
from maskrcnn.data.formats.place import Place
from maskrcnn.errors import AnnotationError, DataError, FormatError, ImageError

H, W = 6, 9


def save(path: Path, array: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.zeros((H, W, 3), dtype=np.uint8) if array is None else array
    tifffile.imwrite(path, array) if path.suffix == ".tif" else Image.fromarray(array).save(path)


def ids(*values: int, dtype: type = np.uint8) -> np.ndarray:
    """An image in which value i fills column i."""
    labels = np.zeros((H, W), dtype=dtype)
    labels[1:4, : len(values)] = values
    return labels


ONE = np.pad(np.full((2, 3), 255, dtype=np.uint8), ((1, H - 3), (4, W - 7)))


# One label image a picture

PAIRS = {
    "PennFudan": ("PNGImages/x.png", "PedMasks/x_mask.png", "person"),
    "two folders": ("images/x.jpg", "masks/x.png", "object"),
    "StarDist": ("images/x.tif", "masks/x.tif", "object"),
    "two folders, with a suffix": ("Images/x.jpg", "Masks/x_mask.png", "object"),
    "labels": ("images/x.jpg", "labels/x.tif", "object"),
    "Cellpose": ("x.png", "x_masks.png", "object"),
    "Cellpose's own tests": ("x_img.png", "x_masks.png", "object"),
    "Cellpose's window": ("x.tif", "x_cp_masks.tif", "object"),
    "img and mask": ("img2d.tif", "mask2d.tif", "object"),
}


@pytest.mark.parametrize("kind", PAIRS)
def test_one_label_image_a_picture(tmp_path: Path, kind: str) -> None:
    picture, labels, class_name = PAIRS[kind]
    save(tmp_path / picture)
    save(tmp_path / labels, ids(1, 2, 2, 7, dtype=np.uint16))
    dataset = open_dataset(tmp_path)
    assert (dataset.format, dataset.class_names, len(dataset)) == ("id-images", (class_name,), 1)
    assert dataset.path(0) == tmp_path / picture
    assert dataset.instances(0).boxes.tolist() == [[0, 1, 1, 4], [1, 1, 3, 4], [3, 1, 4, 4]]
    assert [annotation.name for annotation in dataset.records[0].annotations] == [
        f"object {value} of {Path(labels).name}" for value in (1, 2, 7)
    ]
    assert dataset[0].instances.masks.areas().tolist() == [3, 6, 3]


def test_one_label_image_can_be_named(tmp_path: Path) -> None:
    for name in "ab":
        save(tmp_path / f"{name}.png")
        save(tmp_path / f"{name}_masks.tif", ids(1))
    dataset = open_dataset(tmp_path / "b_masks.tif")
    assert (dataset.format, [record.name for record in dataset.records]) == ("id-images", ["b.png"])


def test_a_label_image_of_0_is_a_picture_without_objects(tmp_path: Path) -> None:
    save(tmp_path / "images/a.png")
    save(tmp_path / "masks/a.png", ids())
    assert len(open_dataset(tmp_path).instances(0)) == 0


def test_what_has_no_partner_is_said(tmp_path: Path) -> None:
    save(tmp_path / "images/a.png")
    save(tmp_path / "masks/a.png", ids(1))
    save(tmp_path / "images/b.png")
    with pytest.raises(AnnotationError, match=r"b\.png: expected a label image of the same name, found none") as unsaid:
        open_dataset(tmp_path)
    assert unsaid.value.code == "F009"
    save(tmp_path / "masks/b.png", ids(1))
    save(tmp_path / "masks/c.png", ids(1))
    with pytest.raises(ImageError, match=r"c\.png: expected a picture called c\.\*, found none") as caught:
        open_dataset(tmp_path)
    assert caught.value.code == "P101"


def test_in_one_folder_a_picture_without_labels_is_no_part_of_the_set(tmp_path: Path) -> None:
    save(tmp_path / "img2d.tif")
    save(tmp_path / "mask2d.tif", ids(1))
    save(tmp_path / "histo.jpg")
    assert [record.name for record in open_dataset(tmp_path).records] == ["img2d.tif"]


def test_faults_are_collected_and_the_rest_is_read(tmp_path: Path) -> None:
    for name in "abcd":
        save(tmp_path / f"images/{name}.png")
        save(tmp_path / f"masks/{name}.png", ids(1))
    (tmp_path / "images/b.png").unlink()
    (tmp_path / "masks/c.png").write_bytes(b"nothing")
    save(tmp_path / "masks/d.png", ids(1)[:-1])
    seen: list[DataError] = []
    dataset = open_dataset(tmp_path, fault=seen.append)
    assert [record.name for record in dataset.records] == ["a.png"]
    assert [error.code for error in seen] == ["P101", "P102", "P103"]
    assert "expected the size of" in str(seen[2])
    assert "6x9 (height x width), got 5x9" in str(seen[2])


def test_exchanged_sides_are_named(tmp_path: Path) -> None:
    save(tmp_path / "images/a.png")
    save(tmp_path / "masks/a.png", ids(1).T.copy())
    with pytest.raises(AnnotationError, match="got 9x6; height and width are exchanged"):
        open_dataset(tmp_path)


# A folder of masks a picture


def test_a_folder_of_masks_a_picture(tmp_path: Path) -> None:
    for name, masks in (("q1", 2), ("q2", 0)):
        save(tmp_path / name / "images" / f"{name}.png", np.zeros((H, W, 4), dtype=np.uint8))
        (tmp_path / name / "masks").mkdir()
        for i in range(masks):
            save(tmp_path / name / "masks" / f"{i}a.png", np.roll(ONE, i, axis=0))
    dataset = open_dataset(tmp_path)
    assert (dataset.format, dataset.class_names) == ("mask-folders", ("object",))
    assert [record.name for record in dataset.records] == ["q1.png", "q2.png"]
    assert dataset.instances(0).boxes.tolist() == [[4, 1, 7, 3], [4, 2, 7, 4]]  # they lie over each other
    assert len(dataset.instances(1)) == 0
    assert [annotation.name for annotation in dataset.records[0].annotations] == ["mask 0a.png", "mask 1a.png"]
    assert len(open_dataset(tmp_path / "q1")) == 1


def test_a_folder_without_masks_or_with_two_pictures_is_said(tmp_path: Path) -> None:
    for name in ("q1", "q2"):
        save(tmp_path / name / "images" / f"{name}.png")
        save(tmp_path / name / "masks/0a.png", ONE)
    save(tmp_path / "q2/images/other.png")
    save(tmp_path / "q3/images/q3.png")
    seen: list[DataError] = []
    assert len(open_dataset(tmp_path, fault=seen.append)) == 1
    assert [str(error) for error in seen] == [
        f"{tmp_path}/q2/images: expected one picture, found 2",
        f"{tmp_path}/q3: expected a folder called masks, found none; where nothing is on a picture, it is empty",
    ]


def test_an_empty_mask_is_left_out_and_one_of_another_size_refused(tmp_path: Path) -> None:
    save(tmp_path / "q/images/q.png")
    save(tmp_path / "q/masks/1a.png", ONE * 0)
    save(tmp_path / "q/masks/2a.png", ONE)
    dataset = open_dataset(tmp_path)
    assert len(dataset.instances(0)) == 1
    assert [(left.name, left.code) for left in dataset.left_out] == [("mask 1a.png", "G204")]
    save(tmp_path / "q/masks/2a.png", ONE[1:])
    with pytest.raises(AnnotationError, match=r"2a\.png: expected the size") as caught:
        open_dataset(tmp_path)
    assert caught.value.code == "P103"


# A mask file an object, called after picture and class

NAMED = {
    "a folder a picture": ("7/7.jpg", "7/7-tennis court-1.png", "7/7-baseball-2.png"),
    "one folder": ("x_1.jpg", "x_1_tennis court_1.png", "x_1_baseball_12.png"),
    "pycococreator": ("shapes_train/x.jpeg", "annotations/x_tennis court_0.png", "annotations/x_baseball_1.png"),
}


@pytest.mark.parametrize("kind", NAMED)
def test_masks_called_after_picture_and_class(tmp_path: Path, kind: str) -> None:
    picture, first, second = NAMED[kind]
    save(tmp_path / picture)
    save(tmp_path / first, ONE)
    save(tmp_path / second, ONE // 255)
    save((tmp_path / picture).parent.parent / "8/8.jpg" if "7" in picture else (tmp_path / picture).with_name("8.jpg"))
    dataset = open_dataset(tmp_path)
    assert (dataset.format, dataset.class_names) == ("mask-files", ("baseball", "tennis court"))
    assert sorted(len(dataset.instances(i)) for i in range(2)) == [0, 2]
    i = [record.path for record in dataset.records].index(tmp_path / picture)
    assert sorted(dataset[i].instances.names) == ["baseball", "tennis court"]
    assert dataset.instances(i).boxes.tolist() == [[4, 1, 7, 3]] * 2


def test_a_mask_belongs_to_the_longest_name_that_fits(tmp_path: Path) -> None:
    for name in ("a.jpg", "a_b.jpg"):
        save(tmp_path / name)
    save(tmp_path / "a_b_c_1.png", ONE)
    save(tmp_path / "a_c_d_1.png", ONE)
    dataset = open_dataset(tmp_path)
    assert {
        record.name: [dataset.class_names[one.label] for one in record.annotations] for record in dataset.records
    } == {
        "a.jpg": ["c_d"],
        "a_b.jpg": ["c"],
    }


def test_a_mask_whose_picture_is_missing_is_said(tmp_path: Path) -> None:
    save(tmp_path / "a.jpg")
    save(tmp_path / "a_dog_1.png", ONE)
    save(tmp_path / "b_dog_1.png", ONE)
    with pytest.raises(ImageError, match=r"b_dog_1\.png: expected a picture called b\.\*, found none"):
        open_dataset(tmp_path)


# None is taken for another, or for something else


def test_folders_that_are_none_of_these(tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (H, W, 3), dtype=np.uint8)
    trees = {
        "photos": ["IMG_1.png", "IMG_2.png", "cat.png", "cat_black_1.png"],
        "parted": ["images/train/a.png", "images/val/b.png"],
        "yolo": ["images/a.png", "labels/a.txt"],
        "no partner": ["images/a.png", "images/b.png", "masks/c.png"],
        "semantic": ["a.png", "a_mask.png", "_classes.csv"],
    }
    for tree, names in trees.items():
        for name in names:
            path = tmp_path / tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(photo).save(path) if path.suffix == ".png" else path.write_text("0 0.5 0.5 1 1")
    for tree in trees:
        place = Place(tmp_path / tree)
        assert [found for part in (id_images, mask_files, mask_folders) for found in part.find(place)] == [], tree
    with pytest.raises(FormatError, match="expected annotations of a known kind"):
        open_dataset(tmp_path / "photos")


def test_a_set_that_is_split_is_not_a_folder_a_picture(tmp_path: Path) -> None:
    for split in ("train", "val"):
        save(tmp_path / split / "images/a.png")
        save(tmp_path / split / "masks/a.png", ids(1, 2))
    with pytest.raises(FormatError, match=r"try .*train or .*val"):
        open_dataset(tmp_path)
    assert open_dataset(tmp_path / "val").format == "id-images"
