"""Every page that the package makes, opened in a real browser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checking import check_page
from chromium import Chromium
from PIL import Image

from maskrcnn.config import ModelConfig
from maskrcnn.data.synth import KINDS, synthesise
from maskrcnn.draw.chart import Chart, Curve
from maskrcnn.draw.page import Comparison, Gallery, Headline, ReportData, Table, write_report
from maskrcnn.inspection import show_data
from maskrcnn.inspection.look import inspect_picture
from maskrcnn.inspection.weights import show_weights
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.weights import save


@pytest.fixture(scope="module")
def data_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    synthesise("spacecraft", folder / "set", 4, seed=3, size_hw=(96, 128))
    return show_data(folder / "set", folder / "look", count=3)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 128, 3)).astype(np.uint8))
    steps = list(range(1, 40))
    report = ReportData(
        "maskrcnn demo: spacecraft",
        "A model trained on few pictures.",
        [Headline("0.912", "mask AP@.50", "COCO, area all, 100 detections"), Headline("0.801", "box AP")],
        [
            Gallery(
                "Pictures it has never seen",
                [Comparison(picture, picture, "a_very_long_name_" * 6)] * 3,
                "Left, right.",
            )
        ],
        [Table("Per class", ("class", *(f"AP {i}" for i in range(12))), [("a" * 30, *[0.5] * 12)] * 30)],
        [Chart("Losses", "step", "loss", [Curve(f"loss {i}", steps, [i + 1 / s for s in steps]) for i in range(8)])],
        {"train.augment.turn": 0.5, "long": "x" * 200},
        {"torch": "2.13"},
    )
    place = tmp_path_factory.mktemp("report") / "report.html"
    write_report(report, place)
    return place


def test_the_page_of_a_data_set(browser: Chromium, data_page: Path) -> None:
    check_page(browser, data_page)


def test_a_picture_of_the_data_set_is_enlarged_by_click_key_and_finger(browser: Chromium, data_page: Path) -> None:
    large = "getComputedStyle(document.getElementById('picture1')).position === 'fixed'"
    with browser.open(data_page, 1280, "light") as tab:
        assert not tab.ask(large)
        tab.click("#picture1 a.open")
        assert tab.ask(large)
        tab.click("#picture1 a.close")
        assert not tab.ask(large)
        tab.ask("document.querySelector('#picture1 a.open').focus()")
        tab.press("Enter")
        assert tab.ask(large)
        tab.press("Tab", shift=True)
        tab.press("Enter")
        assert not tab.ask(large)
    with browser.open(data_page, 360, "dark") as tab:
        tab.tap("#picture1 a.open")
        assert tab.ask(f"new Promise(done => setTimeout(() => done({large}), 300))")


def test_the_report(browser: Chromium, report: Path) -> None:
    check_page(browser, report)


def test_tables_of_the_report_unfold_and_scroll_by_key(browser: Chromium, report: Path) -> None:
    with browser.open(report, 360, "light") as tab:
        assert not tab.ask("document.querySelector('details').open")  # 30 rows
        tab.ask("document.querySelector('summary').focus()")
        tab.press("Enter")
        assert tab.ask("document.querySelector('details').open")
        tab.press("Tab")
        for _ in range(5):
            tab.press("ArrowRight")
        assert tab.ask("new Promise(done => setTimeout(() => done(document.activeElement.scrollLeft > 0), 300))")


# ---- one picture's way through a model, and a model's weights


@pytest.fixture(scope="module")
def model(tiny: ModelConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model, which is sure of nothing but shows all of it."""
    config = tiny.change(classes=KINDS["shapes"].class_names, detect={"score_threshold": 0.0, "detections": 5})
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save(build(config), path)
    return path


@pytest.fixture(scope="module")
def picture_page(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("picture")
    synthesise("shapes", folder / "set", 1, seed=3, size_hw=(64, 96))
    picture = folder / "set/images/000001.png"
    return inspect_picture(model, picture, folder / "picture.html", data=folder / "set")


def test_the_page_of_a_picture(browser: Chromium, picture_page: Path) -> None:
    check_page(browser, picture_page)


def test_a_detection_is_followed_by_pointer_key_and_finger(browser: Chromium, picture_page: Path) -> None:
    marked = "document.querySelector('a[data-go=\"1\"] .hit').classList.contains('on')"
    shown = "[...document.querySelectorAll('.way')].findIndex(way => !way.hidden)"
    with browser.open(picture_page, 1280, "light") as tab:
        assert (tab.ask(marked), tab.ask(shown)) == (False, 0)
        tab.hover("button[data-go='1']")
        assert (tab.ask(marked), tab.ask(shown)) == (True, 0)
        tab.hover("h1")
        assert not tab.ask(marked)
        tab.click("button[data-go='1']")
        assert (tab.ask(marked), tab.ask(shown)) == (True, 1)
        tab.press("ArrowRight")
        assert tab.ask(shown) == 2
        tab.ask("document.querySelector('a[data-go=\"1\"]').focus()")
        tab.press("Enter")
        assert tab.ask(shown) == 1
    with browser.open(picture_page, 360, "dark") as tab:
        tab.tap("button[data-go='2']")
        assert tab.ask(f"new Promise(done => setTimeout(() => done({shown}), 300))") == 2


def test_the_page_of_weights(browser: Chromium, model: Path, tmp_path: Path) -> None:
    check_page(browser, show_weights(model, tmp_path / "weights.html"))
