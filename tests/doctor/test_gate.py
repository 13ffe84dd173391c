from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fault_corpus import FAULTS, coco_set, picture, via_set

from maskrcnn import evaluate, train
from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.synth import synthesise
from maskrcnn.doctor import admit
from maskrcnn.errors import AnnotationError


def test_a_clean_set_is_admitted_without_a_word(tmp_path: Path) -> None:
    said: list[str] = []
    for kind in (coco_set, via_set):
        admit(open_dataset(kind(tmp_path / kind.__name__).save()), said.append)
    assert said == []


def test_an_error_is_refused_with_its_code_and_what_shows_more(tmp_path: Path) -> None:
    given = coco_set(tmp_path)
    for name, size_hw in (("02.png", (160, 120)), ("04.png", (60, 80))):
        picture(2, size_hw).save(given.path(name))
    source = given.save() / "annotations.json"
    with pytest.raises(AnnotationError) as refused:
        admit(open_dataset(source))
    assert refused.value.code == "P103"
    assert str(refused.value) == (
        f"{source}: P103 other-size: 02.png: expected 120x160 (height x width) as the annotations say, got 160x120; "
        f"height and width are exchanged (1 more such errors); see all with: maskrcnn data doctor {source}"
    )


@pytest.mark.parametrize(
    "name", ["empty_picture", "size_of_the_unturned_picture_is_stated", "outlines_fit_the_unturned_picture_only"]
)
def test_errors_that_would_come_up_in_training_are_refused_before(name: str, tmp_path: Path) -> None:
    fault = next(fault for fault in FAULTS if fault.name == name)
    given = {"coco": coco_set, "via": via_set}[fault.kind](tmp_path)
    fault.seed(given)
    with pytest.raises(AnnotationError) as refused:
        admit(open_dataset(given.save()))
    assert refused.value.code == fault.code


def test_warnings_are_one_line(tmp_path: Path) -> None:
    given = coco_set(tmp_path)
    given.add()
    given.add()
    given.annotation(6)["area"] = 1
    given.document["categories"][1]["name"] = "Cat"
    said: list[str] = []
    source = given.save() / "annotations.json"
    admit(open_dataset(source), said.append)
    assert said == [
        "note: 4 warnings: 2 duplicate-object (G210), 1 similar-names (C306), 1 area-disagrees (G214); "
        f"see all with: maskrcnn data doctor {source}"
    ]


def black(path: Path, size_hw: tuple[int, int]) -> np.ndarray:
    raise AssertionError("the gate decodes no picture")


def many(dataset: Dataset, count: int) -> Dataset:
    read = partial(black, size_hw=(120, 160))
    records = [replace(dataset.records[i % 8], image_id=i, name=f"{i}.png", read=read) for i in range(count)]
    return dataset.change(records=records)


def test_of_a_large_set_some_pictures_are_looked_at_evenly_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskrcnn.doctor.gate.RECORDS", 300)
    given = coco_set(tmp_path)
    for picture_id in range(1, 9):
        given.add(image_id=picture_id, id=100 + picture_id)
    dataset = many(open_dataset(given.save()), 3000)
    said: list[str] = []
    admit(dataset, said.append)
    assert "warnings in 300 of 3,000 pictures: " in said[0]
    assert "duplicate-object (G210)" in said[0]


def test_a_picture_that_is_no_file_of_its_own_is_left_to_its_reader(tmp_path: Path) -> None:
    dataset = many(open_dataset(coco_set(tmp_path).save()), 16)
    gone = dataset.change(records=[replace(record, path=tmp_path / "gone.tar") for record in dataset.records])
    admit(gone)


def test_training_and_evaluation_ask_the_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synthesise("shapes", tmp_path / "good", 2, size_hw=(64, 64))
    synthesise("shapes", tmp_path / "bad", 2, size_hw=(64, 64), seed=1)
    picture(0, (64, 96)).save(tmp_path / "bad/images/000002.png")
    with pytest.raises(AnnotationError, match="P103 other-size: 000002"):
        train(tmp_path / "bad", out=tmp_path / "run")
    with pytest.raises(AnnotationError, match="P103 other-size: 000002"):
        train(tmp_path / "good", val=tmp_path / "bad", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr("maskrcnn.evaluation.run.load", lambda _: None)
    with pytest.raises(AnnotationError, match="P103 other-size: 000002"):
        evaluate("model.safetensors", tmp_path / "bad")
