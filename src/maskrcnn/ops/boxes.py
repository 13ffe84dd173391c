"""Arithmetic of boxes: area, overlap, deltas.

Every box is x1, y1, x2, y2 in continuous pixels, width x2 - x1, never + 1.
References: R-CNN (1311.2524), appendix C, equations 1 to 10, for the deltas.
"""

from __future__ import annotations

import torch
from torch import Tensor


def area(boxes: Tensor) -> Tensor:
    """Return the areas; a box turned inside out has none.

    Args:
        boxes: (..., 4) float.

    Returns:
        (...) float, at least 0.
    """
    size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
    return size[..., 0] * size[..., 1]


def intersection(first: Tensor, second: Tensor) -> Tensor:
    """Return the shared area of every pair.

    Args:
        first: (..., N, 4) float.
        second: (..., M, 4) float.

    Returns:
        (..., N, M) float.
    """
    x1, y1, x2, y2 = first[..., :, None, :].unbind(-1)
    u1, v1, u2, v2 = second[..., None, :, :].unbind(-1)
    width = (torch.minimum(x2, u2) - torch.maximum(x1, u1)).clamp_(min=0)
    height = (torch.minimum(y2, v2) - torch.maximum(y1, v1)).clamp_(min=0)
    return width.mul_(height)


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Return intersection over union of every pair; 0 where both boxes have no area.

    Args:
        first: (..., N, 4) float.
        second: (..., M, 4) float.

    Returns:
        (..., N, M) float in [0, 1].

    >>> iou(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[1.0, 0, 3, 2], [5, 5, 6, 6]]))
    tensor([[0.3333, 0.0000]])
    """
    shared = intersection(first, second)
    union = area(first)[..., :, None] + area(second)[..., None, :]
    union = union.sub_(shared).clamp_(min=torch.finfo(shared.dtype).tiny)
    return shared.div_(union)


def covered_share(boxes: Tensor, regions: Tensor) -> Tensor:
    """Return the largest share of each box that lies in one of the regions.

    Args:
        boxes: (B or 1, N, 4) float.
        regions: (B, I, 4) float. I at least 1; an empty region covers nothing.

    Returns:
        (B, N) float in [0, 1].
    """
    shared = intersection(boxes, regions).amax(dim=-1)
    return shared / area(boxes).clamp(min=torch.finfo(shared.dtype).tiny)


def clip(boxes: Tensor, window: Tensor) -> Tensor:
    """Move corners that lie outside a window onto its border.

    Args:
        boxes: (B, N, 4) float.
        window: (B, 4) float x1, y1, x2, y2. One a picture.
    """
    low, high = (side.to(boxes.dtype).repeat(1, 2)[:, None, :] for side in (window[:, :2], window[:, 2:]))
    return torch.minimum(torch.maximum(boxes, low), high)


def _centre_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    size = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + 0.5 * size, size


def encode(targets: Tensor, references: Tensor, std: Tensor) -> Tensor:
    """Write target boxes as deltas from reference boxes (R-CNN, equations 6 to 9).

    Args:
        targets: (..., 4) float. Sides below a thousandth of a pixel count as that.
        references: (..., 4) float. Likewise.
        std: (4) float. Unit of dx, dy, dw, dh.

    Returns:
        (..., 4) float dx, dy, dw, dh.
    """
    target_centre, target_size = _centre_size(targets)
    centre, size = _centre_size(references)
    size, target_size = size.clamp(min=1e-3), target_size.clamp(min=1e-3)
    shift = (target_centre - centre) / size
    return torch.cat([shift, torch.log(target_size / size)], dim=-1) / std


def decode(deltas: Tensor, references: Tensor, std: Tensor, clamp: float | None) -> Tensor:
    """Move reference boxes by deltas (R-CNN, equations 1 to 4).

    Args:
        deltas: (..., 4) float dx, dy, dw, dh.
        references: (..., 4) float.
        std: (4) float. Unit of the deltas.
        clamp: Largest dw and dh after the unit, so that exp stays finite; None for no limit.

    Returns:
        (..., 4) float boxes.
    """
    deltas = deltas * std
    centre, size = _centre_size(references)
    moved = centre + deltas[..., :2] * size
    growth = deltas[..., 2:] if clamp is None else deltas[..., 2:].clamp(max=clamp)
    half = 0.5 * size * torch.exp(growth)
    return torch.cat([moved - half, moved + half], dim=-1)
