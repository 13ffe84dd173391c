"""Time the operators against a plain way of doing the same; writes `bench/ops.md`.

Every row is one comparison: the two sides take turns in one process, and the medians and their ratio are printed.
Results are compared before anything is timed.

    python bench/ops.py [--repetitions 7] [--out bench/ops.md] [--peer torchvision --peer-python PATH]
    OMP_NUM_THREADS=1 python bench/ops.py

With one thread processor time is taken, which other work on the machine disturbs little.

Letters: R regions, N boxes or masks, C channels, H, W height and width, P bins a side, S samples a side of a bin.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from torch import Tensor
from torch.nn import functional as F

from machine import describe, table
from maskrcnn.ops.boxes import iou
from maskrcnn.ops.nms import nms
from maskrcnn.ops.paste import paste
from maskrcnn.ops.polygons import rasterise
from maskrcnn.ops.rle import Bitmap, encode_each
from maskrcnn.ops.roi_align import assign_levels, build_table, roi_align
from peers.side import PAUSE, SCRIPTS, Job, Side, peers_of

STRIDES = (4, 8, 16, 32)
PICTURE_HW = (800, 1344)
LARGE_HW = (3000, 4000)
BINS, SAMPLES = 7, 2
SUBSET = 10  # masks that a slow reference is timed on


class Row(NamedTuple):
    """One comparison; times in seconds, `aim` the largest ratio that was promised."""

    what: str
    reference: str
    ours: float
    theirs: float
    aim: float | None = None

    def cells(self) -> list[str]:
        """Write the row of a table."""
        ratio = self.ours / self.theirs
        verdict = "" if self.aim is None else f"≤ {self.aim:.2f}: {'met' if ratio <= self.aim else 'MISSED'}"
        times = [f"{1000 * seconds:.2f}" for seconds in (self.ours, self.theirs)]
        return [self.what, self.reference, *times, f"{ratio:.3f}", verdict]


def take_turns(
    ours: Callable[[], object], theirs: Callable[[], object], repetitions: int, scale: float = 1.0
) -> tuple[float, float]:
    """Run the two sides in turn, once to warm up; return the medians, theirs multiplied by `scale`."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(repetitions + 1):
        for side, work in zip(times, (ours, theirs), strict=True):
            start = clock()
            work()
            if turn:
                side.append(clock() - start)
    return statistics.median(times[0]), statistics.median(times[1]) * scale


# RoIAlign


def spread_boxes(count: int, size_hw: tuple[int, int], sides: tuple[float, float], seed: int = 0) -> Tensor:
    """Draw boxes inside a picture: sides log-uniform, height / width between 1/2 and 2."""
    generator = torch.Generator().manual_seed(seed)
    low, high = np.log(sides)
    side = torch.exp(torch.rand(count, generator=generator) * (high - low) + low)
    aspect = torch.exp((torch.rand(count, generator=generator) * 2 - 1) * np.log(2))
    size = torch.stack([side / aspect.sqrt(), side * aspect.sqrt()], dim=1)
    size = torch.minimum(size, torch.tensor([size_hw[1], size_hw[0]]))
    corner = torch.rand(count, 2, generator=generator) * (torch.tensor([size_hw[1], size_hw[0]]) - size)
    return torch.cat([corner, corner + size], dim=1)


