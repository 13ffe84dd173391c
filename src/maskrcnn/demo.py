"""The whole way in one command: draw pictures, train, evaluate, predict, report.

Nothing is shipped or downloaded: the pictures are drawn and the model learns from scratch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.coco_results import write_results
from maskrcnn.data.synth import synthesise
from maskrcnn.draw.layout import contact_sheet
from maskrcnn.draw.overlay import overlay
from maskrcnn.errors import InputError
from maskrcnn.evaluation.coco import write
from maskrcnn.files import replacing
from maskrcnn.prediction import Predictor, load
from maskrcnn.prediction.folder import SHOWN
from maskrcnn.reporting import report
from maskrcnn.reporting.measuring import measure
from maskrcnn.reporting.runs import read_runs
from maskrcnn.training import Devices, train

SIZE_HW = (192, 256)
PICTURES, COLUMNS = 6, 3  # pictures on the sheet

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
        out: A new or empty folder for the data, the run, `metrics.json`, `predictions.json`, `report.html` and its
            `figures/`.
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
    say(f"1/4 drawing {sizes.train} pictures to train on and {sizes.test} to test on")
    synthesise("spacecraft", out / "data/train", sizes.train, seed=2 * seed, size_hw=SIZE_HW, workers=-1)
    synthesise("spacecraft", out / "data/test", sizes.test, seed=2 * seed + 1, size_hw=SIZE_HW, workers=-1)
    say(f"2/4 training from scratch on {out / 'data/train'}")
    settings = {**TRAINING, "stages": [{"epochs": sizes.epochs}], "seed": seed}
    train(out / "data/train", out=out / "run", preset="small", model=MODEL, settings=settings, devices=devices, say=say)
    say("3/4 evaluating on pictures it has never seen")
    dataset = open_dataset(out / "data/test")
    predictor = load(out / "run/model.safetensors", device="cpu" if devices and devices.accelerator == "cpu" else None)
    measured = measure(read_runs([out / "run"])[0], dataset, lambda _: predictor, batch=8)
    write_results(measured.found.results, out / "predictions.json")
    write(measured.metrics, out / "metrics.json")
    _write_sheet(predictor, dataset, out / "predictions.png")
    say("4/4 writing the report")
    return report(out / "run", out, data=dataset)


def _write_sheet(predictor: Predictor, dataset: Dataset, path: Path) -> None:
    """Draw what is found on the first pictures."""
    pictures = [dataset[i].image for i in range(min(PICTURES, len(dataset)))]
    found = [predictor.predict(picture) for picture in pictures]
    drawn = [overlay(image, one[one.scores >= SHOWN], zoom=2) for image, one in zip(pictures, found, strict=True)]
    with replacing(path) as temporary:
        contact_sheet(drawn, COLUMNS).save(temporary)
