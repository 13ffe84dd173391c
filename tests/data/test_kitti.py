from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.errors import AnnotationError, DataError, ImageError

H, W = 12, 40
CAR = "Car 0.00 0 -1.57 2.5 3 9 11.25 1.5 1.6 3.9 0.4 1.4 69.4 -1.56"
VAN = "Van 0.10 1 -1.57 10 3 19 11 1.5 1.6 3.9 0.4 1.4 69.4 -1.56"
DONT_CARE = "DontCare -1 -1 -10 20 1 30 9 -1 -1 -1 -1000 -1000 -1000 -10"


@pytest.fixture
def training(tmp_path: Path) -> Path:
    folder = tmp_path / "training"
    for name in ("image_2", "label_2"):
        (folder / name).mkdir(parents=True)
    for stem in ("000000", "000001"):
        Image.new("RGB", (W, H)).save(folder / f"image_2/{stem}.png")
        (folder / f"label_2/{stem}.txt").write_text("")
    return folder


def test_lines_are_boxes_and_dont_care_is_ignored_for_every_class(training: Path) -> None:
    (training / "label_2/000001.txt").write_text(f"{CAR}\n{VAN}\n{DONT_CARE}\n")
    for place in (training, training.parent):
        dataset = open_dataset(place)
        assert (dataset.format, dataset.class_names, len(dataset)) == ("kitti", ("Car", "Van"), 2)
    instances = dataset[1].instances
    assert instances.names == ["Car", "Van", "Car", "Van"]
    assert instances.crowd.tolist() == [False, False, True, True]
    assert instances.boxes.tolist() == [[2.5, 3, 9, 11.25], [10, 3, 19, 11], [20, 1, 30, 9], [20, 1, 30, 9]]
    assert [annotation.name for annotation in dataset.records[1].annotations] == [
        "line 1",
        "line 2",
        "line 3",
        "line 3",
    ]
    assert [annotation.view for annotation in dataset.records[1].annotations] == [(0, 0.0), (1, 0.1), None, None]
    assert len(dataset[0].instances) == 0


FAULTS = {
    "Car 0.00 0": "line 2: line: expected a type and 14 numbers, got 'Car 0.00 0'",
    CAR.replace("2.5", "left"): "line 2: line: expected a number, got 'left'",
    CAR.replace("2.5", "nan"): "line 2: line: expected a number within 1000000, got 'nan'",
    CAR.replace(
        "2.5", "9.5"
    ): "line 2: box: expected right and bottom from left and top up, got .9.5, 3.0, 9.0, 11.25.",
}


@pytest.mark.parametrize("line", FAULTS)
def test_a_line_that_is_wrong_is_named_and_the_rest_is_read(training: Path, line: str) -> None:
    (training / "label_2/000001.txt").write_text(f"{VAN}\n{line}\n{VAN}\n")
    with pytest.raises(AnnotationError, match=rf"label_2/000001\.txt: {FAULTS[line]}"):
        open_dataset(training)
    seen: list[DataError] = []
    assert len(open_dataset(training, fault=seen.append).instances(1)) == 2
    assert len(seen) == 1


def test_labels_without_a_picture_are_named(training: Path) -> None:
    (training / "label_2/000002.txt").write_text(CAR)
    with pytest.raises(ImageError, match=r"000002\.txt: expected a picture called 000002\.\*, found none in .*image_2"):
        open_dataset(training)


def test_instance_images_are_read_where_they_are(training: Path) -> None:
    ids = np.full((H, W), 7 * 256)
    ids[0:2, 0:3], ids[4:6, 0:3], ids[8:9, 0:3] = 26 * 256 + 1, 26 * 256 + 2, 24 * 256
    (training / "instance").mkdir()
    Image.fromarray(ids.astype(np.uint16)).save(training / "instance/000000.png")
    dataset = open_dataset(training)
    assert (len(dataset), dataset.class_names) == (1, ("car", "person"))
    instances = dataset[0].instances
    assert instances.names == ["person", "car", "car"]
    assert instances.crowd.tolist() == [True, False, False]
    assert instances.masks.areas().tolist() == [3, 6, 6]


# KittiSeg


def test_a_list_of_colour_coded_roads(tmp_path: Path) -> None:
    for name in ("image_2", "gt_image_2"):
        (tmp_path / f"data_road/training/{name}").mkdir(parents=True)
    Image.new("RGB", (W, H)).save(tmp_path / "data_road/training/image_2/um_000000.png")
    colours = np.full((H, W, 3), (255, 0, 0), dtype=np.uint8)
    colours[4:8, 2:7], colours[0:2, 0:3] = (255, 0, 255), (0, 0, 0)
    Image.fromarray(colours).save(tmp_path / "data_road/training/gt_image_2/um_road_000000.png")
    line = "data_road/training/image_2/um_000000.png data_road/training/gt_image_2/um_road_000000.png\n"
    listed = [tmp_path / "train3.txt", tmp_path / "data_road/val3.txt"]
    for path in listed:
        path.write_text(line)
        dataset = open_dataset(path)
        assert (dataset.format, dataset.class_names) == ("kittiseg", ("road",))
        instances = dataset[0].instances
        assert instances.crowd.tolist() == [False, True]
        assert instances.masks.areas().tolist() == [20, 6]
        assert instances.boxes.tolist() == [[2, 4, 7, 8], [0, 0, 3, 2]]
    (tmp_path / "test.txt").write_text(line + "data_road/other.png data_road/b.png\n")
    with pytest.raises(ImageError, match=r"test\.txt: line 2: expected a file data_road/other\.png, found none"):
        open_dataset(tmp_path / "test.txt")


def test_other_lists_are_not_taken_for_these(tmp_path: Path) -> None:
    for text in ("data/obj/1.jpg\n", "0 0.5 0.5 0.1 0.1\n", "", "a.png b.txt\n", "\x00\xff"):
        (tmp_path / "train.txt").write_text(text, encoding="latin-1")
        with pytest.raises(AnnotationError, match="expected annotations of a known kind"):
            open_dataset(tmp_path / "train.txt")
