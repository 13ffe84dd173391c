"""The boxes that every cell of the pyramid starts from.

References: Faster R-CNN (1506.01497), section 3.1.1; one size a level as in FPN (1612.03144), section 4.1.
Letters: L levels, A anchors a cell, H, W cells of a level.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from maskrcnn.config import AnchorConfig


def cell_anchors(sizes: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """Return the anchors round the origin, sizes outside, ratios inside: (A, 4) float32.

    >>> cell_anchors([32], [0.25, 1.0])
    tensor([[-32.,  -8.,  32.,   8.],
            [-16., -16.,  16.,  16.]])
    """
    half = [(s / math.sqrt(r) / 2, s * math.sqrt(r) / 2) for s in sizes for r in ratios]
    return torch.tensor([(-w, -h, w, h) for w, h in half], dtype=torch.float32)


class Rounding(NamedTuple):
    """A value of `AnchorConfig.rounding`.

    Attributes:
        cell: What becomes of the anchors round the origin.
        stride: Pixels between cells, from the level's stride, the padded side and the cells along it.
    """

    cell: Callable[[Tensor], Tensor]
    stride: Callable[[int, int, int], int]


ROUNDINGS = {
    "exact": Rounding(lambda cell: cell, lambda stride, padded, cells: stride),  # noqa: ARG005  # as every stride
    "whole": Rounding(torch.round, lambda stride, padded, cells: padded // cells),  # noqa: ARG005
}


class Anchors(nn.Module):
    """Anchors of all levels: cell (i, j) has its own centred on pixel (i · stride, j · stride).

    Args:
        config: Sizes, ratios and rounding.
        strides: Pixels a cell, one a level.
        every: Only every so many cells, down and across, have anchors.
    """

    def __init__(self, config: AnchorConfig, strides: Sequence[int], every: int = 1) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.every = every
        self.rounding = ROUNDINGS[config.rounding]
        for i, sizes in enumerate(config.sizes):
            cell = self.rounding.cell(cell_anchors(sizes, config.ratios))
            self.register_buffer(f"cell{i}", cell, persistent=False)

    def forward(self, shapes_hw: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Lay the anchors over levels of these shapes, the first of which has no cell beyond the padded picture.

        Returns:
            L of (H·W·A, 4) float32 x1, y1, x2, y2, ordered by row, column, anchor; not clipped.
        """
        padded_hw = tuple(side * self.strides[0] for side in shapes_hw[0])
        return [self._level(i, shape_hw, padded_hw) for i, shape_hw in enumerate(shapes_hw)]

    def _level(self, i: int, shape_hw: tuple[int, int], padded_hw: tuple[int, ...]) -> Tensor:
        cell: Tensor = getattr(self, f"cell{i}")
        y, x = (
            torch.arange(0, cells, self.every, device=cell.device, dtype=cell.dtype)
            * self.rounding.stride(self.strides[i], padded, cells)
            for cells, padded in zip(shape_hw, padded_hw, strict=True)
        )
        yy, xx = torch.meshgrid(y, x, indexing="ij")
        centres = torch.stack([xx, yy, xx, yy], dim=-1)  # (H, W, 4)
        return (centres[:, :, None] + cell).view(-1, 4)
