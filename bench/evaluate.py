"""Time COCO's numbers against pycocotools, each in a fresh process and in turn; writes `bench/evaluate.md`.

Drawn sets: pictures of 480x640 with 7 objects of 80 classes on average, and 100 detections a picture: three around each
object, two thirds of them of its class, and the rest anywhere. A side gets annotations and results as parsed JSON, and
is timed from there to all twelve numbers; its memory is the highest resident memory less that before.

    python bench/evaluate.py [--cases box mask dense] [--pictures 5000] [--repetitions 1] [--out bench/evaluate.md]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from machine import describe, table
from maskrcnn.evaluation.coco import numbers
from maskrcnn.evaluation.measuring import evaluate_results
from maskrcnn.ops.rle import Bitmap, encode_each
from peers.worker import resident

SIZE_HW = (480, 640)
LIMITS = {"box": (1, 10, 100), "mask": (1, 10, 100), "dense": (1, 100, 2000)}
OBJECTS, DETECTIONS, CLASSES = 7, 100, 80
DENSE = 2000
WORDS = {
    "box": "{pictures} pictures, 100 detections each, boxes",
    "mask": "{pictures} pictures, 100 detections each, masks",
    "dense": "a picture with 2,000 objects and 2,000 detections of one class, boxes",
}


def boxes(random: np.random.Generator, count: int, most: float) -> np.ndarray[Any, Any]:
    """Draw boxes as x, y, width, height inside the picture: (count, 4) float64."""
    h, w = SIZE_HW
    sides = np.exp(random.uniform(np.log(12), np.log(most), (count, 2)))
    corners = random.uniform(0, 1, (count, 2)) * (np.array([w, h]) - sides)
    return np.concatenate([corners, sides], axis=1)


def moved(random: np.random.Generator, own: np.ndarray[Any, Any], by: float) -> np.ndarray[Any, Any]:
    """Move boxes and change their sides, by a share of them."""
    sides = own[:, 2:] * np.exp(random.normal(0, by, (len(own), 2)))
    centres = own[:, :2] + own[:, 2:] / 2 + own[:, 2:] * random.normal(0, by, (len(own), 2))
    low = np.clip(centres - sides / 2, 0, [SIZE_HW[1] - 2, SIZE_HW[0] - 2])
    high = np.clip(centres + sides / 2, low + 1, [SIZE_HW[1], SIZE_HW[0]])
    return np.concatenate([low, high - low], axis=1)


def mask(box: np.ndarray[Any, Any]) -> Bitmap:
    """Draw the ellipse in a box."""
    x1, y1 = np.floor(box[:2]).astype(int)
    x2, y2 = np.ceil(box[:2] + box[2:]).astype(int)
    y, x = np.ogrid[y1:y2, x1:x2]
    centre, reach = box[:2] + box[2:] / 2, box[2:] / 2
    return Bitmap(
        int(x1), int(y1), ((x + 0.5 - centre[0]) / reach[0]) ** 2 + ((y + 0.5 - centre[1]) / reach[1]) ** 2 <= 1
    )


def drawn(case: str, pictures: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Draw annotations and results."""
    random = np.random.default_rng(0)
    classes = 1 if case == "dense" else CLASSES
    objects: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image_id in range(1, pictures + 1):
        count = DENSE if case == "dense" else int(random.poisson(OBJECTS))
        there = boxes(random, count, 40 if case == "dense" else 300)
        labels = random.integers(1, classes + 1, count)
        near = np.tile(np.arange(count), 1 if case == "dense" else 3)[: DETECTIONS if case != "dense" else DENSE]
        rest = max(0, (0 if case == "dense" else DETECTIONS) - len(near))
        found = np.concatenate([moved(random, there[near], 0.1), boxes(random, rest, 300)])
        wrong = random.random(len(near)) < (0 if case == "dense" else 1 / 3)
        found_labels = np.where(wrong, random.integers(1, classes + 1, len(near)), labels[near])
        found_labels = np.concatenate([found_labels, random.integers(1, classes + 1, rest)])
        scores = np.round(random.uniform(0.05, 1, len(found)), 3)
        for box, label in zip(there, labels.tolist(), strict=True):
            one = {"id": len(objects) + 1, "image_id": image_id, "category_id": label, "bbox": box.tolist()}
            objects.append({**one, "area": float(box[2] * box[3]), "iscrowd": 0})
        begin = len(results)
        for label, score in zip(found_labels.tolist(), scores.tolist(), strict=True):
            results.append({"image_id": image_id, "category_id": label, "score": score})
        if case == "mask":
            for one, rle in zip(objects[-count:] if count else [], encode_each(map(mask, there), SIZE_HW), strict=True):
                one["segmentation"] = rle
            for one, rle in zip(results[begin:], encode_each(map(mask, found), SIZE_HW), strict=True):
                one["segmentation"] = rle
        else:
            for one, box in zip(results[begin:], found.tolist(), strict=True):
                one["bbox"] = box
    head = [
        {"id": i, "height": SIZE_HW[0], "width": SIZE_HW[1], "file_name": f"{i}.jpg"} for i in range(1, pictures + 1)
    ]
    names = [{"id": i, "name": f"class {i}"} for i in range(1, classes + 1)]
    return {"images": head, "categories": names, "annotations": objects}, results


