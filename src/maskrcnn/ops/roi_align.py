"""RoIAlign as a weighted gather: all levels and pictures in one table, every output bin one weighted sum of its rows.

A bin is the mean of sample points, a sample point the bilinear mix of four cells, so a bin is a bag of (row, weight)
pairs and `embedding_bag` sums it; the gradient is the library's.

References: Mask R-CNN (1703.06870), section 3, RoIAlign. FPN (1612.03144), equation 1, for the level.
Letters: B pictures, L levels, C channels, H, W cells of a level, T rows of the table, R regions, P bins a side,
S samples a side of a bin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Table(NamedTuple):
    """A feature pyramid laid out as rows.

    Attributes:
        rows: (T, C) float. One row a cell: level after level, picture after picture, row-major.
        start: (L) int64. First row of each level.
        shape_hw: (L, 2) int64. Cells of each level.
        stride: (L) float32. Pixels a cell.
    """

    rows: Tensor
    start: Tensor
    shape_hw: Tensor
    stride: Tensor


def build_table(features: Sequence[Tensor], strides: Sequence[int]) -> Table:
    """Lay the levels of a pyramid out as one table of rows.

    Args:
        features: L of (B, C, H, W) float. No copy is needed first where they are channels-last.
        strides: L pixels a cell.
    """
    B = features[0].shape[0]
    rows = torch.cat([level.permute(0, 2, 3, 1).flatten(0, 2) for level in features])
    shapes = [(level.shape[2], level.shape[3]) for level in features]
    starts = [sum(B * h * w for h, w in shapes[:i]) for i in range(len(shapes))]
    device = rows.device
    return Table(
        rows,
        torch.tensor(starts).to(device, non_blocking=True),
        torch.tensor(shapes).to(device, non_blocking=True),
        torch.tensor(strides, dtype=torch.float32).to(device, non_blocking=True),
    )


def assign_levels(boxes: Tensor, levels: int) -> Tensor:
    """Choose the pyramid level of each region, 0 for P2 (FPN, equation 1 with k0 = 4).

    Args:
        boxes: (..., 4) float x1, y1, x2, y2. In pixels.
        levels: Number of levels to choose from.

    Returns:
        (...) int64 in [0, levels).

    >>> assign_levels(torch.tensor([[0.0, 0, s, s] for s in (40, 111, 112, 224, 448)]), 4)
    tensor([0, 0, 1, 2, 3])
    """
    size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
    side = torch.sqrt(size[..., 0] * size[..., 1])
    level = torch.floor(4 + torch.log2(side / 224 + 1e-8)) - 2
    return level.clamp(0, levels - 1).to(torch.int64)


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


def _geometry(table: Table, boxes: Tensor, picture: Tensor, level: Tensor, bins: int) -> _Geometry:
    cells = table.shape_hw[level].flip(-1)  # x, y as in boxes
    scaled = boxes.to(torch.float32) / table.stride[level][:, None]
    base = table.start[level] + picture * cells[:, 0] * cells[:, 1]
    return _Geometry(scaled[:, :2] - 0.5, (scaled[:, 2:] - scaled[:, :2]) / bins, cells, base)


def _axes(g: _Geometry, bins: int, samples: Tensor, most: int) -> tuple[_Axis, _Axis]:
    x = _axis(g.low[:, 0], g.bin_size[:, 0], g.cells[:, 0], bins, samples[:, 0], most)
    y = _axis(g.low[:, 1], g.bin_size[:, 1], g.cells[:, 1], bins, samples[:, 1], most)
    return x, y


def _bags(g: _Geometry, bins: int, samples: int) -> tuple[Tensor, Tensor]:
    """List rows and weights of all bins with a fixed number of samples: (R·P·P, 4·S·S) each."""
    fixed = torch.full_like(g.cells, samples)
    x, y = _axes(g, bins, fixed, samples)
    line = g.base[:, None, None] + y.cell * g.cells[:, 0, None, None]
    row = line[:, :, None, :, None] + x.cell[:, None, :, None, :]
    weight = y.weight[:, :, None, :, None] * x.weight[:, None, :, None, :]
    bags, size = row.shape[0] * bins * bins, 4 * samples * samples
    return row.reshape(bags, size), weight.reshape(bags, size)


def _adaptive_bags(g: _Geometry, bins: int) -> tuple[Tensor, Tensor, Tensor]:
    """List rows and weights where each bin has a sample a cell: two flat arrays and where each bag begins."""
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
    return row, weight, start


def roi_align(table: Table, boxes: Tensor, picture: Tensor, level: Tensor, bins: int, sampling_ratio: int) -> Tensor:
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

    Returns:
        (R, C, P, P) float, channels-last in memory.
    """
    rows = table.rows
    geometry = _geometry(table, boxes.detach(), picture, level, bins)
    if sampling_ratio:
        row, weight = _bags(geometry, bins, sampling_ratio)
        pooled = F.embedding_bag(row, rows, mode="sum", per_sample_weights=weight.to(rows.dtype))
    else:
        row, weight, start = _adaptive_bags(geometry, bins)
        pooled = F.embedding_bag(row, rows, start, mode="sum", per_sample_weights=weight.to(rows.dtype))
    return pooled.view(len(boxes), bins, bins, rows.shape[1]).permute(0, 3, 1, 2)
