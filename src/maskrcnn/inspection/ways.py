"""Where single detections came from: anchor, proposal, region, class, box and mask, each drawn close by.

Letters: R regions, Q pairs of proposal and class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from maskrcnn.draw.bars import TIMES
from maskrcnn.draw.heat import heat
from maskrcnn.inspection.figures import Dot, Figure, Line, Map, Shape, close_view, rect
from maskrcnn.inspection.stages import Bar, View, bars_of, sigmoid
from maskrcnn.model.fpn import STRIDES
from maskrcnn.model.mask_rcnn import ROI_LEVELS
from maskrcnn.ops.roi_align import SAMPLERS, build_table
from maskrcnn.prediction.tracing import LEVELS

MOST_DROPPED = 8  # boxes


@dataclass(frozen=True)
class Way:
    """One detection's way.

    Attributes:
        number: The detection, from 0.
        name: Its number, class and probability.
        colour: Of its class.
        steps: One figure a step.
        bars: What its region looks like.
        mask: Its probabilities, as the network gives them.
    """

    number: int
    name: str
    colour: str
    steps: tuple[Figure, ...]
    bars: tuple[Bar, ...]
    mask: Image.Image


def ways(view: View, by: NDArray[np.int64]) -> list[Way]:
    """Follow the shown detections back; `by` from `suppressors`."""
    return [_way(view, i, by) for i in range(view.shown)]


def _way(view: View, i: int, by: NDArray[np.int64]) -> Way:
    origins = view.trace.origins
    slot, proposal = int(origins.slot[i]), int(origins.proposal[i])
    candidate = int(view.tensor("proposals", "candidate")[proposal])
    region, box = view.tensor("proposals", "boxes")[proposal], view.tensor("masks", "boxes")[slot]
    near = [region, box] if candidate < 0 else [region, box, view.tensor("candidates", "anchors")[candidate]]
    close = close_view(np.stack(near), view.trace.padded_hw)
    drawn = view.tensor("masks", "probabilities")[slot]
    steps = (
        _anchor_step(view, i, candidate, close),
        _proposal_step(view, proposal, candidate, close),
        _region_step(view, proposal, close),
        _box_step(view, i, region, box, close),
        _suppression_step(view, i, slot, by, close),
        _mask_step(drawn, box, LEVELS[int(origins.mask_level[i])], close),
        Figure("Pasted", close, _paste_note(view, drawn), ground="result"),
    )
    return Way(i, view.caption(i), view.colour(i), steps, bars_of(view, proposal), heat(drawn, 0, 1))


def _anchor_step(view: View, i: int, candidate: int, close: tuple[float, float, float, float]) -> Figure:
    if candidate < 0:
        return Figure("Anchor", close, "none: the proposal fills an empty place, as this model's settings want it")
    origins, part = view.trace.origins, view.trace["candidates"]
    box = part["anchors"][candidate]
    row, column = origins.cell[i].tolist()
    rank = int((part["logits"] > part["logits"][candidate]).sum()) + 1
    note = (
        f"{LEVELS[int(origins.level[i])]}, row {row}, column {column}, shape {int(origins.shape[i]) + 1} of "
        f"{view.config.anchors.per_cell}: {box[2] - box[0]:.0f} {TIMES} {box[3] - box[1]:.0f} px, objectness "
        f"{float(sigmoid(part['logits'][candidate])):.3f}, number {rank:,} of {len(part['logits']):,}"
    )
    return Figure("Anchor", close, note, [Shape(rect(box), "anchor", "the anchor")])


def _proposal_step(view: View, proposal: int, candidate: int, close: tuple[float, float, float, float]) -> Figure:
    boxes = view.tensor("proposals", "boxes")
    after = Shape(rect(boxes[proposal]), "moved", "the proposal")
    note = f"number {proposal + 1:,} of {len(boxes):,} after suppression"
    if candidate < 0:
        return Figure("Proposal", close, note, [after])
    anchor = view.tensor("candidates", "anchors")[candidate]
    grown = (boxes[proposal][2:] - boxes[proposal][:2]) / np.maximum(anchor[2:] - anchor[:2], 1e-6)
    note = f"{grown[0]:.2f} times as wide and {grown[1]:.2f} times as high as the anchor; {note}"
    return Figure("Proposal", close, note, [Shape(rect(anchor), "anchor", "the anchor"), after])


def _region_step(view: View, proposal: int, close: tuple[float, float, float, float]) -> Figure:
    box = view.tensor("proposals", "boxes")[proposal]
    level, head = int(view.tensor("regions", "level")[proposal]), view.config.box_head
    dots = cells_read(view, box, level, head.pool, head.sampling_ratio)
    x, y = (np.linspace(box[k], box[k + 2], head.pool + 1).tolist() for k in (0, 1))
    grid = [Line((at, y[0], at, y[-1])) for at in x] + [Line((x[0], at, x[-1], at)) for at in y]
    samples = f"{head.sampling_ratio} {TIMES} {head.sampling_ratio}" if head.sampling_ratio else "one a cell:"
    bins = f"{head.pool} {TIMES} {head.pool} bins, {samples} samples each"
    note = f"cut from {LEVELS[level]}: {bins}; {len(dots)} cells are read, the brighter the more they count"
    return Figure("Region", close, note, lines=grid, dots=dots)


def cells_read(view: View, box: NDArray[np.floating], level: int, bins: int, sampling_ratio: int) -> list[Dot]:
    """List the cells of a level that a region reads, as the model's own sampler takes them.

    Args:
        view: The trace.
        box: (4) float x1, y1, x2, y2.
        level: 0 for P2.
        bins: Of the region, a side.
        sampling_ratio: Samples a side of a bin.
    """
    features = [torch.from_numpy(view.tensor("pyramid", name)[None, :1]) for name in LEVELS[:ROI_LEVELS]]
    table = build_table(features, STRIDES[:ROI_LEVELS])
    region = torch.from_numpy(np.asarray(box, dtype=np.float32))[None]
    zero = torch.zeros(1, dtype=torch.int64)
    bags = SAMPLERS[view.config.regions.sampler](table, region, zero, zero + level, bins, sampling_ratio)
    weight = torch.zeros(sum(each.numel() for each in features)).index_add_(0, bags.row.long(), bags.weight)
    read = (weight > 0).nonzero()[:, 0]
    place, stride = (read - table.start[level]).numpy(), STRIDES[level]
    columns = int(table.shape_hw[level, 1])
    share = (weight[read] / weight.max()).tolist() if len(read) else []
    x, y = (place % columns + 0.5) * stride, (place // columns + 0.5) * stride
    return [Dot(*each) for each in zip(x.tolist(), y.tolist(), share, strict=True)]


def _box_step(
    view: View, i: int, region: NDArray[Any], box: NDArray[Any], close: tuple[float, float, float, float]
) -> Figure:
    shapes = [
        Shape(rect(region), "anchor", "the region"),
        Shape(rect(box), "found", view.caption(i), (), view.colour(i)),
    ]
    moved = np.abs((box - region).reshape(2, 2)).max(axis=0)
    return Figure("Box", close, f"moved by at most {moved[0]:.1f} px across and {moved[1]:.1f} px down", shapes)


def _suppression_step(
    view: View, i: int, slot: int, by: NDArray[np.int64], close: tuple[float, float, float, float]
) -> Figure:
    part = view.trace["detections"]
    gone = (by == slot).nonzero()[0]
    shapes = [
        Shape(rect(part["boxes"][j]), "dropped", f"{part['scores'][j]:.2f}") for j in gone[:MOST_DROPPED].tolist()
    ]
    shapes.append(Shape(rect(part["boxes"][part["kept"][slot]]), "found", view.caption(i), (), view.colour(i)))
    note = (
        f"{len(gone)} worse boxes of the class went for it"
        if len(gone) != 1
        else "1 worse box of the class went for it"
    )
    return Figure("Suppression", close, note, shapes)


def _mask_step(
    drawn: NDArray[np.floating], box: NDArray[Any], level: str, close: tuple[float, float, float, float]
) -> Figure:
    side = len(drawn)
    note = f"{side} {TIMES} {side} probabilities, cut from {level}: {drawn.min():.2f} to {drawn.max():.2f}"
    return Figure("Mask", close, note, maps=[Map(heat(drawn, 0, 1), rect(box), 0.85)])


def _paste_note(view: View, drawn: NDArray[np.floating]) -> str:
    threshold = view.config.mask_head.threshold
    return f"pixels from a probability of {threshold:g} up, {100 * (drawn >= threshold).mean():.0f} % of the cells"
