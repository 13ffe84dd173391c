"""`maskrcnn inspect`: what it writes, says and opens."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import pytest
import torch

from maskrcnn.cli import main
from maskrcnn.config import ModelConfig
from maskrcnn.data.synth import synthesise
from maskrcnn.files import CACHE
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.weights import save


@pytest.fixture
def opened(tmp_path: Path, tiny: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A folder with a set and a model of its classes, and the addresses that a browser was told to open."""
    synthesise("shapes", tmp_path / "set", 2, seed=3, size_hw=(64, 64))
    torch.manual_seed(0)
    save(build(tiny.change(classes=("circle", "square", "triangle"))), tmp_path / "m.safetensors")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    addresses: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: addresses.append(address) or True)
    return addresses


def test_a_picture_gets_a_page_of_its_own_name(opened: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "m.safetensors", "set/images/000001.png", "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["page 000001.inspect.html"]
    assert "Training targets" not in Path("000001.inspect.html").read_text(encoding="utf-8")
    assert opened == []


def test_with_data_a_name_is_enough(opened: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("pages").mkdir()
    line = "inspect m.safetensors 000002.png --data set --out pages --open --device cpu --score 0.01"
    assert main(line.split()) == 0
    page = Path("pages/000002.inspect.html")
    assert capsys.readouterr().err.splitlines() == [f"page {page}"]
    assert "Training targets" in page.read_text(encoding="utf-8")
    assert opened == [page.absolute().as_uri()]


def test_weights_are_a_table_and_a_page(
    opened: list[str], tiny: ModelConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    model = build(tiny)
    torch.nn.init.zeros_(model.rpn.head.deltas.weight)
    save(model, Path("dead.safetensors"))
    assert main(["inspect", "dead.safetensors", "--weights", "--out", "w.html", "--open"]) == 0
    out, err = capsys.readouterr()
    (row,) = [line for line in out.splitlines() if "rpn.head.deltas.weight" in line]
    assert row.split()[-1] == "dead"
    count = len(model.state_dict())
    assert len([line for line in out.splitlines() if line.strip()]) == count + 2
    assert err.splitlines()[-1] == "page w.html"
    assert err.startswith(f"{count} tensors, ")
    assert opened == [Path("w.html").absolute().as_uri()]


def test_a_set_gets_the_page_of_data_show(opened: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "set", "--out", "look"]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == f"page {Path('look/data.html')}"


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("inspect m.safetensors", "error: inspect: expected MODEL PICTURE, MODEL --weights or DATA, got m.safetensors"),
        ("inspect set", "error: inspect: expected --out DIR, --open, or both, got neither"),
        ("inspect a b c", "error: inspect: expected MODEL PICTURE, MODEL --weights or DATA, got a b c"),
        (
            "inspect set --data set",
            "error: inspect: expected MODEL PICTURE, MODEL --weights or DATA, got set --data set",
        ),
        (
            "inspect m.safetensors a.png --weights",
            "error: inspect: expected MODEL alone beside --weights, got m.safeten",
        ),
        (
            "inspect m.safetensors --weights --open",
            "error: inspect: expected --out PAGE.html beside --weights and --ope",
        ),
        ("inspect m.safetensors nowhere.png", "error[P101]: nowhere.png: expected a picture, got no such file"),
        (
            "inspect m.safetensors nowhere.png --data set",
            "error: set/annotations.json: expected a set with the picture",
        ),
        ("inspect nowhere.safetensors set/images/000001.png", "error: nowhere.safetensors: expected a model file"),
        ("inspect m.safetensors set/images/000001.png --out m.safetensors/x", "error: m.safetensors/x: could not be"),
    ],
)
def test_mistakes_are_one_sentence(line: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(sentence)
    assert len(err.splitlines()) == 1
