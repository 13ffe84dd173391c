"""What a user reads after a mistake: one sentence on stderr, exit status 2, nothing left behind."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from safetensors.torch import save_file

from maskrcnn.cli import main
from maskrcnn.config import ModelConfig
from maskrcnn.data.synth import synthesise
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.weights import save


def via(regions: list[dict[str, Any]]) -> str:
    listed = [{"shape_attributes": {"name": "polygon", **r}, "region_attributes": {"name": "cat"}} for r in regions]
    return json.dumps({"a.png1": {"filename": "a.png", "size": 1, "regions": listed, "file_attributes": {}}})


def fill(folder: Path, config: ModelConfig) -> None:
    """Make the things that go wrong, and a few that are right."""
    synthesise("shapes", folder / "shapes", 2, size_hw=(64, 64))
    synthesise("spacecraft", folder / "craft", 1, size_hw=(64, 64))
    save(build(config.change(classes=("circle", "square", "triangle"))), folder / "model.safetensors")
    (folder / "cut.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:100_000])
    torch.save({"w": torch.ones(2)}, folder / "model.pth")
    save_file({"w": torch.ones(2)}, folder / "other.safetensors")
    shutil.copy(folder / "shapes/images/000001.png", folder / "a.png")
    (folder / "words.txt").write_text("words\n")
    for name in ("empty", "two", "gone", "run"):
        (folder / name).mkdir()
    (folder / "run/settings.json").write_text("{}")
    shutil.copy(folder / "a.png", folder / "two")
    (folder / "two/via_region_data.json").write_text(via([{"all_points_x": [1, 20], "all_points_y": [3, 20]}]))
    lost = via([{"all_points_x": [1, 9, 5], "all_points_y": [3, 2, 9]}]).replace("a.png", "lost.png")
    (folder / "gone/via_region_data.json").write_text(lost)
    (folder / "foreign.json").write_text('{"a": 1}')
    for name, text in (
        ("key", '{"model": {"rpn": {"sampels": 3}}}'),
        ("home", '{"modle": {}}'),
        ("half", '{"model": '),
    ):
        (folder / f"{name}.json").write_text(text)
    (folder / "list.json").write_text('{"model": []}')


@pytest.fixture
def workshop(tiny: ModelConfig, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same folder for every test; none changes it."""
    folder = tmp_path_factory.getbasetemp() / "workshop"
    if not folder.exists():
        folder.mkdir()
        fill(folder, tiny)
    monkeypatch.chdir(folder)
    return folder


