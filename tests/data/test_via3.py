from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from odd_texts import open_or_refuse
from odd_values import with_odd_values
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Dataset
from maskrcnn.errors import AnnotationError

Json = dict[str, object]

GOOD: Json = {
    "project": {"pname": "x", "data_format_version": "3.1.2", "vid_list": ["1", "2"]},
    "config": {},
    "attribute": {
        "1": {"aname": "kind", "anchor_id": "FILE1_Z0_XY1", "type": 4, "options": {"0": "cat", "1": "dog"}},
        "2": {"aname": "note", "type": 1},
    },
    "file": {
        "1": {"fid": "1", "fname": "a.png", "type": 2, "loc": 1, "src": ""},
        "2": {"fid": "2", "fname": "b.png", "type": 2, "loc": 3, "src": "elsewhere/b.png"},
    },
    "view": {"1": {"fid_list": ["1"]}, "2": {"fid_list": ["2"]}},
    "metadata": {
        "1_a": {"vid": "1", "flg": 0, "z": [], "xy": [2, 10, 20, 20, 30], "av": {"1": "0"}},
        "1_b": {"vid": "1", "flg": 0, "z": [], "xy": [7, 10, 20, 30, 20, 30, 50, 10, 50], "av": {"1": "1"}},
        "1_c": {"vid": "1", "flg": 0, "z": [], "xy": [], "av": {"2": "a picture"}},
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    Image.new("RGB", (80, 60)).save(tmp_path / "a.png")
    Image.new("RGB", (80, 60)).save(tmp_path / "elsewhere/b.png")
    return tmp_path


def opened(folder: Path, document: object) -> Dataset:
    (folder / "project.json").write_text(json.dumps(document))
    return open_dataset(folder)


def test_a_project(folder: Path) -> None:
    dataset = opened(folder, GOOD)
    assert (dataset.format, dataset.class_names, len(dataset)) == ("via", ("cat", "dog"), 2)
    assert dataset.instances(0).names == ["cat", "dog"]
    assert dataset.instances(0).boxes.tolist() == [[10, 20, 30, 50]] * 2
    assert (len(dataset.instances(1)), dataset.path(1)) == (0, folder / "elsewhere/b.png")


@pytest.mark.parametrize(
    ("xy", "box"),
    [
        ([3, 40, 30, 10], [30, 20, 50, 40]),
        ([4, 40, 30, 20, 10], [20, 20, 60, 40]),
        ([6, 10, 20, 30, 20, 30, 50], [10, 20, 30, 50]),
    ],
)
def test_shapes(folder: Path, xy: list[int], box: list[int]) -> None:
    document = copy.deepcopy(GOOD)
    document["metadata"]["1_b"]["xy"] = xy
    assert opened(folder, document).instances(0).boxes[1].tolist() == pytest.approx(box, abs=1)


@pytest.mark.parametrize(
    ("xy", "reason"), [([1, 4, 5], "a point has no area"), ([5, 4, 5, 9, 9], "a line of 2 points has no area")]
)
def test_points_and_lines_are_left_out(folder: Path, xy: list[int], reason: str) -> None:
    document = copy.deepcopy(GOOD)
    document["metadata"]["1_b"]["xy"] = xy
    dataset = opened(folder, document)
    assert (len(dataset.instances(0)), [left.reason for left in dataset.left_out]) == (1, [reason])


def test_a_checkbox_with_one_choice(folder: Path) -> None:
    document = copy.deepcopy(GOOD)
    document["attribute"]["1"]["type"] = 2
    assert opened(folder, document).class_names == ("cat", "dog")
    document["metadata"]["1_b"]["av"]["1"] = "0,1"
    with pytest.raises(AnnotationError, match=r"region 1_b of a\.png: attribute 'kind': expected one class, got cat"):
        opened(folder, document)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("metadata", "1_b", "xy"), [9, 1, 2], "region 1_b of a.png: shape: expected 1 to 7, got 9"),
        (("metadata", "1_b", "xy"), [2, 1, 2], "region 1_b of a.png: xy: expected 4 numbers for a rect"),
        (("metadata", "1_b", "vid"), "7", "metadata 1_b: vid: expected one of the views, got '7'"),
        (("file", "1", "type"), 4, "view 1: file 1: type: expected 2, a picture, got 4, a video"),
        (("view", "1", "fid_list"), ["1", "2"], "view 1: fid_list: expected one picture, got 2"),
        (("view", "1", "fid_list"), ["9"], "view 1: fid_list: expected one of the files, got '9'"),
        (("view", "2", "fid_list"), ["1"], "view 2: expected one entry for a.png, got a second one"),
    ],
)
def test_errors_name_the_place(folder: Path, path: tuple[str, ...], value: object, words: str) -> None:
    document = copy.deepcopy(GOOD)
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    with pytest.raises(AnnotationError) as caught:
        opened(folder, document)
    assert f"project.json: {words}" in str(caught.value)


def test_no_odd_file_ends_in_a_bare_exception(folder: Path) -> None:
    path = folder / "project.json"
    for changed in with_odd_values(GOOD):
        path.write_text(json.dumps(changed))
        open_or_refuse(path, "via")
