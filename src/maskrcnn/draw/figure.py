"""A chart as a picture of its own, for a paper, a slide or a notebook."""

from __future__ import annotations

from maskrcnn.draw.bars import Bars, Dots, layout_bars, layout_dots
from maskrcnn.draw.chart import Chart, layout
from maskrcnn.draw.page import render


def figure(chart: Chart | Bars | Dots) -> str:
    """Draw a chart as an SVG that stands alone, on white."""
    if isinstance(chart, Chart):
        return render("figure.svg", drawing=layout(chart), legend=True)
    plot = layout_bars(chart) if isinstance(chart, Bars) else layout_dots(chart)
    return render("figure.svg", drawing=plot, legend=False)
