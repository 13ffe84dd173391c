"""Tables of errors: every number that is asked for, names as they are, of few and of many classes."""

from __future__ import annotations

from io import StringIO

import pytest
from boxes_by_chance import CLASSES, SIZE_HW, case_by_chance, found, thing
from rich.console import Console

from maskrcnn.data.formats.coco_results import Result
from maskrcnn.evaluation import analyse_results
from maskrcnn.evaluation.error_tables import tables
from maskrcnn.evaluation.errors import ERRORS
from maskrcnn.evaluation.ground_truth import GroundTruth


def shown(truth: GroundTruth, results: list[Result], **how: object) -> str:
    console = Console(width=160, file=StringIO(), record=True, markup=False)
    for table in tables(analyse_results(truth, results, **how)):  # type: ignore[arg-type]
        console.print(table)
    return console.export_text()


def test_every_class_of_error_and_of_objects_has_its_row() -> None:
    text = shown(*case_by_chance(4))
    for name in (*ERRORS, "false positives", "false negatives", *CLASSES.values()):
        assert f"│ {name} " in text, name
    assert "probability of at least 0.50, IoU 0.5 of every mask" in " ".join(text.split())


def test_names_are_written_as_they_are() -> None:
    truth = GroundTruth({1: SIZE_HW}, {1: "[red]cat", 2: "dog[/]"}, (thing(1, 1, [2, 2, 9, 9]),))
    text = shown(truth, [found(1, 2, [2, 2, 9, 9], 0.9)])
    assert text.count("[red]cat") == 3  # a row and a column of the matrix, a threshold
    assert "dog[/]" in text


def test_of_many_classes_the_confusions_are_listed() -> None:
    names = {i: f"class {i}" for i in range(1, 21)}
    truth = GroundTruth({1: SIZE_HW}, names, (thing(1, 3, [2, 2, 9, 9]),))
    text = shown(truth, [found(1, 17, [2, 2, 9, 9], 0.9)], sure={"class 17": 0.25})
    assert "│ class 3 │ class 17 │     1 │" in text
    assert "thresholds of the classes, 0.25 to 0.50" in " ".join(text.split())


@pytest.mark.parametrize("names", [{}, CLASSES])
def test_nothing_to_show_is_shown(names: dict[int, str]) -> None:
    text = shown(GroundTruth({1: SIZE_HW}, names, ()), [])
    assert "all detections: -" in text
    assert "nan" not in text