PREDICT = {
    "nothing.safetensors a.png --out new": "nothing.safetensors: expected a model file, got no such file",
    "empty a.png --out new": "empty: expected a model file, got a folder",
    "words.txt a.png --out new": (
        "words.txt: expected a model file (safetensors), got a file of another kind, starting with b'words\\n'"
    ),
    "model.pth a.png --out new": (
        "model.pth: expected a Mask R-CNN of torchvision, Detectron, Detectron2, Matterport or MMDetection with a "
        "feature pyramid, or a residual network of ImageNet, got 1 tensors: w"
    ),
    "cut.safetensors a.png --out new": (
        "cut.safetensors: expected a model file (safetensors), got one that is cut off or broken: Error while "
        "deserializing header: incomplete metadata, file not fully covered"
    ),
    "other.safetensors a.png --out new": (
        "other.safetensors: expected a model file of this package, got safetensors without its settings"
    ),
    "model.safetensors b.png --out new": (
        "b.png: expected a picture or a folder of pictures, got no such file or folder"
    ),
    "model.safetensors empty --out new": (
        "empty: expected pictures (.avif, .bmp, .gif, .jp2, .jpeg, .jpg, .pgm, .png, .ppm, .tif, .tiff, .webp), "
        "found none; sub-folders are not searched, try 'empty/**'"
    ),
    "model.safetensors 'empty/*' --out new": (
        "empty/*: expected pictures (.avif, .bmp, .gif, .jp2, .jpeg, .jpg, .pgm, .png, .ppm, .tif, .tiff, .webp), "
        "found none; quote a pattern and check its folder"
    ),
    "model.safetensors a.png --out words.txt": "words.txt: expected a folder, got a file; choose another folder",
    "model.safetensors a.png --out words.txt/new": (
        "words.txt/new: could not be written: Not a directory; a part of its path is a file"
    ),
    "model.safetensors a.png --out new --device gpu": (
        "device: expected a name such as cpu, cuda, cuda:1 or mps, got 'gpu'"
    ),
    "model.safetensors a.png": "missing option '--out'. See maskrcnn predict --help",
    "model.safetensors --out new": "missing argument 'PICTURES'. See maskrcnn predict --help",
    "model.safetensors a.png --out new --score 2": (
        "invalid value for '--score': Input should be less than or equal to 1. See maskrcnn predict --help"
    ),
    "model.safetensors a.png --out new --score high": (
        "invalid value for '--score': Input should be a valid number, unable to parse string as a number. "
        "See maskrcnn predict --help"
    ),
}
EVALUATE = {
    "model.safetensors": "evaluate: expected MODEL DATA, or --results FILE DATA, got model.safetensors alone",
    "model.safetensors shapes craft": (
        "evaluate: expected MODEL DATA, or --results FILE DATA, got 3 paths: model.safetensors shapes craft"
    ),
    "model.safetensors nothing": (
        "nothing: expected an annotation file or a folder with one, got no such file or folder"
    ),
    "model.safetensors empty": ("empty: expected annotations of a known kind; found nothing"),
    "model.safetensors foreign.json": "foreign.json: expected annotations of a known kind, got an object with 'a'",
    "model.safetensors words.txt": "words.txt: expected annotations of a known kind, got a file with suffix .txt",
    "model.safetensors shapes --out words.txt": "words.txt: expected a folder, got a file; choose another folder",
    "model.safetensors shapes --measures coco,acc": (
        "measures: expected names of coco, boundary, lvis, voc, kitti, dsb, pose, mapping, sizes, tide, proposals, "
        "got acc"
    ),
    "model.safetensors shapes --measures voc:0.7": "measures: expected at most 0 figures after voc, got voc:0.7",
    "model.safetensors shapes --measures sizes:small": (
        "measures: expected borders, 32 and 96 after sizes, with colons between, got sizes:small"
    ),
    "model.safetensors shapes --measures sizes:96:32": (
        "sizes: expected borders above 0 that rise, such as 32 and 96, got [96.0, 32.0]"
    ),
    "model.safetensors shapes --detections 1,many": "detections: expected whole numbers such as 1,10,100, got 1,many",
    "model.safetensors shapes --detections 0": "detections: expected one or more limits of at least 1, got [0]",
    "--results foreign.json shapes": "foreign.json: expected a list of results, got an object",
    "--results words.txt shapes": (
        "words.txt: expected JSON, got something else: Expecting value: line 1 column 1 (char 0)"
    ),
    "--results nothing.json shapes": "nothing.json: can't be read: No such file or directory",
    "--results model.safetensors shapes": "model.safetensors: expected JSON in UTF-8, got other bytes",
    "--results foreign.json model.safetensors shapes": (
        "evaluate: expected DATA alone beside --results, got 2 paths: model.safetensors shapes"
    ),
}
TRAIN = {
    "nothing --out new": "nothing: expected an annotation file or a folder with one, got no such file or folder",
    "foreign.json --out new": "foreign.json: expected annotations of a known kind, got an object with 'a'",
    "two --out new": "two/via_region_data.json: region 0 of a.png: polygon has 2 points, expected at least 3",
    "gone --out new": "gone/via_region_data.json: 1 of 1 pictures are missing: lost.png; looked in gone, .",
    "shapes --out words.txt": "words.txt: expected a folder for the run, got a file",
    "shapes --out run": ("run: expected a new folder, got a run; go on with --resume or name another folder"),
    "shapes --out new --preset big": (
        "invalid value for '--preset': 'big' is not one of 'small', 'full'. See maskrcnn train --help"
    ),
    "shapes --out new --train-layers 2+": (
        "invalid value for '--train-layers': '2+' is not one of 'heads', '5+', '4+', '3+', 'all'. "
        "See maskrcnn train --help"
    ),
    "shapes --out new --backbone vgg": (
        "invalid value for '--backbone': 'vgg' is not one of 'resnet18', 'resnet34', 'resnet50', 'resnet101', "
        "'resnet152', 'resnext101_32x8d'. See maskrcnn train --help"
    ),
    "shapes --out new --precision fp8": (
        "invalid value for '--precision': 'fp8' is not one of 'auto', 'fp32', 'bf16', 'fp16'. See maskrcnn train --help"
    ),
    "shapes --out new --epochs 0": (
        "invalid value for '--epochs': Input should be greater than or equal to 1. See maskrcnn train --help"
    ),
    "shapes --out new --epoch 3": "no such option: --epoch (Possible options: --epochs). See maskrcnn train --help",
    "shapes --out new --set model.rpn.sampels=3": "model: rpn.sampels: unknown setting; did you mean 'samples'?",
    "shapes --out new --set model.rpn.samples=many": (
        "model: rpn.samples: Input should be a valid integer, got 'many'"
    ),
    "shapes --out new --set model.rpn.samples": (
        "--set: expected name=value such as model.rpn.samples=128, got 'model.rpn.samples'"
    ),
    "shapes --out new --set model..samples=3": (
        "--set: expected name=value such as model.rpn.samples=128, got 'model..samples=3'"
    ),
    "shapes --out new --set rpn.samples=3": "rpn: unknown setting; did you mean model.rpn?",
    "shapes --out new --set cats=3": "cats: unknown setting; names begin with model or train",
    "shapes --out new --set model=3": "model: expected a JSON object of settings, got 3",
    "shapes --out new --set train.learning_rat=3": (
        "train: learning_rat: unknown setting; did you mean 'learning_rate'?"
    ),
    "shapes --out new --lr 0": "train: learning_rate: Input should be greater than 0, got 0.0",
    "shapes --out new --config key.json": "model: rpn.sampels: unknown setting; did you mean 'samples'?",
    "shapes --out new --config home.json": "modle: unknown setting; names begin with model or train",
    "shapes --out new --config half.json": (
        "half.json: expected JSON, got an error: Expecting value: line 1 column 11 (char 10)"
    ),
    "shapes --out new --config list.json": "model: expected a JSON object of settings, got []",
    "shapes --out new --config nothing.json": (
        "nothing.json: expected a settings file, got one that can't be read: No such file or directory"
    ),
    "shapes --out new --stages nonsense": ("--stages: expected layers:epochs[@rate] such as heads:10, got 'nonsense'"),
    "shapes --out new --stages heads:2,all:many": (
        "--stages: expected layers:epochs[@rate] such as heads:10, got 'all:many'"
    ),
    "shapes --out new --stages bodies:3": (
        "train: stages.0.layers: Input should be 'heads', '3+', '4+', '5+' or 'all', got 'bodies'"
    ),
    "shapes --out new --stages heads:3 --epochs 3": (
        "--stages: expected it alone, got --train-layers or --epochs beside it"
    ),
    "shapes --out new --resume": "new: expected a run to resume, got nothing there; begin one without --resume",
    "shapes --out run --resume --epochs 3": (
        "--resume: expected no other settings, got some; a resumed run keeps its own"
    ),
    "shapes --out new --weights words.txt": (
        "words.txt: expected a model file (safetensors), got a file of another kind, starting with b'words\\n'"
    ),
    "shapes --val craft --out new": (
        "craft/annotations.json: expected classes that the model knows (circle, square, triangle), got "
        "dish_probe too; classes are matched by name"
    ),
}
DRAW_AND_DEMO = {
    "data synth cats new": (
        "invalid value for 'KIND': 'cats' is not one of 'spacecraft', 'shapes'. See maskrcnn data synth --help"
    ),
    "data synth shapes new --layout voc": (
        "invalid value for '--layout': 'voc' is not one of 'coco', 'pose-bowl'. See maskrcnn data synth --help"
    ),
    "data synth shapes new --size 64": "--size: expected height x width such as 192x256, got '64'",
    "data synth shapes new --size 32x32": "size: expected at least 64, got 32",
    "data synth shapes words.txt": "words.txt: expected a folder, got a file; choose another place",
    "data synth shapes run": (
        "run: expected an empty folder or one that this command began, got a folder with settings.json; "
        "choose another folder"
    ),
    "data synth shapes shapes --count 3": (
        "shapes: expected an empty folder or one that this command began, got one that was begun with count 2 "
        "instead of 3; choose another folder"
    ),
    "demo --out run": ("run: expected a new or empty folder for the demo, got one in use; remove it or name another"),
    "trian": "no such command 'trian'. Did you mean 'train'? See maskrcnn --help",
    "data draw": "no such command 'draw'. See maskrcnn data --help",
}
CODE = re.compile(r"^error\[[A-Z][0-9]{3}\]:")
MISTAKES = (
    [(f"predict {line}", sentence) for line, sentence in PREDICT.items()]
    + [(f"evaluate {line}", sentence) for line, sentence in EVALUATE.items()]
    + [(f"train {line}", sentence) for line, sentence in TRAIN.items()]
    + list(DRAW_AND_DEMO.items())
)


