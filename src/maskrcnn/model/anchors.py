"""The boxes that every cell of the pyramid starts from.

References: Faster R-CNN (1506.01497), section 3.1.1; one size a level as in FPN (1612.03144), section 4.1.
Letters: L levels, A anchors a cell, H, W cells of a level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

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


class Anchors(nn.Module):
    """Anchors of all levels: cell (i, j) has its own centred on pixel (i · stride, j · stride).

    Args:
        config: Sizes and ratios.
        strides: Pixels a cell, one a level.
    """

    def __init__(self, config: AnchorConfig, strides: Sequence[int]) -> None:
        super().__init__()
        self.strides = tuple(strides)
        for i, sizes in enumerate(config.sizes):
            self.register_buffer(f"cell{i}", cell_anchors(sizes, config.ratios), persistent=False)

    def forward(self, shapes_hw: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Lay the anchors over levels of these shapes.

        Returns:
            L of (H·W·A, 4) float32 x1, y1, x2, y2, ordered by row, column, anchor; not clipped.
        """
        return [self._level(i, *shape) for i, shape in enumerate(shapes_hw)]

    def _level(self, i: int, H: int, W: int) -> Tensor:
        cell: Tensor = getattr(self, f"cell{i}")
        y = torch.arange(H, device=cell.device, dtype=cell.dtype) * self.strides[i]
        x = torch.arange(W, device=cell.device, dtype=cell.dtype) * self.strides[i]
        yy, xx = torch.meshgrid(y, x, indexing="ij")
        centres = torch.stack([xx, yy, xx, yy], dim=-1)  # (H, W, 4)
        return (centres[:, :, None] + cell).view(-1, 4)
