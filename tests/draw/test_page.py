"""The report: one file, complete, safe, well formed."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.draw.chart import Chart, Curve
from maskrcnn.draw.page import (
    Comparison,
    Gallery,
    Headline,
    ReportData,
    Share,
    Table,
    data_uri,
    report_page,
    write_report,
)
from maskrcnn.errors import OutputError

RED = Image.new("RGB", (40, 30), (255, 0, 0))


def _report() -> ReportData:
    return ReportData(
        "Balloons <1>",
        "Trained on 61 photographs.",
        [Headline("0.93", "box AP", "IoU 0.50")],
        [Gallery("Held out", [Comparison(RED, RED, "<script>alert(1)</script>")])],
        [Table("Over all classes", ["number", "box", "mask"], [["AP & AR", 0.25, None]])],
        [
            Chart(
                "Losses",
                "step",
                "loss",
                [Curve("sum", [1, 2], [2.0, 1.0], emphasis=True), Curve("mask", [1], [1.0])],
            )
        ],
        {"batch": 8},
        {"maskrcnn": "0.1"},
    )


class _Balance(HTMLParser):
    """Checks that every element that opens closes, in order."""

    void = frozenset({"meta", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_element_is_closed_and_everything_is_there() -> None:
    page = report_page(_report())
    parser = _Balance()
    parser.feed(page)
    assert parser.open == []
    assert parser.seen.count("img") == 2
    assert parser.seen.count("polyline") == 2
    assert "script" not in parser.seen
    for text in (
        "Balloons &lt;1&gt;",
        "0.93",
        "IoU 0.50",
        "AP &amp; AR",
        "<td>0.250</td>",
        "<td>-</td>",
        "batch",
    ):
        assert text in page


def test_the_page_needs_no_network() -> None:
    page = report_page(_report())
    assert re.findall(r"https?://|url\(|@import|<link|<script", page) == []
    assert set(re.findall(r'src="(.{11})', page)) == {"data:image/"}


def test_an_empty_report_is_a_page() -> None:
    page = report_page(ReportData("Nothing yet"))
    parser = _Balance()
    parser.feed(page)
    assert parser.open == []
    assert {"figure", "table", "dl"}.isdisjoint(parser.seen)


def test_a_chart_without_curves_says_so() -> None:
    assert "nothing was logged" in report_page(ReportData("t", charts=[Chart("Losses", "step", "loss", [])]))


def test_pictures_come_back_out_of_their_links() -> None:
    head, content = data_uri(RED).split(",")
    assert head == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB").tobytes() == RED.tobytes()


def test_the_page_is_written_whole(tmp_path: Path) -> None:
    write_report(_report(), tmp_path / "new" / "report.html")
    assert (tmp_path / "new" / "report.html").read_text(encoding="utf-8") == report_page(_report())
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.html"]
    with pytest.raises(OutputError, match=r"x\.html: could not be written: "):
        write_report(_report(), tmp_path / "new" / "report.html" / "x.html")


def test_half_a_surrogate_pair_is_written_as_such() -> None:
    assert "<h1>\\ud800</h1>" in report_page(ReportData("\ud800"))


def test_cells_are_written_as_what_they_are() -> None:
    table = Table("t", ["a"], [["word", 12345, 0.5, Share(0.5), Share(0.0), None]], digits=1)
    page = report_page(ReportData("t", tables=[table]))
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", page)
    assert cells == ["word", "12,345", "0.5", "50.0 %", "0 %", "-"]


def test_photographs_become_jpeg_of_a_quality() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    assert data_uri(noise).startswith("data:image/jpeg;base64,")
    assert len(data_uri(noise, 40)) < len(data_uri(noise, 90))


def test_a_table_shows_itself_in_a_notebook() -> None:
    shown = Table("A <b>", ("class", "AP"), [("<i>", 0.5), ("dog", None)], note="of all")._repr_html_()
    assert "A &lt;b&gt;" in shown
    assert "&lt;i&gt;" in shown
    assert "0.500" in shown
    assert "<b>" not in shown
