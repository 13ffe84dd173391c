"""A weight file of any kind opens the same way, and becomes one of this package, or of another project."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

import maskrcnn
from maskrcnn.config import ModelConfig
from maskrcnn.errors import InputError, WeightsError
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.weights import read, save
from maskrcnn.zoo import convert, open_file, open_weights

NAMES = ("circle", "square", "triangle")


@pytest.fixture
def own(tiny: ModelConfig, tmp_path: Path) -> Path:
    """A file of this package."""
    save(build(tiny), tmp_path / "own.safetensors")
    return tmp_path / "own.safetensors"


# ---- opening


def test_an_own_file_is_what_it_was(own: Path) -> None:
    opened = open_file(own)
    assert (opened.kind, opened.ledger, opened.complete, opened.path) == ("maskrcnn", (), True, own)
    assert opened.weights.config == read(own).config
    assert opened.weights.tensors.keys() == read(own).tensors.keys()


def test_classes_of_an_own_file_can_be_renamed_and_not_miscounted(own: Path) -> None:
    assert open_weights(own, NAMES).config.classes == NAMES
    with pytest.raises(WeightsError, match=r"expected 3 class names \(cat, dog, horse\), got 2$"):
        open_weights(own, NAMES[:2])


def test_a_model_of_another_project(foreign_files: Path) -> None:
    opened = open_file(foreign_files / "model.pth", NAMES)
    assert (opened.kind, opened.complete) == ("torchvision", True)
    assert opened.weights.config.classes == NAMES
    assert opened.weights.config.pyramid.channels == 16
    assert opened.weights.tensors.keys() == build(opened.weights.config).state_dict().keys()
    assert {entry.outcome for entry in opened.ledger} == {"used"}


def test_a_backbone_is_no_model(foreign_files: Path) -> None:
    opened = open_file(foreign_files / "resnet18.pth")
    assert (opened.kind, opened.complete) == ("torchvision backbone", False)
    assert all(name.startswith("backbone.") for name in opened.weights.tensors)
    assert [entry.name for entry in opened.ignored()] == ["fc.weight", "fc.bias"]
    with pytest.raises(
        WeightsError, match=r"expected a whole model, got a torchvision backbone without heads; training"
    ):
        open_weights(foreign_files / "resnet18.pth")


def test_a_name_that_is_not_known_and_a_file_that_is_not_there() -> None:
    with pytest.raises(WeightsError, match=r"^nothing\.h5: expected a model file, got no such file$"):
        open_weights("nothing.h5")
    with pytest.raises(WeightsError, match="did you mean matterport/coco"):
        open_weights("coco")


def test_a_checkpoint_of_a_run_names_the_model_beside_it(own: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    torch.save({"state_dict": {}}, tmp_path / "checkpoints/last.ckpt")
    own.rename(tmp_path / "model.safetensors")
    with pytest.raises(WeightsError) as raised:
        open_weights(tmp_path / "checkpoints/last.ckpt")
    assert str(raised.value).endswith(f"got a checkpoint of a run; did you mean {tmp_path / 'model.safetensors'}?")


def test_it_predicts_as_it_is(foreign_files: Path) -> None:
    model = maskrcnn.load(foreign_files / "model.pth", min_size=64, max_size=64)
    assert model.class_names == ("class 1", "class 2", "class 3")
    assert model.config.mask_head.paste == "padded"


# ---- converting


def test_a_converted_file_holds_the_same_bits(foreign_files: Path, tmp_path: Path) -> None:
    out = tmp_path / "new/model.safetensors"
    done = convert(foreign_files / "model.pth", out, classes=NAMES)
    direct, converted = open_weights(foreign_files / "model.pth", NAMES), open_weights(out)
    assert converted.config == direct.config == done.config
    assert converted.tensors.keys() == direct.tensors.keys()
    assert all(torch.equal(converted.tensors[name], tensor) for name, tensor in direct.tensors.items())
    with safe_open(out, framework="pt") as file:
        assert file.metadata()["origin"] == "torchvision"
        assert file.metadata()["origin_file"] == "model.pth"
        assert json.loads(file.metadata()["classes"]) == list(NAMES)


def test_a_backbone_is_not_converted(foreign_files: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="expected a whole model, got a torchvision backbone"):
        convert(foreign_files / "resnet18.pth", tmp_path / "m.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("out", "to", "sentence"),
    [
        ("m.pth", "maskrcnn", r"^m\.pth: expected a name that ends in \.safetensors, got '\.pth'$"),
        ("m", "maskrcnn", r"^m: expected a name that ends in \.safetensors, got ''$"),
        ("m.pkl", "torchvision", r"^m\.pkl: expected a name that ends in \.pth, got '\.pkl'$"),
        ("m.pth", "keras", r"^to: expected one of maskrcnn, torchvision, detectron2, got keras$"),
    ],
)
def test_another_name_than_the_target_has(own: Path, out: str, to: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        convert(own, out, to=to)


def test_a_file_is_not_converted_onto_itself(own: Path) -> None:
    with pytest.raises(InputError, match="expected another file than the one that is converted"):
        convert(own, own)


# ---- and back


def test_back_to_torchvision_is_the_file_that_came_from_there(foreign_files: Path, tmp_path: Path) -> None:
    convert(foreign_files / "model.pth", tmp_path / "own.safetensors", classes=NAMES)
    done = convert(tmp_path / "own.safetensors", tmp_path / "back.pth", to="torchvision")
    before, after = (
        torch.load(path, weights_only=True) for path in (foreign_files / "model.pth", tmp_path / "back.pth")
    )
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], tensor) for name, tensor in after.items())
    assert any("background" in note for note in done.notes)


def test_to_detectron2_and_back_keeps_the_bits(foreign_files: Path, tmp_path: Path) -> None:
    convert(foreign_files / "model.pth", tmp_path / "model.pkl", classes=NAMES, to="detectron2")
    there, back = open_weights(foreign_files / "model.pth"), open_file(tmp_path / "model.pkl", NAMES)
    assert back.kind == "detectron2"
    assert back.weights.tensors.keys() == there.tensors.keys()
    assert all(torch.equal(back.weights.tensors[name], tensor) for name, tensor in there.tensors.items())
    with (tmp_path / "model.pkl").open("rb") as file:
        content = pickle.load(file)
    assert (content["__author__"], content["matching_heuristics"]) == ("maskrcnn", False)
    assert content["model"]["backbone.bottom_up.stem.conv1.weight"].dtype == np.float32
