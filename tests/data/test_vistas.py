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
CLASSES = {
    "labels": [
        {"name": "animal--bird", "readable": "Bird", "instances": True},
        {"name": "construction--wall", "readable": "Wall", "instances": False},
        {"name": "object--bench", "readable": "Bench", "instances": True},
    ]
}


@pytest.fixture(params=["v2.0", "v1.2", ""])
def split(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    version = request.param
    (tmp_path / (f"config_{version}.json" if version else "config.json")).write_text(json.dumps(CLASSES))
    ids = np.full((H, W), 256, dtype=np.uint16)
    ids[0:2, 0:2], ids[0:2, 4:6], ids[4:5, :] = 0, 1, 2 * 256
    for path in ("training/images", f"training/{version}/instances", f"training/{version}/labels"):
        (tmp_path / path).mkdir(parents=True)
    Image.new("RGB", (W, H)).save(tmp_path / "training/images/x.jpg")
    Image.fromarray(ids).save(tmp_path / f"training/{version}/instances/x.png")
    Image.fromarray((ids >> 8).astype(np.uint8)).save(tmp_path / f"training/{version}/labels/x.png")
    return tmp_path / "training"


def test_classes_with_instances_give_objects_and_value_0_is_one(split: Path) -> None:
    dataset = open_dataset(split)
    assert (dataset.format, dataset.class_names) == ("vistas", ("animal--bird", "object--bench"))
    instances = dataset[0].instances
    assert instances.names == ["animal--bird", "animal--bird", "object--bench"]
    assert instances.boxes.tolist() == [[0, 0, 2, 2], [4, 0, 6, 2], [0, 4, 9, 5]]
    assert instances.masks.areas().tolist() == [4, 4, 9]


def test_a_class_that_is_not_configured_is_refused(split: Path) -> None:
    configuration = next(split.parent.glob("config*.json"))
    configuration.write_text(json.dumps({"labels": CLASSES["labels"][:2]}))
    with pytest.raises(AnnotationError, match=r"x\.png: expected classes below 2, got 2 \(value 512\)") as caught:
        open_dataset(split)
    assert caught.value.code == "C301"
    (split / "images/x.jpg").unlink()
    with pytest.raises(ImageError, match=r"expected a picture called x\.\*"):
        open_dataset(split)


def test_two_versions_ask_for_one(tmp_path: Path) -> None:
    for version in ("v1.2", "v2.0"):
        (tmp_path / f"config_{version}.json").write_text(json.dumps(CLASSES))
        (tmp_path / f"val/{version}/instances").mkdir(parents=True)
        Image.new("I;16", (W, H)).save(tmp_path / f"val/{version}/instances/x.png")
    (tmp_path / "val/images").mkdir()
    Image.new("RGB", (W, H)).save(tmp_path / "val/images/x.jpg")
    with pytest.raises(AnnotationError, match=r"got v1\.2, v2\.0; name the one to open"):
        open_dataset(tmp_path / "val")
    assert len(open_dataset(tmp_path / "val/v2.0").instances(0)) == 1


@pytest.mark.parametrize("split", ["v2.0"], indirect=True)
def test_odd_configurations_end_in_no_bare_exception(split: Path) -> None:
    configuration = next(split.parent.glob("config*.json"))
    refused = 0
    for document in with_odd_values(copy.deepcopy(CLASSES)):
        configuration.write_text(json.dumps(document))
        try:
            open_dataset(split)
        except MaskRCNNError:
            refused += 1
    assert refused > 30
