"""Differences between projects that vanish in the weights.

References: `docs/compatibility.md`, numbers 1 to 11. Batch normalisation: 1502.03167.
Letters: K classes, C channels, P bins a side, A anchors a cell.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

EPS = 1e-5  # of every norm here
STEM = "backbone.stem.conv1.conv.weight"
_ROWS_AT_ONCE = 64
HEAD_STD = (0.1, 0.1, 0.2, 0.2)  # of dx, dy, dw, dh


class Own:
    """Tensors on the way to their own names and values.

    Args:
        path: The file that they come from.
        names: The names that they have in it.
        notes: What else lies there, such as the names of classes.

    Attributes:
        tensors: By own name; some of them for a while only.
        became: For a name that is gone, the names that its numbers went to.
        settings: Small tensors that say something about the settings, by own name.
    """

    def __init__(self, path: Path, names: Sequence[str], notes: Mapping[str, object]) -> None:
        self.path = path
        self.names = names
        self.notes = notes
        self.tensors: dict[str, Tensor] = {}
        self.became: dict[str, tuple[str, ...]] = {}
        self.settings: dict[str, Tensor] = {}

    def matching(self, pattern: str) -> list[str]:
        """Return the names that a regular expression fits as a whole."""
        return [name for name in self.tensors if re.fullmatch(pattern, name)]

    def change(self, name: str, values: Tensor) -> None:
        """Replace a tensor, as contiguous float32."""
        self.tensors[name] = values.to(torch.float32).contiguous()

    def take(self, name: str, *heirs: str) -> Tensor:
        """Remove a tensor whose numbers go into others."""
        self.became[name] = heirs
        return self.tensors.pop(name)

    def heirs(self, name: str) -> tuple[str, ...]:
        """Return the lasting names that a name's numbers are in."""
        if name in self.tensors:
            return (name,)
        found = (heir for into in self.became.get(name, ()) for heir in self.heirs(into))
        return tuple(dict.fromkeys(found))


def swap_colours(own: Own) -> None:
    """Let the first convolution read RGB where it read BGR (number 7)."""
    if STEM in own.tensors and own.tensors[STEM].shape[1] == 3:
        own.change(STEM, own.tensors[STEM].flip(1))


def biases_into_means(own: Own) -> None:
    """Subtract a convolution's bias from the mean of the norm behind it (number 8)."""
    for name in own.matching(r".*\.conv\.bias"):
        mean = name.removesuffix("conv.bias") + "norm.running_mean"
        if mean in own.tensors:
            bias = own.take(name, mean)
            own.change(mean, own.tensors[mean].double() - bias.double())


def norm_epsilon(own: Own, eps: float) -> None:
    """Express norms of another epsilon with the own one (number 9).

    The variance takes what it can without falling below zero, the scale takes the rest.
    """
    for name in own.matching(r".*\.norm\.running_var"):
        var = own.tensors[name].double() + eps
        own.change(name, (var - EPS).clamp(min=0))
        rest = (own.tensors[name].double() + EPS) / var
        weight = name.removesuffix("running_var") + "weight"
        own.change(weight, own.tensors[weight].double() * rest.sqrt())


def norm_into_layer(own: Own, layer: str, norm: str, eps: float) -> None:
    """Scale and shift the outputs of a layer with a bias instead of a norm behind it (number 28).

    Args:
        own: The tensors.
        layer: Prefix of `weight` and `bias`; outputs come first in the shape.
        norm: Prefix of the norm's four tensors.
        eps: Added to its variance.
    """
    weight, bias = f"{layer}.weight", f"{layer}.bias"
    gamma, beta, mean, var = (
        own.take(f"{norm}.{leaf}", *heirs).double()
        for leaf, heirs in (
            ("weight", (weight, bias)),
            ("bias", (bias,)),
            ("running_mean", (bias,)),
            ("running_var", (weight, bias)),
        )
    )
    scale = gamma * torch.rsqrt(var + eps)
    own.change(bias, (own.tensors[bias].double() - mean) * scale + beta)
    own.tensors[weight] = _scaled(own.tensors[weight], scale)


def _scaled(weight: Tensor, scale: Tensor) -> Tensor:
    """Multiply rows in float64, a few at a time: the largest layer would take five times its memory at once."""
    out = torch.empty_like(weight)
    for i in range(0, len(weight), _ROWS_AT_ONCE):
        rows = slice(i, i + _ROWS_AT_ONCE)
        out[rows] = weight[rows].double() * scale[rows].view(-1, *[1] * (weight.ndim - 1))
    return out


