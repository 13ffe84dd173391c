"""What the mask head should answer: the share of each cell of a region that the object's mask covers.

The mask comes as a summed-area table; the integral of a picture of whole pixels is bilinear between pixel corners, so
four look-ups a corner give the covered area of any cell exactly, whatever its size.

References: Mask R-CNN (1703.06870), section 3: "the intersection between an RoI and its associated ground-truth mask".
Letters: B pictures, R regions, M cells a side.
"""

from __future__ import annotations

import torch
from torch import Tensor

from maskrcnn.structures import MaskTable


def _corners(low: Tensor, high: Tensor, limit: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Split the M + 1 cell borders along an axis into whole pixels and rest: two of (R, M + 1)."""
    share = torch.arange(side + 1, device=low.device, dtype=low.dtype) / side
    at = low[:, None] + share * (high - low)[:, None]
    at = torch.minimum(at.clamp(min=0), limit[:, None].to(at.dtype))
    whole = torch.minimum(at.floor().to(torch.int64), (limit[:, None] - 1).clamp(min=0))
    return whole, at - whole


def _second_difference(sums: Tensor) -> Tensor:
    """Turn sums at the corners, (R, M + 1, M + 1), into sums of the cells, (R, M, M)."""
    return sums.diff(dim=1).diff(dim=2)


def covered_cells(table: MaskTable, picture: Tensor, slot: Tensor, boxes: Tensor, side: int) -> Tensor:
    """Return the covered share of each cell of regions laid over masks.

    Args:
        table: The masks of the batch.
        picture: (R) int64 in [0, B). The picture of each region.
        slot: (R) int64. The slot of its object.
        boxes: (R, 4) float32 x1, y1, x2, y2. In pixels of the padded picture.
        side: M.

    Returns:
        (R, M, M) float32 in [0, 1], rows from the top; 0 for an empty slot.
    """
    x, y, h, w = table.window[picture, slot].unbind(dim=1)
    i, fy = _corners(boxes[:, 1] - y, boxes[:, 3] - y, h, side)
    j, fx = _corners(boxes[:, 0] - x, boxes[:, 2] - x, w, side)
    base = table.start[picture, slot][:, None, None] + (i * (w + 1)[:, None])[:, :, None] + j[:, None, :]
    down, right = (w + 1)[:, None, None], torch.ones_like(w)[:, None, None]
    present = (h * w > 0)[:, None, None]
    last = table.sums.shape[0] - 1
    here, below, beside, across = (
        table.sums[(base + step * present).clamp(max=last)] for step in (0 * down, down, right, down + right)
    )
    fy, fx = fy[:, :, None], fx[:, None, :]
    # whole pixels are subtracted as integers, so that a small cell of a large mask loses no digits
    rest = fy * (below - here) + fx * (beside - here) + fy * fx * (across - below - beside + here)
    covered = _second_difference(here).to(rest.dtype) + _second_difference(rest)
    cell = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / side**2
    shares = covered / cell.clamp(min=1e-6)[:, None, None]
    return torch.where(present, shares.clamp(0, 1), 0.0)
