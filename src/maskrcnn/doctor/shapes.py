"""What can be wrong with the geometry of single objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Runs
from maskrcnn.data.findings import Finding
from maskrcnn.doctor.columns import Columns
from maskrcnn.doctor.crossing import crossing
from maskrcnn.ops.polygons import rasterise, signed_area
from maskrcnn.ops.rle import Bitmap

BORDER = 2.0
"""Pixels by which an outline may pass the border, and a stated box its mask, without a word."""

SHORT_EDGE = 800
"""Pixels of the short edge of a picture in training, at most, as the presets choose it."""

_LEAST_SIDE = 1.95  # pixels; what is said is rounded
_PARTS, _PART, _HOLES = 10, 32, 30
_DRAWN = 2000  # pixels of a side at which a crossing is measured

Check = Callable[[Columns], Iterator[Finding]]


def _over_border(columns: Columns) -> Iterator[Finding]:
    extent, size = columns.extent, columns.size_hw
    beyond = np.maximum(-extent[:, :2], extent[:, 2:] - size[:, ::-1]).max(axis=1)
    whole = (extent[:, 2:] - extent[:, :2]).clip(1e-9)
    inside = (np.minimum(extent[:, 2:], size[:, ::-1]) - extent[:, :2].clip(0)).clip(0)
    share = (inside / whole).prod(axis=1)
    for row in np.flatnonzero(beyond > BORDER).tolist():
        picture = f"the picture of {_by(columns.size_hw[row])} (height x width)"
        if share[row] < 0.5:
            yield columns.finding("G208", row, f"{1 - share[row]:.0%} of it lies outside of {picture}")
        else:
            yield columns.finding("G207", row, f"reaches {beyond[row]:.0f} pixels over the border of {picture}")


def _tiny(columns: Columns) -> Iterator[Finding]:
    inside = columns.extent.copy()
    inside[:, :2] = inside[:, :2].clip(0)
    inside[:, 2:] = np.minimum(inside[:, 2:], columns.size_hw[:, ::-1])
    shrunk = np.minimum(1, SHORT_EDGE / columns.size_hw.min(axis=1))
    sides = (inside[:, 2:] - inside[:, :2]) * shrunk[:, None]
    for row in np.flatnonzero((sides.min(axis=1) < _LEAST_SIDE) & ~columns.crowd & ~_on_a_line(columns)).tolist():
        w, h = sides[row]
        yield columns.finding("G209", row, f"{w:.1f}x{h:.1f} pixels (width x height) at training size")


def _on_a_line(columns: Columns) -> NDArray[np.bool_]:
    """Say of each object whether it has an outline and all corners of it lie on one line."""
    found = np.zeros(len(columns), dtype=np.bool_)
    outlines = columns.rings
    if len(outlines):
        for ring in np.flatnonzero(np.abs(outlines.areas) < 1e-6).tolist():
            corners = outlines.rings[ring]
            spread = np.linalg.svd(corners - corners.mean(axis=0), compute_uv=False)
            found[outlines.owner[ring]] = spread[-1] < 1e-6
        found &= columns.area < 1e-6
    return found


def _lines(columns: Columns) -> Iterator[Finding]:
    for row in np.flatnonzero(_on_a_line(columns)).tolist():
        corners = sum(len(columns.rings.rings[i]) for i in np.flatnonzero(columns.rings.owner == row))
        yield columns.finding("G206", row, f"{corners} corners on one line have no area")


def _box_disagrees(columns: Columns) -> Iterator[Finding]:
    box, extent = columns.stated_box, columns.extent
    clipped = extent.copy()
    clipped[:, :2] = clipped[:, :2].clip(0)
    clipped[:, 2:] = np.minimum(clipped[:, 2:], columns.size_hw[:, ::-1])
    off = np.minimum(np.abs(box - extent).max(axis=1), np.abs(box - clipped).max(axis=1))
    corners = np.abs(np.concatenate([box[:, :2], box[:, 2:] - box[:, :2]], axis=1) - extent).max(axis=1) <= BORDER
    for row in np.flatnonzero((off > BORDER) & columns.masked).tolist():
        hint = ": are these corners instead of width and height?" if corners[row] else ""
        yield columns.finding(
            "G213",
            row,
            f"expected x1, y1, x2, y2 of {_listed(extent[row])} as the mask's, got {_listed(box[row])}{hint}",
        )


def _area_disagrees(columns: Columns) -> Iterator[Finding]:
    stated, area = columns.stated_area, columns.area
    sides = columns.extent[:, 2:] - columns.extent[:, :2]
    # outlines enclose other areas than the pixels they fill, by about half a pixel along their length
    slack = 0.1 * np.maximum(stated, area) + sides.sum(axis=1)
    for row in np.flatnonzero((np.abs(stated - area) > slack) & columns.masked & ~columns.crowd).tolist():
        bitmap = columns.bitmap(row)
        assert bitmap is not None
        pixels = np.count_nonzero(bitmap.pixels)
        if abs(stated[row] - pixels) > slack[row]:
            yield columns.finding("G214", row, f"expected {pixels:,} pixels as the mask's, got {stated[row]:,.0f}")


def _covering(columns: Columns) -> Iterator[Finding]:
    share = columns.area / columns.size_hw.prod(axis=1)
    for row in np.flatnonzero((share >= 0.95) & ~columns.crowd).tolist():
        yield columns.finding("G219", row, f"covers {min(share[row], 1):.0%} of the picture")


def _self_crossing(columns: Columns) -> Iterator[Finding]:
    outlines = columns.rings
    told = -1
    for ring in np.flatnonzero(crossing(outlines.rings)).tolist():
        row = int(outlines.owner[ring])
        enclosed, filled = _enclosed_and_filled(outlines.rings[ring])
        if row != told and abs(filled - enclosed) > max(6.0, 0.05 * max(filled, enclosed)):
            told = row
            yield columns.finding(
                "G215", row, f"its lines cross; it encloses {enclosed:,.0f} and fills {filled:,.0f} pixels"
            )


def _enclosed_and_filled(ring: NDArray[np.float64]) -> tuple[float, float]:
    """Compare the area that a ring's turns enclose with the pixels inside of it, wherever it lies."""
    low = ring.min(axis=0)
    scale = min(1.0, _DRAWN / float((ring.max(axis=0) - low).max()))
    moved = (ring - low) * scale
    w, h = np.ceil(moved.max(axis=0)).astype(np.int64).tolist()
    filled = np.count_nonzero(rasterise([moved], (h + 1, w + 1)).pixels)
    return abs(signed_area(moved)) / scale**2, filled / scale**2


def _specks(columns: Columns) -> Iterator[Finding]:
    parts = np.bincount(columns.rings.owner, minlength=len(columns))
    width = np.nan_to_num(columns.extent[:, 2] - columns.extent[:, 0])
    suspicious = (parts >= _PARTS) | (columns.runs > 2 * width + _PARTS)
    for row in np.flatnonzero(suspicious & ~columns.crowd).tolist():
        bitmap = columns.bitmap(row)
        if bitmap is None or not bitmap.pixels.any():
            continue
        surplus, pixels = _parts_less_holes(bitmap), np.count_nonzero(bitmap.pixels)
        if surplus >= _PARTS and pixels < _PART * surplus:
            yield columns.finding("G216", row, f"at least {surplus} parts of {pixels / surplus:.0f} pixels each")
        elif surplus <= -_HOLES and pixels < 4 * _PART * -surplus:
            yield columns.finding("G216", row, f"at least {-surplus} holes in {pixels:,} pixels")


def _parts_less_holes(bitmap: Bitmap) -> int:
    """Return the number of parts less that of holes, where pixels that touch at a corner are one part.

    References: Gray, Local properties of binary images in two dimensions (Euler number from 2x2 windows).

    >>> _parts_less_holes(Bitmap(0, 0, np.array([[1, 1, 1, 0, 1], [1, 0, 1, 0, 0], [1, 1, 1, 0, 1]], dtype=bool)))
    2
    """
    framed = np.pad(bitmap.pixels, 1).astype(np.int8)
    a, b, c, d = framed[:-1, :-1], framed[:-1, 1:], framed[1:, :-1], framed[1:, 1:]
    total = a + b + c + d
    diagonal = np.count_nonzero((total == 2) & (a == d))
    return int(np.count_nonzero(total == 1) - np.count_nonzero(total == 3) - 2 * diagonal) // 4


def _empty_masks(columns: Columns) -> Iterator[Finding]:
    for row, each in enumerate(columns.annotations):
        if isinstance(each.shape, Runs) and not each.shape.pixels:
            yield columns.finding("G204", row, "its run lengths set no pixel")


def _box_among_masks(columns: Columns) -> Iterator[Finding]:
    masked = np.bincount(columns.picture, weights=columns.masked, minlength=len(columns.records))
    objects = np.bincount(columns.picture, minlength=len(columns.records))
    for picture in np.flatnonzero((masked > 0) & (masked < objects)).tolist():
        row = int(np.flatnonzero((columns.picture == picture) & ~columns.masked)[0])
        boxes, of = objects[picture] - int(masked[picture]), objects[picture]
        yield columns.finding("G218", row, f"{boxes} of {of} objects of the picture have a box only")


QUICK: tuple[Check, ...] = (
    _over_border,
    _tiny,
    _lines,
    _box_disagrees,
    _area_disagrees,
    _covering,
    _empty_masks,
    _box_among_masks,
)
"""Checks that cost a few array operations."""

THOROUGH: tuple[Check, ...] = (_self_crossing, _specks)
"""Checks that compare every edge with every other, or draw masks."""


def _by(size_hw: NDArray[np.float64]) -> str:
    return f"{size_hw[0]:.0f}x{size_hw[1]:.0f}"


def _listed(box: NDArray[np.float64]) -> str:
    return ", ".join(f"{edge:.6g}" for edge in box)
