"""What a model gets wrong, laid out for a terminal that takes names as they are, without markup."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from maskrcnn.evaluation.analysis import Analysis
from maskrcnn.evaluation.calibration import Calibration
from maskrcnn.evaluation.confusion import Confusion
from maskrcnn.evaluation.errors import ERRORS, SUMMARY, Errors
from maskrcnn.evaluation.thresholds import Threshold

_MOST_COLUMNS = 8  # classes of which the whole matrix still fits a terminal
_MOST_ROWS = 15


def tables(analysis: Analysis) -> Iterator[Table]:
    """Lay out errors, confusion, calibration and thresholds."""
    yield error_table(analysis.errors)
    if analysis.confusion.names:
        yield confusion_table(analysis.confusion)
    yield calibration_table(analysis.calibration)
    yield threshold_table(analysis.thresholds, analysis.errors.iou)


def error_table(errors: Errors) -> Table:
    """Lay out the classes of errors, how many there are and what each costs."""
    caption = (
        f"AP of every {errors.kind} at IoU {errors.iou:g}, all areas, all detections: {_show(errors.ap)}\n"
        "costs AP: what AP would gain if these errors and no others were mended, as TIDE"
    )
    out = Table(title=f"What is wrong ({errors.kind})", caption=caption, title_justify="left", caption_justify="left")
    out.add_column("error", no_wrap=True)
    out.add_column("count", justify="right")
    out.add_column("costs AP", justify="right", style="bold")
    out.add_column("what it is")
    for name in (*ERRORS, *SUMMARY):
        count = f"{errors.counts[name]:,}" if name in errors.counts else ""
        out.add_row(
            name.replace("_", " "),
            count,
            _show(errors.costs[name]),
            errors.meaning(name),
            end_section=name == ERRORS[-1],
        )
    return out


def confusion_table(confusion: Confusion) -> Table:
    """Lay out the matrix; of many classes the most frequent confusions."""
    return _matrix(confusion) if len(confusion.names) <= _MOST_COLUMNS else _mistakes(confusion)


def _caption(confusion: Confusion) -> str:
    edges = sorted({f"{edge:.2f}" for edge in confusion.thresholds})
    several = len(edges) > 1
    sure = f"thresholds of the classes, {edges[0]} to {edges[-1]}" if several else f"probability of at least {edges[0]}"
    return f"{sure}, IoU {confusion.iou:g} of every {confusion.kind}; an object counts for the surest detection of it"


def _matrix(confusion: Confusion) -> Table:
    out = Table(
        title="What is taken for what", caption=_caption(confusion), title_justify="left", caption_justify="left"
    )
    out.add_column("there \\ found")
    for name in (*confusion.names, "not found"):
        out.add_column(name, justify="right")
    for row, name in enumerate((*confusion.names, "nothing there")):
        cells = [
            Text(str(count), "bold") if row == column else str(count)
            for column, count in enumerate(confusion.counts[row])
        ]
        out.add_row(name, *cells[: len(confusion.names)], "" if row == len(confusion.names) else cells[-1])
    return out


def _mistakes(confusion: Confusion) -> Table:
    title = f"What is taken for what: the {_MOST_ROWS} most frequent"
    out = Table(title=title, caption=_caption(confusion), title_justify="left", caption_justify="left")
    for heading in ("there", "found"):
        out.add_column(heading)
    out.add_column("count", justify="right")
    for there, found, count in confusion.mistaken(_MOST_ROWS):
        out.add_row(there, found, f"{count:,}")
    return out


def calibration_table(calibration: Calibration) -> Table:
    """Lay out bins of probability with how often each is right."""
    caption = f"expected calibration error {_show(calibration.error)}; right at IoU {calibration.iou:g}"
    out = Table(title="What probabilities are worth", caption=caption, title_justify="left", caption_justify="left")
    for heading in ("probability", "detections", "mean", "right"):
        out.add_column(heading, justify="right")
    bins = zip(calibration.edges, calibration.edges[1:], calibration.counts, strict=False)
    for place, (low, high, count) in enumerate(bins):
        mean, right = (
            ("-", "-") if not count else (_show(each[place]) for each in (calibration.scores, calibration.right))
        )
        out.add_row(f"{low:.1f} to {high:.1f}", f"{count:,}", mean, right)
    return out


def threshold_table(thresholds: dict[str, Threshold], iou: float) -> Table:
    """Lay out the best threshold of each class."""
    caption = f"the threshold with the highest F1; right at IoU {iou:g}"
    out = Table(title="Best threshold per class", caption=caption, title_justify="left", caption_justify="left")
    out.add_column("class")
    for heading in ("objects", "threshold", "F1", "precision", "recall"):
        out.add_column(heading, justify="right", style="bold" if heading == "threshold" else None)
    for name, best in thresholds.items():
        numbers = (_show(each) for each in (best.threshold, best.f1, best.precision, best.recall))
        out.add_row(name, f"{best.objects:,}", *numbers)
    return out


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
