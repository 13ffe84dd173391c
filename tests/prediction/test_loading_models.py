"""What a file says and what a call overrides; files that are no network any more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from eager_model import assert_same, eager, picture

from maskrcnn.config import ModelConfig
from maskrcnn.errors import ConfigError, InputError, MaskRCNNError, WeightsError
from maskrcnn.model.postprocess import Detections
from maskrcnn.model.weights import save
from maskrcnn.prediction import Predictor, load
from maskrcnn.prediction.preparing import prepare


@pytest.fixture
def model_file(tiny: ModelConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.getbasetemp() / "eager.safetensors"
    if not path.exists():
        save(eager(tiny), path)
    return path


def test_overrides_change_what_the_file_says_and_nothing_else(model_file: Path, tiny: ModelConfig) -> None:
    assert load(model_file).config == tiny
    model = load(str(model_file), score_threshold=0.5, detections=3, proposals=7, pre_nms=9, device="cpu")
    assert (model.config.detect.score_threshold, model.config.detect.detections) == (0.5, 3)
    assert (model.config.rpn.proposals, model.config.rpn.pre_nms) == (7, 9)
    unchanged = {"detect": tiny.detect, "rpn": tiny.rpn}
    assert model.config.change(**unchanged) == tiny
    assert len(model.predict(picture())) == 3


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (64, 96)),
        ({"min_size": 128}, (128, 192)),  # the limit of the long edge keeps its ratio
        ({"min_size": 32}, (32, 48)),
        ({"min_size": 128, "max_size": 140}, (128, 140)),
        ({"max_size": 200}, (64, 200)),
        ({"max_size": 50}, (50, 50)),  # the short edge cannot be longer than the long one
        ({"min_size": 33, "max_size": 33}, (33, 33)),
    ],
)
def test_sizes_make_way_for_the_one_that_is_given(
    model_file: Path, given: dict[str, int], expected: tuple[int, int]
) -> None:
    config = load(model_file, **given).config.input  # type: ignore[arg-type]
    assert (config.min_size, config.max_size) == expected


@pytest.mark.parametrize(("resize", "seen"), [("short_edge", (64, 96)), ("square", (64, 96)), ("none", (128, 192))])
def test_resize_decides_what_the_network_sees(model_file: Path, resize: Any, seen: tuple[int, int]) -> None:
    model = load(model_file, resize=resize)
    prepared = prepare(picture(size_hw=(128, 192)), model.config.input)
    assert tuple(prepared.pixels.shape) == (3, *seen)
    assert prepared.size_hw == (128, 192)
    assert model.predict(picture(size_hw=(128, 192))).size_hw == (128, 192)


@pytest.mark.parametrize(
    ("given", "kind", "sentence"),
    [
        ({"min_size": 100, "max_size": 90}, ConfigError, "^max_size: expected at least min_size 100, got 90$"),
        ({"min_size": 0}, ConfigError, "min_size: .*greater than or equal to 1, got 0"),
        ({"min_size": "big"}, ConfigError, "min_size: .*valid integer, got 'big'"),
        ({"resize": "stretch"}, ConfigError, "resize: .*'short_edge', 'square', .* or 'none', got 'stretch'"),
        ({"score_threshold": 1.5}, ConfigError, "score_threshold: .*less than or equal to 1, got 1.5"),
        ({"detections": 0}, ConfigError, "detections: .*greater than or equal to 1, got 0"),
        ({"device": "gpu"}, InputError, "^device: expected a name such as cpu, cuda, cuda:1 or mps, got 'gpu'$"),
        ({"device": "cuda:99"}, InputError, "^device: expected one that this machine has, got cuda:99 "),
    ],
)
def test_overrides_that_do_not_fit_are_refused(
    model_file: Path, given: dict[str, Any], kind: type[MaskRCNNError], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence):
        load(model_file, **given)


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="expected a model file, got no such file"):
        load(tmp_path / "model.safetensors")


def test_a_loaded_model_runs_prepared_and_keeps_its_network(tiny: ModelConfig, tmp_path: Path) -> None:
    save(eager(tiny), tmp_path / "m.safetensors")
    loaded = load(tmp_path / "m.safetensors", device="cpu", backend="auto", precision="auto")
    assert (loaded.engine.precision, loaded.device.type) == ("fp32", "cpu")
    assert loaded.choice.endswith("the fastest here for cpu")
    assert_same(loaded.predict(picture()), Predictor(loaded.model).predict(picture()))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"backend": "rocket"}, "backend: expected auto, torch, .*, got 'rocket'"),
        ({"precision": "fp16"}, "precision: expected fp32.* of torch on cpu, got fp16"),
        ({"threads": 0}, "threads: expected 1 or more, got 0"),
    ],
)
def test_what_can_not_run_it_is_named(tiny: ModelConfig, tmp_path: Path, given: dict[str, Any], sentence: str) -> None:
    save(eager(tiny), tmp_path / "m.safetensors")
    with pytest.raises(InputError, match=sentence):
        load(tmp_path / "m.safetensors", device="cpu", **given)


class Exported:
    """An engine of a file: it has settings and finds, but is no network."""

    backend, precision, device = "file", "fp32", torch.device("cpu")

    def __init__(self, model: Any) -> None:
        self.config = model.config
        self.run = model

    def __call__(self, images: torch.Tensor, size_hw: torch.Tensor) -> Detections:
        with torch.inference_mode():
            found: Detections = self.run(images, size_hw)
        return found


def test_thresholds_of_classes_hold_whatever_runs_the_network(
    tiny: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = Predictor(eager(tiny)).predict(picture())
    middle = [float(np.median(every.scores[every.labels == k])) if k in every.labels else 0.5 for k in range(3)]
    exported = Exported(eager(tiny))
    exported.config = tiny.change(detect=tiny.detect.change(class_thresholds=middle))
    monkeypatch.setattr("maskrcnn.prediction.loading.open_exported", lambda *_: exported)
    some = load("m.onnx")
    expected = every[every.scores > np.array(middle)[every.labels]]
    assert 0 < len(expected) < len(every)
    assert_same(some.predict(picture()), expected)
    assert_same(some.with_every_score().predict(picture()), every)
    assert_same(load("m.onnx", score_threshold=0.06).predict(picture()), every[every.scores > 0.06])


def test_an_exported_file_has_no_network_but_takes_a_higher_threshold(
    tiny: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = Exported(eager(tiny))
    monkeypatch.setattr("maskrcnn.prediction.loading.open_exported", lambda *_: exported)
    every = load("m.onnx").predict(picture())
    threshold = float(every.scores[len(every) // 2])
    some = load("m.onnx", score_threshold=threshold)
    assert_same(some.predict(picture()), every[every.scores > threshold])
    with pytest.raises(InputError, match="got an exported file"):
        _ = some.model
    with pytest.raises(InputError, match=r"m\.onnx: expected no proposals or backend beside an exported file"):
        load("m.onnx", proposals=5, backend="torch")
