"""Real and example sets in every raster format: what the door says they are, and every object counted."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.data.formats import FORMATS
from maskrcnn.data.formats.place import Place
from maskrcnn.errors import MaskRCNNError

SHARED = Path(__file__).parents[2] / "../shared/data"
EXAMPLES = SHARED / "format_examples"
pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason=f"no example sets in {EXAMPLES}")


def values(path: Path) -> list[int]:
    return np.unique(np.array(Image.open(path))).tolist()


def cityscapes(folder: Path) -> list[int]:
    paths = sorted(folder.rglob("*_instanceIds.png"))
    return [sum(value >= 1000 or 24 <= value <= 33 for value in values(path)) for path in paths]


def vistas(folder: Path) -> list[int]:
    return [len(values(path)) for path in sorted((folder / "instances").glob("*.png"))]  # all classes are objects


def kitti_instances(folder: Path) -> list[int]:
    paths = sorted((folder / "training/instance").glob("*.png"))
    return [sum(value % 256 > 0 or 24 <= value >> 8 <= 33 for value in values(path)) for path in paths]


def kitti_lines(folder: Path) -> list[int]:
    return [len(path.read_text().splitlines()) for path in sorted((folder / "training/label_2").glob("*.txt"))]


def xml_objects(folder: Path) -> list[int]:
    return [path.read_text().count("<object>") for path in sorted(folder.rglob("*.xml"))]


def ade_lines(folder: Path) -> list[int]:
    return [len(path.read_text().splitlines()) for path in sorted(folder.rglob("*_atr.txt"))]


def ade_objects(folder: Path) -> list[int]:
    return [len(json.loads(path.read_text())["annotation"]["object"]) for path in sorted(folder.rglob("?.json"))]


def table_rows(path: Path) -> list[int]:
    with path.open() as file:
        return [len(list(csv.DictReader(file)))]


def mask_folders(folder: Path) -> list[int]:
    return [len(list((inner / "masks").iterdir())) for inner in sorted(folder.iterdir())]


def label_values(path: Path) -> list[int]:
    return [len(set(tifffile.imread(path).flat) - {0})]


COUNTED = {
    "dsb2018_sample/stage1_train": ("mask-folders", mask_folders),
    "stardist_testdata/data_images/mask2d.tif": ("id-images", label_values),
    "stardist_testdata/tests_data/mask2d.tif": ("id-images", label_values),
    "format_examples/voc_dataset/voc_dataset1": ("voc", lambda folder: [2 + 1]),  # two boxes, and a mask of neither
    "format_examples/voc_dataset/voc_dataset1/ImageSets/Segmentation/train.txt": ("voc", lambda folder: [2 + 1]),
    "format_examples/voc_dataset/voc_dataset3": ("voc", xml_objects),
    "format_examples/roboflow_dataset/voc/train": ("voc", xml_objects),
    "format_examples/roboflow_dataset/voc/val": ("voc", xml_objects),
    **{
        f"format_examples/cityscapes_dataset/{kind}/gtFine/{split}": ("cityscapes", cityscapes)
        for kind in ("dataset", "train_dataset")
        for split in ("train", "val", "test")
    },
    "format_examples/kitti_dataset/kitti_detection": ("kitti", kitti_lines),
    "format_examples/kitti_dataset/kitti_segmentation": ("kitti", kitti_instances),
    "format_examples/ade20k2017_dataset/dataset/training": ("ade20k", ade_lines),
    "format_examples/ade20k2017_dataset/dataset/validation": ("ade20k", ade_lines),
    "format_examples/ade20k2017_dataset/dataset_with_meta_file": ("ade20k", ade_lines),
    "format_examples/ade20k2020_dataset/dataset/training": ("ade20k", ade_objects),
    "format_examples/ade20k2020_dataset/dataset_with_meta_file": ("ade20k", ade_objects),
    **{
        f"format_examples/mapillary_vistas_dataset/{split}/{version}": ("vistas", vistas)
        for split in ("train", "val")
        for version in ("v1.2", "v2.0")
    },
    "format_examples/open_images_dataset/v6/annotations/oidv6-train-annotations-bbox.csv": ("open-images", table_rows),
    "format_examples/open_images_dataset/v6/annotations/test-annotations-bbox.csv": ("open-images", table_rows),
}


@pytest.mark.parametrize("name", COUNTED)
def test_every_set_is_of_one_format_and_every_object_is_read(name: str) -> None:
    kind, count = COUNTED[name]
    place = Place(SHARED / name)
    assert [each for each, form in FORMATS.items() if form.find(place)] == [kind]
    dataset = open_dataset(SHARED / name)
    assert dataset.left_out == ()
    counts = [len(dataset.instances(i)) for i in range(len(dataset))]
    assert sum(counts) == sum(count(SHARED / name))
    assert sorted(counts) == sorted(count(SHARED / name))
    assert dataset[0].instances.size_hw == dataset[0].image.shape[:2]


def test_masks_have_the_pixels_of_their_files() -> None:
    folder = next(iter(sorted((SHARED / "dsb2018_sample/stage1_train").iterdir())))
    areas = sorted((np.array(Image.open(path)) > 0).sum() for path in (folder / "masks").iterdir())
    assert sorted(open_dataset(folder).instances(0).masks.areas()) == areas
    labels = SHARED / "stardist_testdata/tests_data/mask2d.tif"
    masks = open_dataset(labels).instances(0).masks.dense()
    expected = tifffile.imread(labels)
    assert (masks == [expected == value for value in sorted(set(expected.flat) - {0})]).all()


def test_three_dimensional_labels_that_lie_outside_are_left_out_and_counted() -> None:
    dataset = open_dataset(EXAMPLES / "kitti_dataset/kitti_3d")
    lines = kitti_lines(EXAMPLES / "kitti_dataset/kitti_3d")
    names = [left.name for left in dataset.left_out]
    assert (len(dataset.instances(0)), len(set(names)), {left.code for left in dataset.left_out}) == (
        0,
        sum(lines),
        {"G203"},
    )


REFUSED = {
    "dsb2018_sample": ("F002", "try .*stage1_train"),
    "stardist_testdata/data_images": ("P102", r"mask3d\.tif: expected labels of one plane, got a stack of 31"),
    "stardist_testdata/tests_data": ("P102", r"mask3d\.tif: expected labels of one plane, got a stack of 31"),
    "stardist_testdata/tests_data/mask3d.tif": ("P102", "got a stack of 31; save each plane as a file of its own"),
    "format_examples/voc_dataset/voc_dataset1/ImageSets/Main/test.txt": (
        "F009",
        "2007_000002: expected .*found neither",
    ),
    "format_examples/voc_dataset/voc_dataset2": ("P101", r"5 of 5 pictures are missing: @\.jpg"),
    "format_examples/cityscapes_dataset/dataset": (
        "F002",
        "gtFine/test, gtFine/train, gtFine/val; name the one to open",
    ),
    "format_examples/kitti_dataset": ("F002", "try .*kitti_3d or .*kitti_detection or .*kitti_segmentation"),
    "format_examples/kitti_dataset/kitti_raw": ("F002", "expected annotations of a known kind"),
    "format_examples/mots_dataset/train": ("P103", r"1\.png: .* got 1x5; height and width are exchanged"),
    "format_examples/mots_dataset/val": ("P103", r"3\.png: .* got 1x5; height and width are exchanged"),
    "format_examples/ade20k2017_dataset/dataset": ("F002", "got training, validation; name the one to open"),
    "format_examples/mapillary_vistas_dataset/train": ("F002", r"got v1\.2, v2\.0; name the one to open"),
    "format_examples/open_images_dataset/v5": ("F002", "expected annotations of a known kind"),  # has no boxes
    "format_examples/open_images_dataset/v6": ("F002", "train-annotations-bbox.csv, .*; name the one to open"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_why(name: str) -> None:
    code, sentence = REFUSED[name]
    with pytest.raises(MaskRCNNError, match=sentence) as caught:
        open_dataset(SHARED / name)
    assert caught.value.code == code
