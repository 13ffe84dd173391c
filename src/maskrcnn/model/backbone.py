"""Residual networks C2 to C5.

References: ResNet (1512.03385), table 1. ResNeXt (1611.05431), table 1. Stride in the 3x3: 1706.02677, section 5.1.
Letters: B pictures, C channels, H, W height and width of the padded picture.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from maskrcnn.config import BackboneConfig, Norm
from maskrcnn.model.norm import ConvNorm, silence


class BasicBlock(nn.Module):
    """Two 3x3 convolutions round a shortcut (ResNet, figure 5, left)."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = ConvNorm(in_channels, width, 3, norm, stride)
        self.conv2 = ConvNorm(width, width, 3, norm)
        self.shortcut = _shortcut(in_channels, width, stride, norm)

    def begin_as_shortcut(self) -> None:
        """Silence the last norm, so that a fresh block passes its input on (1706.02677, section 5.1)."""
        silence(self.conv2.norm)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, width, H / stride, W / stride)."""
        out = self.conv2(F.relu(self.conv1(x), inplace=True))
        return F.relu(out.add_(self.shortcut(x)), inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 round a shortcut (ResNet, figure 5, right; ResNeXt, figure 3c, with groups)."""

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int,
        norm: Norm,
        first_stride: int = 1,
        groups: int = 1,
        width_per_group: int = 64,
    ) -> None:
        super().__init__()
        inner = width * width_per_group // 64 * groups
        self.conv1 = ConvNorm(in_channels, inner, 1, norm, first_stride)
        self.conv2 = ConvNorm(inner, inner, 3, norm, stride // first_stride, groups)
        self.conv3 = ConvNorm(inner, width * self.expansion, 1, norm)
        self.shortcut = _shortcut(in_channels, width * self.expansion, stride, norm)

    def begin_as_shortcut(self) -> None:
        """Silence the last norm, so that a fresh block passes its input on (1706.02677, section 5.1)."""
        silence(self.conv3.norm)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, 4 · width, H / stride, W / stride)."""
        out = F.relu(self.conv1(x), inplace=True)
        out = self.conv3(F.relu(self.conv2(out), inplace=True))
        return F.relu(out.add_(self.shortcut(x)), inplace=True)


def _shortcut(in_channels: int, channels: int, stride: int, norm: Norm) -> nn.Module:
    if stride == 1 and in_channels == channels:
        return nn.Identity()
    return ConvNorm(in_channels, channels, 1, norm, stride)


POOL_PADDINGS = {"both": 1, "after": 0}  # before the first of an even number of cells


class Stem(nn.Module):
    """7x7 convolution and max-pooling: a quarter of the picture's size, 64 channels."""

    def __init__(self, bands: int, config: BackboneConfig) -> None:
        super().__init__()
        self.conv1 = ConvNorm(bands, 64, 7, config.norm, 2)
        self.padding = POOL_PADDINGS[config.pool_padding]

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, bands, H, W) to (B, 64, H/4, W/4)."""
        return F.max_pool2d(F.relu(self.conv1(x), inplace=True), 3, 2, self.padding, ceil_mode=self.padding == 0)


class _Plan(NamedTuple):
    """Blocks of res2 to res5, and what the bottlenecks look like; no groups means basic blocks."""

    blocks: tuple[int, int, int, int]
    groups: int = 1
    width_per_group: int = 64


BASIC = {"resnet18": _Plan((2, 2, 2, 2)), "resnet34": _Plan((3, 4, 6, 3))}
DEEP = {
    "resnet50": _Plan((3, 4, 6, 3)),
    "resnet101": _Plan((3, 4, 23, 3)),
    "resnet152": _Plan((3, 8, 36, 3)),
    "resnext101_32x8d": _Plan((3, 4, 23, 3), groups=32, width_per_group=8),
}
WIDTHS = (64, 128, 256, 512)


class Backbone(nn.Module):
    """Stem and four stages of residual blocks.

    Attributes:
        channels: Channels of C2, C3, C4, C5.
    """

    def __init__(self, stem: Stem, stages: list[nn.Sequential], channels: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = stem
        self.res2, self.res3, self.res4, self.res5 = stages
        self.channels = channels

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute C2 to C5.

        Args:
            images: (B, bands, H, W) float. Normalised, H and W multiples of 32.

        Returns:
            Four of (B, channels, H/4, W/4) to (B, channels, H/32, W/32) float.
        """
        c2 = self.res2(self.stem(images))
        c3 = self.res3(c2)
        c4 = self.res4(c3)
        return [c2, c3, c4, self.res5(c4)]


def build_backbone(config: BackboneConfig, bands: int) -> Backbone:
    """Make the network that the settings name, for pictures of so many bands; He-initialised."""
    plan = BASIC.get(config.depth) or DEEP[config.depth]
    stages, in_channels = [], 64
    for stage, (width, blocks) in enumerate(zip(WIDTHS, plan.blocks, strict=True)):
        layers: list[nn.Module] = []
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            layers.append(_block(config, plan, in_channels, width, stride))
            in_channels = width * (1 if config.depth in BASIC else Bottleneck.expansion)
        stages.append(nn.Sequential(*layers))
    expansion = in_channels // WIDTHS[-1]
    backbone = Backbone(Stem(bands, config), stages, tuple(width * expansion for width in WIDTHS))
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(module, BasicBlock | Bottleneck):
            module.begin_as_shortcut()
    return backbone


def _block(config: BackboneConfig, plan: _Plan, in_channels: int, width: int, stride: int) -> nn.Module:
    if config.depth in BASIC:
        return BasicBlock(in_channels, width, stride, config.norm)
    first = stride if config.stride_in == "1x1" else 1
    return Bottleneck(in_channels, width, stride, config.norm, first, plan.groups, plan.width_per_group)
