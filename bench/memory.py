"""Measure the memory that many objects on a picture of 12 megapixels take; writes `bench/memory.md`.

Every row runs in a fresh process; what it adds is its highest resident memory less what it held before it began.
Linux only: the numbers are read from /proc.

    python bench/memory.py [--out bench/memory.md]

Letters: N objects, H, W height and width.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskrcnn.ops.polygons import rasterise
from maskrcnn.structures import Bitmaps, Patches

SIZE_HW = (3000, 4000)
DETECTIONS, OBJECTS = 300, 1000
MIB = 1 << 20
GIB = 1 << 30
LIMIT = 4 * GIB  # for the dense row: a guard, so that no machine begins to swap


def resident(key: str) -> int:
    """Read `VmRSS` (now) or `VmHWM` (at the highest) of this process, in bytes."""
    found = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    assert found is not None
    return int(found.group(1)) * 1024


def measure(work: Callable[[], str]) -> dict[str, Any]:
    """Run a piece of work; say what came of it, the bytes that it added and the seconds that it took."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the highest so far is forgotten
    before, start = resident("VmRSS"), time.perf_counter()
    result = work()
    return {"result": result, "added": resident("VmHWM") - before, "seconds": time.perf_counter() - start}


def patches(sides: tuple[float, float]) -> Patches:
    """Draw detections as a model gives them: wavy 28x28 discs in boxes with log-uniform sides inside the picture."""
    rng = np.random.default_rng(0)
    at = (np.arange(28) + 0.5) / 14 - 1
    radius, angle = np.hypot(at[:, None], at), np.arctan2(at[:, None], at)
    phase = rng.uniform(0, 6, (DETECTIONS, 1, 1))
    probability = 1 / (1 + np.exp(8 * (radius - 0.8 + 0.2 * np.sin(3 * angle + phase))))
    return Patches(probability.astype(np.float32), boxes(DETECTIONS, sides, rng), SIZE_HW)


def boxes(count: int, sides: tuple[float, float], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw (N, 4) boxes with log-uniform sides inside the picture."""
    size = np.exp(rng.uniform(*np.log(sides), (count, 2)))
    corner = rng.uniform(size=(count, 2)) * (np.array(SIZE_HW[::-1]) - size)
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
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, hard))
    held: list[NDArray[np.float32]] = []
    try:
        for i in range(len(masks)):
            plane = np.full(SIZE_HW, 0, dtype=np.float32)  # zeros would not be in memory yet
            x, y, pixels = masks.crop(i)
            plane[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
            held.append(plane)
    except MemoryError:
        needed = len(masks) * SIZE_HW[0] * SIZE_HW[1] * 4 / GIB
        return f"out of memory after {len(held)} masks at a limit of {LIMIT / GIB:.0f} GiB; all need {needed:.1f} GiB"
    return f"{len(held)} dense masks"


def learn(anchors: bool) -> str:
    """Take objects from outlines to the targets of the mask head, as a training step does."""
    import torch

    from maskrcnn.config import AnchorConfig
    from maskrcnn.data.batches import mask_table, slot_count
    from maskrcnn.model.anchors import Anchors
    from maskrcnn.model.fpn import STRIDES
    from maskrcnn.model.mask_targets import covered_cells
    from maskrcnn.model.matching import adopt_orphans, match, sample

    rng = np.random.default_rng(2)
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    round_ = np.stack([np.cos(angle), np.sin(angle)], axis=1) / 2
    places = boxes(OBJECTS, (20, 600), rng).astype(np.float64)
    rings = [(p[:2] + p[2:]) / 2 + (p[2:] - p[:2]) * round_ for p in places]
    masks = Bitmaps([rasterise([ring], SIZE_HW) for ring in rings], SIZE_HW)
    slots = slot_count(OBJECTS)
    table = mask_table([masks.bitmaps], slots)
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
    shares = covered_cells(table, torch.zeros_like(slot), slot, proposals[0, regions], 28)
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

NOTES = f"""\
Pictures of {SIZE_HW[1]}x{SIZE_HW[0]} pixels. Each row in a process of its own; added is the highest resident memory
less that before the work began, libraries loaded. Dense uint8 masks of {OBJECTS} objects would be
{OBJECTS * SIZE_HW[0] * SIZE_HW[1] / GIB:.1f} GiB.
"""


def row(name: str) -> list[str]:
    """Measure one row in a fresh process."""
    done = subprocess.run([sys.executable, __file__, "--row", name], check=True, capture_output=True, text=True)
    measured = json.loads(done.stdout)
    return [ROWS[name][0], f"{measured['added'] / MIB:.0f}", f"{measured['seconds']:.1f}", measured["result"]]


def main() -> None:
    """Measure all rows and write the table, or one row in this process."""
    parser = argparse.ArgumentParser(description="Measure the memory that many objects on a large picture take.")
    parser.add_argument("--row", choices=ROWS)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    parsed = parser.parse_args()
    import torch  # before the measurement, as a training process has it loaded

    if parsed.row:
        print(json.dumps(measure(ROWS[parsed.row][1])))
        return
    from machine import describe, table

    rows = []
    for name in ROWS:
        rows.append(row(name))
        print(" | ".join(rows[-1]), flush=True)
    head = ["what", "added, MiB", "seconds", "result"]
    text = f"# Memory\n\n{describe(torch.get_num_threads())}\n\n{NOTES}\n{table(head, rows)}"
    parsed.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
