import torch
from torch import nn

from maskrcnn.config import AnchorConfig, PyramidConfig
from maskrcnn.model.anchors import Anchors
from maskrcnn.model.fpn import STRIDES, Pyramid


def test_levels_add_up_from_the_top() -> None:
    """With every weight an identity, P2 is the sum of all four stages and P5 the last one alone."""
    pyramid = Pyramid([2, 2, 2, 2], PyramidConfig(channels=2))
    for layer in [*pyramid.lateral, *pyramid.output]:
        conv = layer.conv
        nn.init.dirac_(conv.weight)
        nn.init.zeros_(conv.bias)
    stages = [torch.full((1, 2, 16 // 2**i, 8 // 2**i), 10.0**i) for i in range(4)]
    levels = pyramid(stages)
    assert [level.detach().mean().item() for level in levels] == [1111, 1110, 1100, 1000, 1000]
    assert [tuple(level.shape[2:]) for level in levels] == [(16, 8), (8, 4), (4, 2), (2, 1), (1, 1)]


def test_odd_sizes_are_met_on_the_way_down() -> None:
    pyramid = Pyramid([4, 4, 4, 4], PyramidConfig(channels=4, norm="none"))
    levels = pyramid([torch.zeros(1, 4, h, h + 1) for h in (25, 13, 7, 4)])
    assert [tuple(level.shape[2:]) for level in levels] == [(25, 26), (13, 14), (7, 8), (4, 5), (2, 3)]


def test_p6_is_every_second_cell_of_p5() -> None:
    pyramid = Pyramid([1, 1, 1, 1], PyramidConfig(channels=1))
    levels = pyramid([torch.randn(1, 1, 32 // 2**i, 32 // 2**i) for i in range(4)])
    assert torch.equal(levels[4], levels[3][:, :, ::2, ::2])


def test_anchors_by_hand() -> None:
    """Size 8 at stride 4: square, then half as wide; centres on the corners of the cells, row by row."""
    config = AnchorConfig(sizes=((8.0,), (16.0,), (32.0,), (64.0,), (128.0,)), ratios=(1.0, 4.0))
    anchors = Anchors(config, (4, 8, 16, 32, 64))([(2, 2), (1, 1), (1, 1), (1, 1), (1, 1)])
    assert anchors[0].tolist() == [
        [-4, -4, 4, 4], [-2, -8, 2, 8],
        [0, -4, 8, 4], [2, -8, 6, 8],
        [-4, 0, 4, 8], [-2, -4, 2, 12],
        [0, 0, 8, 8], [2, -4, 6, 12],
    ]  # fmt: skip
    assert anchors[4].tolist() == [[-64, -64, 64, 64], [-32, -128, 32, 128]]
    assert config.per_cell == 2


def test_whole_anchors_are_rounded_and_spread_over_the_padded_picture() -> None:
    """32 / sqrt(2) / 2 = 11.3 and 32 · sqrt(2) / 2 = 22.6; six cells over 352 pixels lie 58 apart, over 384 64."""
    shapes = [(96, 88), (48, 44), (24, 22), (12, 11), (6, 6)]
    exact, whole = (
        Anchors(AnchorConfig.parse({"rounding": rounding, "ratios": [0.5]}), STRIDES)(shapes)
        for rounding in ("exact", "whole")
    )
    assert whole[0][0].tolist() == [-23, -11, 23, 11]
    assert whole[4][-1].tolist() == [5 * 58 - 362, 5 * 64 - 181, 5 * 58 + 362, 5 * 64 + 181]
    for a, b in zip(exact[:4], whole[:4], strict=True):
        assert (a - b).abs().max() <= 0.5


def test_only_every_second_cell_has_anchors() -> None:
    shapes = [(5, 6), (3, 3), (2, 2), (1, 1), (1, 1)]
    all_of_them, some = (Anchors(AnchorConfig(ratios=(1.0,)), STRIDES, every)(shapes) for every in (1, 2))
    for (H, W), a, b in zip(shapes, all_of_them, some, strict=True):
        assert torch.equal(a.view(H, W, 4)[::2, ::2].reshape(-1, 4), b)