@pytest.mark.parametrize(("line", "sentence"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_one_sentence(
    workshop: Path, capsys: pytest.CaptureFixture[str], line: str, sentence: str
) -> None:
    before = sorted(workshop.iterdir())
    status = main(shlex.split(line))
    out, err = capsys.readouterr()
    assert (status, out, CODE.sub("error:", err)) == (2, "", f"error: {sentence}\n")
    assert sorted(workshop.iterdir()) == before


@pytest.mark.usefixtures("workshop")
def test_a_class_that_the_model_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "model.safetensors", "craft"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "1 picture (coco), 4 classes",
        "error: craft/annotations.json: expected classes that the model knows (circle, square, triangle), got "
        "dish_probe too; classes are matched by name",
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="the machine has a GPU")
@pytest.mark.usefixtures("workshop")
@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "predict model.safetensors a.png --out new --device cuda",
            "device: expected one that this machine has, got cuda (",
        ),
        ("train shapes --out new --accelerator gpu", "--accelerator: expected one that this machine has, got gpu\n"),
    ],
)
def test_a_device_that_is_not_there(capsys: pytest.CaptureFixture[str], line: str, sentence: str) -> None:
    assert main(shlex.split(line)) == 2
    assert capsys.readouterr().err.startswith(f"error: {sentence}")
    assert not Path("new").exists()


