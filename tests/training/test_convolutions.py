"""The fast ways against the library's own, gradient for gradient, and that nothing else is touched."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskrcnn.training import convolutions
from maskrcnn.training.convolutions import quick_convolutions

CHANNELS_LAST = torch.channels_last


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def gradients(x: Tensor, layer: nn.Conv2d, of: Tensor, quick: bool) -> list[Tensor]:
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    if quick:
        with quick_convolutions():
            out = layer(x)
            assert "_Convolution" in type(out.grad_fn).__name__
            found = torch.autograd.grad(out, [x, *layer.parameters()], of)
    else:
        out = layer(x)
        found = torch.autograd.grad(out, [x, *layer.parameters()], of)
    return [out.detach(), *found]


def compare(x: Tensor, layer: nn.Conv2d, of: Tensor, tolerance: float) -> None:
    for quick, plain in zip(gradients(x, layer, of, True), gradients(x, layer, of, False), strict=True):
        assert quick.shape == plain.shape
        assert (quick - plain).abs().max() <= tolerance * plain.std()


@pytest.mark.parametrize("layout", [torch.contiguous_format, CHANNELS_LAST])
@pytest.mark.parametrize(("size", "stride", "bias"), [((24, 31), 1, True), ((9, 5), 1, False), ((24, 31), 2, False)])
def test_gradients_everywhere(layout, size, stride, bias):
    layer = nn.Conv2d(32, 48, 3, stride, 1, bias=bias)
    x = numbers(2, 32, *size).contiguous(memory_format=layout)
    compare(x, layer, numbers(*layer(x).shape, seed=1).contiguous(memory_format=layout), 1e-4)


@pytest.mark.skipif(not torch._nnpack_available(), reason="this build of torch has no NNPACK")
def test_large_maps_are_near_the_direct_way():
    layer = nn.Conv2d(128, 136, 3, padding=1)
    x = numbers(2, 128, 64, 66).contiguous(memory_format=CHANNELS_LAST)
    assert convolutions._gains_by_winograd(x, layer.weight, (1, 1))
    compare(x, layer, numbers(2, 136, 64, 66, seed=1), 1e-3)
    with torch.no_grad(), quick_convolutions():
        assert torch.equal(layer(x), convolutions._winograd(x, layer.weight, layer.bias))


def test_what_does_not_gain_is_left_alone():
    x = numbers(1, 32, 8, 8).requires_grad_()
    with quick_convolutions():
        for layer in (
            nn.Conv2d(32, 32, 1),
            nn.Conv2d(32, 32, 3),
            nn.Conv2d(32, 32, 3, padding=1, groups=2),
            nn.Conv2d(32, 32, 3, padding=2, dilation=2),
            nn.Conv2d(32, 8, 3, padding=1),
        ):
            assert type(layer(x).grad_fn).__name__ == "ConvolutionBackward0"
        layer = nn.Conv2d(32, 32, 3, padding=1)
        assert type(layer.double()(x.double()).grad_fn).__name__ == "ConvolutionBackward0"
        with torch.autocast("cpu", torch.bfloat16):
            assert type(layer.float()(x).grad_fn).__name__ == "ConvolutionBackward0"
        with torch.no_grad():
            assert layer(x).grad_fn is None
    assert type(F.conv2d(x, layer.weight, padding=1).grad_fn).__name__ == "ConvolutionBackward0"
