"""What is asked of Lightning, alone, under torchrun, and for parts that do not learn."""

from __future__ import annotations

import pytest

from maskrcnn.config import Stage, TrainConfig
from maskrcnn.errors import InputError
from maskrcnn.training import devices as module
from maskrcnn.training.devices import Devices, leads


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)


def arguments(devices: Devices, *layers: str):
    stages = tuple(Stage(layers=each) for each in layers or ("all",))
    return devices.trainer_arguments(TrainConfig(stages=stages, precision="fp32"))


def test_short_forms():
    assert Devices.of(None) == Devices()
    assert Devices.of("cpu") == Devices("cpu")
    assert Devices.of(3) == Devices("auto", 3)
    assert Devices.of(Devices("gpu", 2, 4)) == Devices("gpu", 2, 4)


@pytest.mark.parametrize("value", [0, -1, Devices("cpu", 1, 0)])
def test_no_device_is_refused(value):
    with pytest.raises(InputError, match=r"^devices: expected at least 1 on at least 1 machine, got Devices"):
        Devices.of(value)


def test_one_process_needs_no_strategy():
    assert arguments(Devices("cpu")) == {
        "accelerator": "cpu",
        "devices": 1,
        "num_nodes": 1,
        "strategy": "auto",
        "precision": "32-true",
    }


def test_processes_wait_for_gradients_only_where_all_learn():
    assert arguments(Devices("cpu", 2))["strategy"] == "ddp"
    for layers in (("heads",), ("heads", "all"), ("all", "4+")):
        assert arguments(Devices("cpu", 2), *layers)["strategy"] == "ddp_find_unused_parameters_true"


def test_under_torchrun_its_numbers_count(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    found = arguments(Devices("cpu"))
    assert (found["devices"], found["num_nodes"], found["strategy"]) == (4, 2, "ddp")


@pytest.mark.parametrize(
    ("environment", "leading"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"RANK": "1", "LOCAL_RANK": "1"}, False),
        ({"RANK": "4", "LOCAL_RANK": "0"}, False),
        ({"LOCAL_RANK": "1"}, False),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, False),
        ({"LOCAL_RANK": "0", "NODE_RANK": "0"}, True),
    ],
)
def test_one_process_of_all_leads(monkeypatch, environment, leading):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert leads() is leading


def test_readers_take_the_spare_cores(monkeypatch):
    monkeypatch.setattr(module, "usable_cores", lambda: 12)
    assert Devices("cpu").workers(3) == 3
    assert Devices("cpu").workers(0) == 0
    assert Devices("cpu").workers(-1) == 8
    assert Devices("cpu", 3).workers(-1) == 3
    monkeypatch.setattr(module, "usable_cores", lambda: 1)
    assert Devices("cpu").workers(-1) == 0


def test_precision_is_full_where_nothing_is_gained():
    assert Devices("cpu").precision(TrainConfig()) == "32-true"
    assert Devices("cpu").precision(TrainConfig(precision="bf16")) == "bf16-mixed"
