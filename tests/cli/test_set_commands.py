"""`data split`, `merge` and `sample`, and `--format` and `--classes` of `evaluate`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from maskrcnn.cli import main
from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.synth import synthesise


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ten annotated pictures in `shapes` and four in `more`, of which one class is called otherwise."""
    synthesise("shapes", tmp_path / "shapes", 10, seed=3, size_hw=(64, 96))
    synthesise("shapes", tmp_path / "more", 4, seed=4, size_hw=(64, 96))
    path = tmp_path / "more/annotations.json"
    path.write_text(path.read_text().replace('"circle"', '"ball"'))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(line: str, capsys: pytest.CaptureFixture[str], status: int = 0) -> list[str]:
    """Run a command and return the lines on stderr."""
    capsys.readouterr()
    assert main(shlex.split(line)) == status
    return capsys.readouterr().err.splitlines()


def objects(dataset: Dataset) -> int:
    return sum(len(record.annotations) for record in dataset.records)


def document(path: str) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


@pytest.mark.usefixtures("desk")
def test_the_parts_of_a_split_are_sets_that_open(capsys: pytest.CaptureFixture[str]) -> None:
    words = run("data split shapes parts --val 0.2 --test 0.1 --by stratified --seed 1", capsys)
    parts = {name: open_dataset(f"parts/{name}") for name in ("train", "val", "test")}
    assert [len(part) for part in parts.values()] == [7, 2, 1]
    assert sum(map(objects, parts.values())) == objects(open_dataset("shapes"))
    ids = [record.image_id for part in parts.values() for record in part.records]
    assert sorted(ids) == list(range(1, 11))
    assert all(part[0].path.samefile(f"shapes/images/{part[0].path.name}") for part in parts.values())
    assert words[:2] == [
        "10 pictures (coco), 3 classes",
        f"parts/train: 7 pictures (70.0%), {objects(parts['train'])} objects",
    ]


@pytest.mark.usefixtures("desk")
def test_a_split_can_be_repeated_and_is_not_written_over(capsys: pytest.CaptureFixture[str]) -> None:
    run("data split shapes parts", capsys)
    before = Path("parts/val/annotations.json").read_bytes()
    Path("parts/val/annotations.json").unlink()  # as if it had been killed before the last part
    run("data split shapes parts", capsys)
    assert Path("parts/val/annotations.json").read_bytes() == before
    words = run("data split shapes parts --seed 1", capsys, status=2)
    assert words[-1].startswith("error: parts: expected an empty folder or one that this command began")
    assert Path("parts/val/annotations.json").read_bytes() == before


@pytest.mark.usefixtures("desk")
def test_a_part_without_a_class_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    lone = document("shapes/annotations.json")
    lone["categories"].append({"id": 9, "name": "star"})
    lone["annotations"].append({**lone["annotations"][0], "id": 999, "category_id": 9})
    Path("shapes/annotations.json").write_text(json.dumps(lone))
    words = run("data split shapes parts --by stratified", capsys)
    assert words[-1] == "note: val shows nothing of star"
    words = run("data sample shapes some --count 1 --seed 5", capsys)
    assert "star" in words[-1]


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("data split shapes parts --val 0.7 --test 0.3", "error: --val, --test: expected shares that leave something"),
        ("data split shapes parts --val 0", "error: --val, --test: expected shares"),
        ("data split shapes parts --by background_id", "error: split by background_id: expected a column of shapes"),
        ("data split shapes shapes", "error: shapes: expected an empty folder or one that this command began"),
        ("data split shapes parts --classes circel", "error: classes: expected classes of shapes/annotations.json"),
        ("data split nowhere parts", "error[F002]: nowhere: expected an annotation file or a folder with one"),
        ("data sample shapes some --count 11", "error: sample: expected 1 to 10 pictures, got 11"),
        (
            "data merge shapes more --format via --out both",
            "error[F002]: shapes: expected annotations of VGG Image Annotator",
        ),
        ("data merge shapes --classes 'a=circle;b=circle' --out both", "error: classes: expected every name once"),
    ],
)
def test_mistakes_are_a_sentence_and_leave_nothing(
    line: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line, capsys, status=2)[-1].startswith(sentence)
    assert not [name for name in ("parts", "some", "both") if Path(name).exists()]


@pytest.mark.usefixtures("desk")
def test_sets_are_merged_by_the_names_of_their_classes(capsys: pytest.CaptureFixture[str]) -> None:
    words = run("data merge shapes more --out both --pictures copy", capsys)
    both = open_dataset("both")
    assert both.class_names == ("circle", "square", "triangle", "ball")
    assert (len(both), objects(both)) == (14, objects(open_dataset("shapes")) + objects(open_dataset("more")))
    assert words[-1] == "note: in 14 pictures not every class was looked for; the set says which"
    images = document("both/annotations.json")["images"]
    assert [images[i]["labelled"] for i in (0, 13)] == [[1, 2, 3], [2, 3, 4]]
    assert images[13]["columns"] == {"set": "more"}
    assert Path("both/images/more/000004.png").is_file()


@pytest.mark.usefixtures("desk")
def test_classes_of_merged_sets_are_made_one(capsys: pytest.CaptureFixture[str]) -> None:
    words = run("data merge shapes more --out both --classes 'round=circle,ball;square'", capsys)
    both = open_dataset("both")
    assert both.class_names == ("round", "square")
    assert all(line.split(": ")[1].startswith("kept ") for line in words[:2])
    assert not any("labelled" in image for image in document("both/annotations.json")["images"])


@pytest.mark.usefixtures("desk")
def test_a_sample_copies_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    run("data sample shapes some --count 4 --by stratified --pictures copy --classes 'round=circle;square'", capsys)
    some = open_dataset("some")
    assert (len(some), some.class_names) == (4, ("round", "square"))
    assert len(list(Path("some/images").rglob("*.png"))) == 4


@pytest.mark.usefixtures("desk")
def test_results_are_measured_with_chosen_classes(capsys: pytest.CaptureFixture[str]) -> None:
    """The annotations themselves as results: right for every class, also once classes are merged."""
    truth = document("shapes/annotations.json")
    keys = ("image_id", "category_id", "bbox", "segmentation")
    results = [{"score": 0.9, **{key: each[key] for key in keys}} for each in truth["annotations"]]
    Path("results.json").write_text(json.dumps(results))
    line = "evaluate --results results.json shapes --out {} --classes 'flat=square,triangle'"
    words = run(line.format("scores"), capsys)
    assert words[0].startswith("kept ")
    scores = document("scores/metrics.json")
    assert list(scores["classes"]) == ["flat"]
    assert scores["mask/AP"] == 1.0
    assert scores["detections"] == scores["objects"] < len(results)
    Path("results.json").write_text(json.dumps([{**results[0], "category_id": 77}]))
    assert "expected the category_id of classes in the data, got 77" in run(line.format("again"), capsys, status=2)[-1]
    assert run("evaluate --results results.json shapes --format via", capsys, status=2)[-1].startswith(
        "error[F002]: shapes: exp"
    )
