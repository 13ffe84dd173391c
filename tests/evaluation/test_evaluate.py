"""Classes of a model and of data meet by name, and only data without names may do without."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Annotation, Dataset, Record, Rings
from maskrcnn.errors import InputError
from maskrcnn.evaluation.run import evaluate, matching_categories, nameless, naming_note
from maskrcnn.prediction import Predictor
from maskrcnn.structures import Bitmaps, Instances

SQUARE = Rings((np.array([(2.0, 2.0), (12.0, 2.0), (12.0, 12.0), (2.0, 12.0)]),))


def dataset_of(names, labels=None, format="coco", ids=None) -> Dataset:  # noqa: A002
    """A data set of one picture with an object of each of the labels, by default of every class."""
    shown = range(len(names)) if labels is None else labels
    objects = tuple(Annotation(f"annotation {i}", label, SQUARE) for i, label in enumerate(shown))
    record = Record("a.png", Path("a.png"), 1, (16, 16), objects)
    return Dataset(Path("made.json"), format, names, ids or range(1, len(names) + 1), [record])


def via(folder: Path, attributes: dict[str, str]) -> Dataset:
    Image.fromarray(np.zeros((16, 16, 3), dtype=np.uint8)).save(folder / "a.png")
    shape = {"name": "rect", "x": 2, "y": 2, "width": 10, "height": 10}
    region = {"shape_attributes": shape, "region_attributes": attributes}
    (folder / "via.json").write_text(json.dumps({"a": {"filename": "a.png", "size": 1, "regions": [region]}}))
    return open_dataset(folder / "via.json")


def test_ids_are_those_of_the_data_in_the_models_order():
    data = dataset_of(("dog", "cat", "horse"), ids=(18, 17, 90))
    assert matching_categories(("cat", "dog", "horse"), data) == [17, 18, 90]


def test_classes_that_only_the_model_has_get_ids_that_are_free():
    data = dataset_of(("dog",), ids=(18,))
    assert matching_categories(("cat", "dog", "ship"), data) == [19, 18, 20]


def test_a_class_that_the_model_does_not_know_is_an_error_where_the_data_shows_it():
    with pytest.raises(InputError, match=r"^made\.json: expected classes .* knows \(cat\), got dog, cow too"):
        matching_categories(("cat",), dataset_of(("cat", "dog", "cow")))


def test_a_name_without_objects_is_no_error():
    assert matching_categories(("cat",), dataset_of(("cat", "dog"), labels=[0])) == [1]


def test_nothing_shown_is_nothing_wrong():
    assert matching_categories(("cat",), dataset_of(("dog",), labels=[])) == [2]


def test_a_via_file_without_attributes_shows_the_only_class(tmp_path):
    data = via(tmp_path, {})
    assert nameless(data)
    assert matching_categories(("kudzu",), data) == [1]
    assert naming_note(("kudzu",), data) == f"{tmp_path}/via.json names no class: its objects count as kudzu"


def test_with_several_classes_there_is_no_telling_which(tmp_path):
    with pytest.raises(InputError, match="got object too"):
        matching_categories(("kudzu", "ivy"), via(tmp_path, {}))
    assert naming_note(("kudzu", "ivy"), via(tmp_path, {})) is None


def test_a_name_that_differs_stays_an_error(tmp_path):
    named = via(tmp_path, {"class": "ivy"})
    assert not nameless(named)
    with pytest.raises(InputError, match=r"knows \(kudzu\), got ivy too; classes are matched by name$"):
        matching_categories(("kudzu",), named)
    assert naming_note(("kudzu",), named) is None


def test_only_via_does_without_names():
    data = dataset_of(("object",), format="coco")
    with pytest.raises(InputError, match="got object too"):
        matching_categories(("kudzu",), data)


def test_the_same_name_needs_no_note(tmp_path):
    assert naming_note(("object",), via(tmp_path, {})) is None


class Seer(Predictor):
    """Finds every object exactly, as the class it knows."""

    def __init__(self, data: Dataset, *class_names: str) -> None:
        self.data = data
        self.names = class_names
        self.device = torch.device("cpu")
        self.engine = SimpleNamespace(backend="eyes", precision="exact")

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.names


def test_an_evaluation_says_so(tmp_path, monkeypatch):
    data = via(tmp_path, {})
    truth = data.instances(0)
    masks = Bitmaps(list(truth.masks.crops()), truth.size_hw)
    found = Instances(truth.size_hw, truth.boxes, truth.labels, ("kudzu",), masks, np.ones(1))
    monkeypatch.setattr("maskrcnn.evaluation.run.predict_dataset", lambda *_, **__: iter([found]))
    metrics = evaluate(Seer(data, "kudzu"), data, tmp_path / "out")
    assert metrics["mask/AP"] == metrics["box/AP"] == pytest.approx(1)
    assert f"{data.source} names no class: its objects count as kudzu" in metrics.notes
    assert "names no class" in (tmp_path / "out/metrics.json").read_text()
