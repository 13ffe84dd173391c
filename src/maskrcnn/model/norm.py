"""Normalisation layers by name.

References: batch normalisation (1502.03167), group normalisation (1803.08494).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskrcnn.config import HeadNorm, Norm

GROUPS = 32


class FrozenNorm(nn.Module):
    """Batch normalisation whose statistics and scales never change: one scale and one shift a channel.

    Args:
        channels: Number of channels.
        eps: Added to the variance.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Scale and shift (B, C, H, W) float."""
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        shift = self.bias - self.running_mean * scale
        return torch.addcmul(shift.to(x.dtype)[:, None, None], x, scale.to(x.dtype)[:, None, None])


def groups_of(channels: int) -> int:
    """Return the number of groups: 32, or as many as divide fewer channels evenly, two channels a group or more.

    A group of one channel on a map of one cell would have a single value to normalise.

    >>> groups_of(256), groups_of(48), groups_of(32)
    (32, 24, 16)
    """
    most = max(1, min(GROUPS, channels // 2))
    return next(groups for groups in range(most, 0, -1) if channels % groups == 0)


def build_norm(name: Norm | HeadNorm, channels: int) -> nn.Module:
    """Make the layer of that name for a number of channels."""
    if name == "frozen":
        return FrozenNorm(channels)
    if name == "batch":
        return nn.BatchNorm2d(channels)
    if name == "group":
        return nn.GroupNorm(groups_of(channels), channels)
    return nn.Identity()


def silence(norm: nn.Module) -> None:
    """Set the scales of a norm that learns to zero."""
    if isinstance(norm, nn.BatchNorm2d | nn.GroupNorm):
        nn.init.zeros_(norm.weight)


class ConvNorm(nn.Sequential):
    """A convolution that keeps the size (unless it has a stride), then its norm; a bias only where no norm follows.

    State-dict names: `conv.weight`, `conv.bias`, `norm.*`.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: int,
        norm: Norm | HeadNorm,
        stride: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, groups=groups, bias=norm == "none")
        self.norm = build_norm(norm, channels)
