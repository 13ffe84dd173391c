"""A copy of a network whose norms of fixed statistics are part of the convolutions before them.

The copy shares every tensor that folding leaves as it is.

References: batch normalisation (1502.03167), section 3.1, at inference.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.norm import ConvNorm, FrozenNorm


def fold_norms(model: MaskRCNN) -> MaskRCNN:
    """Return a copy for inference without frozen and batch norms; group norms, which look at the picture, stay."""
    shared = {id(tensor): tensor.detach() for tensor in (*model.parameters(), *model.buffers())}
    folded: MaskRCNN = copy.deepcopy(model, shared)
    for layer in folded.modules():
        if isinstance(layer, ConvNorm) and isinstance(layer.norm, FrozenNorm | nn.BatchNorm2d):
            layer.conv = _fold(layer.conv, layer.norm)
            layer.norm = nn.Identity()
    return folded.eval().requires_grad_(requires_grad=False)


def _fold(conv: nn.Conv2d, norm: FrozenNorm | nn.BatchNorm2d) -> nn.Conv2d:
    scale, shift = _affine(norm)
    folded = nn.Conv2d(
        conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, groups=conv.groups,
        device=conv.weight.device, dtype=conv.weight.dtype,
    )  # fmt: skip
    with torch.no_grad():
        folded.weight.copy_(conv.weight.double() * scale[:, None, None, None])
        assert folded.bias is not None
        folded.bias.copy_(shift if conv.bias is None else shift + conv.bias * scale)
    return folded


def _affine(norm: FrozenNorm | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return the scale and the shift of each channel, (C) float64 both."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    scale = norm.weight.double() * torch.rsqrt(variance.double() + norm.eps)
    return scale, norm.bias.double() - mean.double() * scale
