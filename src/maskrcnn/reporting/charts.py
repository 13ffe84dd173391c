"""The curves of a run, and of several runs in one pair of axes."""

from __future__ import annotations

from collections.abc import Sequence

from maskrcnn.draw.chart import Chart, Curve
from maskrcnn.reporting.runs import Told
from maskrcnn.training.history import LOSSES, SHOWN, Row, curve

KINDS = ("box", "mask")


def training_charts(rows: Sequence[Row]) -> list[Chart]:
    """Draw losses by term, the learning rate, and AP over the steps; what was not logged is left out."""
    losses = [Curve(name.replace("_", " "), *curve(rows, f"train/{name}")) for name in LOSSES]
    charts = [
        Chart("Losses", "step", "loss", [Curve("sum", *curve(rows, "train/loss"), emphasis=True), *losses]),
        Chart("Learning rate", "step", "rate", [Curve("learning rate", *curve(rows, "train/rate"))]),
    ]
    for kind in KINDS:
        curves = [Curve(name, *curve(rows, f"val/{kind}/{name}")) for name in SHOWN]
        title = f"{kind.capitalize()} AP and AR on the validation data"
        charts.append(Chart(title, "step", "AP and AR", curves, y_max=1.0, markers=True))
    return [chart for chart in charts if any(len(line.x) for line in chart.curves)]


def compared_charts(runs: Sequence[Told]) -> list[Chart]:
    """Draw the loss, the learning rate and AP of several runs over their steps."""
    wanted = (
        ("Loss", "train/loss", "loss", None),
        ("Learning rate", "train/rate", "rate", None),
        ("Box AP, IoU 0.50:0.95", "val/box/AP", "AP", 1.0),
        ("Mask AP, IoU 0.50:0.95", "val/mask/AP", "AP", 1.0),
    )
    charts = [
        Chart(
            title,
            "step",
            unit,
            [Curve(told.name, *curve(told.history, name)) for told in runs],
            y_max=top,
            markers=top is not None,
        )
        for title, name, unit, top in wanted
    ]
    return [chart for chart in charts if any(len(line.x) for line in chart.curves)]
