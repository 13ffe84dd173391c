from __future__ import annotations

from pathlib import Path

import pytest
from odd_texts import open_or_refuse, with_odd_bytes, with_odd_words
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.errors import AnnotationError, FormatError, ImageError

SHARED = Path(__file__).parents[2] / "../shared/data/format_examples"
H, W = 60, 80
BOX = "0 0.25 0.5 0.25 0.5"  # 10, 15 to 30, 45
POLYGON = "1 0.125 0.25 0.375 0.25 0.375 0.75 0.125 0.75"
YAML = "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n"


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (W, H)).save(path)


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a set of two splits: a picture with an outline and a box, one without objects, and one of val."""
    put(tmp_path / "data.yaml", YAML)
    for name in ("train/a", "train/b", "val/c"):
        picture(tmp_path / f"images/{name}.png")
    put(tmp_path / "labels/train/a.txt", f"{POLYGON}\n\n{POLYGON}\n")
    put(tmp_path / "labels/val/c.txt", f"{BOX}\n")
    return tmp_path


# Layouts


@pytest.mark.parametrize("given", ["", "data.yaml", "images/train"])
def test_data_yaml_means_its_train(root: Path, given: str) -> None:
    dataset = open_dataset(root / given)
    assert (dataset.format, dataset.class_names, dataset.category_ids) == ("yolo", ("cat", "dog"), (0, 1))
    assert [dataset.instances(i).names for i in range(len(dataset))] == [["dog", "dog"], []]
    assert dataset.instances(0).boxes.tolist() == [[10, 15, 30, 45]] * 2


def test_the_folder_of_a_split_means_that_split(root: Path) -> None:
    dataset = open_dataset(root / "images/val")
    assert (dataset.class_names, [record.name for record in dataset.records]) == (("cat", "dog"), ["c.png"])
    assert (dataset.instances(0).boxes.tolist(), dataset.instances(0).masks) == ([[10, 15, 30, 45]], None)


def test_without_a_yaml_a_split_has_to_be_named(root: Path) -> None:
    (root / "data.yaml").unlink()
    with pytest.raises(FormatError, match="got images/train, images/val; name the one to open"):
        open_dataset(root)
    assert open_dataset(root / "images/train").class_names == ("1",)
    put(root / "classes.txt", "cat\ndog\n")
    assert open_dataset(root / "images/train").class_names == ("cat", "dog")


@pytest.mark.parametrize(
    "text",
    [
        "train: images/train\nval: images/val\nnc: 2\nnames: ['cat', 'dog']\n",
        "train: ../images/train\nval: ../valid/images\nnames: [cat, dog]\n",
        "path: /gone/elsewhere\ntrain: [images/train]\nnames: [cat, dog]\n",
        "train: train.txt\nnames: {0: cat, 1: dog}\n",
        "train:\nval:\ntest: images/train\nnames: [cat, dog]\n",
    ],
)
def test_spellings_of_data_yaml(root: Path, text: str) -> None:
    put(root / "data.yaml", text)
    put(root / "train.txt", "./images/train/a.png\n/gone/elsewhere/images/train/b.png\n")
    dataset = open_dataset(root)
    assert (dataset.class_names, [record.name for record in dataset.records]) == (
        ("cat", "dog"),
        ["images/train/a.png", "images/train/b.png"],
    )


def test_several_folders_of_a_split(root: Path) -> None:
    put(root / "data.yaml", YAML.replace("images/train", "[images/train, images/val]"))
    assert len(open_dataset(root)) == 3


def test_yaml_is_text_alone(root: Path) -> None:
    put(root / "data.yaml", YAML.replace("cat", "no").replace("dog", "007"))
    assert open_dataset(root).class_names == ("no", "007")


def test_a_folder_for_each_split(tmp_path: Path) -> None:
    for split in ("train", "val"):
        picture(tmp_path / split / "images/写真.png")
        put(tmp_path / split / "labels/写真.txt", POLYGON)
    with pytest.raises(FormatError, match=r"try .*train or .*val"):
        open_dataset(tmp_path)
    put(tmp_path / "data.yaml", "train: train/images\nval: val/images\nnames: [cat, ねこ]\n")
    for given in (".", "train", "train/images", "val"):
        assert open_dataset(tmp_path / given).instances(0).names == ["ねこ"]


def test_pictures_and_labels_side_by_side(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    put(tmp_path / "a.txt", POLYGON)
    put(tmp_path / "classes.txt", "cat\ndog\n")
    assert open_dataset(tmp_path).instances(0).names == ["dog"]


def test_darknet(tmp_path: Path) -> None:
    picture(tmp_path / "obj_train_data/a.png")
    put(tmp_path / "obj_train_data/a.txt", BOX)
    put(tmp_path / "obj.names", "cat\ndog\n")
    put(tmp_path / "train.txt", "data/obj_train_data/a.png\n")
    put(tmp_path / "obj.data", "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n")
    for given in (".", "obj.data", "train.txt", "obj_train_data"):
        assert open_dataset(tmp_path / given).instances(0).names == ["cat"]


def test_dota(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    put(tmp_path / "labelTxt/a.txt", "imagesource:GoogleEarth\ngsd:0.1\n10 15 30 15 30 45 10 45 small-vehicle 0\n")
    dataset = open_dataset(tmp_path)
    assert dataset.class_names == ("small-vehicle",)
    assert dataset.instances(0).boxes.tolist() == [[10, 15, 30, 45]]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels/a.txt", "Car 0.00 0 1.5 10 20 30 40 1 1 1 2 3 4 0\n"),  # KITTI
        ("labels/a.txt", "1 2 3\n"),
        ("labels/a.txt", ""),
        ("config.yaml", "nc: 80\nbackbone: [1, 2]\nnames: [a]\n"),
        ("config.yaml", "names: [a]\n"),
        ("list.txt", "images/a.png images/a_gt.png\n"),
    ],
)
def test_other_files_are_not_taken_for_yolo(tmp_path: Path, name: str, text: str) -> None:
    picture(tmp_path / "images/a.png")
    put(tmp_path / name, text)
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(FormatError, match="expected annotations of YOLO"):
            open_dataset(path, format="yolo")


# Lines


def test_corners_a_little_outside_are_brought_to_the_border(root: Path) -> None:
    put(root / "labels/train/a.txt", "0 -0.02 0 1.04 0 1.04 1.01 -0.02 1.01\n0 0.02 0.5 0.1 0.5\n")
    dataset = open_dataset(root)
    assert dataset.instances(0).boxes.tolist() == [[0, 0, W, H], [0, 15, pytest.approx(5.6), 45]]


@pytest.mark.parametrize(
    ("line", "words", "code"),
    [
        ("2 0.5 0.5 0.1 0.1", "class: expected one of 0 to 1, got 2", "C301"),
        ("-1 0.5 0.5 0.1 0.1", "class: expected a whole number from 0 up, got -1", "F003"),
        ("1.5 0.5 0.5 0.1 0.1", "class: expected a whole number from 0 up, got 1.5", "F003"),
        ("cat 0.5 0.5 0.1 0.1", "class: expected a whole number from 0 up, got 'cat'", "F003"),
        ("0 0.5 0.5 0.1", "expected a class and a box of 4 numbers or an outline of 3 corners and more", "F003"),
        ("0 0.5 0.5 0.1 0.1 0.9", "and 5 numbers; a sixth number is the score of a detection, which is no", "F003"),
        ("0 0.5 0.5 0.1 0.1 0.2 0.2 0.3", "got a class and 7 numbers", "F003"),
        ("0 0.5 0.5 nan 0.1", "numbers[2]: expected a number within 1000000, got 'nan'", "F003"),
        ("0 0.5 0.5 x 0.1", "numbers[2]: expected a number, got 'x'", "F003"),
        ("0 40 30 20 10", "from 0 to 1, got 40; are these pixels?", "F003"),
        ("0 0.5 0.5 -0.2 0.1", "from 0 to 1, got -0.2; are these pixels?", "F003"),
    ],
)
def test_errors_name_the_file_and_the_line(root: Path, line: str, words: str, code: str) -> None:
    put(root / "labels/train/a.txt", f"{BOX}\n{line}\n")
    with pytest.raises(AnnotationError) as caught:
        open_dataset(root)
    assert f"{root / 'labels/train/a.txt'}: line 2: " in str(caught.value)
    assert (words in str(caught.value), caught.value.code) == (True, code)
    found = []
    assert len(open_dataset(root, fault=found.append).instances(0)) == 1
    assert [error.code for error in found] == [code]


# Missing and contradicting files


def test_a_label_file_without_a_picture_is_an_error(root: Path) -> None:
    put(root / "labels/train/z.txt", BOX)
    for name in ("README.txt", "classes.txt"):
        put(root / "labels/train" / name, "cat\ndog\n")
    with pytest.raises(ImageError, match=r"z\.txt: expected a picture called z, found none"):
        open_dataset(root)


def test_no_label_file_at_all_is_an_error(root: Path) -> None:
    (root / "labels").rename(root / "elsewhere")
    with pytest.raises(AnnotationError, match=r"expected label files for its 2 pictures, such as a\.txt, found none"):
        open_dataset(root)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("images/train", "gone", "train: expected a folder or a list of pictures, found no gone"),
        ("images/train", "val/images/train", "train: expected a folder or a list of pictures, found no val/images"),
        ("names:", "nc: 3\nnames:", "nc: expected 2, as many as names, got 3"),
        ("dog", "cat", "names: expected every name once, got 'cat' a second time"),
        ("  1: dog", "  x: dog", "names: expected a number, got 'x'"),
        ("  0: cat\n  1: dog\n", "  []\n", "names: expected at least one class, got none"),
        ("  0: cat\n  1: dog\n", "  cat\n", "names: expected a list, got 'cat'"),
        ("path: .", "kpt_shape: [17, 2]", "expected boxes or outlines, got a set of key points"),
        ("path: .", "path: [", "expected YAML, got: "),
        ("  0: cat", "  0: &c cat\n  2: *c", "expected YAML without references, got *c"),
        ("path: .", "path: " + "[" * 50, "expected at most 16 levels of YAML, got more"),
    ],
)
def test_errors_in_data_yaml(root: Path, old: str, new: str, words: str) -> None:
    put(root / "data.yaml", YAML.replace(old, new))
    with pytest.raises((AnnotationError, ImageError)) as caught:
        open_dataset(root)
    assert f"{root / 'data.yaml'}: " in str(caught.value)
    assert words in str(caught.value)


def test_missing_pictures_of_a_list_are_counted(root: Path) -> None:
    put(root / "data.yaml", YAML.replace("images/train", "train.txt"))
    put(root / "train.txt", "images/train/a.png\nimages/train/x.png\n")
    with pytest.raises(ImageError, match=r"train\.txt: 1 of 2 pictures are missing: images/train/x\.png"):
        open_dataset(root)


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("labels/train/a.txt", f"{BOX}\n{POLYGON}\n1 2 10 4 3 5 6 7 8 cat 0\n"),
        ("data.yaml", YAML.replace("images/train", "[train.txt, images/val]")),
        ("train.txt", "./images/train/a.png\n/other/b.png\n"),
        ("obj.data", "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\n"),
    ],
)
def test_no_odd_file_ends_in_a_bare_exception(root: Path, name: str, good: str) -> None:
    put(root / "obj.names", "cat\ndog\n")
    put(root / "train.txt", "images/train/a.png\n")
    given = root / (name if "labels" not in name else "data.yaml")
    for changed in [*with_odd_words(good), *with_odd_bytes(good)]:
        (root / name).write_bytes(changed)
        open_or_refuse(given, "yolo")


# Real data


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data/format_examples is not here")
@pytest.mark.parametrize(
    ("given", "labels"),
    [
        ("yolo_dataset/annotations", "yolo_dataset/annotations/Annotations"),
        ("yolo_dataset/labels/images/train", "yolo_dataset/labels/labels/train"),
        ("yolo_dataset/labels/images/val", "yolo_dataset/labels/labels/val"),
        ("yolo_dataset/strict", "yolo_dataset/strict/obj_train_data"),
        ("roboflow_dataset/yolo", "roboflow_dataset/yolo/train/labels"),
        ("roboflow_dataset/yolo/val", "roboflow_dataset/yolo/val/labels"),
        ("roboflow_dataset/yolo_obb", "roboflow_dataset/yolo_obb/train/labelTxt"),
        ("roboflow_dataset/yolo_obb/val", "roboflow_dataset/yolo_obb/val/labelTxt"),
    ],
)
def test_real_sets(given: str, labels: str) -> None:
    dataset = open_dataset(SHARED / given)
    files = list((SHARED / labels).glob("*.txt"))
    objects = sum(len(file.read_text().splitlines()) for file in files)
    assert (len(dataset), sum(len(sample.instances) for sample in dataset)) == (len(files), objects)
    assert (dataset.left_out, dataset.class_names[0]) == ((), "label_0")
