"""RoIAlign as a weighted gather: all levels and pictures in one table, every output bin one weighted sum of its rows.

A bin is the mean of sample points, a sample point the bilinear mix of four cells, so a bin is a bag of (row, weight)
pairs and `embedding_bag` sums it. The gradient of a row is a bag of bins, summed likewise.

References: Mask R-CNN (1703.06870), section 3, RoIAlign. FPN (1612.03144), equation 1, for the level.
Letters: B pictures, L levels, C channels, H, W cells of a level, T rows of the table, R regions, P bins a side,
S samples a side of a bin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

CHANNELS_AT_ONCE = 64  # on a CPU: a part of the table stays in its cache, and the next takes the same memory


class Table(NamedTuple):
    """A feature pyramid seen as one table of rows, one row a cell: level after level, picture after picture.

    Attributes:
        levels: L of (B, C, H, W) float.
        start: (L) int64. First row of each level.
        shape_hw: (L, 2) int64. Cells of each level.
        stride: (L) float32. Pixels a cell.
        padded_hw: Height and width of the padded picture.
    """

    levels: tuple[Tensor, ...]
    start: Tensor
    shape_hw: Tensor
    stride: Tensor
    padded_hw: tuple[int, int]


def build_table(features: Sequence[Tensor], strides: Sequence[int]) -> Table:
    """See the levels of a pyramid as one table of rows.

    Args:
        features: L of (B, C, H, W) float. Fastest where they are channels-last in memory.
        strides: L pixels a cell.
    """
    shapes = [(level.shape[2], level.shape[3]) for level in features]
    starts = [0, *accumulate(_cells(features))][:-1]
    device = features[0].device
    return Table(
        tuple(features),
        torch.tensor(starts).to(device, non_blocking=True),
        torch.tensor(shapes).to(device, non_blocking=True),
        torch.tensor(strides, dtype=torch.float32).to(device, non_blocking=True),
        (shapes[0][0] * strides[0], shapes[0][1] * strides[0]),
    )


class LevelRule(Protocol):
    """A value of `RegionsConfig.level`: the number of a region's pyramid level, not yet held to those there are.

    Args:
        side: (...) float. Of a square of the region's area, in pixels.
        padded_hw: Height and width of the padded picture.
    """

    def __call__(self, side: Tensor, padded_hw: tuple[int, int]) -> Tensor:
        """Return (...) float, 2 for P2."""
        ...


def _floor(side: Tensor, padded_hw: tuple[int, int]) -> Tensor:  # noqa: ARG001  # as every rule
    return torch.floor(4 + torch.log2(side / 224 + 1e-8))


def _floor_after(side: Tensor, padded_hw: tuple[int, int]) -> Tensor:  # noqa: ARG001
    return torch.floor(4 + torch.log2(side / 224) + 1e-6)


def _round(side: Tensor, padded_hw: tuple[int, int]) -> Tensor:
    """Round; the share that the side has is one of a picture which ends on its last pixel."""
    H, W = padded_hw
    whole = math.sqrt(H * W / ((H - 1) * (W - 1)))
    return torch.round(4 + torch.log2(side / (224 / whole)))


LEVEL_RULES: dict[str, LevelRule] = {"floor": _floor, "floor_after": _floor_after, "round": _round}


def assign_levels(boxes: Tensor, table: Table, rule: LevelRule = _floor) -> Tensor:
    """Choose the pyramid level of each region, 0 for P2 (FPN, equation 1 with k0 = 4).

    Args:
        boxes: (..., 4) float x1, y1, x2, y2. In pixels.
        table: The pyramid with the levels to choose from.
        rule: The formula.

    Returns:
        (...) int64 in [0, L).

    >>> table = build_table([torch.zeros(1, 1, 512 // s, 512 // s) for s in (4, 8, 16, 32)], [4, 8, 16, 32])
    >>> boxes = torch.tensor([[0.0, 0, s, s] for s in (40, 111, 112, 224, 448)])
    >>> assign_levels(boxes, table)
    tensor([0, 0, 1, 2, 3])
    >>> assign_levels(boxes, table, LEVEL_RULES["round"])
    tensor([0, 1, 1, 2, 3])
    """
    size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
    side = torch.sqrt(size[..., 0] * size[..., 1])
    level = rule(side, table.padded_hw) - 2
    return level.clamp(0, len(table.levels) - 1).to(torch.int64)


class _Axis(NamedTuple):
    """Cells and weights along one axis: cell (R, P, n) int64, weight (R, P, n) float32."""

    cell: Tensor
    weight: Tensor


def _axis(low: Tensor, bin_size: Tensor, cells: Tensor, bins: int, samples: Tensor, most: int) -> _Axis:
    """Spread the samples of every bin of an axis over its cells.

    Args:
        low: (R) float32. Where the region begins, in cells, half a cell less than in pixels of the level.
        bin_size: (R) float32. In cells.
        cells: (R) int64. Cells of the level along this axis.
        bins: P.
        samples: (R) int64. Samples a bin.
        most: The largest of them, without looking.
    """
    k = torch.arange(most, device=low.device)
    p = torch.arange(bins, device=low.device, dtype=low.dtype)
    within = (k + 0.5) / samples[:, None].to(low.dtype)  # (R, most)
    at = low[:, None, None] + (p[None, :, None] + within[:, None, :]) * bin_size[:, None, None]
    limit = cells[:, None, None]
    counts = (at >= -1) & (at <= limit) & (k < samples[:, None])[:, None, :]
    at = torch.minimum(at.clamp(min=0), (limit - 1).to(at.dtype))
    below = torch.minimum(at.floor().to(torch.int64), limit - 1)
    above = torch.minimum(below + 1, limit - 1)
    upper = at - below
    share = counts / samples[:, None, None].to(at.dtype)
    cell = torch.stack([below, above], dim=-1).flatten(2)
    return _Axis(cell, torch.stack([(1 - upper) * share, upper * share], dim=-1).flatten(2))


class _Geometry(NamedTuple):
    """What the samples of R regions need: corners and bin sizes in cells, first row and cells of their level."""

    low: Tensor
    bin_size: Tensor
    cells: Tensor
    base: Tensor


def _geometry(table: Table, boxes: Tensor, picture: Tensor, level: Tensor, bins: int, shift: float) -> _Geometry:
    cells = table.shape_hw[level].flip(-1)  # x, y as in boxes
    scaled = boxes.to(torch.float32) / table.stride[level][:, None]
    base = table.start[level] + picture * cells[:, 0] * cells[:, 1]
    return _Geometry(scaled[:, :2] - shift, (scaled[:, 2:] - scaled[:, :2]) / bins, cells, base)


def _axes(g: _Geometry, bins: int, samples: Tensor, most: int) -> tuple[_Axis, _Axis]:
    x = _axis(g.low[:, 0], g.bin_size[:, 0], g.cells[:, 0], bins, samples[:, 0], most)
    y = _axis(g.low[:, 1], g.bin_size[:, 1], g.cells[:, 1], bins, samples[:, 1], most)
    return x, y


class _Bags(NamedTuple):
    """The bags of all bins, one behind the other: rows (n) int32, weights (n) float32, first of each bag int32."""

    row: Tensor
    weight: Tensor
    start: Tensor


def _fixed_bags(g: _Geometry, x: _Axis, y: _Axis) -> _Bags:
    """List rows and weights where each bin has the same number of cells, n along x and along y: bags of n·n."""
    line = (g.base[:, None, None] + y.cell * g.cells[:, 0, None, None]).to(torch.int32)
    row = line[:, :, None, :, None] + x.cell.to(torch.int32)[:, None, :, None, :]
    weight = y.weight[:, :, None, :, None] * x.weight[:, None, :, None, :]
    R, P, _, n, _ = row.shape
    start = torch.arange(R * P * P, dtype=torch.int32, device=row.device) * (n * n)
    return _Bags(row.flatten(), weight.flatten(), start)


def _adaptive_bags(g: _Geometry, bins: int) -> _Bags:
    """List rows and weights where each bin has a sample a cell."""
    samples = g.bin_size.ceil().clamp(min=1).to(torch.int64)
    most = int(samples.max()) if samples.numel() else 1
    x, y = _axes(g, bins, samples, most)
    width, size = 2 * samples[:, 0], 4 * samples[:, 0] * samples[:, 1]
    per_bin = size.repeat_interleave(bins * bins)
    start = per_bin.cumsum(0) - per_bin
    bag = torch.arange(len(per_bin), device=size.device).repeat_interleave(per_bin)
    region, p = bag // (bins * bins), bag % (bins * bins)
    k = torch.arange(len(bag), device=size.device) - start[bag]
    in_y, in_x = k // width[region], k % width[region]
    row = g.base[region] + y.cell[region, p // bins, in_y] * g.cells[region, 0] + x.cell[region, p % bins, in_x]
    weight = y.weight[region, p // bins, in_y] * x.weight[region, p % bins, in_x]
    return _Bags(row.to(torch.int32), weight, start.to(torch.int32))


def _mean_bags(g: _Geometry, bins: int, sampling_ratio: int) -> _Bags:
    if not sampling_ratio:
        return _adaptive_bags(g, bins)
    return _fixed_bags(g, *_axes(g, bins, torch.full_like(g.cells, sampling_ratio), sampling_ratio))


def _corner_axis(low: Tensor, high: Tensor, cells: Tensor, last: int, bins: int) -> _Axis:
    """Take one sample a bin from border to border of the regions, the first and the last on it.

    Args:
        low: (R) float32. Where the region begins, in pixels.
        high: (R) float32. Its last pixel.
        cells: (R) int64. Cells of the level along this axis.
        last: The last pixel of the padded picture, which lies on the last cell.
        bins: P.
    """
    low, high, limit = (low / last)[:, None], (high / last)[:, None], (cells - 1)[:, None]
    p = torch.arange(bins, device=low.device, dtype=low.dtype)
    at = low * limit + p * ((high - low) * limit / (bins - 1)) if bins > 1 else 0.5 * (low + high) * limit
    inside = (at >= 0) & (at <= limit)
    at = torch.minimum(at.clamp(min=0), limit.to(at.dtype))
    below = at.floor().to(torch.int64)
    cell = torch.stack([below, torch.minimum(below + 1, limit)], dim=-1)
    upper = at - below
    return _Axis(cell, torch.stack([(1 - upper) * inside, upper * inside], dim=-1))


class Sampler(Protocol):
    """A value of `RegionsConfig.sampler`: which cells each bin of a region takes; arguments as of `roi_align`."""

    def __call__(
        self, table: Table, boxes: Tensor, picture: Tensor, level: Tensor, bins: int, sampling_ratio: int
    ) -> _Bags:
        """List them, bag after bag."""
        ...


def average(table: Table, boxes: Tensor, picture: Tensor, level: Tensor, bins: int, sampling_ratio: int) -> _Bags:
    """Take the mean of bilinear samples at exact places."""
    return _mean_bags(_geometry(table, boxes, picture, level, bins, 0.5), bins, sampling_ratio)


def unaligned(table: Table, boxes: Tensor, picture: Tensor, level: Tensor, bins: int, sampling_ratio: int) -> _Bags:
    """Do the same half a cell further, with regions at least one cell wide and high."""
    g = _geometry(table, boxes, picture, level, bins, 0.0)
    return _mean_bags(g._replace(bin_size=g.bin_size.clamp(min=1 / bins)), bins, sampling_ratio)


def corners(
    table: Table,
    boxes: Tensor,
    picture: Tensor,
    level: Tensor,
    bins: int,
    sampling_ratio: int,  # noqa: ARG001  # as every sampler
) -> _Bags:
    """Take one bilinear sample a bin, on a grid from the first to the last pixel of the region; zero outside.

    The first pixel of the picture lies on the first cell of a level and the last on the last.
    """
    g = _geometry(table, boxes, picture, level, bins, 0.0)
    edges = boxes.to(torch.float32)
    x, y = (
        _corner_axis(edges[:, i], edges[:, i + 2], g.cells[:, i], side - 1, bins)
        for i, side in enumerate(reversed(table.padded_hw))
    )
    return _fixed_bags(g, x, y)


SAMPLERS: dict[str, Sampler] = {"average": average, "unaligned": unaligned, "corners": corners}


def _sum_bags(rows: Tensor, bags: _Bags) -> Tensor:
    """Add up the weighted rows, (T, C), of each bag: (bags, C)."""
    weight = bags.weight.to(rows.dtype)
    return F.embedding_bag(bags.row, rows, bags.start, mode="sum", per_sample_weights=weight)


def _transpose(bags: _Bags, rows: int) -> _Bags:
    """Turn "which rows does a bag take" into "which bags take a row"."""
    row, order = bags.row.sort(stable=True)
    size = torch.diff(bags.start, append=bags.start.new_tensor([len(row)]))
    bag = torch.arange(len(size), dtype=torch.int32).repeat_interleave(size)
    count = row.bincount(minlength=rows)
    return _Bags(bag[order], bags.weight[order], (count.cumsum(0) - count).to(torch.int32))


def _cells(levels: Sequence[Tensor]) -> list[int]:
    return [level.shape[0] * level.shape[2] * level.shape[3] for level in levels]


def rows_of(level: Tensor) -> Tensor:
    """Lay (B, C, H, W) out as (B·H·W, C), without a copy where it is channels-last."""
    return level.permute(0, 2, 3, 1).flatten(0, 2)


def _join(levels: Sequence[Tensor], out: Tensor | None = None) -> Tensor:
    """Lay L of (B, C, H, W) out as (T, C)."""
    return torch.cat([rows_of(level) for level in levels], out=out)


def _gather_by_channels(levels: Sequence[Tensor], bags: _Bags) -> Tensor:
    """Sum bags a few channels at a time: fresh memory is what costs most, so the whole table is never made."""
    width = levels[0].shape[1]
    pooled = levels[0].new_empty(len(bags.start), width)
    room = levels[0].new_empty(sum(_cells(levels)), min(width, CHANNELS_AT_ONCE))
    for first in range(0, width, CHANNELS_AT_ONCE):
        part = slice(first, first + CHANNELS_AT_ONCE)
        rows = _join([level[:, part] for level in levels], out=room[:, : width - first])
        pooled[:, part] = _sum_bags(rows, bags)
    return pooled


class _LearningGather(torch.autograd.Function):
    """`_gather_by_channels` with a gradient, which is the same sum with rows and bags exchanged."""

    @staticmethod
    def forward(ctx: Any, bins: int, row: Tensor, weight: Tensor, start: Tensor, *levels: Tensor) -> Tensor:
        ctx.save_for_backward(row, weight, start)
        ctx.levels = [torch.empty_like(level, device="meta") for level in levels]
        return _as_regions(_gather_by_channels(levels, _Bags(row, weight, start)), bins)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        bags = _transpose(_Bags(*ctx.saved_tensors), sum(_cells(ctx.levels)))
        rows_last = all(level.is_contiguous(memory_format=torch.channels_last) for level in ctx.levels)
        scatter = _scatter_rows if rows_last else _scatter_planes
        return None, None, None, None, *scatter(gradient, bags, ctx.levels)


def _scatter_rows(gradient: Tensor, bags: _Bags, like: Sequence[Tensor]) -> list[Tensor]:
    """Give every cell the weighted sum of its bags: channels-last levels, parts of one table."""
    rows = torch.split(_sum_bags(rows_of(gradient), bags), _cells(like))
    return [
        own.view(-1, *level.shape[2:], level.shape[1]).permute(0, 3, 1, 2)
        for own, level in zip(rows, like, strict=True)
    ]


def _scatter_planes(gradient: Tensor, bags: _Bags, like: Sequence[Tensor]) -> list[Tensor]:
    """Do the same for levels of another layout, a few channels at a time: the result has the usual one."""
    levels = [gradient.new_empty(level.shape) for level in like]
    for first in range(0, gradient.shape[1], CHANNELS_AT_ONCE):
        part = slice(first, first + CHANNELS_AT_ONCE)
        rows = torch.split(_sum_bags(rows_of(gradient[:, part]), bags), _cells(like))
        for level, own in zip(levels, rows, strict=True):
            for picture, its in zip(level[:, part], own.chunk(len(level)), strict=True):
                picture.view(len(picture), -1).copy_(its.t())  # two dimensions are transposed in blocks, four are not
    return levels


def _as_regions(pooled: Tensor, bins: int) -> Tensor:
    """Shape (R·P·P, C) as (R, C, P, P)."""
    return pooled.view(pooled.shape[0] // bins**2, bins, bins, pooled.shape[1]).permute(0, 3, 1, 2)


def _gather(levels: Sequence[Tensor], bags: _Bags, bins: int) -> Tensor:
    """Add up the weighted cells of each bin: (R, C, P, P)."""
    if levels[0].device.type != "cpu" or torch.compiler.is_compiling():
        return _as_regions(_sum_bags(_join(levels), bags), bins)
    if torch.is_grad_enabled() and any(level.requires_grad for level in levels):
        pooled: Tensor = _LearningGather.apply(bins, *bags, *levels)  # type: ignore[no-untyped-call]
        return pooled
    return _as_regions(_gather_by_channels(levels, bags), bins)


def roi_align(
    table: Table,
    boxes: Tensor,
    picture: Tensor,
    level: Tensor,
    bins: int,
    sampling_ratio: int,
    sampler: Sampler = average,
) -> Tensor:
    """Pool regions into a fixed grid of bins, each the mean of bilinear samples at exact places.

    Cell i of a level covers pixels [i, i + 1) times its stride; a sample outside the level by more than one cell is
    zero. No gradient flows to the boxes.

    Args:
        table: The pyramid, from `build_table`.
        boxes: (R, 4) float x1, y1, x2, y2. In pixels; may leave the picture or have no area.
        picture: (R) int64 in [0, B). The picture of each region.
        level: (R) int64 in [0, L). The level of each region, from `assign_levels`.
        bins: P, bins a side.
        sampling_ratio: S, samples a side of each bin; 0 takes one a cell, which waits for the device.
        sampler: Which cells a bin takes, if not these.

    Returns:
        (R, C, P, P) float, channels-last in memory.
    """
    return _gather(table.levels, sampler(table, boxes.detach(), picture, level, bins, sampling_ratio), bins)
