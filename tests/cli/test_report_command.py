"""`maskrcnn report`: what it writes, says and opens."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import pytest

from maskrcnn.cli import main
from maskrcnn.config import ModelConfig, TrainConfig
from maskrcnn.data import open_dataset
from maskrcnn.data.synth import synthesise
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.weights import save
from maskrcnn.training import Run
from maskrcnn.training.folder import describe, write_settings


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: ModelConfig) -> list[str]:
    """A folder with a set and a run that was not measured on any, and the addresses that a browser was told to open."""
    monkeypatch.chdir(tmp_path)
    synthesise("shapes", Path("set"), 2, seed=3, size_hw=(64, 64))
    dataset = open_dataset("set")
    run = Run(Path("run"))
    config = tiny.change(classes=dataset.class_names)
    write_settings(run, {"data": describe(dataset), "validation": None}, config, TrainConfig())
    save(build(config), run.model)
    addresses: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: addresses.append(address) or True)
    return addresses


def test_a_page_is_written_and_opened(here: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "run", "--data", "set", "--open", "--device", "cpu", "--pictures", "1"]) == 0
    out, err = capsys.readouterr()
    page = Path("run/report/report.html")
    assert out == ""
    assert err.splitlines()[-1] == f"page {page}"
    assert here == [page.absolute().as_uri()]
    assert "1 of 2 pictures" in page.read_text(encoding="utf-8")


def test_several_runs_need_a_place(here: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("run2").mkdir()
    for each in Path("run").iterdir():
        (Path("run2") / each.name).write_bytes(each.read_bytes()) if each.is_file() else None
    assert main(["report", "run", "run2", "--data", "set"]) == 2
    assert capsys.readouterr().err == (
        "error: report: expected a folder for the page about 2 runs, got none; name it with --out\n"
    )
    assert main(["report", "run", "run2", "--data", "set", "--out", "both", "--device", "cpu"]) == 0
    assert "2 runs side by side" in Path("both/report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["no"], "error: no: expected the folder of a run, with settings.json, got nothing there\n"),
        (
            ["run"],
            "error: run: expected a run with validation data, got one without; name annotated pictures with --data\n",
        ),
        (["run", "--format", "coco"], "error: report: expected --data beside --format or --classes, got none\n"),
        (["run", "--data", "set", "--out", "set/annotations.json"], None),
    ],
)
def test_a_mistake_is_one_sentence(here: list[str], capsys: pytest.CaptureFixture[str], words, sentence) -> None:
    assert main(["report", *words]) == 2
    said = capsys.readouterr().err
    assert said == (sentence or "error: set/annotations.json: expected a folder, got a file; choose another folder\n")
