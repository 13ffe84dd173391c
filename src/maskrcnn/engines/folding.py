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
    shared: dict[int, Tensor] = {id(buffer): buffer for buffer in model.buffers()}
    shared |= {id(weight): nn.Parameter(weight.detach(), requires_grad=False) for weight in model.parameters()}
    folded: MaskRCNN = copy.deepcopy(model, shared)
    for layer in folded.modules():
        if isinstance(layer, ConvNorm) and isinstance(layer.norm, FrozenNorm | nn.BatchNorm2d):
            layer.conv = _fold(layer.conv, layer.norm)
            layer.norm = nn.Identity()
    return folded.eval()


def _fold(conv: nn.Conv2d, norm: FrozenNorm | nn.BatchNorm2d) -> nn.Conv2d:
    scale, shift = _affine(norm)
    folded = copy.copy(conv)
    folded._parameters = {}
    weight = conv.weight.detach().cpu().double() * scale[:, None, None, None]
    bias = shift if conv.bias is None else shift + conv.bias.detach().cpu().double() * scale
    folded.weight = nn.Parameter(weight.to(conv.weight), requires_grad=False)
    folded.bias = nn.Parameter(bias.to(conv.weight), requires_grad=False)
    return folded


def _affine(norm: FrozenNorm | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return the scale and the shift of each channel, (C) float64 both, in main memory: some devices lack the type."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, variance, weight, bias = (
        each.detach().cpu().double() for each in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    scale = weight * torch.rsqrt(variance + norm.eps)
    return scale, bias - mean * scale
