"""Metrics as tables of the report: each number under its own heading."""

from __future__ import annotations

from maskrcnn.evaluation.coco import KINDS, Metrics, numbers
from maskrcnn.evaluation.report import headlines, tables


def _metrics() -> Metrics:
    """Numbers that tell where they come from: box 0.00, 0.01 ..., mask 0.50, 0.51 ..."""
    values: dict[str, float | None] = {
        f"{kind}/{number.name}": round(start + i / 100, 2)
        for kind, start in zip(KINDS, (0.0, 0.5), strict=True)
        for i, number in enumerate(numbers())
    }
    return Metrics(values, {"cat": {"objects": 7, "detections": 9, **values}}, 3, 7, 1, 9, notes=("a note",))


def test_every_row_says_what_its_numbers_are() -> None:
    overall = tables(_metrics())[0]
    assert overall.columns == ["", "IoU", "area", "limit", "box", "mask"]
    assert overall.rows[1] == ["AP", "0.50", "all", "≤ 100", 0.01, 0.51]
    assert overall.rows[5] == ["AP", "0.50:0.95", "large", "≤ 100", 0.05, 0.55]
    assert overall.rows[7] == ["AR", "0.50:0.95", "all", "≤ 10", 0.07, 0.57]
    assert overall.note.endswith("a note.")


def test_every_class_number_stands_under_its_heading() -> None:
    per_class = tables(_metrics())[1]
    row = dict(zip(per_class.columns, per_class.rows[0], strict=True))
    assert row == {
        "class": "cat",
        "box\n0.50:0.95": 0.0,
        "box\n0.50": 0.01,
        "box\n0.75": 0.02,
        "mask\n0.50:0.95": 0.5,
        "mask\n0.50": 0.51,
        "mask\n0.75": 0.52,
        "objects": 7,
        "detections": 9,
    }


def test_headlines_name_their_iou_range() -> None:
    shown = [(headline.value, headline.label, headline.note) for headline in headlines(_metrics())]
    assert shown[0] == ("0.010", "box AP", "IoU 0.50, all areas, 100 detections")
    assert shown[3] == ("0.500", "mask AP", "IoU 0.50:0.95, all areas, 100 detections")
