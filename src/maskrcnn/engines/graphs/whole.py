"""Pictures as they are read in, objects in their pixels out: resizing and padding as part of the graph.

The formulas are those of `maskrcnn.ops.resize`, for sizes that are known only when the graph runs. Pixels of 8 bits are
the same to the last bit.

Letters: B pictures, C bands, h, w height and width of the pictures, H, W of the padded ones, D detections.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskrcnn.config import InputConfig
from maskrcnn.engines.graphs.network import GraphNetwork, Number, Results, pad, up
from maskrcnn.model.frame import OVERHANG
from maskrcnn.ops.resize import WAYS

Size = tuple[Number, Number]


def _ratio(count: float, side: Number) -> Number:
    return float(count) / torch.sym_float(side)


def _short_edge(h: Number, w: Number, config: InputConfig) -> Number:
    return torch.sym_min(_ratio(config.min_size, torch.sym_min(h, w)), _long_edge(h, w, config))


def _long_edge(h: Number, w: Number, config: InputConfig) -> Number:
    return _ratio(config.max_size, torch.sym_max(h, w))


def _enlarging(h: Number, w: Number, config: InputConfig) -> Number:
    return torch.sym_max(_ratio(config.min_size, torch.sym_min(h, w)), max(1.0, config.min_scale))


def _enlarging_within(h: Number, w: Number, config: InputConfig) -> Number:
    scale = _enlarging(h, w, config)
    fits = round(torch.sym_float(torch.sym_max(h, w)) * scale) <= config.max_size
    return torch.sym_ite(fits, scale, _long_edge(h, w, config))


SCALES: dict[str, Callable[[Number, Number, InputConfig], Number]] = {
    "short_edge": _short_edge,
    "square": _long_edge,
    "centred_square": _enlarging_within,
    "centred": _enlarging,
}


_BITS = 22  # of a share of 8-bit pixels, at most
_LARGEST = 1 << 15  # a share times its power of two stays below


def _antialias(images: Tensor, size_hw: Size) -> Tensor:
    """Resize along the rows, then along the columns, as products with matrices of shares.

    Not by the operators of resizing: OpenVINO's does not smooth as ONNX's, and none works in whole numbers where the
    pictures have 8 bits. Sums of whole shares are below 2^24, so float32 holds them whatever their order.
    """
    h, w = images.shape[2:]
    step = _step_of_8_bits if images.dtype == torch.uint8 else _step
    along_rows = step(images.float().transpose(2, 3), _shares(w, size_hw[1])).transpose(2, 3)
    return step(along_rows, _shares(h, size_hw[0]))


def _shares(old: Number, new: Number) -> Tensor:
    """Return what each old pixel of an axis gives to each new one, (new, old) float64; a row sums to 1.

    The share falls evenly to nothing at a distance of one pixel of the coarser side. All is counted in whole numbers
    until the division.
    """
    at_old, at_new = 2 * torch.arange(old) + 1, 2 * torch.arange(new) + 1
    apart = (at_old * new - at_new[:, None] * old).abs()
    near: Tensor = (2 * torch.sym_max(old, new) - apart).clamp(min=0).to(torch.float64)
    return near / near.sum(dim=1, keepdim=True)


def _step(values: Tensor, shares: Tensor) -> Tensor:
    return shares.float() @ values


def _step_of_8_bits(values: Tensor, shares: Tensor) -> Tensor:
    """Multiply by shares that are whole numbers of a power of two, the largest below 2^15, and round: PyTorch's way."""
    powers = torch.tensor([float(1 << bits) for bits in range(_BITS + 1)], dtype=torch.float64)
    fits = (shares.amax((0, 1)) * powers[1:] + 0.5).floor() < _LARGEST
    power = powers.index_select(0, fits.sum().view(1))
    whole = (shares * power + 0.5).floor().float()
    unit = power.float()
    return ((whole @ values + unit / 2) / unit).floor()


def _plain(images: Tensor, size_hw: Size) -> Tensor:
    return F.interpolate(images.float(), size=size_hw, mode="bilinear", align_corners=False)


def _zero_edge(images: Tensor, size_hw: Size) -> Tensor:
    values = F.pad(images.double(), (1, 1, 1, 1))
    for axis, side in zip((2, 3), size_hw, strict=True):
        old = images.shape[axis]
        apart = _double(old) / _double(side)
        at = (torch.arange(side, dtype=torch.float64) + 0.5) * apart + 0.5  # of the padded picture
        below = at.floor().to(torch.int64)
        below = torch.minimum(below, torch.full_like(below, old))
        share = (at - below).view([-1 if i == axis else 1 for i in range(4)])
        values = torch.lerp(values.index_select(axis, below), values.index_select(axis, below + 1), share)
    values = torch.maximum(values, _extreme(images, Tensor.amin))
    values = torch.minimum(values, _extreme(images, Tensor.amax))
    return (values.floor() if images.dtype == torch.uint8 else values).float()


