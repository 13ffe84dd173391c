import pytest
import torch
from torch import nn
from torch.nn import functional as F

from maskrcnn.config import BackboneConfig, Norm
from maskrcnn.model.backbone import Stem, build_backbone
from maskrcnn.model.norm import FrozenNorm, build_norm

# parameters without the classifier, from the papers' tables: the published counts less the last layer's
PARAMETERS = {
    "resnet18": 11_689_512 - 513_000,
    "resnet34": 21_797_672 - 513_000,
    "resnet50": 25_557_032 - 2_049_000,
    "resnet101": 44_549_160 - 2_049_000,
    "resnet152": 60_192_808 - 2_049_000,
    "resnext101_32x8d": 88_791_336 - 2_049_000,
}


@pytest.mark.parametrize("depth", PARAMETERS)
def test_as_many_parameters_as_published(depth: str) -> None:
    with torch.device("meta"):
        backbone = build_backbone(BackboneConfig.parse({"depth": depth, "norm": "batch"}), 3)
    assert sum(p.numel() for p in backbone.parameters()) == PARAMETERS[depth]


@pytest.mark.parametrize("norm", ["frozen", "batch", "group"])
def test_each_stage_halves_the_picture(norm: Norm) -> None:
    backbone = build_backbone(BackboneConfig(depth="resnet18", norm=norm), 5).eval()
    stages = backbone(torch.zeros(1, 5, 64, 96))
    assert [tuple(stage.shape) for stage in stages] == [
        (1, 64, 16, 24), (1, 128, 8, 12), (1, 256, 4, 6), (1, 512, 2, 3),
    ]  # fmt: skip


def test_the_stride_sits_in_the_convolution_that_the_settings_name() -> None:
    for stride_in, expected in (("1x1", [(2, 2), (1, 1)]), ("3x3", [(1, 1), (2, 2)])):
        with torch.device("meta"):
            backbone = build_backbone(BackboneConfig.parse({"stride_in": stride_in}), 3)
        block = backbone.res3[0]
        assert [block.conv1.conv.stride, block.conv2.conv.stride] == expected


def test_frozen_norm_equals_batch_norm_in_evaluation() -> None:
    torch.manual_seed(0)
    batch = nn.BatchNorm2d(6).eval()
    for tensor in (batch.weight, batch.bias, batch.running_mean, batch.running_var):
        nn.init.uniform_(tensor, 0.5, 2)
    frozen = FrozenNorm(6)
    frozen.load_state_dict(batch.state_dict(), strict=False)
    x = torch.randn(2, 6, 4, 5)
    assert torch.allclose(frozen(x), batch(x), atol=1e-6)
    assert not list(frozen.parameters())


def test_group_norm_takes_groups_that_divide_the_channels() -> None:
    norm = build_norm("group", 48)
    assert isinstance(norm, nn.GroupNorm)
    assert norm.num_groups == 24


def test_pooling_goes_over_the_border_where_the_settings_say() -> None:
    """Windows of three by steps of two: round cells 0, 2, ... or from them on."""
    x = torch.randn(1, 3, 32, 32)
    for padding, (before, after) in {"both": (1, 0), "after": (0, 1)}.items():
        stem = Stem(3, BackboneConfig.parse({"pool_padding": padding, "norm": "batch"})).eval()
        cells = F.pad(F.relu(stem.conv1(x)), (before, after, before, after))
        expected = torch.stack(
            [cells[0, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].amax((1, 2)) for i in range(8) for j in range(8)]
        )
        assert torch.equal(stem(x)[0].flatten(1).t(), expected)
