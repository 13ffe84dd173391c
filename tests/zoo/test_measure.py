from __future__ import annotations

import pytest
import torch

from maskrcnn.config import BackboneConfig
from maskrcnn.errors import WeightsError
from maskrcnn.model.backbone import BASIC, DEEP, build_backbone
from maskrcnn.zoo.measure import measure_backbone, merged


def backbone(depth: str, norm: str) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        model = build_backbone(BackboneConfig(depth=depth, norm=norm), 3)  # type: ignore[arg-type]
    return {f"backbone.{name}": tensor for name, tensor in model.state_dict().items()}


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


def test_later_settings_win_and_deep_ones_stay() -> None:
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"d": None}) == {"a": {"b": 3, "c": 2}, "d": None}
