"""The second stage: class, box and mask of a region, from its pooled features.

References: Mask R-CNN (1703.06870), figure 4, right. 4conv1fc: Group normalisation (1803.08494), section 4.2.
Letters: R regions, C channels, P bins a side, K classes, M side of the mask.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskrcnn.config import BoxHeadConfig, MaskHeadConfig
from maskrcnn.model.norm import ConvNorm

FIRST_BACKGROUND = 0.8  # probability of background that a fresh model gives every region, about its share of samples


def _init_fully_connected(layer: nn.Linear) -> None:
    nn.init.kaiming_uniform_(layer.weight, a=1)
    nn.init.zeros_(layer.bias)


def _init_convolution(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _flatten(x: Tensor) -> Tensor:
    """Lay (R, C, P, P) out as (R, P·P·C), row, column, channel: no copy where channels are last in memory."""
    return x.permute(0, 2, 3, 1).flatten(1)


class TwoFC(nn.Module):
    """Two fully connected layers.

    Args:
        in_channels: C.
        config: Bins and widths.
    """

    def __init__(self, in_channels: int, config: BoxHeadConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(in_channels * config.pool**2, config.channels)
        self.fc2 = nn.Linear(config.channels, config.channels)
        for layer in (self.fc1, self.fc2):
            _init_fully_connected(layer)

    def forward(self, pooled: Tensor) -> Tensor:
        """Map (R, C, P, P) float to (R, channels) float."""
        return F.relu(self.fc2(F.relu(self.fc1(_flatten(pooled)), inplace=True)), inplace=True)


class FourConvOneFC(nn.Module):
    """Four 3x3 convolutions with norm, then one fully connected layer.

    Args:
        in_channels: C.
        config: Bins, widths and norm.
    """

    def __init__(self, in_channels: int, config: BoxHeadConfig) -> None:
        super().__init__()
        widths = [in_channels, *[config.conv_channels] * 4]
        self.convs = nn.ModuleList(ConvNorm(a, b, 3, config.norm) for a, b in pairwise(widths))
        self.fc1 = nn.Linear(config.conv_channels * config.pool**2, config.channels)
        for module in self.convs.modules():
            if isinstance(module, nn.Conv2d):
                _init_convolution(module)
        _init_fully_connected(self.fc1)

    def forward(self, pooled: Tensor) -> Tensor:
        """Map (R, C, P, P) float to (R, channels) float."""
        for conv in self.convs:
            pooled = F.relu(conv(pooled), inplace=True)
        return F.relu(self.fc1(_flatten(pooled)), inplace=True)


class BoxScores(NamedTuple):
    """What the box head says of each region.

    Attributes:
        logits: (R, K + 1) float. Background last.
        deltas: (R, K, 4) float dx, dy, dw, dh, or (R, 1, 4) where boxes are class-agnostic.
    """

    logits: Tensor
    deltas: Tensor


class BoxHead(nn.Module):
    """A body, then two linear outputs: class logits and box deltas.

    Args:
        body: Pooled features to a vector.
        classes: K.
        config: Widths, and whether boxes are class-agnostic.
    """

    std: Tensor

    def __init__(self, body: nn.Module, classes: int, config: BoxHeadConfig) -> None:
        super().__init__()
        self.body = body
        self.config = config
        self.logits = nn.Linear(config.channels, classes + 1)
        self.deltas = nn.Linear(config.channels, 4 * (1 if config.class_agnostic else classes))
        nn.init.normal_(self.logits.weight, std=0.01)
        nn.init.normal_(self.deltas.weight, std=0.001)
        nn.init.zeros_(self.logits.bias)
        nn.init.constant_(self.logits.bias[-1:], math.log(classes * FIRST_BACKGROUND / (1 - FIRST_BACKGROUND)))
        nn.init.zeros_(self.deltas.bias)
        self.register_buffer("std", torch.tensor(config.delta_std), persistent=False)

    def forward(self, pooled: Tensor) -> BoxScores:
        """Score regions.

        Args:
            pooled: (R, C, P, P) float.
        """
        x = self.body(pooled)
        return BoxScores(self.logits(x).float(), self.deltas(x).float().unflatten(1, (-1, 4)))


class MaskHead(nn.Module):
    """3x3 convolutions, a 2x upsampling, and one mask a class.

    Args:
        in_channels: C.
        classes: K.
        config: Widths and norm.
    """

    def __init__(self, in_channels: int, classes: int, config: MaskHeadConfig) -> None:
        super().__init__()
        widths = [in_channels, *[config.channels] * config.convs]
        self.config = config
        self.convs = nn.ModuleList(ConvNorm(a, b, 3, config.norm) for a, b in pairwise(widths))
        self.upsample = nn.ConvTranspose2d(widths[-1], config.channels, 2, stride=2)
        self.logits = nn.Conv2d(config.channels, 1 if config.class_agnostic else classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                _init_convolution(module)
        nn.init.normal_(self.logits.weight, std=0.001)

    def forward(self, pooled: Tensor, labels: Tensor) -> Tensor:
        """Draw the mask of one class for each region.

        Args:
            pooled: (R, C, P, P) float.
            labels: (R) int64. The class whose mask is wanted; anything in an empty slot.

        Returns:
            (R, M, M) float logits, M = 2 · P, rows from the top.
        """
        for conv in self.convs:
            pooled = F.relu(conv(pooled), inplace=True)
        logits: Tensor = self.logits(F.relu(self.upsample(pooled), inplace=True)).float()
        if self.config.class_agnostic:
            return logits[:, 0]
        choice = labels.clamp(0, logits.shape[1] - 1)[:, None, None, None].expand(-1, 1, *logits.shape[2:])
        return logits.gather(1, choice)[:, 0]


BODIES = {"2fc": TwoFC, "4conv1fc": FourConvOneFC}