def _extreme(images: Tensor, which: Callable[..., Tensor]) -> Tensor:
    return which(images.double(), (1, 2, 3), keepdim=True)


class _Sampling(NamedTuple):
    """A value of `InputConfig.sampling`, as `maskrcnn.ops.resize.Sampling`."""

    side: Callable[[Number, Number], Number]
    resample: Callable[[Tensor, Size], Tensor]


SAMPLINGS = {
    "antialias": _Sampling(lambda side, scale: math.trunc(torch.sym_float(side) * scale + 0.5), _antialias),
    "plain": _Sampling(lambda side, scale: math.trunc(torch.sym_float(side) * scale), _plain),
    "zero_edge": _Sampling(lambda side, scale: round(torch.sym_float(side) * scale), _zero_edge),
}


def _double(number: Number) -> Tensor:
    return torch.full((), number, dtype=torch.float64)


class _Rounding(NamedTuple):
    """What a value of `MaskHeadConfig.paste` does to boxes of results, as `maskrcnn.ops.paste.Pasting`."""

    boxes: Callable[[Tensor], Tensor]
    kept: Callable[[Tensor], Tensor]


_AS_THEY_ARE = _Rounding(lambda boxes: boxes, lambda boxes: torch.ones_like(boxes[..., 0], dtype=torch.bool))
ROUNDINGS = {
    "centres": _AS_THEY_ARE,
    "padded": _AS_THEY_ARE,
    "zero_edge": _Rounding(torch.round, lambda boxes: (boxes[..., 2:] > boxes[..., :2]).all(dim=-1)),
}


class WholePictures(nn.Module):
    """A network behind resizing and padding.

    Args:
        network: What takes padded pictures.
    """

    def __init__(self, network: GraphNetwork) -> None:
        super().__init__()
        self.network = network
        self.config = network.config
        self.eval()

    def forward(self, images: Tensor) -> Results:
        """Find the objects of pictures of one size.

        Args:
            images: (B, C, h, w) uint8 or float32. As read.

        Returns:
            As `GraphNetwork.forward`, with boxes in pixels of the pictures that came in.
        """
        B, h, w = images.shape[0], images.shape[2], images.shape[3]
        resized = self._resize(images)
        new_hw = resized.shape[2], resized.shape[3]
        size_hw = torch.stack([torch.full((B,), side, dtype=torch.int64) for side in new_hw], dim=1)
        boxes, scores, labels, masks = self.network(self._pad(resized), size_hw)
        outside = torch.where(labels[..., None] >= 0, self._grow(boxes, new_hw, (h, w)), 0.0)
        labels = torch.where(ROUNDINGS[self.config.mask_head.paste].kept(outside), labels, -1)
        return outside, scores, labels, masks

    def _resize(self, images: Tensor) -> Tensor:
        """Bring pictures to the size that the settings give them: (B, C, new h, new w) float32."""
        config = self.config.input
        if config.resize not in SCALES:
            return images.float()
        sampling = SAMPLINGS[config.sampling]
        h, w = images.shape[2:]
        scale = SCALES[config.resize](h, w, config)
        sides = (torch.sym_max(1, sampling.side(side, scale)) for side in (h, w))
        return sampling.resample(images, tuple(sides))

    def _pad(self, images: Tensor) -> Tensor:
        """Pad to a size that the network takes: (B, C, H, W) float32."""
        config = self.config.input
        way = WAYS[config.resize]
        h, w = images.shape[2:]
        H, W = (up(config.max_size if way.square else side, config.divisor) for side in (h, w))
        return pad(images, (way.before(H - h), way.before(W - w)), (H, W))

    def _grow(self, boxes: Tensor, old_hw: Size, new_hw: Size) -> Tensor:
        """Turn boxes of resized pictures, (B, D, 4) float32, into those of the pictures."""
        end = OVERHANG[self.config.anchors.corners]
        y, x = (
            (_double(new) - end) / (_double(old) - end).clamp(min=1) for new, old in zip(new_hw, old_hw, strict=True)
        )
        scale = torch.stack([x, y, x, y]).to(boxes.dtype)
        last = boxes.new_tensor([0.0, 0.0, end, end])
        return ROUNDINGS[self.config.mask_head.paste].boxes((boxes - last) * scale + last)
