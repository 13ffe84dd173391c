"""Names that a terminal's markup would swallow come out of every command as they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from maskrcnn.cli import main
from maskrcnn.config import ModelConfig
from maskrcnn.data.synth import synthesise
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.weights import save

CLASSES = ("[red]x[/red]", "[/]", ":car:")
PICTURE = "a[bold].jpg"
BROKEN = "b[red].jpg"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny: ModelConfig) -> Path:
    """A set with odd names, results of all of its objects, and an untrained model of its classes."""
    folder = tmp_path_factory.mktemp("odd")
    synthesise("shapes", folder / "se[t]", 3, seed=3, size_hw=(64, 64))
    file = folder / "se[t]/annotations.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    for category, name in zip(content["categories"], CLASSES, strict=True):
        category["name"] = name
    first = content["images"][0]
    with Image.open(folder / "se[t]/images" / first["file_name"]) as picture:
        picture.convert("RGB").save(folder / "se[t]/images" / PICTURE)
    first["file_name"] = PICTURE
    file.write_text(json.dumps(content), encoding="utf-8")
    results = [
        {key: each[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.9}
        for each in content["annotations"]
    ]
    (folder / "found[bold].json").write_text(json.dumps(results), encoding="utf-8")
    config = tiny.change(classes=CLASSES, detect=tiny.detect.change(score_threshold=0.0))
    save(build(config), folder / "m[i].safetensors")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, for a test alone."""
    shutil.copytree(made, tmp_path / "odd")
    monkeypatch.chdir(tmp_path / "odd")
    return tmp_path / "odd"


def test_evaluate(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--results", "found[bold].json", "se[t]", "--out", "o[i]"]) == 0
    out, err = capsys.readouterr()
    for name in CLASSES:
        assert f"│ {name} " in out
    assert err.endswith("results in o[i]\n")
    against = ["--against", "found[bold].json", "--bootstrap", "2"]
    assert main(["evaluate", "--results", "found[bold].json", "se[t]", *against]) == 0
    assert capsys.readouterr().out.count(": found[bold].json") == 2


def test_errors(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["errors", "--results", "found[bold].json", "se[t]"]) == 0
    out = capsys.readouterr().out
    assert [out.count(f" {name} ") for name in CLASSES] == [3, 3, 3]  # a row and a column of the matrix, a threshold
    assert "[bold]" not in out


def test_predict(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / BROKEN).write_bytes(b"no picture")
    pictures = [f"se[t]/images/{PICTURE}", BROKEN]
    assert main(["predict", "m[i].safetensors", *pictures, "--out", "o[i]", "--score", "0"]) == 1
    out, err = capsys.readouterr()
    rows = [line.split("\t") for line in out.splitlines()]
    assert {row[0] for row in rows} == {f"se[t]/images/{PICTURE}"}
    assert {row[1] for row in rows} <= set(CLASSES)
    assert f"error: {BROKEN}: " in err
    assert err.endswith("overlays and predictions.json in o[i]\n")


def test_data_show_and_doctor(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "se[t]/images" / PICTURE).write_bytes(b"no picture")
    assert main(["data", "show", "se[t]", "--out", "o[i]"]) == 0
    err = capsys.readouterr().err
    assert "o[i]" in err
    assert PICTURE in (folder / "o[i]/data.html").read_text(encoding="utf-8")
    assert main(["data", "doctor", "se[t]"]) == 1
    out, err = capsys.readouterr()
    assert PICTURE in out
    assert "se[t]/annotations.json (coco): " in err


def test_weights_and_inspect(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "info", "m[i].safetensors"]) == 0
    out = capsys.readouterr().out
    assert "m[i].safetensors" in out
    assert all(name in out for name in CLASSES)
    picture = f"se[t]/images/{PICTURE}"
    assert main(["inspect", "m[i].safetensors", picture, "--out", "p[i].html"]) == 0
    assert "page p[i].html" in capsys.readouterr().err


def test_a_mistake_is_said_as_it_was_made(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--results", "none[bold].json", "se[t]"]) == 2
    assert "none[bold].json" in capsys.readouterr().err
    assert main(["train", "se[t]", "--out", "o[i]", "--set", "model.[red]=1"]) == 2
    assert "model: [red]: unknown setting" in capsys.readouterr().err
