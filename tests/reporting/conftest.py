"""A run without a training: settings, notes, a model and what it is said to have found; and the pictures for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from maskrcnn.config import TrainConfig
from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.coco_results import Result
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.weights import save
from maskrcnn.ops.rle import Bitmap, encode
from maskrcnn.reporting.measuring import Found, keep, place_of
from maskrcnn.training import Run
from maskrcnn.training.folder import describe, write_settings
from maskrcnn.training.history import COLUMNS, History

SIZE_HW = (40, 60)
# x, y, w, h, class, crowd of the objects of four pictures
OBJECTS = (
    [(5, 5, 20, 10, 1, 0), (35, 20, 20, 15, 2, 0)],
    [(10, 10, 12, 12, 2, 0)],
    [],
    [(2, 2, 30, 30, 1, 1), (40, 5, 10, 10, 3, 0)],
)
# x, y, w, h, class, score: right, class confused; missed a little beside; on nothing; in the crowd and nothing else
FOUND = (
    [(5, 5, 20, 10, 1, 0.95), (35, 20, 20, 15, 1, 0.9)],
    [(18, 10, 12, 12, 2, 0.8)],
    [(20, 20, 8, 8, 3, 0.7), (1, 1, 5, 5, 1, 0.2)],
    [(5, 5, 10, 10, 1, 0.85)],
)


def rle(x: int, y: int, w: int, h: int) -> dict[str, object]:
    return encode(Bitmap(x, y, np.ones((h, w), dtype=np.bool_)), SIZE_HW)


def write_set(folder: Path) -> Path:
    """Draw the four pictures."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    annotations = []
    for i, objects in enumerate(OBJECTS, 1):
        pixels = rng.integers(0, 256, (*SIZE_HW, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        for x, y, w, h, kind, crowd in objects:
            shape = [[x, y, x + w, y, x + w, y + h, x, y + h]] if not crowd else rle(x, y, w, h)
            annotations.append(
                {"id": len(annotations) + 1, "image_id": i, "category_id": kind, "bbox": [x, y, w, h], "area": w * h,
                 "iscrowd": crowd, "segmentation": shape}
            )  # fmt: skip
    names = ("cat", "dog", "horse")
    document = {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 60, "height": 40} for i in range(1, 5)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names, 1)],
        "annotations": annotations,
    }
    (folder / "annotations.json").write_text(json.dumps(document))
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Dataset:
    """Four pictures of three classes with five objects, one of them a crowd."""
    return open_dataset(write_set(tmp_path / "pictures"))


@pytest.fixture
def results() -> list[Result]:
    """One detection is right, one of the wrong class, one beside its object, two on nothing, one in the crowd."""
    return [
        {"image_id": i, "category_id": kind, "bbox": [x, y, w, h], "score": score, "segmentation": rle(x, y, w, h)}
        for i, found in enumerate(FOUND, 1)
        for x, y, w, h, kind, score in found
    ]


@pytest.fixture
def make_run(tmp_path, tiny, pictures, results) -> Callable[..., Run]:
    """Make the folder of a run that was measured on the pictures, and say what it found on them."""

    def make(name: str = "run", *, found: list[Result] | None = None, **settings) -> Run:
        run = Run(tmp_path / name)
        facts = {
            "data": {**describe(pictures), "pictures": 61},
            "validation": {**describe(pictures), "opened": {"sources": [str(pictures.source)]}},
            "seed": 0,
            "versions": {"maskrcnn": "0"},
            "machine": {"cores": 2},
        }
        write_settings(run, facts, tiny, TrainConfig.parse({"loggers": [], **settings}))
        save(build(tiny), run.model)
        history = History(run.history)
        history.begin(0)
        history.write([{name: i / 10 for name in COLUMNS if name != "step"} | {"step": i} for i in range(5)])
        folder, key = place_of(run, pictures)
        keep(folder, key, Found(results if found is None else found, 8.0))
        return run

    return make


@pytest.fixture
def no_model() -> Callable[[Path], SimpleNamespace]:
    """What must not be called, as everything was found before."""

    def fail(path: Path) -> SimpleNamespace:
        raise AssertionError(path)

    return fail
