"""Where a run is shown while it goes on: curves, histograms and pictures, by name."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, ClassVar

import lightning.pytorch.loggers as lightning_loggers
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from maskrcnn.errors import ConfigError, InputError
from maskrcnn.training import Run, boards
from maskrcnn.training.boards import MLflow, WeightsAndBiases, open_boards, spread
from maskrcnn.training.history import LOSSES, read_history

SHEET = Image.new("RGB", (4, 2), (9, 8, 7))


def test_tensorboard_gets_curves_histograms_and_pictures(learn, shapes, tmp_path) -> None:
    learn(tmp_path / "run", val=shapes / "val", settings={"stages": [{"epochs": 2}]})
    read = EventAccumulator(str(tmp_path / "run/tensorboard"), size_guidance={"scalars": 0, "histograms": 0})
    read.Reload()
    rows = read_history(tmp_path / "run")
    for name in ("train/rate", "train/loss", *(f"train/{each}" for each in LOSSES)):
        logged = [(each.step, each.value) for each in read.Scalars(name)]
        assert logged == [(row["step"], pytest.approx(row[name], rel=1e-6)) for row in rows if name in row]
    assert "val/mask/AP" in read.Tags()["scalars"]
    weights = read.Histograms("weights/model.backbone.stem.conv1.conv.weight")
    assert [each.step for each in weights] == [3, 7]  # the last step of both epochs
    stem = load_file(tmp_path / "run/model.safetensors")["backbone.stem.conv1.conv.weight"]
    assert weights[0].histogram_value.num == stem.numel()
    assert [each.step for each in read.Images("samples")] == [3, 7]


def test_without_a_logger_nothing_is_written_for_one(learn, tmp_path) -> None:
    learn(tmp_path / "run", settings={"loggers": []})
    assert not (tmp_path / "run/tensorboard").exists()
    assert read_history(tmp_path / "run")


def test_a_large_tensor_is_spread_evenly(monkeypatch) -> None:
    monkeypatch.setattr(boards, "MOST_WEIGHTS", 10)
    module = nn.Linear(7, 5)
    found = spread(module)
    assert set(found) == {"weight", "bias"}
    assert np.array_equal(found["weight"], module.weight.detach().flatten()[::4].numpy())
    assert len(found["bias"]) == 5


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_package_that_is_missing_is_named_before_a_run_begins(learn, tmp_path, monkeypatch, name) -> None:
    monkeypatch.setattr(boards, "find_spec", lambda _: None)
    hint = rf'install it with pip install "maskrcnn\[{name}\]"'
    with pytest.raises(InputError, match=rf"logger {name}: expected the package {name}, got none; {hint}"):
        learn(tmp_path / "run", settings={"loggers": [name]})
    assert not (tmp_path / "run").exists()


def test_an_unknown_logger_is_refused(learn, tmp_path) -> None:
    with pytest.raises(ConfigError, match="loggers"):
        learn(tmp_path / "run", settings={"loggers": ["paper"]})


class Experiment:
    """Takes what Lightning's loggers pass on."""

    def __init__(self) -> None:
        self.finished = 0
        self.images: list[tuple[Any, ...]] = []

    def finish(self) -> None:
        self.finished += 1

    def log_image(self, *arguments: Any) -> None:
        self.images.append(arguments)


class Logger:
    """Stands for one of Lightning's loggers, whose own packages are not here."""

    made: ClassVar[list[Logger]] = []

    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments
        self.run_id = arguments.get("run_id") or "fresh"
        self.experiment = Experiment()
        self.metrics: list[tuple[dict[str, Any], int]] = []
        self.images: list[tuple[Any, ...]] = []
        self.settings: Any = None
        self.status = ""
        Logger.made.append(self)

    def log_hyperparams(self, settings: Any) -> None:
        self.settings = settings

    def log_metrics(self, values: dict[str, Any], step: int) -> None:
        self.metrics.append((values, step))

    def log_image(self, *arguments: Any) -> None:
        self.images.append(arguments)

    def finalize(self, status: str) -> None:
        self.status = status


@pytest.fixture
def stand_in(monkeypatch, tmp_path) -> Run:
    """A run, and loggers that take everything."""
    monkeypatch.setattr(Logger, "made", [])
    monkeypatch.setattr(lightning_loggers, "WandbLogger", Logger)
    monkeypatch.setattr(lightning_loggers, "MLFlowLogger", Logger)
    wandb = ModuleType("wandb")
    wandb.Histogram = lambda np_histogram: ("histogram", np_histogram[0].sum())
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    run = Run(tmp_path / "run")
    run.folder.mkdir()
    run.settings.write_text('{"model": {"classes": ["cat"]}, "train": {"batch": 2}}')
    return run


@pytest.mark.parametrize("kind", [WeightsAndBiases, MLflow])
def test_both_get_the_same_curves_and_pictures(stand_in: Run, kind) -> None:
    board = kind(stand_in, 0)
    board.numbers({"train/loss": 1.5}, 3)
    board.weights({"conv": np.ones(5, dtype=np.float32)}, 4)
    board.picture(SHEET, 4)
    board.flush()
    board.close()
    (logger,) = Logger.made
    assert logger.settings == {"model": {"classes": ["cat"]}, "train": {"batch": 2}}
    assert logger.metrics[0] == ({"train/loss": 1.5}, 3)
    assert logger.status == "success"
    if kind is WeightsAndBiases:
        assert logger.metrics[1] == ({"weights/conv": ("histogram", 5)}, 4)
        assert logger.images == [("samples", [SHEET], 4)]
        assert logger.experiment.finished == 1
    else:
        ((run_id, pixels, name),) = logger.experiment.images
        assert (run_id, pixels.shape, name) == ("fresh", (2, 4, 3), "samples/00000004.png")


def test_a_run_that_goes_on_keeps_its_names(stand_in: Run) -> None:
    for _ in range(2):
        open_boards(["wandb", "mlflow", "wandb"], stand_in, 0)
    one, two, three, four = Logger.made
    assert one.arguments["id"] == three.arguments["id"]
    assert one.arguments["resume"] == "allow"
    assert (two.arguments["run_id"], four.arguments["run_id"]) == (None, "fresh")


def test_where_they_write_is_what_their_own_variables_say(stand_in: Run, monkeypatch) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "ours")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there")
    open_boards(["wandb", "mlflow"], stand_in, 0)
    assert Logger.made[0].arguments["project"] == "ours"
    assert Logger.made[1].arguments["tracking_uri"] == "http://there"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    open_boards(["mlflow"], stand_in, 0)
    assert Logger.made[2].arguments["tracking_uri"].endswith("run/mlflow.db")


def test_names_of_tensors_are_those_of_the_model(tiny) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    assert list(spread(module)) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert all(torch.as_tensor(each).dtype == torch.float32 for each in spread(module.half()).values())