def pyramid(channels: int = 256) -> list[Tensor]:
    """Make P2 to P5 of one picture: (1, C, H/4, W/4) to (1, C, H/32, W/32)."""
    generator = torch.Generator().manual_seed(1)
    sizes = [(PICTURE_HW[0] // stride, PICTURE_HW[1] // stride) for stride in STRIDES]
    return [torch.randn(1, channels, h, w, generator=generator) for h, w in sizes]


def sample_points(low: Tensor, high: Tensor, cells: int, bins: int) -> Tensor:
    """Return (R, P·S) the samples along an axis in the coordinates of `grid_sample`."""
    share = (torch.arange(bins * SAMPLES) + 0.5) / (bins * SAMPLES)
    return (low[:, None] + share * (high - low)[:, None]) / cells * 2 - 1


def grid_roi_align(features: Sequence[Tensor], boxes: Tensor, level: Tensor, bins: int, lanes: int) -> Tensor:
    """Do RoIAlign by `grid_sample`: a level's boxes in one call on that level, then the mean of each bin's samples.

    Args:
        features: L of (1, C, H, W).
        boxes: (R, 4).
        level: (R) int64.
        bins: P.
        lanes: The boxes of a level are dealt out to so many views of the one picture; `grid_sample` uses one core a
            picture.

    Returns:
        (R, C, P, P).
    """
    C, side = features[0].shape[1], bins * SAMPLES
    pooled, order = [], []
    for i, feature in enumerate(features):
        index = (level == i).nonzero()[:, 0]
        padded = torch.cat([index, index[:1].expand(-len(index) % lanes)])
        here = boxes[padded] / STRIDES[i]
        x = sample_points(here[:, 0], here[:, 2], feature.shape[3], bins)[:, None, :].expand(-1, side, -1)
        y = sample_points(here[:, 1], here[:, 3], feature.shape[2], bins)[:, :, None].expand(-1, -1, side)
        grid = torch.stack([x, y], dim=-1).view(lanes, -1, side, 2)
        picture = feature.expand(lanes, -1, -1, -1)
        sampled = F.grid_sample(picture, grid, padding_mode="border", align_corners=False)  # (lanes, C, R·P·S, P·S)
        means = F.avg_pool2d(sampled, SAMPLES).view(lanes, C, -1, bins, bins).transpose(1, 2)
        pooled.append(means.reshape(-1, C, bins, bins)[: len(index)])
        order.append(index)
    return torch.cat(pooled)[torch.cat(order).argsort()]


def gather_roi_align(features: Sequence[Tensor], boxes: Tensor, level: Tensor, bins: int) -> Tensor:
    """Do it as the model does."""
    return roi_align(build_table(features, STRIDES), boxes, torch.zeros_like(level), level, bins, SAMPLES)


def learn(pool: Callable[[Sequence[Tensor]], Tensor], features: list[Tensor], gradient: Tensor) -> list[Tensor]:
    """Run forward and backward; the gradients come in the layout of the features."""
    gradients = torch.autograd.grad(pool(features), features, gradient)
    return [g.contiguous() if f.is_contiguous() else g for f, g in zip(features, gradients, strict=True)]


def roi_align_rows(repetitions: int) -> list[Row]:
    """Compare RoIAlign forward, and forward and backward, for 1000 boxes 7x7x256 over P2 to P5."""
    boxes = spread_boxes(1000, PICTURE_HW, (24, 800))
    features = pyramid()
    level = assign_levels(boxes, build_table(features, STRIDES))
    rows = [f.contiguous(memory_format=torch.channels_last) for f in features]
    gradient = torch.randn(len(boxes), features[0].shape[1], BINS, BINS, generator=torch.Generator().manual_seed(2))

    def ours(given: Sequence[Tensor]) -> Tensor:
        return gather_roi_align(given, boxes, level, BINS).contiguous()

    def ours_as_used(given: Sequence[Tensor]) -> Tensor:
        return gather_roi_align(given, boxes, level, BINS)

    def theirs(given: Sequence[Tensor]) -> Tensor:
        return grid_roi_align(given, boxes, level, BINS, 1)

    def theirs_on_all_cores(given: Sequence[Tensor]) -> Tensor:
        return grid_roi_align(given, boxes, level, BINS, torch.get_num_threads())

    for way in (theirs, theirs_on_all_cores):
        assert torch.allclose(ours(features), way(features), atol=2e-4)
    leaves, leaf_rows = ([f.clone().requires_grad_() for f in given] for given in (features, rows))
    for a, b in zip(learn(ours, leaves, gradient), learn(theirs, leaves, gradient), strict=True):
        assert torch.allclose(a, b, atol=2e-3)

    name = f"RoIAlign 1000 boxes {BINS}x{BINS}x256"
    levels = level.bincount(minlength=len(STRIDES)).tolist()
    print(f"boxes on P2 to P5: {levels}")
    grid, split = "`grid_sample`, one call a level", "the same, boxes dealt out to all cores"
    out = []
    with torch.no_grad():
        for reference, way, aim in ((grid, theirs, 0.30), (split, theirs_on_all_cores, None)):
            pair = take_turns(lambda: ours(features), lambda way=way: way(features), repetitions)
            out.append(Row(f"{name}, forward, NCHW to NCHW", reference, *pair, aim))
        pair = take_turns(lambda: ours_as_used(rows), lambda: theirs(rows), repetitions)
        out.append(Row(f"{name}, forward, channels last to channels last", grid, *pair))
    for reference, way, aim in ((grid, theirs, 0.20), (split, theirs_on_all_cores, None)):
        pair = take_turns(
            lambda: learn(ours, leaves, gradient), lambda way=way: learn(way, leaves, gradient), repetitions
        )
        out.append(Row(f"{name}, forward and backward, NCHW to NCHW", reference, *pair, aim))
    last = gradient.contiguous(memory_format=torch.channels_last)
    pair = take_turns(
        lambda: learn(ours_as_used, leaf_rows, last), lambda: learn(theirs, leaf_rows, gradient), repetitions
    )
    out.append(Row(f"{name}, forward and backward, channels last to channels last", grid, *pair))
    return out


# NMS


def clustered_boxes(count: int, seed: int = 0) -> Tensor:
    """Draw 20 boxes' worth of near copies: most are suppressed."""
    generator = torch.Generator().manual_seed(seed)
    centre = spread_boxes(20, PICTURE_HW, (60, 300), seed)[torch.randint(0, 20, (count,), generator=generator)]
    side = (centre[:, 2:] - centre[:, :2]).repeat(1, 2)
    return centre + 0.1 * side * torch.randn(count, 4, generator=generator).clamp(-2, 2)


def greedy(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Take the best box, drop what it overlaps, and so on."""
    left = scores.argsort(descending=True, stable=True)
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        left = left[iou(boxes[best][None], boxes[left])[0] <= threshold]
    return torch.stack(kept)


def nms_rows(repetitions: int) -> list[Row]:
    """Compare NMS at IoU 0.7 of clustered and of spread boxes, all survivors wanted."""
    out = []
    for count in (1000, 2000, 6000):
        for kind, boxes in (
            ("clustered", clustered_boxes(count)),
            ("spread", spread_boxes(count, PICTURE_HW, (20, 300))),
        ):
            scores = torch.rand(count, generator=torch.Generator().manual_seed(3))
            out.append(nms_row(f"NMS of {count} boxes, {kind}", boxes, scores, repetitions))
    return out


def nms_row(name: str, boxes: Tensor, scores: Tensor, repetitions: int) -> Row:
    """Compare one case."""
    valid = torch.ones(1, len(boxes), dtype=torch.bool)

    def ours() -> Tensor:
        kept = nms(boxes[None], scores[None], 0.7, valid=valid, limit=len(boxes))
        return kept.indices[kept.valid]

    kept = greedy(boxes, scores, 0.7)
    assert torch.equal(ours(), kept)
    pair = take_turns(ours, lambda: greedy(boxes, scores, 0.7), repetitions)
    return Row(f"{name} ({len(kept)} kept)", "a greedy loop", *pair)


# Masks


def soft_discs(count: int, side: int = 28, seed: int = 0) -> NDArray[np.float32]:
    """Draw (N, M, M) float32 patches as a mask head gives them: wavy discs with soft borders."""
    rng = np.random.default_rng(seed)
    at = (np.arange(side) + 0.5) / side * 2 - 1
    radius, angle = np.hypot(at[:, None], at), np.arctan2(at[:, None], at)
    patches = [
        1 / (1 + np.exp(8 * (radius - rng.uniform(0.6, 1) + 0.2 * np.sin(3 * angle + rng.uniform(0, 6)))))
        for _ in range(count)
    ]
    return np.stack(patches).astype(np.float32)


def grid_paste(patch: NDArray[np.float32], box: NDArray[np.float32], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Sample a patch at every pixel of the picture."""
    x1, y1, x2, y2 = box.tolist()
    x = (torch.arange(size_hw[1]) + 0.5 - x1) / (x2 - x1) * 2 - 1
    y = (torch.arange(size_hw[0]) + 0.5 - y1) / (y2 - y1) * 2 - 1
    grid = torch.stack([x.expand(len(y), -1), y[:, None].expand(-1, len(x))], dim=-1)
    sampled = F.grid_sample(torch.from_numpy(patch)[None, None], grid[None], align_corners=False)[0, 0]
    dense: NDArray[np.bool_] = (sampled >= 0.5).numpy()
    return dense


def coco_encode(bitmap: Bitmap, size_hw: tuple[int, int]) -> str:
    """Encode a mask by pycocotools from a dense plane, drawn in the order that it wants."""
    plane = np.zeros(size_hw, dtype=np.uint8, order="F")
    h, w = bitmap.pixels.shape
    plane[bitmap.y : bitmap.y + h, bitmap.x : bitmap.x + w] = bitmap.pixels
    counts: bytes = coco_mask.encode(plane)["counts"]
    return counts.decode("ascii")


def mask_rows(repetitions: int) -> list[Row]:
    """Compare pasting and run lengths, for two counts of masks on two sizes of picture."""
    out = []
    for count in (100, 300):
        for size_hw, sides in (((1024, 1280), (30, 400)), (LARGE_HW, (50, 1000))):
            out += mask_pair(count, size_hw, sides, repetitions)
    return out


def mask_pair(count: int, size_hw: tuple[int, int], sides: tuple[int, int], repetitions: int) -> list[Row]:
    """Compare paste, and RLE of what was pasted; the references run on a few masks and are scaled up."""
    patches, boxes = soft_discs(count), spread_boxes(count, size_hw, sides).numpy()
    bitmaps = [paste(patch, box, size_hw) for patch, box in zip(patches, boxes, strict=True)]
    some = np.linspace(0, count - 1, SUBSET).astype(np.int64)
    for i in some[:3]:
        plane = grid_paste(patches[i], boxes[i], size_hw)
        x, y, pixels = bitmaps[i]
        assert np.count_nonzero(plane[y : y + pixels.shape[0], x : x + pixels.shape[1]] != pixels) <= 4
    written = encode_each(bitmaps, size_hw)
    assert [written[i]["counts"] for i in some] == [coco_encode(bitmaps[i], size_hw) for i in some]

    place = f"{count} masks of {sides[0]} to {sides[1]} pixels, picture {size_hw[1]}x{size_hw[0]}"
    pasting = take_turns(
        lambda: [paste(patch, box, size_hw) for patch, box in zip(patches, boxes, strict=True)],
        lambda: [grid_paste(patches[i], boxes[i], size_hw) for i in some],
        repetitions,
        count / SUBSET,
    )
    encoding = take_turns(
        lambda: encode_each(bitmaps, size_hw),
        lambda: [coco_encode(bitmaps[i], size_hw) for i in some],
        repetitions,
        count / SUBSET,
    )
    return [
        Row(f"paste {place}", "`grid_sample` over the whole picture ¹", *pasting),
        Row(f"RLE of {place}", "pycocotools from dense planes ¹", *encoding),
    ]


def star(centre: NDArray[np.float64], radius: float, corners: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a ring (V, 2) float64 round a centre."""
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
    return centre + radius * rng.uniform(0.5, 1, (corners, 1)) * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def polygon_rows(repetitions: int) -> list[Row]:
    """Compare the rasterising of 200 polygons with 40 corners."""
    out = []
    for size_hw, sides in (((1024, 1280), (30, 400)), (LARGE_HW, (50, 1000))):
        rng = np.random.default_rng(4)
        boxes = spread_boxes(200, size_hw, sides).numpy().astype(np.float64)
        rings = [star((b[:2] + b[2:]) / 2, (b[2:] - b[:2]).min() / 2, 40, rng) for b in boxes]

        def theirs(ring: NDArray[np.float64], size_hw: tuple[int, int] = size_hw) -> NDArray[np.uint8]:
            plane: NDArray[np.uint8] = coco_mask.decode(coco_mask.frPyObjects([ring.ravel().tolist()], *size_hw)[0])
            return plane

        for ring in rings[:5]:
            x, y, pixels = rasterise([ring], size_hw)
            plane = theirs(ring)
            assert plane.sum() == pixels.sum()
            assert np.array_equal(plane[y : y + pixels.shape[0], x : x + pixels.shape[1]], pixels)
        pair = take_turns(
            lambda rings=rings, size_hw=size_hw: [rasterise([ring], size_hw) for ring in rings],
            lambda rings=rings, theirs=theirs: [theirs(ring) for ring in rings[:: len(rings) // SUBSET]],
            repetitions,
            len(rings) / SUBSET,
        )
        name = f"rasterise 200 polygons, 40 corners, {sides[0]} to {sides[1]} pixels, picture {size_hw[1]}x{size_hw[0]}"
        out.append(Row(name, "pycocotools to dense planes ¹", *pair))
    return out


# Against torchvision's compiled operators


SCRIPTS["operators"] = "torchvision_ops.py"
RUNS = 2  # of a side in its turn; the first wakes the caches up


def take_turns_with(ours: Callable[[], object], theirs: Job, repetitions: int) -> tuple[float, float]:
    """Run ours here and theirs in its own interpreter, a few times each in a turn; return the medians."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repetitions):
        time.sleep(PAUSE)
        for run in range(RUNS):
            start = clock()
            ours()
            times[0].extend([clock() - start] if run else [])
        time.sleep(PAUSE)
        for run in range(RUNS):
            seconds = theirs.run().seconds
            times[1].extend([seconds] if run else [])
    return statistics.median(times[0]), statistics.median(times[1])


def compiled_rows(python: str, repetitions: int) -> Iterator[Row]:
    """Compare NMS and RoIAlign with torchvision's."""
    with Side("operators", python, torch.get_num_threads()) as side:
        for count in (1000, 2000, 6000):
            for kind, boxes in (
                ("clustered", clustered_boxes(count)),
                ("spread", spread_boxes(count, PICTURE_HW, (20, 300))),
            ):
                scores = torch.rand(count, generator=torch.Generator().manual_seed(3))
                for threshold in (0.5, 0.7):
                    name = f"NMS of {count} boxes, {kind}, IoU {threshold}"
                    yield compiled_nms(side, name, boxes, scores, threshold, count, repetitions)
        yield compiled_levels(side, repetitions)
        yield compiled_classes(side, repetitions)
        for count, bins in ((1000, 7), (100, 14)):
            for rows in (False, True):
                for backward in (False, True):
                    yield compiled_roi_align(side, count, bins, rows, backward, repetitions)


def compiled_nms(
    side: Side,
    name: str,
    boxes: Tensor,
    scores: Tensor,
    threshold: float,
    limit: int,
    repetitions: int,
    groups: Tensor | None = None,
) -> Row:
    """Compare one row of boxes."""
    arrays = {"boxes": boxes.numpy(), "scores": scores.numpy()} | ({} if groups is None else {"groups": groups.numpy()})
    job = side.make("nms", arrays, iou=threshold, limit=limit)
    valid, own = torch.ones(1, len(boxes), dtype=torch.bool), None if groups is None else groups[None]

    def ours() -> Tensor:
        kept = nms(boxes[None], scores[None], threshold, valid=valid, limit=limit, groups=own)
        return kept.indices[kept.valid]

    kept = job.arrays()["kept"]
    assert np.array_equal(ours().numpy(), kept)
    pair = take_turns_with(ours, job, repetitions)
    job.drop()
    return Row(f"{name} ({len(kept)} kept)", COMPILED, *pair, 1.0)


def compiled_levels(side: Side, repetitions: int) -> Row:
    """Compare NMS of 1000 boxes on each of five levels, as proposals are chosen: rows of one call, or one call."""
    sides = [(24 * 2**level, 48 * 2**level) for level in range(5)]
    boxes = torch.stack([spread_boxes(1000, PICTURE_HW, each, seed) for seed, each in enumerate(sides)])
    boxes[:, 500:] = boxes[:, :500] + torch.randn(5, 500, 4, generator=torch.Generator().manual_seed(5)) * 4
    scores = torch.rand(5, 1000, generator=torch.Generator().manual_seed(3))
    valid = torch.ones(5, 1000, dtype=torch.bool)
    levels = torch.arange(5).repeat_interleave(1000)
    arrays = {"boxes": boxes.flatten(0, 1).numpy(), "scores": scores.flatten().numpy(), "groups": levels.numpy()}
    job = side.make("nms", arrays, iou=0.7, limit=5000)

    def ours() -> Tensor:
        kept = nms(boxes, scores, 0.7, valid=valid, limit=1000)
        return (kept.indices + torch.arange(5)[:, None] * 1000)[kept.valid]

    kept = job.arrays()["kept"]
    assert np.array_equal(np.sort(ours().numpy()), np.sort(kept))
    pair = take_turns_with(ours, job, repetitions)
    job.drop()
    return Row(f"NMS of 5 levels of 1000 boxes, IoU 0.7 ({len(kept)} kept)", COMPILED, *pair, 1.0)


def compiled_classes(side: Side, repetitions: int) -> Row:
    """Compare NMS of 2000 candidates of 90 classes, the best 100 wanted, as detections are chosen."""
    boxes = clustered_boxes(2000)
    generator = torch.Generator().manual_seed(6)
    scores, groups = torch.rand(2000, generator=generator), torch.randint(0, 90, (2000,), generator=generator)
    name = "NMS of 2000 boxes of 90 classes, IoU 0.5, 100 wanted"
    return compiled_nms(side, name, boxes, scores, 0.5, 100, repetitions, groups)


def compiled_roi_align(side: Side, count: int, bins: int, rows: bool, backward: bool, repetitions: int) -> Row:
    """Compare RoIAlign, one box in five beyond the border; `rows` is channels last in and out."""
    layout = torch.channels_last if rows else torch.contiguous_format
    boxes = spread_boxes(count, PICTURE_HW, (24, 800))
    boxes[::5] += torch.tensor([300.0, -200.0]).repeat(2)
    features = [level.contiguous(memory_format=layout) for level in pyramid()]
    level = assign_levels(boxes, build_table(features, STRIDES))
    arrays = {f"p{i + 2}": feature.contiguous().numpy() for i, feature in enumerate(features)}
    arrays |= {"boxes": boxes.numpy(), "level": level.numpy()}
    shape = (count, features[0].shape[1], bins, bins)
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(2)).contiguous(memory_format=layout)
    if backward:
        arrays["gradient"] = gradient.contiguous().numpy()
        features = [feature.requires_grad_() for feature in features]
    job = side.make("roi_align", arrays, bins=bins, samples=SAMPLES, rows=rows)

    def forward() -> list[Tensor]:
        with torch.inference_mode():
            return [gather_roi_align(features, boxes, level, bins).contiguous(memory_format=layout)]

    def learn() -> list[Tensor]:
        pooled = gather_roi_align(features, boxes, level, bins).contiguous(memory_format=layout)
        return [g.contiguous(memory_format=layout) for g in torch.autograd.grad(pooled, features, gradient)]

    ours = learn if backward else forward
    found = job.arrays()
    for mine, name in zip(ours(), sorted(found), strict=True):
        assert np.allclose(mine.numpy(), found[name], atol=2e-3 if backward else 2e-4), (name, count, bins)
    pair = take_turns_with(ours, job, repetitions)
    job.drop()
    way = "forward and backward" if backward else "forward"
    order = "channels last to channels last" if rows else "NCHW to NCHW"
    return Row(f"RoIAlign {count} boxes {bins}x{bins}x256, {way}, {order}", COMPILED, *pair, 1.0)


COMPILED = "torchvision's C++"
HEAD = ["what", "against", "ours, ms", "theirs, ms", "ratio", "aim"]
NOTES = f"""\
Medians, of processor time where there is one thread; both sides take turns in one process; results are compared
before they are timed.
NCHW to NCHW counts every change of layout: of the features, of the result, of both gradients.
Against torchvision's C++, each side works in an interpreter of its own, one at a time, after a pause of {PAUSE} s;
there one box in five of RoIAlign leaves the picture.
Boxes lie inside an 800x1344 picture, sides log-uniform, on the levels that FPN gives them; batch 1, sampling ratio 2.
The reference for RoIAlign samples the boxes of a level on that level only, all in one call, and averages by
`avg_pool2d`.

¹ timed on {SUBSET} of the masks and multiplied.
"""


def main() -> None:
    """Run all comparisons and write the table."""
    parser = argparse.ArgumentParser(description="Time the operators against a plain way of doing the same.")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    parser.add_argument("--peer", action="append", choices=["torchvision"], default=[], help="compare with its C++ too")
    parser.add_argument(
        "--peer-python", action="append", default=[], metavar="PATH", help="the interpreter that has it"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
    peers = [compiled_rows(python, parsed.repetitions) for python in peers_of(parser, parsed).values()]
    plain = (part(parsed.repetitions) for part in (roi_align_rows, nms_rows, mask_rows, polygon_rows))
    rows = []
    for row in chain.from_iterable(chain(peers, plain)):
        print(" | ".join(row.cells()), flush=True)
        rows.append(row.cells())
    text = f"# Operators\n\n{describe(torch.get_num_threads())}\n\n{NOTES}\n{table(HEAD, rows)}"
    parsed.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
