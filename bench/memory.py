"""Measure the memory and time that many objects on a picture of 12 megapixels take; writes `bench/memory.md`.

Every row runs in a fresh process; what it adds is its highest resident memory less what it held before it began.
Linux only: the numbers are read from /proc.

    python bench/memory.py [--peer torchvision --peer-python PATH]

Letters: N objects, H, W height and width.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from machine import describe, show, table
from maskrcnn.config import AnchorConfig
from maskrcnn.data.batches import mask_table, slot_count
from maskrcnn.machine import usable_cores
from maskrcnn.model.anchors import Anchors
from maskrcnn.model.fpn import STRIDES
from maskrcnn.model.mask_targets import covered_cells
from maskrcnn.model.matching import adopt_orphans, match, sample
from maskrcnn.ops.polygons import rasterise
from maskrcnn.structures import Bitmaps, Patches
from peers.given import CLASSES, picture, rings, write_weights
from peers.side import MIB, Job, Side, SideError, add_options, median, peers_of, take_turns
from peers.worker import forget_highest, held, highest, limit_memory

SIZE_HW = (3000, 4000)
DETECTIONS, OBJECTS = 300, 1000
GIB = 1 << 30
LIMIT_GIB = 4  # for the dense row: a guard, so that no machine begins to swap


def measure(work: Callable[[], str]) -> dict[str, Any]:
    """Run a piece of work; say what came of it, the bytes that it added and the seconds that it took."""
    forget_highest()
    before, start = held(), time.perf_counter()
    result = work()
    return {"result": result, "added": highest() - before, "seconds": time.perf_counter() - start}


def patches(
    sides: tuple[float, float], size_hw: tuple[int, int] = SIZE_HW, within_hw: tuple[int, int] = SIZE_HW
) -> Patches:
    """Draw detections as a model gives them: wavy 28x28 discs in boxes with log-uniform sides inside the picture."""
    rng = np.random.default_rng(0)
    at = (np.arange(28) + 0.5) / 14 - 1
    radius, angle = np.hypot(at[:, None], at), np.arctan2(at[:, None], at)
    phase = rng.uniform(0, 6, (DETECTIONS, 1, 1))
    probability = 1 / (1 + np.exp(8 * (radius - 0.8 + 0.2 * np.sin(3 * angle + phase))))
    return Patches(probability.astype(np.float32), boxes(DETECTIONS, sides, within_hw, rng), size_hw)


def boxes(
    count: int, sides: tuple[float, float], size_hw: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw (N, 4) boxes with log-uniform sides inside a picture."""
    size = np.exp(rng.uniform(*np.log(sides), (count, 2)))
    corner = rng.uniform(size=(count, 2)) * (np.array(size_hw[::-1]) - size)
    return np.concatenate([corner, corner + size], axis=1).astype(np.float32)


def quarter() -> Patches:
    """Draw detections that each cover a box of a quarter of the picture."""
    wavy = patches((50, 1000))
    rng = np.random.default_rng(1)
    size = np.array(SIZE_HW[::-1]) / 2
    corner = rng.uniform(size=(DETECTIONS, 2)) * size
    return Patches(wavy.probabilities, np.concatenate([corner, corner + size], axis=1).astype(np.float32), SIZE_HW)


def to_rle(masks: Patches) -> str:
    """Write run lengths straight from the patches."""
    return f"{sum(len(rle['counts']) for rle in masks.rle()) / 1e6:.2f} MB of RLE"


def to_outlines(masks: Patches) -> str:
    """Write outlines straight from the patches."""
    return f"{sum(len(part.exterior) for parts in masks.polygons() for part in parts)} corners"


