from __future__ import annotations

import json
from pathlib import Path

import pytest
from odd_texts import open_or_refuse
from odd_values import with_odd_values
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.errors import AnnotationError, FormatError

SHARED = Path(__file__).parents[2] / "../shared/data/format_examples/roboflow_dataset"
H, W = 60, 80
Json = dict[str, object]


def entry(*boxes: tuple[float, float, float, float], name: str = "a.png", label: object = "cat") -> Json:
    annotations = [
        {"label": label, "coordinates": dict(zip(("x", "y", "width", "height"), box, strict=True))} for box in boxes
    ]
    return {"image": name, "annotations": annotations}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (W, H)).save(tmp_path / "a.png")
    Image.new("RGB", (W, H)).save(tmp_path / "b.png")
    return tmp_path


def write(folder: Path, *entries: object) -> Path:
    (folder / "_annotations.createml.json").write_text(json.dumps(entries))
    return folder


def test_x_and_y_are_the_middle(folder: Path) -> None:
    dataset = open_dataset(write(folder, entry((20, 35, 20, 30)), entry(name="b.png")))
    assert (dataset.format, dataset.class_names, len(dataset)) == ("createml", ("cat",), 2)
    assert (dataset.instances(0).boxes.tolist(), dataset.instances(0).masks) == ([[10, 20, 30, 50]], None)


def test_x_and_y_are_the_corner_where_nothing_else_fits_the_pictures(folder: Path) -> None:
    first, second = entry((20, 25, 20, 30)), entry((0, 0, 20, 30), name="b.png")
    assert open_dataset(write(folder, first, second)).instances(0).boxes.tolist() == [[20, 25, 40, 55]]
    assert open_dataset(write(folder, first)).instances(0).boxes.tolist() == [[10, 10, 30, 40]]
    both_leave = entry((0, 0, 20, 30), (70, 50, 20, 30), name="b.png")
    assert open_dataset(write(folder, first, both_leave)).instances(0).boxes.tolist() == [[10, 10, 30, 40]]


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (entry((1, 2, 3, 4), label=" "), "a.png: annotation 0: label: expected a class, got ' '"),
        (entry((1, 2, -3, 4)), "a.png: annotation 0: coordinates: expected a width and a height from 0 up"),
        ({"image": "a.png", "annotations": [{"label": "x"}]}, "a.png: annotation 0: coordinates: expected an object"),
    ],
)
def test_errors_name_the_picture_and_the_annotation(folder: Path, odd: Json, words: str) -> None:
    with pytest.raises(AnnotationError) as caught:
        open_dataset(write(folder, odd))
    assert f"_annotations.createml.json: {words}" in str(caught.value)


def test_a_classification_export_is_named(folder: Path) -> None:
    (folder / "_classes.csv").write_text("filename, cat, dog\na.png, 1, 0\n")
    with pytest.raises(FormatError, match="got a classification export of Roboflow, which says what is in a picture"):
        open_dataset(folder)


def test_no_odd_file_ends_in_a_bare_exception(folder: Path) -> None:
    for changed in with_odd_values({"": [entry((1, 2, 3, 4)), entry(name="b.png")]}):
        (folder / "_annotations.createml.json").write_text(json.dumps(changed.get("")))
        open_or_refuse(folder, "createml")


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data/format_examples is not here")
@pytest.mark.parametrize("split", ["train", "val"])
def test_the_real_set_says_the_same_as_its_coco_and_yolo_twins(split: str) -> None:
    dataset, coco = (open_dataset(SHARED / kind / split) for kind in ("createml", "coco"))
    assert len(dataset) == len(coco)
    for ours, theirs in zip(dataset, coco, strict=True):
        assert (ours.instances.names, ours.instances.boxes.tolist()) == (
            theirs.instances.names,
            theirs.instances.boxes.tolist(),
        )
    yolo = open_dataset(SHARED / "yolo" / split)
    for i, ours in enumerate(dataset):
        assert yolo.instances(i).boxes == pytest.approx(ours.instances.boxes)
    with pytest.raises(FormatError, match="classification export of Roboflow"):
        open_dataset(SHARED / "multiclass" / split)
