"""`maskrcnn data show`: what it writes, says and opens."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import pytest

from maskrcnn.cli import main
from maskrcnn.data.synth import synthesise
from maskrcnn.files import CACHE


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A folder with a set, and the addresses that a browser was told to open."""
    synthesise("shapes", tmp_path / "set", 3, seed=3, size_hw=(64, 64))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    addresses: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: addresses.append(address) or True)
    return addresses


def test_a_page_and_sheets_are_written(opened: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", "set", "--out", "look", "--count", "2"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["3 pictures (coco), 3 classes", f"page {Path('look/data.html')}"]
    assert sorted(path.name for path in Path("look").iterdir()) == ["data.html", "sheets"]
    assert opened == []


def test_open_needs_no_folder_and_takes_the_same_place_again(opened: list[str]) -> None:
    assert main(["data", "show", "set", "--open", "--count", "1"]) == 0
    assert main(["data", "show", "set", "--open", "--count", "1", "--format", "coco"]) == 0
    first, second = opened
    assert first == second
    assert first.startswith("file://")
    (page,) = Path("cache").rglob("data.html")
    assert page.absolute().as_uri() == first


def test_both_write_there_and_open_it(opened: list[str]) -> None:
    assert main(["data", "show", "set", "--open", "--out", "look", "--count", "1"]) == 0
    assert opened == [Path("look/data.html").absolute().as_uri()]
    assert not Path("cache").exists()


def test_no_browser_is_said(
    opened: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    assert main(["data", "show", "set", "--open", "--out", "look", "--count", "0"]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == "note: no browser was found; open the page yourself"


def test_missing_pictures_do_not_stop_it(opened: list[str]) -> None:
    Path("set/images/000002.png").unlink()
    assert main(["data", "show", "set", "--out", "look"]) == 0
    assert "Not readable" in Path("look/data.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("data show set", "error: data show: expected --out DIR, --open, or both, got neither"),
        ("data show nowhere --out look", "error[F002]: nowhere: expected an annotation file or a folder with one"),
        ("data show set --out look --format cocoa", "error: format: expected one of "),
        ("data show set --out set/annotations.json", "error: set/annotations.json: expected a folder, got a file"),
    ],
)
def test_mistakes_are_one_sentence(line: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(sentence)
    assert len(err.splitlines()) == 1
