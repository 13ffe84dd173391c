"""Settings that fit the data, and where a run's first weights come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskrcnn.config import ModelConfig
from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Annotation, Dataset, Record, Rings
from maskrcnn.errors import ConfigError, InputError, WeightsError
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.weights import save
from maskrcnn.training.setup import (
    LOOK_AT,
    choose_preset,
    fitting_config,
    merge,
    object_sides,
    pixel_statistics,
    start_model,
)


def square(x: float, y: float, side: float) -> Rings:
    return Rings((np.array([(x, y), (x + side, y), (x + side, y + side), (x, y + side)]),))


def dataset_of(folder: Path, pictures, annotations=()) -> Dataset:
    records = []
    for i, picture in enumerate(pictures):
        path = folder / f"{i}.png"
        Image.fromarray(picture).save(path)
        records.append(Record(path.name, path, i + 1, picture.shape[:2], tuple(annotations)))
    return Dataset(folder / "made.json", "coco", ("box",), (1,), records)


def test_presets_follow_the_machine():
    assert [choose_preset(kind) for kind in ("cpu", "gpu", "mps")] == ["small", "full", "full"]


def test_statistics_of_ready_weights_for_photographs_and_measured_ones_for_other_pictures(tmp_path):
    (tmp_path / "rgb").mkdir()
    rgb = dataset_of(tmp_path / "rgb", [np.zeros((8, 8, 3), dtype=np.uint8)])
    assert pixel_statistics(rgb) == ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    deep = [np.full((8, 8), 100, dtype=np.uint16), np.full((8, 8), 300, dtype=np.uint16)]
    assert pixel_statistics(dataset_of(tmp_path, deep)) == (pytest.approx((200,)), pytest.approx((100,)))


def test_a_picture_of_one_grey_has_a_deviation_that_can_be_divided_by(tmp_path):
    (_, (std,)) = pixel_statistics(dataset_of(tmp_path, [np.full((8, 8), 7, dtype=np.uint16)]))
    assert 0 < std < 1e-3


def test_sides_are_those_that_the_network_sees_and_crowds_do_not_count(tmp_path):
    crowd = Annotation("annotation 2", 0, square(0, 0, 40), crowd=True)
    one = Annotation("annotation 1", 0, square(10, 10, 20))
    dataset = dataset_of(tmp_path, [np.zeros((50, 100, 3), dtype=np.uint8)], [one, crowd])
    picture = ModelConfig(classes=("box",)).input.change(min_size=100, max_size=200)
    assert object_sides(dataset, picture).tolist() == [[40, 40]]


def test_sizes_are_those_of_the_pictures_within_the_presets_limit(tmp_path):
    pictures = [np.zeros((h, w, 3), dtype=np.uint8) for h, w in ((60, 90), (60, 90), (120, 60))]
    small = fitting_config(dataset_of(tmp_path, pictures), "small")
    assert small.input.min_size == 60
    assert small.input.max_size >= 90
    assert small.classes == ("box",)
    large = [np.zeros((900, 1200, 3), dtype=np.uint8)]
    config = fitting_config(dataset_of(tmp_path, large), "small")
    assert (config.input.min_size, config.input.max_size) == (512, 683)
    full = fitting_config(dataset_of(tmp_path, large), "full")
    assert (full.input.min_size, full.input.max_size, full.backbone.depth) == (800, 1067, "resnet50")


def test_no_more_than_some_pictures_are_looked_at(shapes, monkeypatch):
    dataset = open_dataset(shapes / "train").select([i % 7 for i in range(3 * LOOK_AT)])
    looked_at, original = [], Dataset.instances
    monkeypatch.setattr(Dataset, "instances", lambda self, i: looked_at.append(i) or original(self, i))
    fitting_config(dataset, "small")
    assert len(looked_at) <= LOOK_AT + 1  # and once the first, for its bands
    assert {min(looked_at), max(looked_at)} == {0, 3 * LOOK_AT - 1}


def test_an_unknown_preset_is_named(shapes):
    with pytest.raises(InputError, match=r"^preset: expected one of full, small, got huge$"):
        fitting_config(open_dataset(shapes / "train"), "huge")


def test_changes_are_laid_over_level_by_level():
    base = {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
    assert merge(base, {"a": {"c": {"d": 5}}, "f": 6}) == {"a": {"b": 1, "c": {"d": 5}}, "e": 3, "f": 6}
    assert base == {"a": {"b": 1, "c": {"d": 2}}, "e": 3}


def test_a_fresh_start_follows_from_the_seed_and_leaves_other_random_numbers_alone(shrunk, shapes, sessions):
    dataset = open_dataset(shapes / "train")
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first = start_model(dataset, None, "small", sessions.MODEL, 5).model.state_dict()
    assert torch.equal(torch.rand(1), expected)
    again = start_model(dataset, None, "small", sessions.MODEL, 5).model.state_dict()
    other = start_model(dataset, None, "small", sessions.MODEL, 6).model.state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["box_head.logits.weight"], other["box_head.logits.weight"])


def test_weights_bring_their_settings_and_the_data_its_classes(shrunk, shapes, sessions, tiny, tmp_path):
    old = build(tiny.change(classes=["triangle", "cat"]))
    save(old, tmp_path / "old.safetensors")
    dataset = open_dataset(shapes / "train")
    start = start_model(dataset, tmp_path / "old.safetensors", "small", {"detect": {"detections": 7}}, 0)
    expected = tiny.change(classes=list(dataset.class_names), detect=tiny.detect.change(detections=7))
    assert start.model.config == expected
    new, label = start.model.state_dict(), dataset.class_names.index("triangle")
    assert torch.equal(new["box_head.logits.weight"][label], old.state_dict()["box_head.logits.weight"][0])
    assert {line.name for line in start.transfers} == set(new)


def test_classes_are_the_datas(shrunk, shapes, sessions):
    dataset = open_dataset(shapes / "train")
    same = start_model(dataset, None, "small", {**sessions.MODEL, "classes": list(dataset.class_names)}, 0)
    assert same.model.config.classes == dataset.class_names
    with pytest.raises(ConfigError, match=r"^model: classes: expected those of .*annotations\.json in their order"):
        start_model(dataset, None, "small", {"classes": ["circle"]}, 0)


def test_wrong_changes_and_missing_weights_are_sentences(shapes, tmp_path):
    dataset = open_dataset(shapes / "train")
    with pytest.raises(ConfigError, match=r"^model: rpn.sample: unknown setting; did you mean 'samples'"):
        start_model(dataset, None, "small", {"rpn": {"sample": 3}}, 0)
    with pytest.raises(WeightsError, match=r"none\.safetensors: expected a model file, got"):
        start_model(dataset, tmp_path / "none.safetensors", "small", {}, 0)