# ---- pictures that do not fit the model: named, and the rest goes on


@pytest.mark.usefixtures("workshop")
def test_pictures_that_cannot_be_predicted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 2**16, (64, 64), dtype=np.uint16)).save(tmp_path / "grey16.png")
    tifffile.imwrite(tmp_path / "four.tif", rng.integers(0, 9, (64, 64, 4), dtype=np.uint16), photometric="minisblack")
    (tmp_path / "cut.png").write_bytes(Path("a.png").read_bytes()[:200])
    (tmp_path / "words.jpg").write_text("words\n")
    names = ("grey16.png", "four.tif", "cut.png", "words.jpg")
    broken = [str(tmp_path / name) for name in names]
    assert main(["predict", "model.safetensors", *broken[:2], "a.png", *broken[2:], "--out", str(tmp_path / "o")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.replace(f"{tmp_path}/", "").partition("; ")[0] for line in lines] == [
        "error: grey16.png: expected 3 bands, as the model was trained on, got 1 band",
        "error: four.tif: expected 3 bands, as the model was trained on, got 4 bands",
        "error: cut.png: expected a whole picture, got one that can't be read: image file is truncated",
        "error: words.jpg: expected a picture, got a file of another kind, starting with b'words\\n'",
        "5 pictures, 0 objects with a probability of at least 0.5",
        "4 pictures broken, named above and in o/pictures.json",
        "overlays and predictions.json in o",
    ]


# ---- what the system refuses


@pytest.mark.usefixtures("workshop")
@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("predict model.safetensors a.png --out {new}", "overlays/a.jpg"),
        ("evaluate model.safetensors shapes --out {new}", "predictions.json"),
        ("data synth shapes {new} --count 1", "synth.json"),
    ],
)
def test_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, what: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    new = tmp_path / "new"
    monkeypatch.setattr(Path, "replace", full)
    assert main(shlex.split(line.format(new=new))) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: {new / what}: could not be written: No space left on device; free some space or choose another folder"
    )
    assert not [path for path in new.rglob(".*") if path.is_file()]


def test_a_file_that_the_system_ends(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))

    line = [sys.executable, "-m", "maskrcnn.cli", "data", "synth", "spacecraft", str(tmp_path / "new"), "--count", "1"]
    done = subprocess.run(line, capture_output=True, text=True, preexec_fn=limit, check=False)
    assert done.returncode == 2
    picture = tmp_path / "new/images/000001.png"
    assert done.stderr.splitlines()[-1] == f"error: {picture}: could not be written: File too large"


def test_stdout_that_is_full(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("the system has no /dev/full")
    with Path("/dev/full").open("w") as full:
        line = [sys.executable, "-m", "maskrcnn.cli", "--version"]
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "error: No space left on device"


# ---- the traceback


@pytest.mark.usefixtures("workshop")
@pytest.mark.parametrize("line", ["--debug data synth shapes new --size 64", "data synth shapes new --size 64 --debug"])
def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str], line: str) -> None:
    assert main(line.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):")
    assert err.endswith("InputError: --size: expected height x width such as 192x256, got '64'\n")


@pytest.mark.usefixtures("workshop")
def test_an_interrupt_is_a_word(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("maskrcnn.cli.data.drawing.synthesise", interrupt)
    assert main(["data", "synth", "shapes", "new"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_fault_of_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*_: object, **__: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr("maskrcnn.cli.data.drawing.synthesise", fault)
    with pytest.raises(KeyError, match="ours"):
        main(["data", "synth", "shapes", "new"])


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("evaluate model.safetensors nothing", "F002"),
        ("evaluate --results words.txt shapes", "F001"),
        ("train two --out new", "G201"),
        ("predict model.safetensors nothing.jpg --out new", "P101"),
    ],
)
@pytest.mark.usefixtures("workshop")
def test_data_that_is_wrong_is_named_with_its_code(capsys: pytest.CaptureFixture[str], line: str, code: str) -> None:
    assert main(line.split()) == 2
    assert capsys.readouterr().err.startswith(f"error[{code}]: ")
