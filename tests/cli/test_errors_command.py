"""`maskrcnn errors`: what it prints, writes, stores and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskrcnn.cli import main, running
from maskrcnn.config import ModelConfig
from maskrcnn.data import open_dataset
from maskrcnn.data.formats.coco_results import read_results, to_coco_results, write_results
from maskrcnn.data.synth import KINDS, synthesise
from maskrcnn.evaluation import analyse, analyse_results
from maskrcnn.evaluation.errors import ERRORS
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.weights import read, save
from maskrcnn.prediction import Predictor, load


@pytest.fixture
def folder(tmp_path: Path, tiny: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set, results that are the annotations themselves at one half, and an untrained model."""
    synthesise("shapes", tmp_path / "set", 4, seed=3, size_hw=(64, 64))
    save(build(tiny.change(classes=KINDS["shapes"].class_names)), tmp_path / "model.safetensors")
    dataset = open_dataset(tmp_path / "set")
    results = [
        {**result, "score": 0.5}
        for i in range(len(dataset))
        for result in to_coco_results(dataset.instances(i), dataset.image_id(i), dataset.category_ids)
    ]
    write_results(results, tmp_path / "results.json")  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_results_made_elsewhere(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["errors", "--results", "results.json", "set", "--out", "out"]) == 0
    out, err = capsys.readouterr()
    for title in ("What is wrong (mask)", "What is taken for what", "What probabilities are worth", "Best threshold"):
        assert title in out
    assert err.splitlines()[-1] == "results in out"
    values = json.loads(Path("out/errors.json").read_text(encoding="utf-8"))
    assert values["errors"]["ap"] == 1
    assert set(values["errors"]["counts"].values()) == {0}
    assert values["calibration"]["error"] == 0.5
    assert {best["threshold"] for best in values["thresholds"].values()} == {0.25}


def test_a_model_and_its_predictions_say_the_same(folder: Path) -> None:
    assert main(["errors", "model.safetensors", "set", "--out", "out"]) == 0
    values = json.loads(Path("out/errors.json").read_text(encoding="utf-8"))
    results = read_results("out/predictions.json")
    again = analyse_results(open_dataset("set"), results)
    assert len(results) > 0
    assert json.loads(json.dumps(again.to_json())) == values
    cases = analyse("model.safetensors", "set").errors.cases
    assert all(np.array_equal(*pair, equal_nan=True) for pair in zip(cases, again.errors.cases, strict=True))
    about = [case for name in ERRORS for case in cases.of(name) if case.detection is not None]
    assert len({case.image_id for case in about}) > 1
    for case in about:
        assert case.detection is not None
        assert (results[case.detection]["image_id"], results[case.detection]["score"]) == (case.image_id, case.score)


def test_thresholds_are_stored_and_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["errors", "model.safetensors", "set", "--store"]) == 0
    assert "model.safetensors states thresholds now, which predict and load use: " in capsys.readouterr().err
    thresholds = read(Path("model.safetensors")).config.detect.class_thresholds
    assert len(thresholds) == 3
    assert main(["predict", "model.safetensors", "set/images", "--out", "found"]) == 0
    named = ", ".join(
        f"{name} {value:.2f}" for name, value in zip(KINDS["shapes"].class_names, thresholds, strict=True)
    )
    assert f"above the thresholds that the model file states ({named}); --score sets" in capsys.readouterr().err
    assert main(["predict", "model.safetensors", "set/images", "--out", "found", "--score", "0.1"]) == 0
    assert "with a probability of at least 0.1" in capsys.readouterr().err
    assert main(["weights", "info", "model.safetensors"]) == 0
    assert "thresholds" in capsys.readouterr().out


def test_what_runs_the_model_is_chosen_as_for_other_commands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def loaded(model: str, **options: Any) -> Predictor:
        asked.append(options)
        return load(model)

    monkeypatch.setattr(running, "load", loaded)
    words = ["--device", "cpu", "--backend", "torch", "--precision", "fp32", "--threads", "1", "--batch", "2"]
    for command in ("errors", "evaluate"):
        assert main([command, "model.safetensors", "set", *words]) == 0
    chosen = {"device": "cpu", "backend": "torch", "precision": "fp32", "threads": 1, "score_threshold": None}
    assert asked == [chosen, chosen]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["set"], "errors: expected MODEL DATA, or --results FILE DATA, got set"),
        (["--results", "results.json", "a", "b"], "errors: expected DATA alone beside --results, got a b"),
        (["--results", "results.json", "set", "--store"], "--store: expected MODEL DATA"),
        (["torchvision/resnet50", "set", "--store"], "--store: expected a model file of this package"),
    ],
)
def test_what_does_not_fit_is_said(
    folder: Path, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["errors", *words]) == 2
    assert sentence in capsys.readouterr().err
