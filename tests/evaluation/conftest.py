"""Random small scenes, and pycocotools on them."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from maskrcnn.ops.rle import Bitmap, encode

Json = dict[str, Any]
SIDE = 14
AREAS = [10.0, 1023.5, 1024.0, 5000.0, 9216.0, 9216.5]  # on the borders of COCO's sizes and beside them
SCORES = [0.125, 0.25, 0.5, 0.75, 0.875]  # few, so that many are equal


def square(random: np.random.Generator, image_id: int, category_id: int) -> Json:
    x, y = random.integers(0, SIDE - 2, 2).tolist()
    w, h = int(random.integers(2, SIDE - x + 1)), int(random.integers(2, SIDE - y + 1))
    pixels = np.ones((h, w), dtype=np.bool_)
    pixels[: h // 3, : w // 2] = random.random() < 0.5
    return {
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [float(x), float(y), float(w), float(h)],
        "segmentation": dict(encode(Bitmap(x, y, pixels), (SIDE, SIDE))),
    }


def moved(random: np.random.Generator, one: Json) -> Json:
    """Draw something that overlaps an object, often well."""
    x, y, w, h = (int(edge) for edge in one["bbox"])
    x, y = max(0, x + int(random.integers(-1, 2))), max(0, y + int(random.integers(-1, 2)))
    w, h = min(w, SIDE - x), min(h, SIDE - y)
    near = {**one, "bbox": [float(x), float(y), float(w), float(h)]}
    near["segmentation"] = dict(encode(Bitmap(x, y, np.ones((h, w), dtype=np.bool_)), (SIDE, SIDE)))
    return near


def scene(
    random: np.random.Generator,
    images: tuple[int, ...] = (3, 5),
    categories: tuple[int, ...] = (9, 2),
    most: tuple[int, int] = (6, 9),
) -> tuple[Json, list[Json]]:
    """Draw pictures with objects, crowds too, and detections; some scenes have none of one or the other."""

    def some(count: int) -> list[Json]:
        drawn = int(random.integers(0, count + 1))
        return [square(random, int(random.choice(images)), int(random.choice(categories))) for _ in range(drawn)]

    objects = some(most[0])
    near = [moved(random, each) for each in objects for _ in range(int(random.integers(0, 3)))]
    found = [*near, *some(most[1])] if random.random() < 0.9 else []
    for one in objects:
        one.update(iscrowd=int(random.random() < 0.2), area=float(random.choice(AREAS)))
    results = [
        {key: one[key] for key in ("image_id", "category_id", "bbox", "segmentation")}
        | {"score": float(random.choice(SCORES))}
        for one in found
    ]
    truth = {
        "images": [{"id": i, "height": SIDE, "width": SIDE, "file_name": f"{i}.png"} for i in images],
        "categories": [{"id": i, "name": f"class {i}"} for i in categories],
        "annotations": [{"id": i, **one} for i, one in enumerate(objects, 1)],  # 0 means unmatched there
    }
    return truth, results


def joined(scenes: list[tuple[Json, list[Json]]]) -> tuple[Json, list[Json]]:
    """Put scenes of different pictures and classes into one."""
    truth: Json = {key: [one for each, _ in scenes for one in each[key]] for key in ("images", "categories")}
    objects = [one for each, _ in scenes for one in each["annotations"]]
    truth["annotations"] = [{**one, "id": i} for i, one in enumerate(objects, 1)]
    return truth, [result for _, results in scenes for result in results]


def pycocotools(
    truth: Json, results: list[Json], kind: str, limits: tuple[int, ...] = (1, 10, 100), **more: Any
) -> Any:
    """Let pycocotools measure, and return its evaluation; what else is given replaces its parameters."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        annotated, found = COCO(), COCO()
        annotated.dataset = copy.deepcopy(truth)
        annotated.createIndex()
        if results:
            found = annotated.loadRes(copy.deepcopy(results))
        else:
            found.dataset = {**copy.deepcopy(truth), "annotations": []}
            found.createIndex()
        evaluation = COCOeval(annotated, found, {"box": "bbox", "mask": "segm"}[kind])
        evaluation.params.maxDets = list(limits)
        for name, value in more.items():
            setattr(evaluation.params, name, value)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


@pytest.fixture
def draw_scene() -> Callable[..., tuple[Json, list[Json]]]:
    return scene


@pytest.fixture
def join_scenes() -> Callable[..., tuple[Json, list[Json]]]:
    return joined


@pytest.fixture
def measure_by_pycocotools() -> Callable[..., Any]:
    return pycocotools
