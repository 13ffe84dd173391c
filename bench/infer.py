"""Time finding objects, every backend and precision in turn with other projects; writes `bench/infer.md`.

The same made-up weights on every side but where the network is another one. Sides run in interpreters of their own and
take turns, a product of two matrices among them, which is what the machine can do at most.

    python bench/infer.py --peer torchvision --peer-python PATH [--peer ultralytics --peer-python PATH]
    python bench/infer.py --device cuda --batch 8 --profile --peer torchvision --peer-python PATH

Letters: N detections.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from machine import describe, show, table
from maskrcnn import load
from maskrcnn.engines.choice import BACKENDS, PRECISIONS
from maskrcnn.export import FORMATS, export
from peers.given import picture, write_weights
from peers.side import (
    PRODUCTS,
    Contestant,
    Heat,
    Job,
    Side,
    SideError,
    add_options,
    heads,
    peers_of,
    size_of,
)

TASKS = {
    "network": "network: resized pictures on the device to boxes, scores and mask patches there",
    "patches": "patches: decoded pictures to boxes, scores and mask patches in the main memory",
    "call": "call: decoded pictures to what the call returns; ours patches, theirs dense masks",
    "rle": "to RLE: decoded pictures to run lengths of every mask",
}
REFERENCE = "torchvision"
PEER_PRECISIONS = {"cpu": ("fp32",), "cuda": ("fp32", "bf16")}
INTEGERS = ("onnx", "openvino")
CALIBRATION = 8  # pictures
SAME = 0.9  # IoU of a box that is found again

Arrays = Mapping[str, NDArray[Any]]


# ---- who takes part


def engines(parsed: argparse.Namespace) -> list[tuple[str, str]]:
    """List backend and precision of everything that can run here."""
    able = {name: row for name, row in BACKENDS.items() if name in parsed.backends and not row.missing()}
    return [
        (name, each)
        for name, row in able.items()
        for each in row.precisions.get(parsed.device, ())
        if each in parsed.precisions
    ]


def contestants(parsed: argparse.Namespace, peers: Mapping[str, str], stack: ExitStack) -> list[Contestant]:
    """Start everybody's interpreter, the peers first."""
    found = []
    for name, python in peers.items():
        for precision in PEER_PRECISIONS[parsed.device]:
            side = stack.enter_context(Side(name, python, parsed.threads))
            found.append(Contestant(f"{name} {precision}", side, {"precision": precision}))
    for backend, precision in engines(parsed):
        side = stack.enter_context(Side("ours", threads=parsed.threads))
        found.append(Contestant(f"ours: {backend} {precision}", side, {"backend": backend, "precision": precision}))
    return found


def in_integers(parsed: argparse.Namespace, common: dict[str, Any], stack: ExitStack) -> list[Contestant]:
    """Export the network in 8-bit integers for everything that runs them, with ranges of made-up pictures."""
    pictures, out = (Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2))
    size_hw = common["size_hw"]
    limits = {"proposals": parsed.proposals, "detections": parsed.detections}
    model = load(common["weights"], device="cpu", min_size=min(size_hw), max_size=max(size_hw), **limits)
    for seed in range(CALIBRATION):
        Image.fromarray(picture(size_hw, 100 + seed)).save(pictures / f"{seed}.png")
    found = []
    for name in INTEGERS:
        path = out / f"model{FORMATS[name].suffix}"
        export(model, path, to=name, calibrate=pictures)
        side = stack.enter_context(Side("ours", threads=parsed.threads))
        found.append(Contestant(f"ours: {name} int8", side, {"weights": str(path), "exported": True}))
    return found


def make_jobs(who: Sequence[Contestant], task: str, course: Course) -> tuple[dict[str, Job], dict[str, str]]:
    """Let everybody prepare a task; return the jobs, and why the others have none."""
    jobs, failed = {}, {}
    for name, side, options in who:
        try:
            jobs[name] = side.make("detect", course.given, task=task, **(course.common | options))
        except SideError as error:
            failed[name] = str(error)
    return jobs, failed


# ---- the same results


