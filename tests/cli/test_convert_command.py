from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from maskrcnn.cli import main
from maskrcnn.cli.data.converting import report
from maskrcnn.data.writing.tally import Loss, Worst, Written


@pytest.fixture
def balloons(tmp_path: Path) -> Path:
    folder = tmp_path / "balloons"
    folder.mkdir()
    Image.new("RGB", (20, 20)).save(folder / "a.png")
    region = {"name": "polygon", "all_points_x": [1, 9, 5], "all_points_y": [1, 1, 9]}
    entry = {"filename": "a.png", "size": 1, "regions": [{"shape_attributes": region, "region_attributes": {}}]}
    (folder / "via_region_data.json").write_text(json.dumps({"a.png1": entry}))
    return folder


def test_counts_in_and_out_are_said(balloons: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = balloons.parent / "out"
    assert main(["data", "convert", str(balloons), str(out), "--format", "coco"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    words = [line.split() for line in captured.err.splitlines()]
    assert words == [
        ["1", "picture", "(via),", "1", "class"],
        ["in", "out"],
        ["pictures", "1", "1"],
        ["objects", "1", "1"],
        ["every", "mask", "is", "exact"],
        ["COCO", "instances", "in", str(out)],
    ]


def test_losses_are_said() -> None:
    written = Written(2, 5, 4, 3, Worst(0.25, "region 1 of a.png"), (Loss("crowd regions", 1, "region 2 of a.png"),))
    assert [line.split() for line in report(written)[1:3]] == [["pictures", "2", "2"], ["objects", "5", "4"]]
    assert report(written)[3:] == [
        "changed: 1 mask; worst IoU 0.250, region 1 of a.png",
        "lost: crowd regions (1, such as region 2 of a.png)",
    ]


def test_annotations_alone_need_no_pictures_where_sizes_are_said(balloons: Path) -> None:
    out = balloons.parent / "coco"
    assert main(["data", "convert", str(balloons), str(out), "--format", "coco"]) == 0
    (out / "images/a.png").unlink()
    again = balloons.parent / "again"
    arguments = ["data", "convert", str(out), str(again), "--format", "labelme", "--from", "coco"]
    assert main([*arguments, "--pictures", "none"]) == 0
    assert [path.name for path in again.glob("[!.]*")] == ["a.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "coco", "--tolerance", "1"], "error: tolerance: expected a format with outlines"),
        (["--format", "coco", "--from", "cocoa"], "error: format: expected one of via"),
    ],
)
def test_mistakes_are_one_line(
    balloons: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["data", "convert", str(balloons), str(balloons.parent / "out"), *arguments]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(message)
    assert not (balloons.parent / "out").exists()


def test_a_choice_that_is_missing_is_named_with_its_values(balloons: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "convert", str(balloons), str(balloons.parent / "out")]) == 2
    assert capsys.readouterr().err == (
        "error: missing option '--format'. Choose from: coco, png, via, yolo, labelme, cvat, voc, labels. "
        "See maskrcnn data convert --help\n"
    )