def ours(case: str, truth: Any, results: Any) -> list[float]:
    """Measure with this package."""
    kind = "mask" if case == "mask" else "box"
    metrics = evaluate_results(truth, results, detections=LIMITS[case])
    values = [metrics[f"{kind}/{number.name}"] for number in numbers(LIMITS[case])]
    return [-1.0 if value is None else value for value in values]


def theirs(case: str, truth: Any, results: Any) -> list[float]:
    """Measure with pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        annotated = COCO()
        annotated.dataset = truth
        annotated.createIndex()
        evaluation = COCOeval(annotated, annotated.loadRes(results), "segm" if case == "mask" else "bbox")
        evaluation.params.maxDets = list(LIMITS[case])
        evaluation.evaluate()
        evaluation.accumulate()
    values = []
    for number in numbers(LIMITS[case]):
        array = evaluation.eval[number.quantity][
            slice(None) if number.iou is None else np.isclose(evaluation.params.iouThrs, number.iou)
        ]
        chosen = array[..., evaluation.params.areaRngLbl.index(number.area.name), LIMITS[case].index(number.detections)]
        values.append(float(chosen[chosen > -1].mean()) if (chosen > -1).any() else -1.0)
    return values


SIDES = {"maskrcnn": ours, "pycocotools": theirs}


def work(side: str, case: str, folder: Path) -> None:
    """Measure in this process, and print seconds, bytes and the numbers."""
    truth, results = (json.loads((folder / name).read_text()) for name in ("truth.json", "results.json"))
    before = resident("VmRSS")
    began = time.perf_counter()
    values = SIDES[side](case, truth, results)
    print(json.dumps([time.perf_counter() - began, resident("VmHWM") - before, values]))


def run(side: str, case: str, folder: Path) -> list[Any]:
    """Measure in a fresh process."""
    command = [sys.executable, __file__, "--worker", side, case, str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return list(json.loads(answer))


def compared(case: str, pictures: int, repetitions: int, kept: Path | None) -> list[str]:
    """Measure a case on both sides in turn: a row of the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = kept or Path(temporary)
        if not (folder / "results.json").exists():
            for name, values in zip(("truth.json", "results.json"), drawn(case, pictures), strict=True):
                (folder / name).write_text(json.dumps(values))
        answers: dict[str, list[Any]] = {side: [] for side in SIDES}
        for _ in range(repetitions):
            for side, given in answers.items():
                given.append(run(side, case, folder))
    off = np.abs(np.subtract(answers["maskrcnn"][0][2], answers["pycocotools"][0][2])).max()
    seconds = {side: statistics.median(each[0] for each in given) for side, given in answers.items()}
    memory = {side: statistics.median(each[1] for each in given) / 2**20 for side, given in answers.items()}
    cells = [f"{seconds[side]:.1f} s, {memory[side]:.0f} MiB" for side in SIDES]
    ratio = seconds["maskrcnn"] / seconds["pycocotools"]
    words = WORDS[case].format(pictures=f"{pictures:,}")
    return [words, *cells, f"{ratio:.2f}", f"{off:.0e}"]


def main() -> None:
    """Measure the chosen cases, and add their rows to the table."""
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=list(WORDS), default=list(WORDS))
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--repetitions", type=int, default=1)
    parser.add_argument("--drawn", type=Path, help="folder of drawn sets, made where it is missing, a folder a case")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    chosen = parser.parse_args()
    rows = []
    for case in chosen.cases:
        kept = chosen.drawn and chosen.drawn / case
        if kept:
            kept.mkdir(parents=True, exist_ok=True)
        rows.append(compared(case, 1 if case == "dense" else chosen.pictures, chosen.repetitions, kept))
        print(" | ".join(rows[-1]), flush=True)
    head = ["", *SIDES, "ratio of times", "largest difference"]
    text = f"# COCO's numbers\n\n{describe(1)}\n\n`python bench/evaluate.py` made this table; {chosen.repetitions} "
    text += "run(s) a side in turn, medians.\nMemory is beyond what the parsed files take.\n\n"
    chosen.out.write_text(text + table(head, rows), encoding="utf-8")


if __name__ == "__main__":
    main()