def compare(ours: Arrays, theirs: Arrays) -> list[str]:
    """Look every detection of theirs up in ours: how many are there, and the largest differences of those."""
    again, boxes, scores, masks = 0, [0.0], [0.0], [1.0]
    for i, (box, label) in enumerate(zip(theirs["boxes"], theirs["labels"], strict=True)):
        overlap = iou(box, ours["boxes"]) * (ours["labels"] == label)
        best = int(overlap.argmax())
        if overlap[best] < SAME:
            continue
        again += 1
        boxes.append(float(np.abs(ours["boxes"][best] - box).max()))
        scores.append(float(np.abs(ours["scores"][best] - theirs["scores"][i])))
        masks.append(mask_iou(ours["masks"][best], theirs["masks"][i]))
    count = f"{again} of {len(theirs['boxes'])}"
    return [count, f"{max(boxes):.4f}", f"{max(scores):.1e}", f"{min(masks):.4f}"]


def iou(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compare a box (4) with boxes (N, 4): (N)."""
    shared = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    inter = shared.clip(min=0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    result: NDArray[np.float32] = inter / (areas - inter)
    return result


def mask_iou(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Compare two masks of one picture, eight pixels a byte."""
    both, either = (int(np.bitwise_count(bits).sum()) for bits in (a & b, a | b))
    return both / either if either else 1.0


SAME_HEAD = ["who", "found again", "largest difference of a box, pixels", "of a score", "least IoU of two masks"]
SAME_NOTES = f"""\
Each detection of {REFERENCE} fp32 in the first picture is looked up: the box of the same class that overlaps it most,
by at least {SAME}. Two detections near the end of the list, or near a threshold, may change places.
"""


def agreement(jobs: Mapping[str, Job]) -> list[list[str]]:
    """Compare everybody who has the same weights with the first reference."""
    found = {name: job.arrays() for name, job in jobs.items() if job.side.name in ("ours", REFERENCE)}
    first = next((name for name, job in jobs.items() if job.side.name == REFERENCE), None)
    return show([[name, *compare(each, found[first])] for name, each in found.items() if first and name != first])


# ---- the tables


class Course(NamedTuple):
    """What a run is about.

    Attributes:
        who: Everybody who takes part.
        limit: A product of two matrices.
        given: Pictures (B, H, W, 3).
        common: What everybody is told.
        flops: Of the network, for all pictures, by the name of a side.
    """

    who: Sequence[Contestant]
    limit: Job
    given: Arrays
    common: Mapping[str, Any]
    flops: Mapping[str, int]


def rows_of(task: str, course: Course, repetitions: int) -> tuple[list[list[str]], float]:
    """Measure a task: a row a contestant, and the limit in FLOP a second."""
    jobs, failed = make_jobs(course.who, task, course)
    heat = Heat.of(jobs, course.limit, repetitions)
    rows = []
    for name, side, _ in course.who:
        if name in failed:
            print(failed[name], file=sys.stderr)
            rows.append([task, name, *["-"] * len(heads(references(course)))])
        if name in jobs:
            flops = course.flops.get(side.name, course.flops["ours"])
            rows.append([task, name, *heat.cells(name, flops, references(course))])
    return show(rows), heat.most


def references(course: Course) -> list[str]:
    """Name those that everybody is compared with."""
    return [each.name for each in course.who if each.side.name == REFERENCE]


def profiles(course: Course) -> str:
    """Write for each of our ways which operators take longest."""
    parts = []
    for name, job in make_jobs([each for each in course.who if each.side.name == "ours"], "patches", course)[0].items():
        job.run()
        parts.append(f"\n## {name}: where the time goes\n\n{table(['operator', 'share', 'calls'], job.profile())}")
    return "".join(parts)


NOTES = """\
Sides: {sides}. Each in an interpreter of its own with {threads} threads, in turn, once to warm up and
{repetitions} times; medians. {batch} picture(s) of {size}, R50-FPN with made-up weights, {proposals} proposals,
{detections} detections a picture.

{tasks}

GFLOP are those of the plain fp32 network with direct convolutions, {gflop:.0f} a picture by `torch.utils.flop_counter`.
They are the same for every way of computing it, so a way that multiplies less can pass the limit. The limit is the
product of two square matrices of side {side}, in turn with the others: {most:.0f} GFLOP/s. Added is the highest memory
less what the interpreter held after its imports.
"""
ULTRALYTICS = """
Ultralytics is what a user may pick instead: `yolo11m-seg` with made-up weights, fused as its `predict` does. It is
another network of {gflop:.0f} GFLOP a picture, under AGPL-3.0, and finds 300 objects a picture at most unless told
otherwise. Its accuracy is not compared here.
"""


INT8 = """
The made-up weights are no measure of what 8 bits lose: of those rows only the speed counts.
"""


def notes(course: Course, parsed: argparse.Namespace, most: float) -> str:
    """Say what was measured."""
    tasks = "\n".join(f"- {TASKS[task]}" for task in parsed.tasks)
    text = NOTES.format(
        sides="; ".join(sorted({f"{each.side.name}: {each.side.versions()}" for each in course.who})),
        gflop=course.flops["ours"] / parsed.batch / 1e9,
        most=most / 1e9,
        side=PRODUCTS[parsed.device]["side"],
        **(vars(parsed) | {"threads": course.limit.side.threads, "tasks": tasks}),
    )
    if "ultralytics" in course.flops:
        text += ULTRALYTICS.format(gflop=course.flops["ultralytics"] / parsed.batch / 1e9)
    return text + (INT8 if parsed.int8 else "")


# ---- the run


def prepare(parsed: argparse.Namespace, peers: Mapping[str, str], weights: Path, stack: ExitStack) -> Course:
    """Write what everybody is given, start everybody, and count."""
    write_weights(weights)
    size_hw = size_of(parsed.size)
    given = {"pictures": np.stack([picture(size_hw, seed) for seed in range(parsed.batch)])}
    same = {"weights": str(weights), "size_hw": size_hw, "proposals": parsed.proposals, "detections": parsed.detections}
    with Side("ours", threads=parsed.threads) as plain:
        flops = {"ours": plain.make("plain_network", given, **same).flops()}
    who = contestants(parsed, peers, stack)
    who += in_integers(parsed, same, stack) if parsed.int8 else []
    limit = stack.enter_context(Side("limit", threads=parsed.threads)).make("product", **PRODUCTS[parsed.device])
    course = Course(who, limit, given, {"device": parsed.device, **same}, flops)
    other = [each for each in who if each.side.name == "ultralytics"][:1]
    for job in make_jobs(other, "network", course)[0].values():
        flops["ultralytics"] = job.flops()
    return course


def page(course: Course, parsed: argparse.Namespace) -> str:
    """Run everything and write it down."""
    same = agreement(make_jobs(course.who, "call", course)[0])
    rows, most = [], 0.0
    for task in parsed.tasks:
        more, most = rows_of(task, course, parsed.repetitions)
        rows += more
    head = ["task", "who", *heads(references(course))]
    where = describe(course.limit.side.threads)
    text = f"# Finding objects\n\n{where}\n\n{notes(course, parsed, most)}\n{table(head, rows)}"
    if same:
        text += f"\n## The same results\n\n{SAME_NOTES}\n{table(SAME_HEAD, same)}"
    return text + (profiles(course) if parsed.profile else "")


def main() -> None:
    """Measure everybody and write the tables."""
    parser = argparse.ArgumentParser(description="Time finding objects, in turn with other projects.")
    add_options(parser)
    parser.add_argument("--size", default="800x1333", help="height x width of the pictures, which the network sees so")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--proposals", type=int, default=1000)
    parser.add_argument("--detections", type=int, default=100)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=list(BACKENDS))
    parser.add_argument(
        "--precisions", nargs="+", choices=PRECISIONS, help="by default fp32 on a CPU and all that there are on a GPU"
    )
    parser.add_argument("--int8", action="store_true", help="export in 8-bit integers, and time that too")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--profile", action="store_true", help="add the operators that take longest")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    parsed = parser.parse_args()
    parsed.precisions = parsed.precisions or (PRECISIONS if parsed.device == "cuda" else ["fp32"])
    peers = peers_of(parser, parsed)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        course = prepare(parsed, peers, Path(folder) / "weights.pth", stack)
        parsed.out.write_text(page(course, parsed), encoding="utf-8")


if __name__ == "__main__":
    main()
