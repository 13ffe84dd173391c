from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from maskrcnn.cli import main
from maskrcnn.data.synth import synthesise


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two drawn sets; in the second, one picture is missing, one stands twice, and one is that of the first."""
    monkeypatch.chdir(tmp_path)
    synthesise("shapes", tmp_path / "good", 8, size_hw=(96, 128), seed=3)
    synthesise("shapes", tmp_path / "bad", 8, size_hw=(96, 128), seed=4)
    (tmp_path / "bad/images/000002.png").unlink()
    shutil.copy(tmp_path / "good/images/000005.png", tmp_path / "bad/images/000006.png")
    shutil.copy(tmp_path / "bad/images/000003.png", tmp_path / "bad/images/000004.png")
    return tmp_path


def test_nothing_found_is_said_and_the_status_is_0(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "doctor", "good", "--ignore", "S402,G209,unused-classes"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    first, last = err.splitlines()
    assert first.startswith("good/annotations.json (coco): 8 pictures, ")
    assert first.endswith(" read; 0 left out")
    assert last == "nothing found"


def test_errors_are_a_table_and_the_status_is_1(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "doctor", "bad", "--only", "P101,P105,duplicate-picture-other-objects"]) == 1
    out, err = capsys.readouterr()
    assert "P101" in out
    assert "missing-picture" in out
    assert "000002.png" in out
    assert "training would stop" in out
    assert "leaves it out" in out
    assert max(map(len, out.splitlines())) <= 120
    assert err.splitlines()[-1] == "1 error, 1 warning"


def test_json_is_an_object_a_line_and_out_is_one_document(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "doctor", "bad", "--json", "--out", "report.json", "--only", "P101"]) == 1
    out, _ = capsys.readouterr()
    (line,) = map(json.loads, out.splitlines())
    assert list(line) == [
        *("code", "name", "severity", "file", "picture", "annotation", "detail", "effect", "mend"),
    ]
    assert (line["code"], line["severity"], line["picture"]) == ("P101", "error", "000002.png")
    report = json.loads((place / "report.json").read_text(encoding="utf-8"))
    assert report["findings"] == [line]
    assert report["sets"][0]["pictures"] == 8


def test_fix_writes_a_copy_in_which_nothing_is_wrong(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "doctor", "bad", "--fix", "mended"]) == 1
    assert "6 pictures, " in capsys.readouterr().err
    assert main(["data", "doctor", "mended"]) == 0


def test_deleak_writes_the_other_set_without_what_both_have(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "doctor", "good", "bad", "--only", "S405"]) == 0
    assert "shared-picture" in capsys.readouterr().out
    main(["data", "doctor", "good", "bad", "--deleak", "clean"])
    assert "6 pictures, " in capsys.readouterr().err
    main(["data", "doctor", "good", "clean", "--only", "S405,S406"])
    assert "nothing found" in capsys.readouterr().err


def test_records_alone_need_no_pictures(place: Path) -> None:
    shutil.rmtree(place / "good/images")
    assert main(["data", "doctor", "good", "--depth", "records"]) == 0
    assert main(["data", "doctor", "good", "--depth", "headers"]) == 1


MISTAKES = {
    "good --only P999": "finding: expected a code such as P101 or its name, got 'P999'; did you mean ",
    "good --ignore tinyobject": (
        "finding: expected a code such as P101 or its name, got 'tinyobject'; did you mean tiny-object?"
    ),
    "good --deleak clean": "--deleak: expected DATA and OTHER, got one set",
    "good --fix mended --depth headers": "--fix: expected --depth pixels beside it, got headers",
    "good --fix good": "good: expected an empty folder or one that this command began, got a folder with",
}


@pytest.mark.parametrize("arguments", MISTAKES)
def test_mistakes_are_one_sentence(arguments: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "doctor", *arguments.split()]) == 2
    err = capsys.readouterr().err
    assert err.splitlines()[-1].startswith(f"error: {MISTAKES[arguments]}")


def test_what_cannot_be_read_is_a_finding_and_no_mistake(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "broken.json").write_text("{")
    assert main(["data", "doctor", "broken.json", "nowhere", "good", "--only", "F001,F002"]) == 1
    out, err = capsys.readouterr()
    assert "F001" in out
    assert "F002" in out
    assert "broken.json: nothing could be read" in err
    assert "good/annotations.json (coco): 8 pictures" in err
