"""The whole way in one command: draw pictures, train, evaluate, predict, report.

Nothing is shipped or downloaded: the pictures are drawn and the model learns from scratch.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.synth import synthesise
from maskrcnn.draw.chart import Chart, Curve
from maskrcnn.draw.layout import contact_sheet
from maskrcnn.draw.overlay import overlay
from maskrcnn.draw.page import Comparison, Gallery, ReportData, write_report
from maskrcnn.errors import InputError
from maskrcnn.evaluation import evaluate
from maskrcnn.evaluation.coco import Metrics
from maskrcnn.evaluation.report import headlines, tables
from maskrcnn.files import replacing
from maskrcnn.prediction import Predictor, load
from maskrcnn.training import Devices, Run, train
from maskrcnn.training.history import LOSSES, Row, curve, read_history

SIZE_HW = (192, 256)
SHOWN = 12  # pictures in the report

MODEL: dict[str, Any] = {
    "input": {"min_size": 96, "max_size": 128},
    "rpn": {"pre_nms_train": 200, "proposals_train": 200, "pre_nms": 200, "proposals": 150, "nms_iou": 0.8},
    "box_head": {"samples": 64, "class_agnostic": True},
    "mask_head": {"convs": 2, "class_agnostic": True, "samples": 4},
    "detect": {"nms_iou": 0.35},
}
TRAINING: dict[str, Any] = {
    "batch": 8,
    "learning_rate": 1.5e-3,
    "warmup": 50,
    "workers": 0,
    "augment": {"flip": 0.5, "vertical_flip": 0.5},
}


class Sizes(NamedTuple):
    """How much of everything: pictures to train and to test on, and epochs."""

    train: int = 800
    test: int = 80
    epochs: int = 5


def demo(
    out: Path,
    *,
    sizes: Sizes | None = None,
    seed: int = 0,
    devices: Devices | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """Show the whole way on drawn spacecraft.

    Args:
        out: A new or empty folder for the data, the run, `metrics.json`, `predictions.json` and `report.html`.
        sizes: How much of everything; by default what reaches the published scores.
        seed: Pictures and weights follow from it; the test pictures have a seed of their own.
        devices: Where to compute.
        say: Takes a line for people now and then.

    Returns:
        The report.

    Raises:
        InputError: The folder is in use.
        OutputError: Something can't be written.
    """
    sizes = sizes or Sizes()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            f"{out}: expected a new or empty folder for the demo, got one in use; remove it or name another"
        )
    began = time.monotonic()
    say(f"1/4 drawing {sizes.train} pictures to train on and {sizes.test} to test on")
    synthesise("spacecraft", out / "data/train", sizes.train, seed=2 * seed, size_hw=SIZE_HW, workers=-1)
    synthesise("spacecraft", out / "data/test", sizes.test, seed=2 * seed + 1, size_hw=SIZE_HW, workers=-1)
    say(f"2/4 training from scratch on {out / 'data/train'}")
    settings = {**TRAINING, "stages": [{"epochs": sizes.epochs}], "seed": seed}
    train(out / "data/train", out=out / "run", preset="small", model=MODEL, settings=settings, devices=devices, say=say)
    say("3/4 evaluating on pictures it has never seen")
    predictor = load(out / "run/model.safetensors", device="cpu" if devices and devices.accelerator == "cpu" else None)
    dataset = open_dataset(out / "data/test")
    metrics = evaluate(predictor, dataset, out, batch=8)
    say("4/4 writing the report")
    seconds = time.monotonic() - began
    report = out / "report.html"
    write_report(_report(out, predictor, dataset, metrics, seconds), report)
    return report


def _comparisons(predictor: Predictor, dataset: Dataset) -> list[Comparison]:
    comparisons = []
    for i in range(min(SHOWN, len(dataset))):
        sample = dataset[i]
        found = predictor.predict(sample.image)
        sure = found[found.scores >= 0.5]
        comparisons.append(
            Comparison(
                overlay(sample.image, sample.instances, captions=sample.instances.names, zoom=2),
                overlay(sample.image, sure, zoom=2),
                f"{sample.path.name}: {len(sample.instances)} annotated, {len(sure)} found with at least 50 %",
            )
        )
    return comparisons


def _charts(rows: list[Row]) -> list[Chart]:
    losses = [Curve(name, *curve(rows, f"train/{name}")) for name in LOSSES]
    total = Curve("sum", *curve(rows, "train/loss"), emphasis=True)
    rate = Curve("learning rate", *curve(rows, "train/rate"))
    charts = [
        Chart("Losses", "step", "loss", [total, *losses]),
        Chart("Learning rate", "step", "rate", [rate]),
    ]
    return [chart for chart in charts if all(len(line.x) for line in chart.curves)]


def _report(out: Path, predictor: Predictor, dataset: Dataset, metrics: Metrics, seconds: float) -> ReportData:
    comparisons = _comparisons(predictor, dataset)
    sheet = contact_sheet([comparison.prediction for comparison in comparisons[:6]], 3)
    with replacing(out / "predictions.png") as path:
        sheet.save(path)
    facts: Mapping[str, Any] = json.loads(Run(out / "run").facts.read_text(encoding="utf-8"))
    settings: Mapping[str, Any] = json.loads(Run(out / "run").settings.read_text(encoding="utf-8"))
    pictures = facts["data"]["pictures"]
    return ReportData(
        "maskrcnn demo: spacecraft",
        f"A Mask R-CNN trained from scratch on {pictures} drawn pictures and tested on {len(dataset)} others, "
        f"in {seconds:.0f} s altogether.",
        headlines(metrics),
        [Gallery("Pictures it has never seen", comparisons, "Left as annotated, right as predicted.")],
        tables(metrics),
        _charts(read_history(out / "run")),
        _flat(settings),
        {**facts["versions"], **facts["machine"]},
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Write nested settings as dotted names."""
    flat: dict[str, object] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat
