"""The pages of `maskrcnn inspect` in a real browser."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from checking import check_page
from chromium import Chromium

from maskrcnn.config import ModelConfig
from maskrcnn.data.synth import synthesise
from maskrcnn.inspection import inspect_picture, show_weights
from maskrcnn.model.mask_rcnn import MaskRCNN, build
from maskrcnn.model.weights import save
from maskrcnn.prediction import Predictor

SHOWN = "[...document.querySelectorAll('.way')].filter(way => !way.hidden).map(way => way.id).join()"
LIT = "[...document.querySelectorAll('.s.on')].every(each => each.dataset.of.split(' ').includes('{}'))"


@pytest.fixture(scope="module")
def model(tiny: ModelConfig) -> MaskRCNN:
    torch.manual_seed(1)
    model = build(tiny.change(classes=("circle", "square", "triangle"))).eval()
    with torch.no_grad():
        model.rpn.head.objectness.weight.mul_(30)
        model.box_head.logits.weight.mul_(30)
        model.box_head.logits.bias.zero_()
    return model


@pytest.fixture(scope="module")
def picture_page(model: MaskRCNN, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("picture")
    synthesise("shapes", folder / "set", 1, seed=3, size_hw=(64, 96))
    return inspect_picture(Predictor(model), "000001.png", folder / "page.html", data=folder / "set")


@pytest.fixture(scope="module")
def weights_page(model: MaskRCNN, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    faulty = copy.deepcopy(model)
    torch.nn.init.constant_(faulty.rpn.head.deltas.bias, 5000)
    save(faulty, folder / "m.safetensors")
    return show_weights(folder / "m.safetensors", folder / "page.html")


def test_the_page_of_a_picture(browser: Chromium, picture_page: Path) -> None:
    check_page(browser, picture_page)


def test_the_page_of_weights(browser: Chromium, weights_page: Path) -> None:
    assert "overflow" in weights_page.read_text(encoding="utf-8")
    check_page(browser, weights_page)


def test_boxes_in_figures_are_read_by_key_and_finger(browser: Chromium, picture_page: Path) -> None:
    figure = "#proposals .fig"
    read = f"document.querySelector('{figure} .readout').textContent"
    titles = f"[...document.querySelector('{figure}').querySelectorAll('title')].map(each => each.textContent)"
    with browser.open(picture_page, 1280, "light") as tab:
        said = tab.ask(titles)
        assert said
        tab.ask(f"document.querySelector('{figure} svg').focus({{focusVisible: true}})")
        assert tab.ask(read) in said
    with browser.open(picture_page, 360, "dark") as tab:
        tab.tap(f"{figure} rect.s.kept, {figure} rect.s")
        assert tab.ask(f"new Promise(done => setTimeout(() => done({read}), 300))") in said


def test_detections_are_followed_by_pointer_key_and_finger(browser: Chromium, picture_page: Path) -> None:
    marked = "document.querySelector('svg [data-go=\"1\"] .hit').classList.contains('on')"
    with browser.open(picture_page, 1280, "light") as tab:
        assert tab.ask(SHOWN) == "way0"
        tab.hover("button[data-go='1']")
        assert (tab.ask(marked), tab.ask(SHOWN)) == (True, "way0")
        tab.hover("h1")
        assert not tab.ask(marked)
        tab.click("button[data-go='2']")
        assert tab.ask(SHOWN) == "way2"
        assert tab.ask(LIT.format(2))
        tab.press("ArrowRight")
        assert tab.ask(SHOWN) == "way3"
        tab.ask("document.querySelector('svg [data-go=\"1\"]').focus()")
        tab.press("Enter")
        assert tab.ask(SHOWN) == "way1"
        assert tab.ask(LIT.format(1))
    with browser.open(picture_page, 360, "dark") as tab:
        tab.tap("button[data-go='2']")
        assert tab.ask(f"new Promise(done => setTimeout(() => done({SHOWN}), 300))") == "way2"
