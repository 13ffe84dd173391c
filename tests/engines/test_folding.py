"""Norms folded into convolutions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from maskrcnn.config import BackboneConfig, MaskHeadConfig, ModelConfig, PyramidConfig
from maskrcnn.engines.folding import fold_norms
from maskrcnn.model.mask_rcnn import MaskRCNN, build
from maskrcnn.model.norm import ConvNorm, FrozenNorm


def with_norm(tiny: ModelConfig, norm: str) -> MaskRCNN:
    torch.manual_seed(0)
    config = tiny.change(
        backbone=BackboneConfig(depth="resnet18", norm=norm),
        pyramid=PyramidConfig(channels=16, norm="none"),
        mask_head=MaskHeadConfig(channels=16, convs=1, norm="group"),
    )
    model = build(config).eval()
    for layer in model.modules():
        if isinstance(layer, FrozenNorm | nn.BatchNorm2d):
            for numbers in (layer.weight.data, layer.bias.data, layer.running_mean, layer.running_var):
                numbers.copy_(torch.rand(numbers.shape) + 0.5)
    return model


@pytest.mark.parametrize("norm", ["frozen", "batch"])
def test_a_folded_network_gives_the_same_features(tiny: ModelConfig, norm: str) -> None:
    model = with_norm(tiny, norm)
    images, size_hw = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8), torch.tensor([[64, 96], [50, 96]])
    with torch.inference_mode():
        expected = model.features(images, size_hw)
        found = fold_norms(model).features(images, size_hw)
    for level, own in zip(found, expected, strict=True):
        assert (level - own).abs().max() < 1e-5 * own.std()


def test_what_looks_at_the_picture_stays(tiny: ModelConfig) -> None:
    folded = fold_norms(with_norm(tiny, "frozen"))
    norms = [layer.norm for layer in folded.modules() if isinstance(layer, ConvNorm)]
    assert {type(norm) for norm in norms} == {nn.Identity, nn.GroupNorm}
    assert isinstance(folded.mask_head.convs[0].norm, nn.GroupNorm)  # type: ignore[union-attr]


def test_the_network_that_was_given_stays_as_it_is_and_shares_what_it_can(tiny: ModelConfig) -> None:
    model = with_norm(tiny, "frozen")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    folded = fold_norms(model)
    after = model.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(weight.requires_grad for weight in model.parameters())
    assert not any(weight.requires_grad for weight in folded.parameters())
    assert folded.box_head.logits.weight.data_ptr() == model.box_head.logits.weight.data_ptr()
    assert folded.backbone.stem.conv1.conv.weight.data_ptr() != model.backbone.stem.conv1.conv.weight.data_ptr()
