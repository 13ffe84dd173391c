"""What a model gets wrong, as a page shows it: errors with examples, confusion, calibration, thresholds, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.formats.coco_results import Result
from maskrcnn.draw.chart import Chart
from maskrcnn.draw.chart import Curve as Line
from maskrcnn.draw.page import Cell, Share, Table
from maskrcnn.evaluation.analysis import Analysis
from maskrcnn.evaluation.calibration import Calibration
from maskrcnn.evaluation.coco import Kind
from maskrcnn.evaluation.confusion import Confusion
from maskrcnn.evaluation.curves import LEVELS, Curve, precision_recall
from maskrcnn.evaluation.errors import ERRORS, ErrorName, Errors
from maskrcnn.evaluation.ground_truth import GroundTruth

A_CHART = 7  # classes in one pair of axes, beside the mean
MOST_CLASSES = 21  # that have curves of their own, those with most objects
MOST_SQUARE = 20  # classes of which the whole confusion matrix is shown
MOST_MISTAKES = 30
STRONGEST = 50  # percent of colour behind the largest share, so that the number on it can be read


class ErrorRow(NamedTuple):
    """One class of errors: what it is, how often it comes, what it costs, and that as a part of the largest cost."""

    name: ErrorName
    meaning: str
    number: int
    cost: float | None
    part: Share


class ShadedCell(NamedTuple):
    """How often one thing is taken for another, and how strongly the cell is coloured, in percent."""

    number: int
    strength: int


@dataclass(frozen=True)
class Matrix:
    """Which class is taken for which.

    Attributes:
        names: The classes.
        rows: A row a class and one for nothing, each with a cell a class and one for what was not found.
        note: How it was counted.
    """

    names: Sequence[str]
    rows: Sequence[Sequence[ShadedCell]]
    note: str


def error_rows(errors: Errors) -> list[ErrorRow]:
    """List the classes of errors, in the order of TIDE."""
    most = max((cost for name in ERRORS if (cost := errors.costs[name])), default=1.0)
    return [
        ErrorRow(name, errors.meaning(name), errors.counts[name], errors.costs[name], _part(errors.costs[name], most))
        for name in ERRORS
    ]


def _part(cost: float | None, most: float) -> Share:
    return Share((cost or 0.0) / most)


def errors_note(errors: Errors) -> str:
    """Say what the numbers of the errors are of."""
    ap = "-" if errors.ap is None else f"{errors.ap:.3f}"
    return (
        f"Every wrong {errors.kind} in one of six classes, as TIDE sorts them, and what AP at IoU {errors.iou:g} "
        f"({ap} over all areas and detections) would gain if these errors and no others were mended."
    )


def matrix(confusion: Confusion) -> Matrix | None:
    """Shade the matrix by the shares of its rows; None where there are too many classes for one."""
    if len(confusion.names) > MOST_SQUARE:
        return None
    strength = np.round(confusion.shares * STRONGEST).astype(int)
    rows = [
        [ShadedCell(int(count), int(strong)) for count, strong in zip(*both, strict=True)]
        for both in zip(confusion.counts, strength, strict=True)
    ]
    return Matrix(confusion.names, rows, _confusion_note(confusion))


def mistakes(confusion: Confusion) -> Table | None:
    """List the most frequent confusions of many classes; None where the matrix is shown, or there are none."""
    listed: list[Sequence[Cell]] = list(confusion.mistaken(MOST_MISTAKES))
    if len(confusion.names) <= MOST_SQUARE or not listed:
        return None
    title = f"What is taken for what: the {MOST_MISTAKES} most frequent"
    return Table(title, ["there", "found", "count"], listed, _confusion_note(confusion))


def _confusion_note(confusion: Confusion) -> str:
    low, high = confusion.thresholds.min(), confusion.thresholds.max()
    sure = f"of at least {low:.2g}" if low == high else f"of at least that of their class, {low:.2g} to {high:.2g}"
    return (
        f"Rows are what is there, columns what was found there: detections with a probability {sure}, "
        f"{confusion.kind} IoU {confusion.iou:g}. An object counts for the surest detection of it."
    )


def threshold_table(analysis: Analysis) -> Table:
    """Lay out the best threshold of each class."""
    rows: list[list[Cell]] = [
        [name, best.threshold, best.f1, best.precision, best.recall, best.objects]
        for name, best in analysis.thresholds.items()
    ]
    columns = ["class", "best\nthreshold", "F1", "precision", "recall", "objects"]
    errors = analysis.errors
    note = f"The threshold with the highest F1 of precision and recall, {errors.kind} IoU {errors.iou:g}."
    return Table("Best threshold per class", columns, rows, note)


def calibration_chart(calibration: Calibration) -> Chart:
    """Draw how often detections are right over what they say of themselves."""
    full = calibration.counts > 0
    error = "" if calibration.error is None else f"expected calibration error {calibration.error:.3f}"
    return Chart(
        "Calibration",
        "probability",
        "share that is right",
        [
            Line("perfect", [0.0, 1.0], [0.0, 1.0], value=""),
            Line(
                "all classes",
                calibration.scores[full].tolist(),
                calibration.right[full].tolist(),
                emphasis=True,
                value=error,
            ),
        ],
        y_max=1.0,
        x_max=1.0,
        markers=True,
    )


def class_curves(kinds: Sequence[Kind], truth: GroundTruth, results: Sequence[Result]) -> list[Chart]:
    """Draw precision over recall of the classes with most objects, for every kind, and F1 over the threshold."""
    charts = []
    for kind in kinds:
        curves = precision_recall(kind, truth, results)
        lines = {name: _precision_line(name, curve) for name, curve in curves.items() if curve.objects}
        mean = [mean_line("mean", list(curves.values()))] if len(lines) > 1 else []
        charts += _by_class(f"Precision over recall, {kind} IoU 0.50", "recall", "precision", lines, curves, mean)
        if kind == kinds[-1]:
            lines = {name: _f1_line(name, curve) for name, curve in curves.items() if curve.objects}
            charts += _by_class(f"F1 over the threshold, {kind} IoU 0.50", "threshold", "F1", lines, curves, [])
    return charts


def mean_line(name: str, curves: Sequence[Curve]) -> Line:
    """Average precision over the classes that have objects, at each of 101 levels of recall."""
    values = np.mean([_levels(each) for each in curves if each.objects], axis=0)
    return Line(name, LEVELS.tolist(), values.tolist(), emphasis=True, value=f"AP {values.mean():.3f}")


def _precision_line(name: str, curve: Curve) -> Line:
    return Line(name, LEVELS.tolist(), _levels(curve).tolist(), value=f"AP {curve.average:.3f}")


def _levels(curve: Curve) -> NDArray[np.float64]:
    """Return what COCO averages: the best precision at each level of recall or a higher one."""
    precision: NDArray[np.float64] = np.append(curve.envelope, 0.0)[np.searchsorted(curve.recall, LEVELS)]
    return precision


def _f1_line(name: str, curve: Curve) -> Line:
    precision = np.nan_to_num(curve.precision)
    both = precision + curve.recall
    f1 = np.where(both > 0, 2 * precision * curve.recall / np.where(both > 0, both, 1.0), 0.0)
    return Line(name, curve.scores[::-1].tolist(), f1[::-1].tolist(), value=f"best {f1.max(initial=0.0):.3f}")


def _by_class(
    title: str,
    x_label: str,
    y_label: str,
    lines: Mapping[str, Line],
    curves: Mapping[str, Curve],
    mean: Sequence[Line],
) -> list[Chart]:
    """Draw the classes with most objects, some in each pair of axes."""
    names = sorted(lines, key=lambda name: -curves[name].objects)[:MOST_CLASSES]
    charts = []
    for start in range(0, len(names), A_CHART):
        own = [lines[name] for name in names[start : start + A_CHART]]
        part = f", classes {start + 1} to {start + len(own)}" if len(names) > A_CHART else ""
        charts.append(Chart(f"{title}{part}", x_label, y_label, [*own, *mean], y_max=1.0, x_max=1.0))
    return charts
