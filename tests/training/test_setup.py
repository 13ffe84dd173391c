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
from maskrcnn.errors import ConfigError, InputError
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.weights import save
from maskrcnn.training.setup import (
    LOOK_AT,
    choose_preset,
    fitting_config,
    pixel_statistics,
    seen_objects,
    start_model,
)
from maskrcnn.zoo import open_file


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


def test_objects_are_those_that_the_network_sees_and_crowds_do_not_count(tmp_path):
    crowd = Annotation("annotation 2", 0, square(0, 0, 40), crowd=True)
    one = Annotation("annotation 1", 0, square(10, 10, 20))
    dataset = dataset_of(tmp_path, [np.zeros((50, 100, 3), dtype=np.uint8)], [one, crowd])
    picture = ModelConfig(classes=("box",)).input.change(min_size=100, max_size=200)
    seen = seen_objects(dataset, picture)
    assert (seen.boxes.tolist(), seen.padded_hw.tolist()) == ([[20, 20, 60, 60]], [[128, 224]])  # 100 and 200, by 32


def test_anchors_fit_what_the_network_sees_after_all_changes(shrunk, tmp_path):
    one = Annotation("annotation 1", 0, square(4, 4, 16))
    dataset = dataset_of(tmp_path, [np.zeros((64, 64, 3), dtype=np.uint8)], [one])
    # side 16 round (12, 12), where P2 has an anchor. A quarter of it is side 4 round (3, 3), 1 px from (4, 4):
    # the anchor of 6 is the smallest that holds it, 16 of 36; that of 5 has 3.5² of 16 + 25 - 3.5²
    quarter = {"input": {"min_size": 16, "max_size": 16}}
    assert start_model(dataset, None, "small", {}, 0).model.config.anchors.sizes[0] == (16,)
    assert start_model(dataset, None, "small", quarter, 0).model.config.anchors.sizes[0] == (6,)
    square_ones = start_model(dataset, None, "small", {"anchors": {"ratios": [1.0]}}, 0).model.config.anchors
    assert (square_ones.sizes[0], square_ones.ratios) == ((16,), (1,))
    named = start_model(dataset, None, "small", {"anchors": {"sizes": [[9.0]] * 5}}, 0).model.config.anchors
    assert named.sizes == ((9,),) * 5


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
    start = start_model(dataset, open_file(tmp_path / "old.safetensors"), "small", {"detect": {"detections": 7}}, 0)
    expected = tiny.change(classes=list(dataset.class_names), detect=tiny.detect.change(detections=7))
    assert start.model.config == expected
    new, label = start.model.state_dict(), dataset.class_names.index("triangle")
    assert torch.equal(new["box_head.logits.weight"][label], old.state_dict()["box_head.logits.weight"][0])
    assert {line.name for line in start.transfers} == set(new)


def test_a_model_of_another_project_brings_settings_norms_and_the_classes_that_both_know(shapes, foreign_files):
    dataset = open_dataset(shapes / "train")
    assert dataset.class_names == ("circle", "square", "triangle")
    old = open_file(foreign_files / "model.pth", ["triangle", "cat", "circle"])
    start = start_model(dataset, old, "small", {}, 0)
    assert start.model.config == old.weights.config.change(classes=list(dataset.class_names))
    new, file = start.model.state_dict(), old.weights.tensors
    assert all(torch.equal(new[name], file[name]) for name in new if name.startswith(("backbone.", "pyramid.", "rpn.")))
    assert len([name for name in new if ".norm.running_var" in name]) == 20  # 17 convolutions and 3 shortcuts
    for layer, each in (("box_head.logits", 1), ("box_head.deltas", 4), ("mask_head.logits", 1)):
        for to, source in ((0, 2), (2, 0)):
            rows, wanted = new[f"{layer}.weight"], file[f"{layer}.weight"]
            assert torch.equal(rows[to * each : (to + 1) * each], wanted[source * each : (source + 1) * each])
    assert torch.equal(new["box_head.logits.weight"][3], file["box_head.logits.weight"][3])  # background
    partly = {line.name for line in start.transfers if line.outcome == "partly"}
    assert {line.reason for line in start.transfers if line.name in partly} == {
        "the file has circle, triangle; fresh: square"
    }


def test_a_backbone_alone_fills_the_backbone_of_fitted_settings(shapes, foreign_files):
    dataset = open_dataset(shapes / "train")
    backbone = open_file(foreign_files / "resnet18.pth")
    start = start_model(dataset, backbone, "small", {}, 0)
    fitted = fitting_config(dataset, "small")
    assert start.model.config == fitted.change(backbone=backbone.weights.config.backbone)
    assert start.model.config.backbone.norm == "frozen"
    new = start.model.state_dict()
    assert all(torch.equal(new[name], tensor) for name, tensor in backbone.weights.tensors.items())
    outcomes = {line.name: (line.outcome, line.reason) for line in start.transfers}
    assert {name for name, (outcome, _) in outcomes.items() if outcome == "loaded"} == set(backbone.weights.tensors)
    assert outcomes["pyramid.lateral.0.conv.weight"] == ("fresh", "not in the file")
    assert outcomes["fc.weight"] == ("unused", "the classifier of ImageNet")


def test_a_backbone_keeps_its_normalisation_for_photographs_alone(tmp_path, foreign_files):
    backbone = open_file(foreign_files / "resnet18.pth")
    learnt = backbone.weights.config.input.change(mean=[100.0, 110.0, 120.0], std=[1.0, 1.0, 1.0])
    backbone = backbone._replace(weights=backbone.weights._replace(config=backbone.weights.config.change(input=learnt)))
    (tmp_path / "rgb").mkdir()
    rgb = dataset_of(tmp_path / "rgb", [np.zeros((64, 64, 3), dtype=np.uint8)])
    assert start_model(rgb, backbone, "small", {}, 0).model.config.input.mean == (100, 110, 120)
    grey = dataset_of(tmp_path, [np.full((64, 64), 700, dtype=np.uint16)])
    start = start_model(grey, backbone, "small", {}, 0)
    assert start.model.config.input.mean == pytest.approx((700,))
    outcomes = {line.name: line.reason for line in start.transfers if line.outcome == "fresh"}
    assert outcomes["backbone.stem.conv1.conv.weight"] == "shape (64, 1, 7, 7) here, (64, 3, 7, 7) in the file"


def test_classes_are_the_datas(shrunk, shapes, sessions):
    dataset = open_dataset(shapes / "train")
    same = start_model(dataset, None, "small", {**sessions.MODEL, "classes": list(dataset.class_names)}, 0)
    assert same.model.config.classes == dataset.class_names
    with pytest.raises(ConfigError, match=r"^model: classes: expected those of .*annotations\.json in their order"):
        start_model(dataset, None, "small", {"classes": ["circle"]}, 0)


def test_wrong_changes_are_sentences(shapes):
    dataset = open_dataset(shapes / "train")
    with pytest.raises(ConfigError, match=r"^model: rpn.sample: unknown setting; did you mean 'samples'"):
        start_model(dataset, None, "small", {"rpn": {"sample": 3}}, 0)


def test_thresholds_of_other_weights_are_not_kept(shrunk, shapes, sessions, tiny, tmp_path):
    detect = tiny.detect.change(class_thresholds=(0.5, 0.6, 0.7), detections=7)
    save(build(tiny.change(detect=detect)), tmp_path / "old.safetensors")
    start = start_model(open_dataset(shapes / "train"), open_file(tmp_path / "old.safetensors"), "small", {}, 0)
    assert start.model.config.detect == tiny.detect.change(detections=7)
