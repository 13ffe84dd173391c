from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from odd_values import with_odd_values
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.errors import AnnotationError, ImageError, MaskRCNNError

H, W = 6, 9


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.astype(np.uint8)).save(path)


def blue(*values: int) -> np.ndarray:
    colours = np.zeros((H, W, 3))
    colours[1:3, : len(values), 2] = values
    colours[..., :2] = 7
    return colours


@pytest.fixture
def of_2017(tmp_path: Path) -> Path:
    folder = tmp_path / "training/a/abbey"
    save(folder / "x.jpg", np.zeros((H, W, 3)))
    save(folder / "x_seg.png", blue(1, 1, 2))
    save(folder / "x_parts_1.png", blue(0, 1))
    (folder / "x_atr.txt").write_text(
        '001 # 0 # 0 # person, individual # person # "walking # fast"\n002 # 0 # 1 # sky # sky # ""\n'
        '001 # 1 # 0 # left arm # left arm # ""\n',
    )
    return tmp_path


def of_2020(root: Path) -> dict[str, object]:
    folder = root / "validation/street"
    save(folder / "y.jpg", np.zeros((H, W, 3)))
    save(folder / "y_seg.png", blue(1, 2))
    objects = []
    for i, name in enumerate(("car, auto", "door")):
        mask = np.zeros((H, W))
        mask[1:4, i : i + 3] = 255
        mask[4, 0:2] = 128  # hidden behind something
        save(folder / f"y/instance_00{i}_y.png", mask)
        objects.append({"id": i, "name": name, "instance_mask": f"y/instance_00{i}_y.png", "raw_name": "caf\xe9"})
    document: dict[str, object] = {"annotation": {"filename": "y.jpg", "object": objects}}
    (folder / "y.json").write_text(json.dumps(document, ensure_ascii=False), encoding="latin-1")
    return document


def test_objects_and_parts_of_2017(of_2017: Path) -> None:
    for place in (of_2017, of_2017 / "training", of_2017 / "training/a/abbey"):
        dataset = open_dataset(place)
        assert (dataset.format, dataset.class_names) == ("ade20k", ("left arm", "person", "sky"))
    instances = dataset[0].instances
    assert instances.names == ["person", "sky", "left arm"]
    assert instances.boxes.tolist() == [[0, 1, 2, 3], [2, 1, 3, 3], [1, 1, 2, 3]]
    assert [annotation.name for annotation in dataset.records[0].annotations] == ["line 1", "line 2", "line 3"]


def test_values_that_are_spread_count_by_rank(of_2017: Path) -> None:
    save(of_2017 / "training/a/abbey/x_seg.png", blue(90, 90, 180))
    instances = open_dataset(of_2017)[0].instances
    assert (instances.names[:2], instances.boxes[:2].tolist()) == (["person", "sky"], [[0, 1, 2, 3], [2, 1, 3, 3]])


def test_visible_parts_of_2020_in_latin_1(tmp_path: Path) -> None:
    of_2020(tmp_path)
    dataset = open_dataset(tmp_path / "validation")
    assert (dataset.format, dataset.class_names) == ("ade20k", ("car", "door"))
    assert dataset[0].instances.boxes.tolist() == [[0, 1, 3, 4], [1, 1, 4, 4]]
    assert dataset[0].instances.masks.areas().tolist() == [9, 9]


def test_both_splits_ask_for_one(of_2017: Path) -> None:
    of_2020(of_2017)
    with pytest.raises(AnnotationError, match=r"got training, validation; name the one to open"):
        open_dataset(of_2017)


def test_a_line_without_pixels_is_left_out_and_pixels_without_a_line_are_refused(of_2017: Path) -> None:
    labels = of_2017 / "training/a/abbey/x_atr.txt"
    good = labels.read_text()
    labels.write_text(good + "009 # 0 # 0 # tree # tree #\n")
    left = open_dataset(of_2017).left_out
    assert [(each.name, each.code) for each in left] == [("line 4", "G204")]
    labels.write_text("\n".join(good.splitlines()[1:]))
    with pytest.raises(
        AnnotationError, match=r"x_seg\.png: expected a line in x_atr\.txt for every object, got none for 1"
    ):
        open_dataset(of_2017)
    labels.write_text("one # 0 # 0 # tree")
    with pytest.raises(AnnotationError, match=r"x_atr\.txt: line 1: line: expected number # level"):
        open_dataset(of_2017)


def test_missing_files_are_named(of_2017: Path) -> None:
    folder = of_2017 / "training/a/abbey"
    (folder / "x_parts_1.png").unlink()
    with pytest.raises(ImageError, match=r"x_parts_1\.png: expected a picture, got no such file"):
        open_dataset(of_2017)
    (folder / "x.jpg").unlink()
    with pytest.raises(ImageError, match=r"x_seg\.png: expected a picture called x\.\*"):
        open_dataset(of_2017)


def test_odd_documents_end_in_no_bare_exception(tmp_path: Path) -> None:
    good = of_2020(tmp_path)
    refused = 0
    for document in with_odd_values(copy.deepcopy(good)):
        (tmp_path / "validation/street/y.json").write_text(json.dumps(document))
        try:
            open_dataset(tmp_path / "validation", format="ade20k")
        except MaskRCNNError:
            refused += 1
    assert refused > 80
