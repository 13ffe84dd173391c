"""Prediction, trace and page of one picture at 512 pixels, ResNet-50 and 80 classes, on one thread, in turns.

python bench/inspecting.py photo.jpg
python bench/inspecting.py photo.jpg photos/val
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from maskrcnn.config import ModelConfig
from maskrcnn.data import open_dataset
from maskrcnn.engines.choice import choose
from maskrcnn.inspection import inspect_picture
from maskrcnn.model.mask_rcnn import build
from maskrcnn.prediction import Predictor

ROUNDS = 4


def predictor(classes: tuple[str, ...]) -> Predictor:
    """Make a model with fresh weights so large that it finds as many objects as it may."""
    torch.manual_seed(0)
    config = ModelConfig(classes=classes)
    model = build(config.change(input=config.input.change(min_size=512, max_size=683))).eval()
    with torch.no_grad():
        model.rpn.head.objectness.weight.mul_(30)
        model.box_head.logits.weight.mul_(30)
        model.box_head.logits.bias.zero_()
    return Predictor(choose(None, None, torch.device("cpu")).make(model, threads=1))


def seconds(step: Callable[[], object]) -> float:
    """Time one call."""
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture")
    parser.add_argument("data", nargs="?", help="annotated pictures with this one among them")
    given = parser.parse_args()
    picture, data = given.picture, None if given.data is None else open_dataset(given.data)
    model = predictor(data.class_names if data else tuple(f"class {i}" for i in range(80)))
    print(len(model.predict(picture)), "detections")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        steps: dict[str, Callable[[], object]] = {
            "predict": lambda: model.predict(picture),
            "trace": lambda: model.trace(picture),
            "page": lambda: inspect_picture(model, picture, page, data=data),
        }
        rounds = [{name: seconds(step) for name, step in steps.items()} for _ in range(ROUNDS)]
        times = {name: min(each[name] for each in rounds) for name in steps}
        print(", ".join(f"{name} {time:.2f} s" for name, time in times.items()))
        print(f"the page adds {times['page'] - times['predict']:.2f} s and has {page.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
