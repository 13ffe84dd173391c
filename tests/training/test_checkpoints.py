"""Checkpoints are whole, as many as are wanted, and never between batches that belong together."""

from __future__ import annotations

import os
import signal

import pytest
import torch

from maskrcnn.errors import InputError, OutputError
from maskrcnn.training import Run
from maskrcnn.training.checkpoints import LastCheckpoint, WholeCheckpoints
from maskrcnn.training.history import read_history


@pytest.fixture
def run(tmp_path) -> Run:
    return Run(tmp_path / "run")


@pytest.fixture
def saves(monkeypatch) -> list[tuple[int, int]]:
    """Steps and batches that are over at every save."""
    seen = []
    original = LastCheckpoint._save

    def save(self, trainer, module):
        seen.append((trainer.global_step, trainer.fit_loop.epoch_loop.batch_progress.total.processed))
        original(self, trainer, module)

    monkeypatch.setattr(LastCheckpoint, "_save", save)
    return seen


def test_a_checkpoint_that_fails_leaves_the_old_one_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"step": 1}, path)
    written = path.read_bytes()

    def fail(_, place):
        place.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OutputError, match=r"last\.ckpt: could not be written: No space left on device; free"):
        WholeCheckpoints().save_checkpoint({"step": 2}, path)
    assert path.read_bytes() == written
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 half of one"])
def test_a_broken_checkpoint_is_a_sentence(tmp_path, content):
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"last\.ckpt: expected a checkpoint, got a file that can't be read: "):
        WholeCheckpoints().load_checkpoint(path, weights_only=True)


def test_a_checkpoint_comes_back(tmp_path):
    WholeCheckpoints().save_checkpoint({"a": torch.arange(3), "b": [1.5]}, tmp_path / "one.ckpt")
    found = WholeCheckpoints().load_checkpoint(tmp_path / "one.ckpt", weights_only=True)
    assert found["a"].tolist() == [0, 1, 2]
    assert found["b"] == [1.5]


def test_after_every_step_where_no_time_may_be_lost(learn, run, saves):
    learn(run.folder, settings={"checkpoint_minutes": 1e-9, "stages": [{"epochs": 2}]})
    assert [step for step, _ in saves] == list(range(1, 9))  # the fourth and eighth at the end of the epoch, once


def test_only_at_the_end_of_the_epoch_where_time_is_long(learn, run, saves):
    learn(run.folder, settings={"checkpoint_minutes": 1e9, "stages": [{"epochs": 3}]})
    assert [step for step, _ in saves] == [4, 8, 12]


def test_never_between_batches_whose_gradients_are_added(learn, run, saves):
    learn(run.folder, settings={"checkpoint_minutes": 1e-9, "accumulate": 3, "stages": [{"epochs": 2}]})
    assert saves == [(1, 3), (2, 4), (3, 7), (4, 8)]


def test_there_are_two_checkpoints_at_most_and_the_first_weights_are_gone(learn, run, shapes):
    learn(run.folder, val=shapes / "val", settings={"stages": [{"epochs": 3}], "checkpoint_minutes": 1e-9})
    assert {path.name for path in run.last.parent.iterdir()} == {"last.ckpt", "best.ckpt"}


def test_a_process_that_is_told_to_end_saves_first(learn, run):
    def end(line: str) -> None:
        if line.startswith("epoch 1/"):
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        learn(run.folder, settings={"stages": [{"epochs": 9}], "checkpoint_minutes": 1e9}, say=end)
    assert caught.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before
    state = torch.load(run.last, weights_only=True)
    assert state["global_step"] == len(read_history(run.folder))


def test_a_broken_checkpoint_in_a_run_stops_the_resume(learn, run):
    learn(run.folder)
    run.last.write_bytes(b"broken")
    with pytest.raises(InputError, match=r"last\.ckpt: expected a checkpoint, got a file that can't be read"):
        learn(run.folder, resume=True)
