"""One walk over a set: every object is there once, with the box that its mask will have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maskrcnn.data.dataset import Annotation, Dataset, Record, Rings, Runs
from maskrcnn.inspection.survey import KINDS, survey
from maskrcnn.ops.rle import Bitmap

SIZE = (40, 60)


def ring(*corners: tuple[float, float]) -> Rings:
    return Rings((np.array(corners, dtype=np.float64),))


def rectangle(x1: float, y1: float, x2: float, y2: float) -> Rings:
    return ring((x1, y1), (x2, y1), (x2, y2), (x1, y2))


def runs(x: int, y: int, h: int, w: int) -> Runs:
    return Runs.of(Bitmap(x, y, np.ones((h, w), dtype=np.bool_)), SIZE)


def record(i: int, *annotations: Annotation, **values: object) -> Record:
    return Record(f"{i}.png", Path(f"{i}.png"), i, SIZE, annotations, **values)  # type: ignore[arg-type]


def dataset(*records: Record) -> Dataset:
    return Dataset(Path("set/annotations.json"), "coco", ("cat", "dog", "cow"), (1, 2, 3), list(records))


def test_every_object_is_there_once_in_order() -> None:
    steps: list[None] = []
    found = survey(
        dataset(
            record(0, Annotation("a", 2, rectangle(1, 2, 5, 12)), Annotation("b", 0, None, (3.5, 4.0, 9.0, 8.0))),
            record(1),
            record(2, Annotation("c", 1, runs(10, 5, 7, 20), crowd=True)),
        ),
        lambda: steps.append(None),
    )
    assert found.picture.tolist() == [0, 0, 2]
    assert found.label.tolist() == [2, 0, 1]
    assert found.crowd.tolist() == [False, False, True]
    assert [KINDS[kind] for kind in found.kind] == ["outline", "box only", "run lengths"]
    assert found.boxes.tolist() == [[1, 2, 5, 12], [3.5, 4, 9, 8], [10, 5, 30, 12]]
    assert found.size_hw.tolist() == [[40, 60]] * 3
    assert found.lengths.tolist() == pytest.approx([40**0.5, 22**0.5, 140**0.5])
    assert [found.first_of(i) for i in range(3)] == [0, 2, 2]
    assert len(steps) == 3


@pytest.mark.parametrize(
    ("annotation", "box"),
    [
        (Annotation("over the border", 0, rectangle(-5, -5, 7, 100)), (0, 0, 7, 40)),
        (Annotation("a line", 0, ring((3, 9), (20, 9), (30, 9))), (3, 8.5, 30, 9.5)),
        (Annotation("a line on the border", 0, ring((60, 3), (60, 9), (60, 20))), (59, 3, 60, 20)),
        (Annotation("a thin box", 0, None, (3.0, 9.0, 3.25, 9.5)), (3, 9, 3.25, 9.5)),
        (Annotation("outline before its box", 0, rectangle(1, 2, 5, 12), (0.0, 0.0, 60.0, 40.0)), (1, 2, 5, 12)),
        (Annotation("runs with a box", 0, runs(10, 5, 7, 20), (10.0, 5.0, 30.0, 12.0)), (10, 5, 30, 12)),
    ],
    ids=lambda value: value.name if isinstance(value, Annotation) else "",
)
def test_a_box_is_what_will_be_learnt(annotation: Annotation, box: tuple[float, ...]) -> None:
    assert survey(dataset(record(0, annotation)), lambda: None).boxes.tolist() == [list(box)]


def test_boxes_are_those_of_the_drawn_masks_to_within_a_pixel() -> None:
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    centres, radii = rng.uniform(12, 28, (100, 2)), rng.uniform(1, 11, (100, 2))
    rounds = [
        centre + np.stack([np.cos(angles), np.sin(angles)], 1) * r for centre, r in zip(centres, radii, strict=True)
    ]
    drawn = dataset(record(0, *(Annotation(f"{i}", 0, Rings((each,))) for i, each in enumerate(rounds))))
    assert np.abs(survey(drawn, lambda: None).boxes - drawn.instances(0).boxes).max() <= 1


def test_columns_and_classes_that_were_looked_for() -> None:
    found = survey(
        dataset(
            record(0, labelled=frozenset({1}), columns={"craft": "cassini", "sun": "left"}),
            record(1, columns={"craft": "cassini"}),
            record(2, labelled=frozenset()),
        ),
        lambda: None,
    )
    assert found.looked_for.tolist() == [1, 2, 1]
    assert found.columns == {"craft": {"cassini": 2}, "sun": {"left": 1}}


def test_a_set_without_objects_has_empty_arrays() -> None:
    found = survey(dataset(record(0)), lambda: None)
    assert (found.boxes.shape, found.sides.shape, found.lengths.shape) == ((0, 4), (0, 2), (0,))
