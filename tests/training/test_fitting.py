"""The largest batch by hand, from trials on a small model, and what a run does with it."""

from __future__ import annotations

import json

import pytest
import torch

from maskrcnn.config import InputConfig, TrainConfig
from maskrcnn.errors import ConfigError, InputError
from maskrcnn.model.mask_rcnn import build
from maskrcnn.training import fitting
from maskrcnn.training.fitting import _left_in_container, fitting_batch, largest_batch, trial_batch


class Scale:
    """A meter of a machine where a step takes 100 bytes and 50 a picture."""

    def __init__(self, free: int):
        self.room, self.pictures = free, 0

    def begin(self) -> None:
        self.pictures = 0

    def peak(self) -> int:
        return 100 + 50 * self.pictures

    def free(self) -> int:
        return self.room

    def step(self, pictures: int) -> None:
        self.pictures = pictures
        if self.peak() > self.room:
            raise torch.OutOfMemoryError


# 0.8 of the room, without 40 bytes of the optimiser, holds (room * 0.8 - 40 - 100) / 50 pictures
@pytest.mark.parametrize(
    ("room", "most", "expected"),
    [(675, 64, 8), (674, 64, 4), (1_000_000, 64, 64), (1_000_000, 7, 4), (140, 64, 1), (180, 64, 1), (300, 64, 2)],
)
def test_powers_of_two_that_leave_room(room, most, expected):
    scale = Scale(room)
    assert largest_batch(scale.step, scale, 40, most) == expected


def test_other_errors_come_through():
    def broken(_: int) -> None:
        raise RuntimeError("shapes")

    with pytest.raises(RuntimeError, match="shapes"):
        largest_batch(broken, Scale(1000), 0, 8)


def test_trials_have_the_largest_shape_of_a_batch():
    assert trial_batch(InputConfig(min_size=96, max_size=160), 3).images.shape == (3, 3, 160, 160)
    anywhere = InputConfig(min_size=96, max_size=150, resize="centred")
    assert trial_batch(anywhere, 1).images.shape[2:] >= (150, 150)


@pytest.mark.skipif(fitting.meter_of(torch.device("cpu")) is None, reason="needs Linux's account of memory")
def test_a_trial_leaves_the_model_as_it_was(shrunk, tiny):
    model = build(tiny).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert fitting_batch(model, TrainConfig(), torch.device("cpu"), "32-true", 5) in (1, 2, 4)
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_without_a_measure_it_is_the_usual(tiny):
    assert fitting_batch(build(tiny), TrainConfig(), torch.device("meta"), "32-true", 100) == TrainConfig().batch


def test_a_container_leaves_its_limit_without_what_it_uses(tmp_path):
    assert _left_in_container(tmp_path) == float("inf")
    for name, text in {
        "memory.max": "1000\n",
        "memory.current": "700\n",
        "memory.stat": "a 1\ninactive_file 50\n",
    }.items():
        (tmp_path / name).write_text(text)
    assert _left_in_container(tmp_path) == 350
    (tmp_path / "memory.max").write_text("max\n")
    assert _left_in_container(tmp_path) == float("inf")


def test_a_run_keeps_what_was_found(learn, tmp_path, monkeypatch):
    monkeypatch.setattr("maskrcnn.training.run.fitting_batch", lambda *_: 3)
    said: list[str] = []
    learn(tmp_path / "run", settings={"batch": 0, "compile": True}, say=said.append)
    settings = json.loads((tmp_path / "run/settings.json").read_text())["train"]
    assert (settings["batch"], settings["compile"]) == (3, False)
    assert "batch auto: 3" in said
    assert "compile: not used, as only a GPU gains by it" in said


def test_several_processes_want_a_number(learn, tmp_path):
    with pytest.raises(InputError, match=r"^batch: expected a number with several processes, got auto; find it"):
        learn(tmp_path / "run", settings={"batch": 0}, devices=2)


def test_compiled_and_checkpointed_do_not_go_together():
    with pytest.raises(ConfigError, match="compile: expected it without checkpointing, got both; choose one"):
        TrainConfig.parse({"compile": True, "checkpointing": True}, "train")
