"""A chart of its own is a whole SVG with everything on it."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from maskrcnn.draw.bars import Bars, Dots
from maskrcnn.draw.chart import Chart, Curve
from maskrcnn.draw.figure import figure

FIGURES = [
    Chart("Losses & <more>", "step", "loss", [Curve("sum", [1, 2], [2.0, 1.0]), Curve("box", [1], [0.5])]),
    Bars("Objects & <more>", "objects", "pictures", [2, 0, 1], ["1", "2", "3"], [(0.5, "1")], [(1.5, "32")]),
    Dots("Sizes & <more>", "width", "height", [(3.0, 4.0, 2), (5.0, 1.0, 1)]),
]


@pytest.mark.parametrize("chart", FIGURES, ids=["chart", "bars", "dots"])
def test_a_figure_is_an_svg_that_stands_alone(chart: Chart | Bars | Dots) -> None:
    tree = ElementTree.fromstring(figure(chart))
    assert tree.tag == "{http://www.w3.org/2000/svg}svg"
    texts = ["".join(each.itertext()) for each in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0] == chart.title
    assert {chart.x_label, chart.y_label} <= set(texts)


def test_a_figure_draws_every_line_bar_and_dot() -> None:
    lines, bars, dots = map(figure, FIGURES)
    assert (lines.count("<polyline"), lines.count('class="hover"')) == (2, 2)  # a line of one point has a dot
    assert "sum 1.000" in lines
    assert bars.count("<title>") == 3
    assert dots.count('class="dot"') == 2
