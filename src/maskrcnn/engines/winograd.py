"""3x3 convolutions on a CPU with less than half of the multiplications, where that gains.

torch's builds for CPUs carry NNPACK, whose convolution of 8x8 tiles needs 64 multiplications for 36 cells instead of
324. It wants planes (contiguous (B, C, H, W)), and transforms the weights in every call, so a small map gains nothing.
Of several pictures in one call it is slower than the direct way: they go one by one.

References: Lavin and Gray, Fast algorithms for convolutional neural networks (1509.09308), F(6x6, 3x3).
Letters: B pictures, C channels, H, W cells, R regions, P cells of a region a side.
"""

from __future__ import annotations

import math
import os
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHANNELS = 64  # fewer gain nothing
CELLS = 1500  # likewise
DETOUR_CHANNELS = 128  # fewer do not pay for the change of layout
_process = os.getpid()  # NNPACK's threads do not live on in a process that is forked


def available() -> bool:
    """Say whether this build of torch, on this processor, has NNPACK; must be asked before the first convolution."""
    names = ("_nnpack_available", "_nnpack_spatial_convolution")
    return all(hasattr(torch, name) for name in names) and bool(torch._nnpack_available())


def suits(conv: nn.Conv2d) -> bool:
    """Say whether a layer is one that gains on a large map."""
    shape = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups, conv.padding_mode)
    usual = shape == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")
    return usual and min(conv.in_channels, conv.out_channels) >= CHANNELS


class PlanarConv(nn.Module):
    """A 3x3 convolution of planes.

    Args:
        conv: One that `suits`.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight = nn.Buffer(conv.weight.detach().contiguous())
        bias = conv.weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias.detach()
        self.bias = nn.Buffer(bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, channels, H, W), contiguous."""
        if not self.gains(x):
            return F.conv2d(x.contiguous(), self.weight, self.bias, padding=1)
        if len(x) == 1:
            return self._convolve(x)
        return torch.cat([self._convolve(picture[None]) for picture in x])

    def gains(self, x: Tensor) -> bool:
        """Say whether maps are large enough, in a process that has NNPACK's threads."""
        return x.shape[2] * x.shape[3] >= CELLS and os.getpid() == _process

    def _convolve(self, picture: Tensor) -> Tensor:
        return torch._nnpack_spatial_convolution(picture, self.weight, self.bias, [1, 1], [1, 1])


class DetourConv(nn.Module):
    """A 3x3 convolution, cut at zero, of channels-last maps, by way of planes where the way there and back pays.

    Args:
        direct: The same on channels-last maps.
        conv: One that `suits`.
    """

    def __init__(self, direct: nn.Module, conv: nn.Conv2d) -> None:
        super().__init__()
        self.direct = direct
        self.planar = PlanarConv(conv)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, channels, H, W), channels-last."""
        if not self.planar.gains(x):
            direct: Tensor = self.direct(x)
            return direct
        planes: Tensor = self.planar(x.contiguous())
        return planes.relu_().contiguous(memory_format=torch.channels_last)


class Canvas(NamedTuple):
    """Small maps side by side on a large one, a row and a column of zeros between them.

    A tile is 6 cells a side, and a map of 14 would fill three tiles by two thirds.

    Attributes:
        planes: (1, C, rows · (P + 1), columns · (P + 1)) float.
        limit: (H, W) float. Zero between the maps, infinite on them.
        regions: R.
        side: P.
    """

    planes: Tensor
    limit: Tensor
    regions: int
    side: int

    def rectify_(self, planes: Tensor) -> Canvas:
        """Cut at zero, also between the maps, the result of a convolution of this canvas; in its place."""
        return self._replace(planes=torch.clamp(planes, self.limit.new_zeros(()), self.limit, out=planes))

    def rows(self) -> Tensor:
        """See the maps row by row: (C, rows, P, columns, P), of which the last few maps may be empty."""
        pitch = self.side + 1
        C, H, W = self.planes.shape[1:]
        return self.planes.view(C, H // pitch, pitch, W // pitch, pitch)[:, :, :-1, :, :-1]


def lay_out(regions: Tensor) -> Canvas:
    """Place (R, C, P, P) float, channels-last in memory, on a canvas."""
    R, C, P, _ = regions.shape
    columns = max(1, math.ceil(math.sqrt(R)))
    rows = max(1, math.ceil(R / columns))
    canvas = Canvas(regions.new_zeros(1, C, rows * (P + 1), columns * (P + 1)), _limit(regions, rows, columns), R, P)
    planes = regions.permute(0, 2, 3, 1).reshape(-1, C).t().contiguous().view(C, R, P, P)  # in blocks, as a matrix
    whole = R // columns
    places = canvas.rows()
    full = planes[:, : whole * columns].view(C, whole, columns, P, P)
    places[:, :whole].copy_(full.transpose(2, 3))
    if rest := R - whole * columns:
        places[:, whole, :, :rest].copy_(planes[:, whole * columns :].transpose(1, 2))
    return canvas


def _limit(like: Tensor, rows: int, columns: int) -> Tensor:
    P = like.shape[2]
    limit = like.new_full((rows, P + 1, columns, P + 1), math.inf)
    limit[:, -1] = 0
    limit[..., -1] = 0
    return limit.view(rows * (P + 1), columns * (P + 1))


def take_rows(canvas: Canvas) -> Tensor:
    """Take the maps off a canvas, each as a row: (R, P·P·C), by row, column, channel."""
    C = canvas.planes.shape[1]
    maps = canvas.rows().permute(1, 3, 2, 4, 0)  # rows, columns, P, P, C
    return maps.reshape(-1, canvas.side**2 * C)[: canvas.regions]
