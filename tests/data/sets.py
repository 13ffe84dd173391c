"""Small sets made by hand, without pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from maskrcnn.data.dataset import Annotation, Dataset, Record, Rings

SIZE_HW = (6, 8)


def square(label: int, x: float = 1, name: str = "annotation 1", crowd: bool = False) -> Annotation:
    ring = np.array([[x, 1], [x + 2, 1], [x + 2, 3], [x, 3]], dtype=np.float64)
    return Annotation(name, label, Rings((ring,)), crowd=crowd)


def boxed(label: int) -> Annotation:
    return Annotation("annotation 2", label, None, (1.0, 1.0, 4.0, 5.0))


def record(name: str, image_id: int, *labels: int, **more) -> Record:
    return Record(name, Path("pictures") / name, image_id, SIZE_HW, tuple(square(label) for label in labels), **more)


def set_of(*pictures: tuple[int, ...], names=("cat", "dog", "horse"), source="a/set.json", **more) -> Dataset:
    """A set whose pictures show objects of these labels."""
    records = [record(f"{i}.png", 10 * i, *labels) for i, labels in enumerate(pictures, 1)]
    return Dataset(Path(source), more.pop("format", "coco"), names, range(2, len(names) + 2), records, **more)


def named_objects(dataset: Dataset) -> list[list[str]]:
    return [[dataset.class_names[each.label] for each in record.annotations] for record in dataset.records]
