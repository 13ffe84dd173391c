"""A file is written, run beside its model, and reported on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from maskrcnn.cli import main
from maskrcnn.config import BackboneConfig, DetectConfig, ModelConfig, PyramidConfig
from maskrcnn.data.synth import synthesise
from maskrcnn.errors import ImageError, InputError
from maskrcnn.export import FORMATS, export
from maskrcnn.model.mask_rcnn import MaskRCNN, build
from maskrcnn.model.weights import save
from maskrcnn.prediction import load


@pytest.fixture
def model(tiny: ModelConfig) -> MaskRCNN:
    torch.manual_seed(0)
    config = tiny.change(
        backbone=BackboneConfig(depth="resnet18"),
        pyramid=PyramidConfig(channels=16),
        detect=DetectConfig(score_threshold=0.0, detections=5),
    )
    return build(config).eval()


@pytest.fixture
def tiny_model(tiny: ModelConfig) -> MaskRCNN:
    return build(tiny).eval()


def test_exporting_from_the_command_line(model: MaskRCNN, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    save(model, tmp_path / "model.safetensors")
    synthesise("spacecraft", tmp_path / "data", 2, size_hw=(64, 96))
    pictures = sorted((tmp_path / "data").rglob("*.png")) or sorted((tmp_path / "data").rglob("*.jpg"))
    out = tmp_path / "model.onnx"
    words = ["export", str(tmp_path / "model.safetensors"), "--to", "onnx", "--out", str(out)]
    assert main([*words, "--pictures", str(pictures[0])]) == 0
    said = capsys.readouterr()
    assert "opset 18" in said.out
    assert "model.onnx.json" in said.err
    report = json.loads((tmp_path / "model.onnx.json").read_text())
    assert report["format"] == "onnx"
    assert report["bytes"] == out.stat().st_size
    assert report["agreement"]["pictures"] == 1
    assert report["agreement"]["matched"] == report["agreement"]["found"] > 0
    assert report["agreement"]["box"] < 0.05
    assert report["operators"]["RoiAlign"] == 8
    assert report["operators"]["NonMaxSuppression"] == 2
    assert main(["predict", str(out), str(pictures[0]), "--out", str(tmp_path / "found"), "--score", "0"]) == 0
    assert capsys.readouterr().out.count("\n") == len(load(tmp_path / "model.safetensors").predict(pictures[0]))


def test_a_name_that_does_not_fit_is_refused(tiny_model: MaskRCNN, tmp_path: Path) -> None:
    for name, form in FORMATS.items():
        with pytest.raises(InputError, match=rf"model\.bin: expected a name that ends in \{form.suffix}"):
            export(tiny_model, tmp_path / "model.bin", to=name)
    with pytest.raises(InputError, match="to: expected one of onnx, openvino, torchscript, pt2, got 'tflite'"):
        export(tiny_model, tmp_path / "model.tflite", to="tflite")
    with pytest.raises(InputError, match="to: expected onnx or openvino for 8 bits, got pt2"):
        export(tiny_model, tmp_path / "model.pt2", to="pt2", calibrate=tmp_path)
    with pytest.raises(ImageError, match="expected pictures"):
        export(tiny_model, tmp_path / "model.onnx", calibrate=tmp_path)
    assert not list(tmp_path.iterdir())


def test_8_bits_need_pictures_and_pictures_8_bits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["export", "m.safetensors", "--to", "onnx", "--out", "m.onnx"]
    assert main([*words, "--int8"]) == 2
    assert "--int8: expected --calibrate" in capsys.readouterr().err
    assert main([*words, "--calibrate", "photos"]) == 2
    assert "--calibrate: expected --int8" in capsys.readouterr().err
