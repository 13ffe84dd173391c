"""3x3 convolutions of a CPU, faster in training: the model stays what it is, a context changes what it calls.

Large maps are convolved with fewer multiplications (Winograd, by NNPACK), and so are their gradients to the input. The
gradient to the weights is nine matrix products of rows, one a shift, at the speed of the matrix product.

References: Lavin and Gray, "Fast algorithms for convolutional neural networks" (1509.09308).
Letters: B pictures, C channels in, D channels out, H, W height and width.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from maskrcnn.engines.winograd import available
from maskrcnn.ops.roi_align import rows_of

MOST_BORDER = 1.3  # padded cells over cells, up to which nine products beat the library
LEAST_CHANNELS = 32
WINOGRAD_CHANNELS, WINOGRAD_CELLS = 128, 4096  # from which on a picture's map gains by it


def _by_shifts(gradient: Tensor, x: Tensor) -> Tensor:
    """Multiply the gradients of all cells with what they saw, a picture and a shift at a time: (D, C, 3, 3).

    In rows of a padded picture a shift is an offset, and what it carries over a border meets a zero.
    """
    wide = x.shape[3] + 2
    result = x.new_zeros(3, 3, gradient.shape[1], x.shape[1])
    for own in zip(x, gradient, strict=True):
        seen, of = (F.pad(t.permute(1, 2, 0), (0, 0, 1, 1, 1, 1)).flatten(0, 1) for t in own)
        inner = of[wide + 1 : len(of) - wide - 1].t()
        for i, j in product(range(3), repeat=2):
            first = i * wide + j
            result[i, j].addmm_(inner, seen[first : first + inner.shape[1]])
    return result.permute(2, 3, 0, 1)


def _turned(weight: Tensor) -> Tensor:
    """Return the weights, (C, D, 3, 3), with which a gradient is convolved on its way to the input."""
    return weight.flip(2, 3).transpose(0, 1)


def _gains_by_winograd(x: Tensor, weight: Tensor, stride: tuple[int, int]) -> bool:
    fits = min(weight.shape[:2]) >= WINOGRAD_CHANNELS and x.shape[2] * x.shape[3] >= WINOGRAD_CELLS
    return fits and stride == (1, 1) and available()  # asking also makes it ready


def _winograd(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve (B, C, H, W) to (B, D, H, W), channels-last; largest error about 1e-4 of a standard deviation.

    NNPACK wants planes, one picture at a time. As matrices they are transposed in blocks, as maps they are not.
    """
    B, _, H, W = x.shape
    result = torch.empty(B, len(weight), H, W, memory_format=torch.channels_last)
    planes = x.new_empty(x.shape[1], H * W)
    weight = weight.contiguous()
    for rows, own in zip(rows_of(x).view(B, H * W, -1), rows_of(result).view(B, H * W, -1), strict=True):
        planes.copy_(rows.t())
        own.copy_(torch._nnpack_spatial_convolution(planes.view(1, -1, H, W), weight, bias, (1, 1))[0].flatten(1).t())
    return result


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int]) -> Tensor:
    if _gains_by_winograd(x, weight, stride):
        return _winograd(x, weight, bias)
    return F.conv2d(x, weight, bias, stride, 1)


def _input_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: tuple[int, int]) -> Tensor:
    if _gains_by_winograd(x, weight, stride):
        return _winograd(gradient, _turned(weight), None)
    return _library_gradient(gradient, x, weight, stride, 0)


def _weight_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: tuple[int, int]) -> Tensor:
    H, W = x.shape[2:]
    if stride == (1, 1) and (H + 2) * (W + 2) <= MOST_BORDER * H * W:
        return _by_shifts(gradient, x)
    # the library's way for channels-last takes three times as long
    return _library_gradient(gradient.contiguous(), x.contiguous(), weight.contiguous(), stride, 1)


def _library_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: tuple[int, int], of: int) -> Tensor:
    """Ask the library for the gradient to the input (`of` 0) or the weight (1)."""
    mask = [of == 0, of == 1, False]
    geometry = (stride, (1, 1), (1, 1), False, (0, 0), 1)
    result: Tensor = torch.ops.aten.convolution_backward(gradient, x, weight, None, *geometry, mask)[of]
    return result


class _Convolution(torch.autograd.Function):
    """A 3x3 convolution, padded by 1, of one group."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return _convolve(x, weight, bias, stride)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        return (
            _input_gradient(gradient, x, weight, ctx.stride) if needs_x else None,
            _weight_gradient(gradient, x, weight, ctx.stride) if needs_weight else None,
            rows_of(gradient).sum(dim=0) if needs_bias else None,
            None,
        )


class _Quick(TorchFunctionMode):
    """Takes `_Convolution` wherever `conv2d` is one of those that gain by it."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        arguments: tuple[Any, ...] = (),
        named: dict[str, Any] | None = None,
    ) -> Any:
        if function is F.conv2d and not named and _gains(*arguments):
            x, weight, bias, stride = arguments[:4]
            if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad):
                return _Convolution.apply(x, weight, bias, stride)  # type: ignore[no-untyped-call]
            return _convolve(x, weight, bias, stride)
        return function(*arguments, **(named or {}))


def _gains(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,  # noqa: ARG001  # as of `conv2d`
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> bool:
    return (
        weight.shape[2:] == (3, 3)
        and (padding, dilation, groups) == ((1, 1), (1, 1), 1)
        and stride in ((1, 1), (2, 2))
        and min(weight.shape[:2]) >= LEAST_CHANNELS
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
    )


def quick_convolutions() -> AbstractContextManager[object]:
    """Let 3x3 convolutions on a CPU compute their gradients the fast way, forward and backward inside the block.

    Elsewhere and in another precision nothing changes.
    """
    return _Quick()
