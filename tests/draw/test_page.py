"""Pictures inside of pages, and figures and tables on their own."""

from __future__ import annotations

import base64
import io
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from maskrcnn.draw.bars import Bars, Dots
from maskrcnn.draw.chart import Chart, Curve
from maskrcnn.draw.page import Table, data_uri, figure

RED = Image.new("RGB", (40, 30), (255, 0, 0))


def test_pictures_come_back_out_of_their_links() -> None:
    head, content = data_uri(RED).split(",")
    assert head == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB").tobytes() == RED.tobytes()


def test_photographs_become_jpeg_of_a_quality() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    assert data_uri(noise).startswith("data:image/jpeg;base64,")
    assert len(data_uri(noise, 40)) < len(data_uri(noise, 90))


# ---- figures and tables on their own

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


def test_a_table_shows_itself_in_a_notebook() -> None:
    shown = Table("A <b>", ("class", "AP"), [("<i>", 0.5), ("dog", None)], note="of all")._repr_html_()
    assert "A &lt;b&gt;" in shown
    assert "&lt;i&gt;" in shown
    assert "0.500" in shown
    assert "<b>" not in shown
