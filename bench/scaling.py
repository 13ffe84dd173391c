"""Time finding and learning over picture sizes, objects and batches, in turn with another project.

Writes `bench/scaling.md`. The same made-up weights on both sides, each in an interpreter of its own.

    python bench/scaling.py --peer torchvision --peer-python PATH [--axes size detections]

Letters: B pictures.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from machine import describe, show, table
from maskrcnn.engines.choice import BACKENDS
from peers.given import objects, picture, write_weights
from peers.side import Contestant, Job, Side, add_options, median, peers_of, size_of, take_turns

USUAL_HW, SMALL_HW = (800, 1333), (512, 512)
SIZES = ("256x320", "512x512", "800x1333", "1200x2000")
DETECTIONS = (10, 100, 300)
BATCHES = (1, 2, 4)
OBJECTS = (5, 50, 200)


class Case(NamedTuple):
    """A point of an axis: what it is called, the kind of job, what it is given and told, and pictures a run."""

    name: str
    kind: str
    given: Mapping[str, NDArray[Any]]
    options: Mapping[str, Any]
    pictures: int = 1


def found(name: str, size_hw: tuple[int, int] = USUAL_HW, detections: int = 100, batch: int = 1) -> Case:
    """Make a case of finding objects: decoded pictures to run lengths."""
    pictures = np.stack([picture(size_hw, seed) for seed in range(batch)])
    options = {"task": "rle", "size_hw": size_hw, "detections": detections, "proposals": 1000}
    return Case(name, "detect", {"pictures": pictures}, options, batch)


def learnt(name: str, count: int = 5, batch: int = 2) -> Case:
    """Make a case of a training step: a batch to weights that have moved."""
    options = {"task": "step", "size_hw": SMALL_HW, "layers": "3+"}
    return Case(name, "step", objects(batch, count, SMALL_HW), options, batch)


AXES: dict[str, tuple[str, Callable[[], list[Case]]]] = {
    "size": ("Finding 100 objects, by size of the picture", lambda: [found(each, size_of(each)) for each in SIZES]),
    "detections": (
        "Finding, by objects on a picture of 800x1333",
        lambda: [found(str(each), detections=each) for each in DETECTIONS],
    ),
    "batch": (
        "Finding 100 objects on pictures of 800x1333, by pictures at once",
        lambda: [found(str(each), batch=each) for each in BATCHES],
    ),
    "objects": (
        "A training step on two pictures of 512x512, by objects a picture",
        lambda: [learnt(str(each), each) for each in OBJECTS],
    ),
    "training batch": (
        "A training step on pictures of 512x512 with 5 objects each, by pictures",
        lambda: [learnt(str(each), batch=each) for each in BATCHES],
    ),
}


def measure(case: Case, who: list[Contestant], common: Mapping[str, Any], repetitions: int) -> list[str]:
    """Time a case: seconds of everybody a picture, and how many times each peer's speed ours is."""
    jobs: dict[str, Job] = {}
    for name, side, told in who:
        chosen = {**common, **case.options, **(told if case.kind == "detect" else {})}
        jobs[name] = side.make(case.kind, case.given, **chosen)
    seconds = {name: median(runs) / case.pictures for name, runs in take_turns(jobs, repetitions).items()}
    for job in jobs.values():
        job.drop()
    ours = seconds.pop("ours")
    return [
        case.name,
        f"{ours:.3f}",
        *(f"{s:.3f}" for s in seconds.values()),
        *(f"{s / ours:.2f}" for s in seconds.values()),
    ]


NOTES = """\
Sides: {sides}. Ours is the backend `{backend}`. Each in an interpreter of its own with {threads} threads, in turn, once
to warm up and {repetitions} times; medians, a picture. R50-FPN with made-up weights, {precision}, on {device}. Finding
goes from decoded pictures to run lengths of every mask, learning from a batch in the main memory to weights that have
moved, where the first two parts of the backbone do not learn.
"""


def main() -> None:
    """Measure every axis and write the tables."""
    parser = argparse.ArgumentParser(description="Time finding and learning over sizes, objects and batches.")
    add_options(parser)
    parser.add_argument("--axes", nargs="+", choices=AXES, default=list(AXES))
    parser.add_argument("--backend", choices=BACKENDS, default="torch")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    parsed = parser.parse_args()
    peers = peers_of(parser, parsed)
    with ExitStack() as stack:
        weights = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "weights.pth"
        write_weights(weights)
        common = {"weights": str(weights), "device": parsed.device, "precision": parsed.precision}
        pairs = [("ours", None, {"backend": parsed.backend}), *((name, python, {}) for name, python in peers.items())]
        who = [
            Contestant(name, stack.enter_context(Side(name, python, parsed.threads)), told)
            for name, python, told in pairs
        ]
        sides = "; ".join(f"{each.name}: {each.side.versions()}" for each in who)
        threads = who[0].side.threads
        notes = NOTES.format(sides=sides, **(vars(parsed) | {"threads": threads}))
        text = f"# Scaling\n\n{describe(threads)}\n\n{notes}"
        head = ["", "ours, s", *(f"{name}, s" for name in peers), *(f"times {name}" for name in peers)]
        for title, cases in (AXES[axis] for axis in parsed.axes):
            print(title)
            rows = [show([measure(case, who, common, parsed.repetitions)])[0] for case in cases()]
            text += f"\n## {title}\n\n{table(head, rows)}"
        parsed.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
