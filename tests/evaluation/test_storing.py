"""Thresholds in a model file: written whole, used by default, left aside by what measures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from maskrcnn import load
from maskrcnn.config import ModelConfig
from maskrcnn.data import open_dataset
from maskrcnn.data.synth import synthesise
from maskrcnn.errors import ConfigError, InputError, WeightsError
from maskrcnn.evaluation.run import predict_dataset
from maskrcnn.evaluation.thresholds import Threshold, store_thresholds
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.weights import read, save

PICTURE = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)


def best(value: float | None) -> Threshold:
    return Threshold(value, 0.5, 0.5, 0.5, 4, 2, 9)


@pytest.fixture
def model(tiny: ModelConfig, tmp_path: Path) -> Path:
    """A model that finds a bit of everything."""
    torch.manual_seed(0)
    lively = tiny.change(detect=tiny.detect.change(score_threshold=0.0, detections=60))
    save(build(lively), tmp_path / "model.safetensors", {"note": "kept"})
    return tmp_path / "model.safetensors"


def test_the_file_says_them_and_is_otherwise_the_same(model: Path) -> None:
    before = read(model)
    assert store_thresholds(model, {"dog": best(0.3), "cat": best(None), "cow": best(0.9)}) == {
        "cat": 0.5, "dog": 0.3, "horse": 0.5,
    }  # fmt: skip
    after = read(model)
    assert after.config.detect.class_thresholds == (0.5, 0.3, 0.5)
    assert after.config.change(detect=before.config.detect) == before.config
    assert after.metadata == {**before.metadata, "config": after.metadata["config"]}
    assert all(torch.equal(after.tensors[name], tensor) for name, tensor in before.tensors.items())
    store_thresholds(model, {"cat": best(0.7)})
    assert read(model).config.detect.class_thresholds == (0.7, 0.3, 0.5)


def test_load_keeps_what_is_above_the_threshold_of_its_class(model: Path) -> None:
    every = load(model, device="cpu").predict(PICTURE)
    middle = {name: float(np.median(every.scores[every.labels == k])) for k, name in enumerate(every.class_names)}
    assert min(np.bincount(every.labels, minlength=3)) > 2
    store_thresholds(model, {name: best(value) for name, value in middle.items()})
    kept = load(model, device="cpu").predict(PICTURE)
    expected = every[every.scores > np.array(list(middle.values()))[every.labels]]
    assert 0 < len(kept) < len(every)
    assert np.array_equal(kept.scores, expected.scores)
    assert np.array_equal(kept.labels, expected.labels)


def test_a_threshold_that_is_given_holds_for_every_class(model: Path) -> None:
    every = load(model, device="cpu").predict(PICTURE)
    store_thresholds(model, {"cat": best(1.0), "dog": best(1.0), "horse": best(1.0)})
    assert len(load(model, device="cpu").predict(PICTURE)) == 0
    assert np.array_equal(load(model, device="cpu", score_threshold=0.0).predict(PICTURE).scores, every.scores)


def test_what_measures_a_model_sees_everything(model: Path, tmp_path: Path) -> None:
    synthesise("shapes", tmp_path / "set", 1, seed=1, size_hw=(64, 64))
    dataset = open_dataset(tmp_path / "set")
    (before,) = predict_dataset(load(model, device="cpu"), dataset, [0])
    store_thresholds(model, {"cat": best(1.0)})
    (after,) = predict_dataset(load(model, device="cpu"), dataset, [0])
    assert len(before) > 0
    assert np.array_equal(after.scores, before.scores)


def test_what_can_not_take_them_is_refused(model: Path, tmp_path: Path, tiny: ModelConfig) -> None:
    content = model.read_bytes()
    with pytest.raises(InputError, match=r"expected thresholds of classes that the model knows \(cat, dog, horse\), "):
        store_thresholds(model, {"cow": best(0.3)})
    assert model.read_bytes() == content
    (tmp_path / "other.pth").write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(WeightsError, match="a checkpoint of PyTorch"):
        store_thresholds(tmp_path / "other.pth", {"cat": best(0.3)})
    with pytest.raises(ConfigError, match=r"class_thresholds: expected none or 3, one a class, got 1"):
        tiny.change(detect=tiny.detect.change(class_thresholds=(0.5,)))
