"""A small model that finds much, and its exported files, made once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from maskrcnn.config import BackboneConfig, DetectConfig, ModelConfig, PyramidConfig
from maskrcnn.engines.graphs.metadata import About, Takes
from maskrcnn.model.mask_rcnn import MaskRCNN, build


def lively(config: ModelConfig) -> MaskRCNN:
    """Make a model whose fresh weights are so large that its objects differ in score, class and mask."""
    torch.manual_seed(0)
    model = build(config).eval()
    with torch.no_grad():
        for layer, factor in (
            (model.rpn.head.objectness, 30),
            (model.rpn.head.deltas, 5),
            (model.box_head.logits, 30),
            (model.box_head.deltas, 300),
            (model.mask_head.logits, 300),
        ):
            layer.weight.mul_(factor)
        model.box_head.logits.bias.zero_()
    return model


@pytest.fixture(scope="session")
def lively_config() -> ModelConfig:
    from conftest import TINY

    return TINY.change(
        backbone=BackboneConfig(depth="resnet18"),
        pyramid=PyramidConfig(channels=16),
        detect=DetectConfig(score_threshold=0.3, detections=15),
    )


@pytest.fixture(scope="session")
def lively_model(lively_config: ModelConfig) -> MaskRCNN:
    return lively(lively_config)


@pytest.fixture(scope="session")
def onnx_files(lively_model: MaskRCNN, tmp_path_factory: pytest.TempPathFactory) -> dict[Takes, Path]:
    """The model as an ONNX file for resized and for whole pictures."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from maskrcnn.engines.graphs.onnx_file import write_onnx

    folder = tmp_path_factory.mktemp("onnx")
    places: dict[Takes, Path] = {"network": folder / "network.onnx", "uint8": folder / "uint8.onnx"}
    for takes, path in places.items():
        write_onnx(lively_model, About(lively_model.config, takes), path)
    return places
