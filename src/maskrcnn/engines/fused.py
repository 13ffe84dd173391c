"""Residual blocks on a CPU: convolutions of oneDNN that add the shortcut and cut at zero while they write.

The result of a block takes the place of its shortcut, so that a stage of blocks needs no fresh memory, which costs more
than the arithmetic of adding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskrcnn.engines import winograd
from maskrcnn.model.backbone import BasicBlock, Bottleneck, Stem
from maskrcnn.model.norm import ConvNorm


def available() -> bool:
    """Say whether this build of torch has these operators."""
    has_library: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return has_library and hasattr(torch.ops.mkldnn, "_convolution_pointwise_")


class FusedConv(nn.Module):
    """A convolution with what follows it.

    Args:
        conv: With a bias, norm folded.
        after: `relu` or `none`.
    """

    def __init__(self, conv: nn.Conv2d, after: str) -> None:
        super().__init__()
        self.weight = nn.Buffer(conv.weight.detach().contiguous(memory_format=torch.channels_last))
        assert conv.bias is not None
        self.bias = nn.Buffer(conv.bias.detach())
        self.shape = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W), channels-last as the result is."""
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, *self.shape, self.after, [], ""
        )
        return out

    def onto(self, shortcut: Tensor, x: Tensor) -> Tensor:
        """Add the result to the shortcut and cut at zero, in the shortcut's place."""
        out: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
            shortcut, x, self.weight, self.bias, *self.shape, "add", 1.0, "relu", [], ""
        )
        return out


class FusedBlock(nn.Module):
    """A residual block.

    Overwrites its input where the shortcut is the input itself. That is never a stage's result that others read: the
    first block of res3, res4 and res5 has a convolution in its shortcut.

    Args:
        block: With norms folded.
    """

    def __init__(self, block: BasicBlock | Bottleneck) -> None:
        super().__init__()
        *inner, last = (layer for name, layer in block.named_children() if name.startswith("conv"))
        self.inner = nn.Sequential(*(_inner(_conv(layer)) for layer in inner))
        self.last = FusedConv(_conv(last), "none")
        straight = isinstance(block.shortcut, nn.Identity)
        self.shortcut = nn.Identity() if straight else FusedConv(_conv(block.shortcut), "none")

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) as the block does."""
        inner = self.inner(x)
        return self.last.onto(self.shortcut(x), inner)


class FusedStem(nn.Module):
    """The stem.

    Args:
        stem: With norms folded.
    """

    def __init__(self, stem: Stem) -> None:
        super().__init__()
        self.conv1 = FusedConv(_conv(stem.conv1), "relu")
        self.padding = stem.padding

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, bands, H, W) to (B, 64, H/4, W/4)."""
        return F.max_pool2d(self.conv1(x), 3, 2, self.padding, ceil_mode=self.padding == 0)


def _inner(conv: nn.Conv2d) -> nn.Module:
    """Make a convolution that is cut at zero."""
    fused = FusedConv(conv, "relu")
    pays = winograd.available() and winograd.suits(conv) and conv.in_channels >= winograd.DETOUR_CHANNELS
    return winograd.DetourConv(fused, conv) if pays else fused


def _conv(layer: nn.Module) -> nn.Conv2d:
    assert isinstance(layer, ConvNorm)
    return layer.conv


def _is_folded(block: nn.Module) -> bool:
    return all(isinstance(layer.norm, nn.Identity) for layer in block.modules() if isinstance(layer, ConvNorm))


def fuse_blocks(backbone: nn.Module) -> None:
    """Replace the stem and the blocks of a backbone whose norms are folded; with group norms it stays."""
    for name, child in backbone.named_children():
        if isinstance(child, nn.Sequential):
            fuse_blocks(child)
        elif isinstance(child, BasicBlock | Bottleneck) and _is_folded(child):
            setattr(backbone, name, FusedBlock(child))
        elif isinstance(child, Stem) and _is_folded(child):
            setattr(backbone, name, FusedStem(child))
