"""The two steps of a model that a graph states in other words: suppression and RoIAlign.

ONNX has an operator for each, so a graph meant for it names them, and the writer translates the names. In PyTorch's
own formats suppression is a loop over values, and RoIAlign the weighted gather that the model has anyway.

References: ONNX operators, NonMaxSuppression 11, RoiAlign 16.
Letters: S rows, N boxes a row, D slots of the result, R regions, C channels, L levels, P bins a side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from maskrcnn.ops.boxes import area, intersection
from maskrcnn.ops.nms import Kept
from maskrcnn.ops.roi_align import SAMPLERS, Table, roi_align

# ---- names without an implementation, for writers to translate

_LIBRARY = torch.library.Library("maskrcnn", "FRAGMENT")
_LIBRARY.define(
    "suppress(Tensor boxes, Tensor scores, Tensor valid, Tensor groups, float iou_threshold, int limit, int count)"
    " -> (Tensor, Tensor)"
)
_LIBRARY.define(
    "pool(Tensor[] levels, Tensor boxes, Tensor picture, Tensor level, int bins, int samples, str places) -> Tensor"
)


@torch.library.register_fake("maskrcnn::suppress", lib=_LIBRARY)
def _suppressed(
    boxes: Tensor,  # noqa: ARG001
    scores: Tensor,
    valid: Tensor,
    groups: Tensor,  # noqa: ARG001
    iou_threshold: float,  # noqa: ARG001
    limit: int,
    count: int,  # noqa: ARG001
) -> tuple[Tensor, Tensor]:
    shape = (scores.shape[0], limit)
    return scores.new_empty(shape, dtype=torch.int64), valid.new_empty(shape)


@torch.library.register_fake("maskrcnn::pool", lib=_LIBRARY)
def _pooled(
    levels: Sequence[Tensor],
    boxes: Tensor,
    picture: Tensor,  # noqa: ARG001
    level: Tensor,  # noqa: ARG001
    bins: int,
    samples: int,  # noqa: ARG001
    places: str,  # noqa: ARG001
) -> Tensor:
    return levels[0].new_empty((boxes.shape[0], levels[0].shape[1], bins, bins))


SUPPRESS = torch.ops.maskrcnn.suppress.default
POOL = torch.ops.maskrcnn.pool.default


# ---- suppression


class Suppression(Protocol):
    """Suppresses as `NMS` says, told how many groups there are."""

    def __call__(
        self,
        boxes: Tensor,
        scores: Tensor,
        iou_threshold: float,
        *,
        valid: Tensor,
        limit: int,
        groups: Tensor | None = None,
        count: int = 1,
    ) -> Kept:
        """Suppress; `groups` are in [0, count)."""
        ...


def named_nms(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    *,
    valid: Tensor,
    limit: int,
    groups: Tensor | None = None,
    count: int = 1,
) -> Kept:
    """Name the operator."""
    if groups is None:
        groups, count = torch.zeros_like(scores, dtype=torch.int64), 1
    return Kept(*SUPPRESS(boxes, scores, valid, groups, iou_threshold, limit, count))


def keep_next(
    step: Tensor, alive: Tensor, index: Tensor, boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float
) -> tuple[Tensor, Tensor]:
    """Keep the best box of each row that is left, and drop what it suppresses.

    Args:
        step: () int64. Boxes kept before, the slot to fill.
        alive: (S, N) bool. Boxes that are left.
        index: (S, D) int64. The result so far, -1 in an empty slot.
        boxes: (S, N, 4) float.
        scores: (S, N) float.
        groups: (S, N) int64.
        iou_threshold: Above which a box goes.

    Returns:
        `alive` and `index` after it.
    """
    best = torch.where(alive, scores, -torch.inf).argmax(dim=1, keepdim=True)
    found = alive.gather(1, best)
    box = boxes.gather(1, best.unsqueeze(2).expand(-1, -1, 4))
    shared = intersection(box, boxes)
    union = area(box).unsqueeze(2) + area(boxes).unsqueeze(1) - shared
    overlap = (shared / union.clamp(min=1.1754943508222875e-38)).squeeze(1)  # `iou`, in what TorchScript knows
    hit = (overlap > iou_threshold) & (groups == groups.gather(1, best))
    itself = torch.arange(boxes.shape[1], device=boxes.device) == best
    slot = torch.arange(index.shape[1], device=boxes.device) == step
    return alive & ~hit & ~itself, torch.where(slot & found, best, index)


def looped_nms(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    *,
    valid: Tensor,
    limit: int,
    groups: Tensor | None = None,
    count: int = 1,  # noqa: ARG001  # as every suppression
) -> Kept:
    """Suppress in a loop that ends when all slots are filled or no box is left."""
    own = torch.zeros_like(scores, dtype=torch.int64) if groups is None else groups
    empty = torch.full_like(scores, -1, dtype=torch.int64)[:, :limit]

    def going(step: Tensor, alive: Tensor, index: Tensor) -> Tensor:
        return (step < index.shape[1]) & alive.any()

    def body(step: Tensor, alive: Tensor, index: Tensor) -> tuple[Tensor, ...]:
        return step + 1, *keep_next(step, alive, index, boxes, scores, own, iou_threshold)

    state = (torch.zeros((), dtype=torch.int64), valid.clone(), empty.clone())
    index: Tensor = torch.while_loop(going, body, state)[2]
    return Kept(index.clamp(min=0), index >= 0)


# ---- RoIAlign


class Pooling(Protocol):
    """Pools regions as `roi_align` does, with the sampler that the settings name."""

    def __call__(
        self, table: Table, boxes: Tensor, picture: Tensor, level: Tensor, bins: int, sampling_ratio: int, sampler: str
    ) -> Tensor:
        """Return (R, C, P, P) float."""
        ...


def gathered(
    table: Table, boxes: Tensor, picture: Tensor, level: Tensor, bins: int, sampling_ratio: int, sampler: str
) -> Tensor:
    """Pool as the model does."""
    return roi_align(table, boxes, picture, level, bins, sampling_ratio, SAMPLERS[sampler])


def _in_cells(table: Table, boxes: Tensor, level: Tensor) -> Tensor:
    return boxes / table.stride[level][:, None]


def _named_mean(places: str) -> Pooling:
    def pool(
        table: Table,
        boxes: Tensor,
        picture: Tensor,
        level: Tensor,
        bins: int,
        sampling_ratio: int,
        sampler: str,  # noqa: ARG001  # as every pooling
    ) -> Tensor:
        cells = _in_cells(table, boxes, level)
        pooled: Tensor = POOL(list(table.levels), cells, picture, level, bins, sampling_ratio, places)
        return pooled

    return pool


def _named_corners(
    table: Table,
    boxes: Tensor,
    picture: Tensor,
    level: Tensor,
    bins: int,
    sampling_ratio: int,  # noqa: ARG001  # as every pooling
    sampler: str,  # noqa: ARG001
) -> Tensor:
    """Pool boxes grown by half a bin, whose bins have the samples of `corners` for centres; zero outside the level."""
    most = (table.shape_hw[level] - 1).flip(-1)
    sides = torch.stack([boxes.new_full((), side - 1) for side in reversed(table.padded_hw)])  # x, y
    low, high = boxes[:, :2] / sides, boxes[:, 2:] / sides
    if bins > 1:
        first, apart = low * most, (high - low) * most / (bins - 1)
    else:
        first, apart = 0.5 * (low + high) * most, torch.zeros_like(low)
    at = first[..., None] + torch.arange(bins, device=boxes.device, dtype=boxes.dtype) * apart[..., None]
    inside = (at >= 0) & (at <= most[..., None])
    start = first + 0.5 - 0.5 * apart
    grown = torch.cat([start, start + bins * apart], dim=1)
    pooled: Tensor = POOL(list(table.levels), grown, picture, level, bins, 1, "half_pixel")
    return pooled * (inside[:, 1, :, None] & inside[:, 0, None, :])[:, None]


NAMED_POOLINGS: dict[str, Pooling] = {
    "average": _named_mean("half_pixel"),
    "unaligned": _named_mean("output_half_pixel"),
    "corners": _named_corners,
}


def named_pool(
    table: Table, boxes: Tensor, picture: Tensor, level: Tensor, bins: int, sampling_ratio: int, sampler: str
) -> Tensor:
    """Name the operator, with boxes in cells of their level."""
    return NAMED_POOLINGS[sampler](table, boxes, picture, level, bins, sampling_ratio, sampler)


# ---- both


class Operators(NamedTuple):
    """What a graph does instead of the model's own suppression and RoIAlign."""

    suppress: Suppression
    pool: Pooling


NAMED = Operators(named_nms, named_pool)
PLAIN = Operators(looped_nms, gathered)
NAMED_SUPPRESSION = Operators(named_nms, gathered)
