"""Convolutions with fewer multiplications, beside the direct ones."""

from __future__ import annotations

import multiprocessing

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskrcnn.engines import winograd
from maskrcnn.engines.winograd import DetourConv, PlanarConv, lay_out, suits, take_rows

pytestmark = pytest.mark.skipif(not winograd.available(), reason="this build of torch has no NNPACK")

CLOSE = 2e-4  # of a standard deviation; tiles of 8x8 cost about a digit more than the direct way


def conv(channels: int = 64, out: int = 64) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(channels, out, 3, padding=1).requires_grad_(False)


def assert_close(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < CLOSE * expected.std()


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("size_hw", [(40, 48), (41, 47), (1, 1600), (39, 39), (5, 7), (1, 1)])
def test_planes_of_any_size_and_number(size_hw: tuple[int, int], batch: int) -> None:
    layer = conv(64, 72)
    x = torch.randn(batch, 64, *size_hw)
    found = PlanarConv(layer)(x)
    assert found.is_contiguous()
    expected = layer(x)
    assert (found - expected).abs().max() < CLOSE * max(float(expected.std()), 0.1)


def test_large_maps_go_the_short_way_and_small_ones_do_not() -> None:
    layer = PlanarConv(conv())
    assert layer.gains(torch.empty(1, 64, 40, 40))
    assert not layer.gains(torch.empty(9, 64, 30, 30))
    x = torch.randn(1, 64, 40, 40)
    direct = F.conv2d(x, layer.weight, layer.bias, padding=1)
    assert not torch.equal(layer(x), direct)  # other roundings: it was not the direct way
    small = x[:, :, :30, :30].contiguous()
    assert torch.equal(layer(small), F.conv2d(small, layer.weight, layer.bias, padding=1))


def test_a_layer_without_bias() -> None:
    layer = nn.Conv2d(64, 64, 3, padding=1, bias=False).requires_grad_(False)
    x = torch.randn(1, 64, 40, 41)
    assert_close(PlanarConv(layer)(x), layer(x))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(64, 64, 3, 2, padding=1),
        nn.Conv2d(64, 64, 3),
        nn.Conv2d(64, 64, 1),
        nn.Conv2d(64, 64, 3, padding=1, groups=2),
        nn.Conv2d(64, 64, 3, padding=2, dilation=2),
        nn.Conv2d(64, 64, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(16, 64, 3, padding=1),
    ],
)
def test_other_layers_do_not_suit(layer: nn.Conv2d) -> None:
    assert not suits(layer)
    assert suits(conv())


@pytest.mark.parametrize("side", [30, 41])
def test_a_detour_keeps_channels_last(side: int) -> None:
    layer = conv()
    x = torch.randn(2, 64, side, 40).contiguous(memory_format=torch.channels_last)
    detour = DetourConv(nn.Sequential(layer, nn.ReLU()), layer)
    found = detour(x)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert_close(found, layer(x).relu())


@pytest.mark.parametrize(("regions", "side"), [(1, 7), (2, 14), (7, 3), (9, 14), (100, 7)])
def test_maps_on_a_canvas_do_not_see_each_other(regions: int, side: int) -> None:
    layer = conv()
    x = torch.randn(regions, 64, side, side).contiguous(memory_format=torch.channels_last)
    canvas = lay_out(x)
    for _ in range(2):
        canvas = canvas.rectify_(PlanarConv(layer)(canvas.planes))
    expected = layer(layer(x).relu()).relu()
    assert_close(take_rows(canvas), expected.permute(0, 2, 3, 1).flatten(1))


def test_what_is_laid_out_comes_off_as_it_was() -> None:
    x = torch.randn(5, 4, 3, 3)
    assert torch.equal(take_rows(lay_out(x)), x.permute(0, 2, 3, 1).flatten(1))


def _convolve_in_a_child(answers: multiprocessing.SimpleQueue[float]) -> None:
    torch.set_num_threads(1)
    x = torch.ones(1, 64, 40, 40)
    answers.put(float(PlanarConv(conv())(x).sum()))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_goes_the_direct_way(capfd: pytest.CaptureFixture[str]) -> None:
    x = torch.ones(1, 64, 40, 40)
    expected = float(PlanarConv(conv())(x).sum())
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=_convolve_in_a_child, args=(answers,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert answers.get() == pytest.approx(expected, rel=1e-4)
    assert capfd.readouterr().err == ""
