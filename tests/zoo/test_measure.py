from __future__ import annotations

import pytest
import torch

from maskrcnn.config import BackboneConfig, ModelConfig
from maskrcnn.errors import WeightsError
from maskrcnn.model.backbone import BASIC, DEEP
from maskrcnn.model.mask_rcnn import build
from maskrcnn.zoo.measure import measure_backbone
from maskrcnn.zoo.shapes import shapes_of


def backbone(depth: str, norm: str) -> dict[str, torch.Tensor]:
    settings = BackboneConfig(depth=depth, norm=norm)  # type: ignore[arg-type]
    shapes = shapes_of(ModelConfig(classes=("cat",), backbone=settings), complete=False)
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


@pytest.mark.parametrize("depth", [*BASIC, *DEEP])
@pytest.mark.parametrize("norm", ["frozen", "batch", "group"])
def test_every_backbone_is_told_by_its_shapes(depth: str, norm: str) -> None:
    assert measure_backbone(backbone(depth, norm), "file") == {"depth": depth, "norm": norm}


def test_other_networks_are_refused_by_what_they_are() -> None:
    tensors = backbone("resnet50", "frozen")
    tensors["backbone.res2.0.conv2.conv.weight"] = torch.empty(128, 4, 3, 3, device="meta")
    with pytest.raises(WeightsError, match="bottlenecks of 128 channels in 32 groups"):
        measure_backbone(tensors, "file")
    del tensors["backbone.res4.5.conv1.conv.weight"]
    short = {name: tensor for name, tensor in backbone("resnet50", "frozen").items() if ".res4.5." not in name}
    with pytest.raises(WeightsError, match=r"stages of \(3, 4, 5, 3\)"):
        measure_backbone(short, "file")


def test_shapes_are_those_of_the_model(tiny: ModelConfig) -> None:
    state = build(tiny).state_dict()
    assert shapes_of(tiny, complete=True) == {name: tuple(tensor.shape) for name, tensor in state.items()}
    backbone = {name: tuple(tensor.shape) for name, tensor in state.items() if name.startswith("backbone.")}
    assert shapes_of(tiny, complete=False) == backbone
