"""`maskrcnn weights` lists without torch, looks into files of every kind, and converts them."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from maskrcnn.cli import main
from maskrcnn.config import ModelConfig
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.weights import read, save
from maskrcnn.zoo.opening import TARGETS, open_weights
from maskrcnn.zoo.published import PUBLISHED


@pytest.fixture
def desk(foreign_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for file in foreign_files.iterdir():
        (tmp_path / file.name).symlink_to(file)
    monkeypatch.setenv("MASKRCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(line: str, capsys: pytest.CaptureFixture[str], status: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert main(["weights", *shlex.split(line)]) == status
    return capsys.readouterr()


def facts(text: str) -> dict[str, str]:
    return dict(re.split(r" {2,}", line.rstrip(), maxsplit=1) for line in text.splitlines())


@pytest.mark.usefixtures("desk")
def test_the_list_has_every_model(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run("list", capsys)
    rows = {line.split()[0]: line for line in out.splitlines() if "/" in line.split(maxsplit=1)[0]}
    assert all(model.name in rows for model in PUBLISHED)
    first = rows["torchvision/maskrcnn_resnet50_fpn"]
    assert first.split()[1:5] == ["37.9", "34.6", "sha256=bf2d0c1e", "(BSD-3-Clause)"]
    assert err.startswith("AP is what the project states")


def test_the_list_as_json_says_where_files_belong(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["name"]: row for row in json.loads(run("list --json", capsys)[0])}
    assert list(rows) == [model.name for model in PUBLISHED]
    row = rows["matterport/coco"]
    place = desk / "cache/github.com/matterport/Mask_RCNN/releases/download/v2.0/mask_rcnn_coco.h5"
    assert (row["file"], row["fetched"], row["checksum"], row["box_ap"]) == (str(place), False, None, None)
    place.parent.mkdir(parents=True)
    place.write_bytes(b"")
    rows = {row["name"]: row for row in json.loads(run("list --json", capsys)[0])}
    assert rows["matterport/coco"]["fetched"] is True


def test_the_list_does_without_torch() -> None:
    code = "import sys; from maskrcnn.cli import main; main(['weights', 'list']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.usefixtures("desk")
def test_info_of_a_model_of_another_project(capsys: pytest.CaptureFixture[str]) -> None:
    found = facts(run("info model.pth", capsys)[0])
    assert found["kind"] == "torchvision"
    assert found["backbone"] == "resnet18, frozen norm, stride in the 3x3"
    assert found["pyramid"] == "16 channels, none norm"
    assert found["classes"] == "3: class 1, class 2, class 3"
    assert found["pictures"] == "short_edge, min_size 800, max_size 1333"
    assert found["tensors"] == "136 with 11.2 million numbers"
    assert found["of the file"] == "136 tensors used, 0 ignored"


@pytest.mark.usefixtures("desk")
def test_info_of_a_backbone_says_what_is_ignored_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    found = facts(run("info resnet18.pth", capsys)[0])
    assert found["kind"] == "torchvision backbone, without heads; training can start from it"
    assert found["ignored"] == "2 (the classifier of ImageNet): fc.weight, fc.bias"
    assert found["of the file"] == "100 tensors used, 2 ignored"
    assert "classes" not in found


@pytest.mark.usefixtures("desk")
def test_info_of_an_own_file(tiny: ModelConfig, capsys: pytest.CaptureFixture[str]) -> None:
    save(build(tiny), Path("own.safetensors"))
    found = facts(run("info own.safetensors", capsys)[0])
    assert (found["kind"], found["classes"]) == ("maskrcnn", "3: cat, dog, horse")
    assert "of the file" not in found


@pytest.mark.usefixtures("desk")
def test_convert_names_the_classes_and_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run("convert model.pth model.safetensors --classes 'circle, square,triangle'", capsys)
    assert out == ""
    assert err.splitlines() == [
        "torchvision: 136 of 136 tensors used",
        "classes: circle, square, triangle",
        "model: model.safetensors",
    ]
    assert read(Path("model.safetensors")).config.classes == ("circle", "square", "triangle")


@pytest.mark.usefixtures("desk")
def test_convert_takes_settings_that_the_file_does_not_say(capsys: pytest.CaptureFixture[str]) -> None:
    run("convert model.pth m.safetensors --set model.anchors.sizes=[[8],[16],[32],[64],[128]]", capsys)
    there, here = open_weights("model.pth").config, read(Path("m.safetensors")).config
    assert here == there.change(anchors=there.anchors.change(sizes=[[8], [16], [32], [64], [128]]))


@pytest.mark.usefixtures("desk")
def test_convert_back_says_what_differs_there(capsys: pytest.CaptureFixture[str]) -> None:
    _, err = run("convert model.pth model.pkl --to detectron2", capsys)
    notes = [line for line in err.splitlines() if line.startswith("note: ")]
    assert "note: MODEL.ROI_HEADS.NUM_CLASSES is 3" in notes
    assert any("mask_head.paste is padded" in note for note in notes)
    assert Path("model.pkl").is_file()


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("info nothing.pth", "nothing.pth: expected a model file, got no such file"),
        ("convert model.pth m.pth", "m.pth: expected a name that ends in .safetensors, got '.pth'"),
        (
            "convert resnet18.pth m.safetensors",
            "resnet18.pth: expected a whole model, got a torchvision backbone without heads; training can start "
            "from it",
        ),
        (
            "convert model.pth m.safetensors --classes a,b",
            "model.pth: expected names of 3 classes, got 2: a, b",
        ),
        (
            "convert model.pth m.safetensors --set train.batch=3",
            "--set: expected settings of the model such as model.rpn.nms_iou=0.9, got train",
        ),
        (
            "convert model.pth m.safetensors --set model.rpn.sampels=3",
            "model: rpn.sampels: unknown setting; did you mean 'samples'?",
        ),
        (
            "convert model.pth m.safetensors --classes a,b,",
            "--classes: expected names with commas between them, got an empty one in 'a,b,'",
        ),
    ],
)
def test_mistakes(desk: Path, capsys: pytest.CaptureFixture[str], line: str, sentence: str) -> None:
    before = sorted(desk.iterdir())
    assert run(line, capsys, status=2) == ("", f"error: {sentence}\n")
    assert sorted(desk.iterdir()) == before


def test_targets_of_the_command_are_those_of_the_zoo() -> None:
    from maskrcnn.cli.weights_group import Target

    assert get_args(Target) == tuple(TARGETS)
