"""The numbers of an evaluation as the report page shows them."""

from __future__ import annotations

from maskrcnn.draw.page import Headline, Table
from maskrcnn.evaluation.coco import Metrics, numbers


def headlines(metrics: Metrics) -> list[Headline]:
    """Return AP at IoU 0.50 and over 0.50:0.95 for each kind that was measured."""
    shown = [number for number in numbers(metrics.limits) if number.name in ("AP50", "AP")]
    return [
        Headline(
            _show(metrics[f"{kind}/{number.name}"]),
            f"{kind} AP",
            f"IoU {number.iou_range}, all areas, {number.detections} detections",
        )
        for kind in metrics.kinds
        for number in sorted(shown, key=lambda number: number.name, reverse=True)
    ]


def tables(metrics: Metrics) -> list[Table]:
    """Return the table over all classes and the one per class, every number labelled."""
    kinds = metrics.kinds
    overall = [
        [f"A{number.quantity[0].upper()}", number.iou_range, number.area.name, f"≤ {number.detections}"]
        + [metrics[f"{kind}/{number.name}"] for kind in kinds]
        for number in numbers(metrics.limits)
    ]
    counts = f"{metrics.images} pictures, {metrics.objects} objects, {metrics.detections} detections."
    limit = "Limit: detections a picture and class, the best ones."
    sizes = "Small is under 32² pixels, large over 96². A dash: no object to measure it on."
    notes = " ".join([counts, limit, sizes, *(f"{note}." for note in metrics.notes)])
    columns = ["", "IoU", "area", "limit", *kinds]
    return [Table("Over all classes", columns, overall, notes), _class_table(metrics)]


def _class_table(metrics: Metrics) -> Table:
    keys = {
        f"{kind}\n{number.iou_range}": f"{kind}/{number.name}"
        for kind in metrics.kinds
        for number in numbers(metrics.limits)[:3]
    }
    keys |= {"objects": "objects", "detections": "detections"}
    rows = [[name, *(row[key] for key in keys.values())] for name, row in metrics.classes.items()]
    note = f"Below the kind its IoU range; all areas, limit {metrics.limits[-1]}."
    return Table("AP per class", ["class", *keys], rows, note)


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
