"""The pages: complete, well formed, safe, of one file."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from maskrcnn.data.formats.coco_results import read_results
from maskrcnn.draw.chart import Chart
from maskrcnn.draw.page import Headline, Share, Table
from maskrcnn.errors import InputError
from maskrcnn.model.weights import rewrite
from maskrcnn.reporting import report
from maskrcnn.reporting.measuring import Found, keep, place_of
from maskrcnn.reporting.one import Gallery, RunPage
from maskrcnn.reporting.runs import read_runs, validation_of


class Balance(HTMLParser):
    """Checks that every element that opens closes, in order."""

    void = frozenset({"meta", "img", "br", "input", "wbr"})

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


def elements(page: str) -> list[str]:
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    return parser.seen


def assert_alone(page: str) -> None:
    """The page asks for nothing: every address in it is a picture inside it or a place on it."""
    assert set(re.findall(r'(?:src|url\()="?(.{11})', page)) <= {"data:image/"}
    assert re.findall(r'href="(?!#)|@import|<link|src="(?!data:)|https?://(?!www\.w3\.org)', page) == []


EMPTY = RunPage("t", "", [], [], ["cat"], Gallery([], "", None, [], "", [], ""), [], None, [], [], {}, {}, {})


def test_an_empty_page_is_a_page() -> None:
    assert {"figure", "table", "img", "button"}.isdisjoint(elements(EMPTY.html()))


def test_half_a_surrogate_pair_is_written_as_such_and_markup_is_text() -> None:
    page = dataclasses.replace(EMPTY, title="\ud800<b>", names=["<i>"]).html()
    assert "<h1><bdi>\\ud800&lt;b&gt;</bdi></h1>" in page
    elements(page)


def test_cells_are_written_as_what_they_are() -> None:
    table = Table("t", ["a"], [["AP & AR", 12345, 0.5, Share(0.5), Share(0.0), None]], digits=1)
    page = dataclasses.replace(EMPTY, scores=[table], headlines=[Headline("0.93", "box AP", "IoU 0.50")]).html()
    assert re.findall(r"<td[^>]*>([^<]*)</td>", page) == ["AP &amp; AR", "12,345", "0.5", "50.0 %", "0 %", "-"]
    assert "<b>0.93</b><span>box AP</span><small>IoU 0.50</small>" in page


def test_a_chart_without_curves_says_so() -> None:
    assert "nothing was logged" in dataclasses.replace(EMPTY, training=[Chart("Losses", "step", "loss", [])]).html()


def test_one_run(make_run, no_model) -> None:
    run, said = make_run(), []
    path = report(run.folder, open_model=no_model, progress=lambda *told: said.append(told))
    assert path == run.folder / "report/report.html"
    page = path.read_text(encoding="utf-8")
    seen = elements(page)
    assert_alone(page)
    assert seen.count("h1") == 1
    assert page.count('type="range"') == 4
    assert said == [("drawing", i, 4) for i in range(1, 5)]
    assert [float(each) for each in re.findall(r'data-quality="([^"]+)"', page)] == sorted(
        float(each) for each in re.findall(r'data-quality="([^"]+)"', page)
    )
    for text in (
        "All 4 pictures, the worst first. Detections with a probability of at least 0.5 are shown.",
        "All 3 false detections.",
        "All 3 missed objects.",
        "measured on 4 pictures with 4 objects of 3 classes after learning from 61 pictures",
        "took 2 s a picture",
        "train.learning_rate",
    ):
        assert text in page, text
    figures = {each.stem for each in (path.parent / "figures").glob("*.svg")}
    assert {
        "losses",
        "learning-rate",
        "precision-over-recall-mask-iou-0.50",
        "f1-over-the-threshold-mask-iou-0.50",
    } < figures


def cells(page: str, heading: str) -> list[list[str]]:
    """Return the texts of the rows of the first table after a heading."""
    body = page[page.index(heading) :]
    body = body[body.index("<tbody>") : body.index("</tbody>")]
    return [
        [re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, flags=re.DOTALL)]
        for row in re.findall(r"<tr>(.*?)</tr>", body, flags=re.DOTALL)
    ]


def test_what_is_wrong_is_said_and_shown(make_run, no_model) -> None:
    page = report(make_run().folder, open_model=no_model).read_text(encoding="utf-8")
    errors = {row[0]: row[1] for row in cells(page, "<h3>Errors</h3>")}
    # the class of one is wrong, one lies beside its object, two are on nothing; the one in the crowd is no error
    assert errors == {
        "class": "1", "localisation": "1", "both": "0", "duplicate": "0", "background": "2", "missed": "1",
    }  # fmt: skip
    examples = re.findall(r"<h3>Examples: (\w+)</h3></summary>(.*?)</details>", page, flags=re.DOTALL)
    assert {name: text.count("<figure") for name, text in examples} == {
        "class": 1, "localisation": 1, "background": 2, "missed": 1,
    }  # fmt: skip
    assert cells(page, "<h3>What is taken for what</h3>") == [
        ["cat", "1", "0", "0", "0"],
        ["dog", "1", "0", "0", "1"],
        ["horse", "0", "0", "0", "1"],
        ["nothing", "0", "1", "1", ""],
    ]
    best = {row[0]: row[1:3] for row in cells(page, "<h3>Best threshold per class</h3>")}
    assert best["cat"] == ["0.925", "1.000"]


def test_thresholds_in_the_model_file_hold_unless_a_score_is_named(make_run, no_model, tiny) -> None:
    run = make_run()
    rewrite(run.model, tiny.change(detect=tiny.detect.change(class_thresholds=(0.93, 0.81, 0.1))))
    folder, key = place_of(run, validation_of(read_runs([run.folder])[0]))
    (old,) = (run.folder / "found").glob("*/predictions.json")
    keep(folder, key, Found(read_results(old), 1.0))
    page = report(run.folder, open_model=no_model).read_text(encoding="utf-8")
    assert "that stored for their class, 0.10 to 0.93, are shown" in page
    assert "The only false detection." in page
    page = report(run.folder, open_model=no_model, score=0.5).read_text(encoding="utf-8")
    assert "All 3 false detections." in page


def test_fewer_pictures_and_another_threshold(make_run, no_model, tmp_path: Path) -> None:
    path = report(make_run().folder, tmp_path / "out", pictures=2, score=0.1, open_model=no_model)
    page = path.read_text(encoding="utf-8")
    assert page.count('type="range"') == 2
    assert "2 of 4 pictures, the worst first" in page
    assert "All 4 false detections." in page


def test_other_data_is_said(make_run, pictures, tmp_path: Path) -> None:
    path = report(make_run().folder, tmp_path / "out", data=pictures[:2])
    assert "This is other data than the run was measured on" in path.read_text(encoding="utf-8")


def test_several_runs(make_run, results, no_model, tmp_path: Path) -> None:
    one, two = make_run("first"), make_run("second", found=results[:1], learning_rate=0.5, seed=3)
    path = report([one.folder, two.folder], tmp_path / "out", open_model=no_model)
    page = path.read_text(encoding="utf-8")
    elements(page)
    assert_alone(page)
    assert page.count("background-image") == 4  # each picture once, however many runs look at it
    rows = re.findall(r"<tr>(.*?)</tr>", page, flags=re.DOTALL)
    changed = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in rows if "train." in row]
    assert changed == [["train.learning_rate", "0.001", "0.5"], ["train.seed", "0", "3"]]
    compared = {row[1]: row for row in cells(page, "<h3>Differences from")}
    assert set(compared) == {"box/AP", "box/AP50", "mask/AP", "mask/AP50"}
    low, high = (float(each) for each in compared["mask/AP"][3:5])
    assert low <= float(compared["mask/AP"][2]) <= high
    # the second one finds nothing false on picture 3, where the first one does: that is where they differ most
    assert re.findall(r"<figcaption><bdi>(\d)\.png", page)[0] == "3"
    with pytest.raises(InputError, match="expected a folder for the page about 2 runs, got none; name it with --out"):
        report([one.folder, two.folder])


def test_the_documentation_runs(make_run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_run()
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[2] / "docs/report.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    exec(compile(code, "report.md", "exec"), {})
    assert Path("run/report/report.html").exists()


def test_numbers_out_of_range_are_refused(make_run) -> None:
    with pytest.raises(InputError, match="pictures: expected at least 0, got -1"):
        report(make_run().folder, pictures=-1)
