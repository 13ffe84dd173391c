"""The page of one picture: whole, safe, self-contained, whatever the picture and the model are like."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskrcnn.config import ModelConfig
from maskrcnn.data import open_dataset
from maskrcnn.data.synth import synthesise
from maskrcnn.errors import ImageError, InputError
from maskrcnn.inspection import inspect_picture
from maskrcnn.inspection.look import MOST_DETECTIONS, find_picture
from maskrcnn.model.mask_rcnn import build
from maskrcnn.prediction import Predictor

NAMES = ("circle", "square", "triangle")
HOSTILE = "<script>alert(1)</script>"


class Page(HTMLParser):
    """What a browser makes of a page: elements that all close, ids, targets of links, what is linked to."""

    void = frozenset({"meta", "img", "br", "wbr"})

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.feed(self.source)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)

    def values(self, name: str, tag: str = "") -> list[str]:
        return [str(given[name]) for seen, given in self.seen if name in given and tag in ("", seen)]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.pieces).split())


def loud(config: ModelConfig) -> Predictor:
    """Make a model that finds much in everything."""
    torch.manual_seed(1)
    model = build(config).eval()
    with torch.no_grad():
        model.rpn.head.objectness.weight.mul_(30)
        model.box_head.logits.weight.mul_(30)
        model.box_head.logits.bias.zero_()
    return Predictor(model)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    synthesise("shapes", folder, 2, seed=3, size_hw=(64, 96))
    return folder


@pytest.fixture(scope="module")
def page(tiny: ModelConfig, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    out = tmp_path_factory.mktemp("page") / "new/page.html"
    model = loud(tiny.change(classes=NAMES))
    steps: list[tuple[int, int]] = []
    found = inspect_picture(
        model, "000001.png", out, data=folder, progress=lambda done, total: steps.append((done, total))
    )
    assert found == out
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    return Page(out)


def test_every_part_is_there(page: Page) -> None:
    for title in (
        "What was found", "Input as the network sees it", "Feature maps", "Anchors and objectness",
        "From anchors to proposals", "Regions and what they show", "Boxes moved and chosen", "Against the annotations",
        "What a training step would learn here", "Masks to learn", "Losses", "Time a stage", "Recall of the objects",
        "Positive anchors", "Negative anchors", "Positive regions", "Negative regions",
        *(f"C{i}" for i in range(2, 6)), *(f"P{i}" for i in range(2, 7)), *(f"From P{i}" for i in range(2, 6)),
    ):  # fmt: skip
        assert title in page.text, title
    ids = page.values("id")
    assert len(set(ids)) == len(ids)
    for target in page.values("href", "a") + page.values("href", "use"):
        assert target.removeprefix("#") in ids


def test_nothing_is_fetched(page: Page) -> None:
    assert not re.search(r"(?:src|href)=\"(?!#|data:image/(?:png|jpeg);base64,)", page.source)
    assert "url(" not in page.source
    assert "http" not in page.source
    assert len(page.source) < 1_000_000


def test_every_detection_can_be_followed(page: Page) -> None:
    ways = [each for each in page.values("id") if each.startswith("way")]
    assert len(ways) > 3
    assert page.values("data-go", "button") == [way.removeprefix("way") for way in ways]
    assert sorted(page.values("data-go", "g")) == sorted(page.values("data-go", "button"))
    owned = {number for each in page.values("data-of", "rect") for number in each.split()}
    assert owned == set(page.values("data-go", "button"))
    for name in page.values("aria-label", "g"):
        assert re.fullmatch(r"follow \d+ (circle|square|triangle) \d\.\d\d", name)


def test_pictures_have_words_for_those_who_do_not_see_them(page: Page) -> None:
    for tag, given in page.seen:
        if tag == "img":
            assert given["alt"]
        if tag == "svg":
            assert given.get("aria-label") or given.get("aria-hidden") == "true"


def test_names_of_files_and_classes_are_escaped(tiny: ModelConfig, tmp_path: Path) -> None:
    model = loud(tiny.change(classes=(HOSTILE, "dog", "horse")))
    name = tmp_path / "<b>&.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)).save(name)
    page = Page(inspect_picture(model, name, tmp_path / "out.html"))
    assert HOSTILE not in page.source
    assert "<b>&.png" not in page.source
    assert HOSTILE in "".join(page.pieces)
    assert "Against the annotations" not in page.text


def test_nothing_found_shows_how_far_it_came(tiny: ModelConfig, tmp_path: Path) -> None:
    model = loud(tiny.change(detect=tiny.detect.change(score_threshold=1.0)))
    Image.new("RGB", (50, 40)).save(tmp_path / "black.png")
    page = Page(inspect_picture(model, tmp_path / "black.png", tmp_path / "out.html"))
    assert "0 detections" in page.text
    assert "Nothing was found." in page.text
    assert page.values("data-go") == []


def test_nothing_found_of_what_is_annotated(tiny: ModelConfig, folder: Path, tmp_path: Path) -> None:
    model = loud(tiny.change(classes=NAMES, detect=tiny.detect.change(score_threshold=1.0)))
    page = Page(inspect_picture(model, "000002.png", tmp_path / "out.html", data=folder))
    assert "Nothing was found." in page.text
    assert "Losses" in page.text
    assert "Overlaps" not in page.text


def test_many_detections_are_followed_up_to_a_number(tiny: ModelConfig, tmp_path: Path) -> None:
    config = tiny.change(
        rpn=tiny.rpn.change(proposals=100, pre_nms=200, nms_iou=0.95),
        detect=tiny.detect.change(score_threshold=0.0, detections=80, nms_iou=0.99),
    )
    picture = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)).save(picture)
    page = Page(inspect_picture(loud(config), picture, tmp_path / "out.html"))
    assert 5 <= len(page.values("data-go", "button")) <= MOST_DETECTIONS
    assert "most probable ones are followed here" in page.text


def test_one_band_of_sixteen_bits_is_shown(tiny: ModelConfig, tmp_path: Path) -> None:
    one = tiny.input.change(mean=(1000.0,), std=(500.0,))
    picture = np.random.default_rng(0).integers(0, 4000, (64, 96), dtype=np.uint16)
    Image.fromarray(picture).save(tmp_path / "deep.png")
    page = Page(inspect_picture(loud(tiny.change(input=one)), tmp_path / "deep.png", tmp_path / "out.html"))
    assert f"{picture.mean():.2f}" in page.text


def test_a_picture_is_found_by_path_or_name(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = open_dataset(folder)
    monkeypatch.chdir(folder)
    for named in ("000002.png", "images/000002.png", folder / "images/000002.png"):
        assert find_picture(dataset, named) == 1
    with pytest.raises(InputError, match=r"expected a set with the picture 9.png, got none of 2"):
        find_picture(dataset, "9.png")


def test_a_picture_that_is_none_is_a_sentence(tiny: ModelConfig, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(ImageError, match=r"a\.png: expected"):
        inspect_picture(loud(tiny), tmp_path / "a.png", tmp_path / "out.html")
    assert not (tmp_path / "out.html").exists()
