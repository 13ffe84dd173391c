"""Every page that the package makes, opened in a real browser."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from checking import check_page
from chromium import Chromium

from maskrcnn.config import ModelConfig, TrainConfig
from maskrcnn.data import open_dataset
from maskrcnn.data.synth import synthesise
from maskrcnn.inspection import show_data
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.weights import save
from maskrcnn.reporting import report
from maskrcnn.training import Run
from maskrcnn.training.folder import describe, write_settings
from maskrcnn.training.history import COLUMNS, History


@pytest.fixture(scope="module")
def data_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    synthesise("spacecraft", folder / "set", 4, seed=3, size_hw=(96, 128))
    return show_data(folder / "set", folder / "look", count=3)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory, tiny: ModelConfig) -> Path:
    """A run with an untrained model, and annotated pictures beside it."""
    folder = tmp_path_factory.mktemp("runs")
    synthesise("spacecraft", folder / "set", 8, seed=3, size_hw=(96, 128))
    dataset = open_dataset(folder / "set")
    run = Run(folder / "a_very_long_name_of_a_run_without_any_space_to_break_it_at")
    config = tiny.change(classes=dataset.class_names, detect=tiny.detect.change(score_threshold=0.0))
    write_settings(run, {"data": describe(dataset), "validation": None, "seed": 0}, config, TrainConfig())
    save(build(config), run.model)
    history = History(run.history)
    history.begin(0)
    history.write([{name: 1 / (i + 1) for name in COLUMNS if name != "step"} | {"step": i} for i in range(40)])
    return run.folder


@pytest.fixture(scope="module")
def run_report(run_folder: Path) -> Path:
    return report(run_folder, data=run_folder.parent / "set", score=0.2)


@pytest.fixture(scope="module")
def runs_report(run_folder: Path) -> Path:
    other = run_folder.with_name("other")
    shutil.copytree(run_folder, other)
    return report([run_folder, other], run_folder.with_name("both"), data=run_folder.parent / "set", score=0.2)


def test_the_page_of_a_data_set(browser: Chromium, data_page: Path) -> None:
    check_page(browser, data_page)


READ = "document.querySelector('{} .readout').textContent"
LATER = "new Promise(done => setTimeout(() => done({}), 300))"


def test_bars_are_read_by_pointer_key_and_finger(browser: Chromium, data_page: Path) -> None:
    chart = "#sizes .chart"
    title = f"document.querySelectorAll('{chart} title')[{{}}].textContent"
    read = READ.format(chart)
    first = f"document.querySelector('{chart}')"  # the others come after it
    with browser.open(data_page, 1280, "light") as tab:
        bars = tab.ask(f"{first}.querySelectorAll('title').length")
        assert bars > 1
        assert tab.ask(read) == ""
        tab.hover(f"{chart} svg")
        assert tab.ask(read) in [tab.ask(title.format(i)) for i in range(bars)]
        tab.hover("h1")
        assert tab.ask(read) == ""
        tab.click("h1")
        tab.ask(f"{first}.querySelector('svg').focus({{focusVisible: true}})")
        assert tab.ask(read) == tab.ask(title.format(0))
        tab.press("ArrowRight")
        assert tab.ask(read) == tab.ask(title.format(1))
        assert tab.ask(f"{first}.querySelectorAll('.read').length") == 1
        for _ in range(bars + 1):
            tab.press("ArrowRight")
        assert tab.ask(read) == tab.ask(title.format(bars - 1))
        tab.press("Tab")
        assert tab.ask(read) == ""
    with browser.open(data_page, 360, "dark") as tab:
        height = tab.ask("document.body.scrollHeight")
        tab.tap(f"{chart} svg")
        assert tab.ask(LATER.format(read)) in [tab.ask(title.format(i)) for i in range(bars)]
        assert tab.ask("document.body.scrollHeight") == height  # nothing moves below the finger
        tab.tap("#facts h2")
        assert tab.ask(LATER.format(read)) == ""


def test_curves_are_read_point_by_point_and_one_after_another(browser: Chromium, run_report: Path) -> None:
    chart = ".chart:has([aria-label^=Losses])"  # a point in each of 40 steps
    read = READ.format(chart)
    with browser.open(run_report, 1280, "light") as tab:
        tab.ask(f"document.querySelector('{chart} svg').focus({{focusVisible: true}})")
        assert tab.ask(read) == "sum 1 at 0"
        tab.press("ArrowRight")
        assert tab.ask(read) == "sum 0.5 at 1"
        tab.press("ArrowDown")
        name, value = tab.ask(read).rsplit(" at ", 1)
        assert (value, name.startswith("sum")) == ("1", False)
        tab.press("ArrowUp")
        tab.press("ArrowLeft")
        assert tab.ask(read) == "sum 1 at 0"
        assert tab.ask(f"getComputedStyle(document.querySelector('{chart} .read')).opacity") == "1"
        at = "document.querySelector('{} svg g:nth-of-type(1) circle:nth-of-type(9)').setAttribute('id', 'ninth')"
        tab.ask(at.format(chart))
        tab.hover("#ninth")
        assert tab.ask(read).endswith(" at 8")


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


def test_the_report_of_a_run(browser: Chromium, run_report: Path) -> None:
    check_page(browser, run_report)


def test_the_report_of_several_runs(browser: Chromium, runs_report: Path) -> None:
    check_page(browser, runs_report)


def test_the_divider_of_a_picture_moves_by_key_and_by_finger(browser: Chromium, run_report: Path) -> None:
    at = "document.querySelector('.slide').style.getPropertyValue('--at')"
    with browser.open(run_report, 1280, "light") as tab:
        tab.ask("document.querySelector('.range input').focus()")
        tab.press("ArrowRight")
        assert tab.ask(at) == "51%"
    with browser.open(run_report, 360, "dark") as tab:
        tab.tap(".slide")
        assert tab.ask(f"new Promise(done => setTimeout(() => done({at}), 300))").endswith("%")


def test_pictures_are_ordered_shown_all_and_compared(browser: Chromium, run_report: Path) -> None:
    order = "[...document.querySelectorAll('.shots > figure')].map(each => Number(each.dataset.place)).join()"
    shown = "[...document.querySelectorAll('.shots > figure')].filter(each => each.offsetParent).length"
    with browser.open(run_report, 1280, "light") as tab:
        assert tab.ask(order) != "0,1,2,3,4,5,6,7"
        tab.click("[data-order=place]")
        assert tab.ask(order) == "0,1,2,3,4,5,6,7"
        assert tab.ask(shown) == 6
        tab.click(".more button")
        assert tab.ask(shown) == 8
        tab.click("[data-mode=differences]")
        assert tab.ask("getComputedStyle(document.querySelector('.range')).display") == "none"
        assert tab.ask("document.querySelector('[data-mode=differences]').getAttribute('aria-pressed')") == "true"
        tab.click("[data-mode=slider]")
        assert tab.ask("getComputedStyle(document.querySelector('.range')).display") != "none"


def test_examples_of_errors_unfold_by_key(browser: Chromium, run_report: Path) -> None:
    last = "[...document.querySelectorAll('#faults details')].at(-2)"
    with browser.open(run_report, 360, "light") as tab:
        before = tab.ask(f"{last}.open")
        tab.ask(f"{last}.querySelector('summary').focus()")
        tab.press("Enter")
        assert tab.ask(f"{last}.open") is not before