def to_dense(masks: Patches) -> str:
    """Do it as it is usually done: every mask as float32 over the whole picture, in a process with a limit."""
    limit_memory(LIMIT_GIB)
    planes: list[NDArray[np.float32]] = []
    try:
        for i in range(len(masks)):
            plane = np.full(SIZE_HW, 0, dtype=np.float32)  # zeros would not be in memory yet
            x, y, pixels = masks.crop(i)
            plane[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
            planes.append(plane)
    except MemoryError:
        needed = len(masks) * SIZE_HW[0] * SIZE_HW[1] * 4 / GIB
        return f"out of memory after {len(planes)} masks at a limit of {LIMIT_GIB} more GiB; all need {needed:.1f} GiB"
    return f"{len(planes)} dense masks"


def learn(anchors: bool) -> str:
    """Take objects from outlines to the targets of the mask head, as a training step does."""
    rng = np.random.default_rng(2)
    masks = Bitmaps([rasterise([ring], SIZE_HW) for ring in rings(OBJECTS, SIZE_HW, (20, 600), 2)], SIZE_HW)
    slots = slot_count(OBJECTS)
    sums = mask_table([masks.bitmaps], slots)
    objects, labels = torch.zeros(1, slots, 4), torch.full((1, slots), -1)
    objects[0, :OBJECTS], labels[0, :OBJECTS] = torch.from_numpy(masks.boxes()), 0
    none, keys = torch.zeros(1, 0, 4), torch.tensor([7])
    if anchors:
        shapes = [(-(-SIZE_HW[0] // stride), -(-SIZE_HW[1] // stride)) for stride in STRIDES]
        everywhere = torch.cat(Anchors(AnchorConfig(), STRIDES)(shapes))[None]
        matched = match(everywhere, objects, labels, none, positive_iou=0.7, negative_iou=0.3, ignored_overlap=0.5)
        matched = adopt_orphans(matched, everywhere, objects, labels)
        return f"{everywhere.shape[1]} anchors, {int(matched.positive.sum())} positive"
    shift = torch.from_numpy(rng.normal(scale=4, size=(2, OBJECTS, 4)).astype(np.float32))
    proposals = torch.cat([(objects[:, :OBJECTS] + shift).flatten(0, 1)[None], objects], dim=1)
    matched = match(proposals, objects, labels, none, positive_iou=0.5, negative_iou=0.5, ignored_overlap=0.5)
    samples = sample(matched, keys, 1, 512, 0.25)
    regions = samples.indices[0][samples.positive[0]]
    slot = matched.target[0, regions]
    shares = covered_cells(sums, torch.zeros_like(slot), slot, proposals[0, regions], 28)
    return f"{len(shares)} targets of 28x28, {100 * float(shares.mean()):.0f} % covered"


ROWS: dict[str, tuple[str, Callable[[], str]]] = {
    "spread": (
        f"{DETECTIONS} detections, sides 50 to 1000 pixels, to RLE",
        lambda: to_rle(patches((50, 1000))),
    ),
    "quarter": (
        f"{DETECTIONS} detections, each a quarter of the picture, to RLE",
        lambda: to_rle(quarter()),
    ),
    "outlines": (
        f"{DETECTIONS} detections, sides 50 to 1000 pixels, to outlines",
        lambda: to_outlines(patches((50, 1000))),
    ),
    "dense": (
        f"{DETECTIONS} detections, sides 50 to 1000 pixels, as dense float32 masks",
        lambda: to_dense(patches((50, 1000))),
    ),
    "targets": (
        f"{OBJECTS} annotated objects, sides 20 to 600: pixels, tables, matching with 3024 regions, 128 mask targets",
        lambda: learn(anchors=False),
    ),
    "anchors": (
        f"{OBJECTS} annotated objects: the same tables, matching with every anchor of the picture at full size",
        lambda: learn(anchors=True),
    ),
}

# ---- the model and all, ours and a peer's

NETWORK_HW = (800, 1067)  # of such a picture, as the settings are
PEER_GIB = 8  # for peers: a guard, so that no machine begins to swap
Make = Callable[[Side, Path, int], Job]
COUNTS = (10, 100, 300, 1000)
FEW, MANY = 10, 1000


def detect(side: Side, weights: Path, detections: int) -> Job:
    """Prepare a side to find so many objects on the large picture and write run lengths of them."""
    common = {"weights": str(weights), "device": "cpu", "size_hw": NETWORK_HW, "proposals": 1000}
    given = {"pictures": picture(SIZE_HW)[None]}
    return side.make("detect", given, task="rle", detections=detections, precision="fp32", **common)


def learn_step(side: Side, weights: Path, objects: int) -> Job:
    """Prepare a side to learn from so many objects on the large picture, from outlines to weights that have moved."""
    common = {"weights": str(weights), "device": "cpu", "size_hw": NETWORK_HW, "precision": "fp32"}
    given = {
        "pictures": picture(SIZE_HW)[None],
        "rings": rings(objects, SIZE_HW, (20, 600))[None],
        "labels": np.arange(objects)[None] % CLASSES,
    }
    return side.make("step", given, task="objects", layers="3+", **common)


def fresh(
    make: Callable[[Side, Path, int], Job], name: str, python: str | None, weights: Path, count: int
) -> list[str]:
    """Run a job once in a fresh interpreter: what the call adds, what everything adds, seconds."""
    with Side(name, python, gibibytes=0 if name == "ours" else PEER_GIB) as side:
        try:
            run = make(side, weights, count).run()
        except SideError as error:
            print(error, file=sys.stderr)
            return [f"fails within {PEER_GIB} GiB", "", ""]
    sizes = [f"{(run.highest - less) / MIB:.0f}" for less in (run.before, run.base)]
    return [*sizes, f"{run.seconds:.1f}"]


def whole_rows(peers: dict[str, str], weights: Path) -> list[list[str]]:
    """Measure finding and learning with few and many objects on every side."""
    rows = []
    for name, python in [("ours", None), *peers.items()]:
        for count in (FEW, 30, DETECTIONS):
            what = f"{count} detections, decoded picture to RLE"
            rows += show([[what, name, *fresh(detect, name, python, weights, count)]])
        for count in (FEW, 100, MANY):
            what = f"a training step with {count} objects, outlines to weights"
            rows += show([[what, name, *fresh(learn_step, name, python, weights, count)]])
    return rows


def growth(weights: Path, repetitions: int) -> str:
    """Time ever more detections, decoded picture to RLE, and fit a line."""
    with Side("ours") as side:
        jobs = {str(count): detect(side, weights, count) for count in COUNTS}
        seconds = [median(runs) for runs in take_turns(jobs, repetitions).values()]
    slope, start = np.polyfit(COUNTS, seconds, 1)
    off = max(abs(start + slope * n - s) / s for n, s in zip(COUNTS, seconds, strict=True))
    rows = show([[str(n), f"{s:.2f}", f"{start + slope * n:.2f}"] for n, s in zip(COUNTS, seconds, strict=True)])
    line = f"The line is {start:.2f} s and {1000 * slope:.2f} ms a detection; no time is off it by more than {off:.1%}."
    return f"{table(['detections', 'seconds', 'on the line'], rows)}\n{line}\n"


def areas(repetitions: int) -> str:
    """Time the same masks, pixel for pixel, on a small and on a large picture."""
    small_hw = (SIZE_HW[0] // 2, SIZE_HW[1] // 2)
    small, large = (patches((50, 700), size_hw, small_hw) for size_hw in (small_hw, SIZE_HW))
    seconds: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(repetitions):
        for i, masks in enumerate((small, large)):
            start = time.perf_counter()
            masks.rle()
            seconds[i].append(time.perf_counter() - start)
    low, high = (statistics.median(each) for each in seconds.values())
    return (
        f"{DETECTIONS} masks to RLE: {1000 * low:.0f} ms on {small_hw[1]}x{small_hw[0]}, {1000 * high:.0f} ms the same "
        f"masks on {SIZE_HW[1]}x{SIZE_HW[0]}: {high / low:.2f} times for 4 times the area.\n"
    )


NOTES = f"""\
Pictures of {SIZE_HW[1]}x{SIZE_HW[0]} pixels. Each row in a process of its own; added is the highest resident memory
less that before the work began, libraries loaded. Dense uint8 masks of {OBJECTS} objects would be
{OBJECTS * SIZE_HW[0] * SIZE_HW[1] / GIB:.1f} GiB.
"""
WHOLE_NOTES = f"""\
R50-FPN with made-up weights, which sees the picture at {NETWORK_HW[1]}x{NETWORK_HW[0]}; the first call of a fresh
interpreter. The call adds what it holds at the highest beyond libraries and model; everything is the model too.
"""


def row(name: str) -> list[str]:
    """Measure one row in a fresh process."""
    done = subprocess.run([sys.executable, __file__, "--row", name], check=True, capture_output=True, text=True)
    measured = json.loads(done.stdout)
    return [ROWS[name][0], f"{measured['added'] / MIB:.0f}", f"{measured['seconds']:.1f}", measured["result"]]


def page(peers: dict[str, str], repetitions: int) -> str:
    """Measure everything and write it down."""
    parts = table(["what", "added, MiB", "seconds", "result"], [show([row(name)])[0] for name in ROWS])
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.pth"
        write_weights(weights)
        whole = table(
            ["what", "who", "the call adds, MiB", "everything adds, MiB", "seconds"], whole_rows(peers, weights)
        )
        line = growth(weights, repetitions)
    return (
        f"# Memory\n\n{describe(usable_cores())}\n\n{NOTES}\n{parts}\n## With the model\n\n{WHOLE_NOTES}\n{whole}\n"
        f"## Time by detections\n\n{line}\n{areas(repetitions)}"
    )


def main() -> None:
    """Measure all rows and write the table, or one row in this process."""
    parser = argparse.ArgumentParser(description="Measure the memory that many objects on a large picture take.")
    add_options(parser)
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    parsed = parser.parse_args()
    if parsed.row:
        print(json.dumps(measure(ROWS[parsed.row][1])))
        return
    parsed.out.write_text(page(peers_of(parser, parsed), parsed.repetitions), encoding="utf-8")


if __name__ == "__main__":
    main()