def unit_statistics(own: Own) -> None:
    """Give norms that only scale and shift a mean of 0 and a variance that the epsilon completes to 1."""
    for name in own.matching(r".*\.norm\.weight"):
        scale, start = own.tensors[name], name.removesuffix("weight")
        own.tensors.setdefault(f"{start}running_mean", torch.zeros_like(scale))
        own.tensors.setdefault(f"{start}running_var", torch.ones_like(scale) - EPS)


def background_last(own: Own) -> None:
    """Move row 0 of the class logits, the background, behind the others (number 3)."""
    for name in own.matching(r"box_head\.logits\.(weight|bias)"):
        own.change(name, own.tensors[name].roll(-1, 0))


def drop_background(own: Own, pattern: str, rows: int) -> None:
    """Drop the first rows of an output, those of the background (numbers 4 and 5)."""
    for name in own.matching(pattern):
        own.change(name, own.tensors[name][rows:])


def delta_order(own: Own, pattern: str, std: Sequence[float] = (1.0, 1.0, 1.0, 1.0)) -> None:
    """Turn dy, dx, dh, dw into dx, dy, dw, dh, each times its unit (numbers 1 and 2)."""
    unit = torch.tensor(std, dtype=torch.float64)
    for name in own.matching(pattern):
        rows = _in_rows_of(4, own.tensors[name])[:, [1, 0, 3, 2]]
        own.change(name, (rows.double() * unit.view(4, *[1] * (rows.ndim - 2))).flatten(0, 1))


def one_logit(own: Own, pattern: str) -> None:
    """Turn the two logits of a softmax, background and object, into the one of a sigmoid (number 6)."""
    for name in own.matching(pattern):
        pairs = _in_rows_of(2, own.tensors[name].double())
        own.change(name, pairs[:, 1] - pairs[:, 0])


def anchors_reversed(own: Own) -> None:
    """Turn the order of a cell's anchors round, from ratios of width / height to height / width (number 11)."""
    for name in own.matching(r"rpn\.head\.objectness\.(weight|bias)"):
        own.change(name, own.tensors[name].flip(0))
    for name in own.matching(r"rpn\.head\.deltas\.(weight|bias)"):
        own.change(name, _in_rows_of(4, own.tensors[name]).flip(0).flatten(0, 1))


def _in_rows_of(count: int, values: Tensor) -> Tensor:
    """Split the first dimension into groups of so many."""
    return values.reshape(-1, count, *values.shape[1:])


def channels_last_in_fc1(own: Own) -> None:
    """Let the first fully connected layer read row, column, channel where it read channel, row, column."""
    name = "box_head.body.fc1.weight"
    if name in own.tensors:
        own.tensors[name] = _reordered(own.tensors[name], _channels_into_fc1(own))


def _channels_into_fc1(own: Own) -> int:
    above = own.matching(r"box_head\.body\.convs\.\d+\.conv\.weight") or own.matching(
        r"pyramid\.output\.0\.conv\.weight"
    )
    return own.tensors[above[-1]].shape[0] if above else 1


def _reordered(weight: Tensor, channels: int) -> Tensor:
    """Reorder (out, C·P·P) into (out, P·P·C) if it can be; a wrong shape is left for the account."""
    bins = math.isqrt(weight.shape[1] // channels)
    if weight.shape[1] != channels * bins * bins:
        return weight
    return weight.view(-1, channels, bins * bins).transpose(1, 2).flatten(1).contiguous()


# ---- layouts of Keras, which has outputs last


def from_convolution(kernel: Tensor) -> Tensor:
    """Turn (rows, columns, in, out) into (out, in, rows, columns); transposed convolutions likewise."""
    return kernel.permute(3, 2, 0, 1).contiguous()


def from_dense(kernel: Tensor) -> Tensor:
    """Turn (in, out) into (out, in)."""
    return kernel.T.contiguous()


def linear_from_convolution(kernel: Tensor) -> Tensor:
    """Turn a convolution over a whole map, (rows, columns, in, out), into (out, rows · columns · in) (number 10)."""
    return kernel.flatten(0, 2).T.contiguous()
