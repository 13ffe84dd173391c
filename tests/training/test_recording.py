"""What a run writes while it goes on, what people see of it, and the stop where a number is none."""

from __future__ import annotations

import io
import logging
import math
import re
import sys

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.training import Run, fit, recording
from maskrcnn.training.display import Bar
from maskrcnn.training.history import LOSSES, read_history
from maskrcnn.training.module import TrainingModule


@pytest.fixture
def run(tmp_path) -> Run:
    return Run(tmp_path / "run")


def spoil_losses(monkeypatch, step: int, value: float) -> None:
    """Let the mask loss be no number at one step."""
    original, calls = MaskRCNN.losses, iter(range(10**6))

    def losses(self, batch):
        found = original(self, batch)
        if next(calls) == step:
            found["mask"] = found["mask"]._replace(total=found["mask"].total * value)
        return found

    monkeypatch.setattr(MaskRCNN, "losses", losses)


@pytest.mark.parametrize(("looks", "value"), [(1, math.nan), (1, math.inf), (20, math.nan)])
def test_a_loss_that_is_no_number_ends_the_run_and_spares_what_was_good(learn, run, monkeypatch, looks, value):
    monkeypatch.setattr(recording, "steps_between_looks", lambda _: looks)
    spoil_losses(monkeypatch, 6, value)  # of the second epoch's steps 4 to 7
    kept = {}
    original = recording.Recorder.on_train_epoch_start

    def remember(self, trainer, module):
        if trainer.current_epoch == 1:
            kept.update({path: path.read_bytes() for path in (run.model, run.last)})
        original(self, trainer, module)

    monkeypatch.setattr(recording.Recorder, "on_train_epoch_start", remember)
    with pytest.raises(MaskRCNNError) as caught:
        learn(run.folder, settings={"stages": [{"epochs": 3}], "checkpoint_minutes": 1e-9 if looks > 1 else 1e9})
    sentence = str(caught.value)
    assert f"run: step 6: expected finite loss, got {value:g} (objectness 0." in sentence
    assert f"mask {value:g}); start a new run with a lower learning_rate (here 0.000" in sentence
    assert sentence.endswith("model.safetensors is of the last good epoch")
    assert {path: path.read_bytes() for path in kept} == kept
    assert [row["step"] for row in read_history(run.folder)] == list(range(6))


def test_a_run_that_never_was_good_leaves_no_model(learn, run, monkeypatch):
    spoil_losses(monkeypatch, 0, math.nan)
    with pytest.raises(MaskRCNNError, match=r"step 0: expected finite loss, got nan .*precision fp32$"):
        learn(run.folder)
    assert not run.model.exists()
    assert not run.last.exists()


def test_weights_that_are_no_numbers_are_not_kept_though_the_loss_was_one(learn, run, monkeypatch):
    def spoil(self):
        if self.trainer.global_step == 3:  # the epoch's last
            next(iter(self.parameters())).grad.fill_(math.nan)

    monkeypatch.setattr(TrainingModule, "on_after_backward", spoil, raising=False)
    with pytest.raises(MaskRCNNError, match="step 3: expected finite weights, got some that are not; start a new run"):
        learn(run.folder, settings={"clip_norm": 0.0})
    assert not run.model.exists()


def test_too_high_a_rate_is_found_out(learn, run):
    settings = {"learning_rate": 1e18, "clip_norm": 0.0, "warmup": 0, "optimiser": "sgd", "stages": [{"epochs": 5}]}
    with pytest.raises(MaskRCNNError, match=r"expected finite (loss|weights), got .* a lower learning_rate"):
        learn(run.folder, settings=settings)


def test_losses_looked_at_now_and_then_are_all_written(learn, run, tmp_path, monkeypatch):
    learn(run.folder, settings={"stages": [{"epochs": 2}]})
    monkeypatch.setattr(recording, "steps_between_looks", lambda _: 3)
    learn(tmp_path / "other", settings={"stages": [{"epochs": 2}]})
    assert (tmp_path / "other/logs/history.csv").read_bytes() == run.history.read_bytes()


def test_a_step_of_several_batches_has_their_mean(learn, run, monkeypatch):
    seen = []
    original = TrainingModule.training_step

    def step(self, batch, index):
        loss = original(self, batch, index)
        seen.append(float(loss.detach()))
        return loss

    monkeypatch.setattr(TrainingModule, "training_step", step)
    learn(run.folder, settings={"accumulate": 3})  # of four batches: three, and the one that is left
    rows = read_history(run.folder)
    assert [row["train/loss"] for row in rows] == pytest.approx([sum(seen[:3]) / 3, seen[3]])
    for row in rows:
        assert row["train/loss"] == pytest.approx(sum(row[f"train/{name}"] for name in LOSSES))


def test_the_rate_is_that_of_the_step(learn, run):
    settings = {"warmup": 3, "schedule": "constant", "learning_rate": 0.004, "stages": [{"epochs": 2, "rate": 0.5}]}
    learn(run.folder, settings=settings)
    rates = [row["train/rate"] for row in read_history(run.folder)]
    assert rates == pytest.approx([0.0005, 0.001, 0.0015, 0.002, 0.002, 0.002, 0.002, 0.002])


def test_tensorboard_has_the_same_numbers_and_the_pictures(learn, run, shapes):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    learn(run.folder, val=shapes / "val")
    board = EventAccumulator(str(run.tensorboard))
    board.Reload()
    rows = read_history(run.folder)
    scalars = {event.step: event.value for event in board.Scalars("train/loss")}
    assert scalars == pytest.approx({int(row["step"]): row["train/loss"] for row in rows})
    assert [event.step for event in board.Scalars("val/mask/AP50")] == [3]
    assert len(board.Images("samples")) == 1


def test_lightning_says_nothing_and_is_as_loud_as_before_afterwards(learn, run, shapes, capfd):
    levels = {name: logging.getLogger(name).level for name in ("lightning.pytorch", "lightning.fabric")}
    lines = []
    learn(run.folder, val=shapes / "val", say=lines.append)
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")
    assert {name: logging.getLogger(name).level for name in levels} == levels
    assert [line.split(":")[0] for line in lines] == ["data", "validation", "model", "epoch 1/1"]
    assert lines[2].startswith("model: resnet18, 3 classes, short edge 64, anchors 8, 16, 32, 64, 128 px (preset small")
    losses = [row["train/loss"] for row in read_history(run.folder)]
    assert lines[3].startswith(f"epoch 1/1: loss {sum(losses) / 4:.3f}, box AP50 0.")


def test_words_go_to_stderr_where_nobody_takes_them(learn, run, shapes, sessions, shrunk, capsys):
    from maskrcnn.training import train

    settings = {**sessions.SETTINGS, "stages": [{"epochs": 1}]}
    train(shapes / "train", out=run.folder, model=sessions.MODEL, settings=settings, devices="cpu")
    said = capsys.readouterr()
    assert said.out == ""
    assert [line.split(":")[0] for line in said.err.splitlines()] == ["data", "model", "epoch 1/1"]


def test_a_terminal_gets_a_bar_that_goes_away_and_the_lines_above_it(learn, run, monkeypatch):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, highlight=False)
    monkeypatch.setattr(fit, "Bar", lambda recorder: Bar(recorder, console))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    learn(run.folder, settings={"stages": [{"epochs": 2}]}, say=console.print)
    shown = screen.getvalue()
    assert re.search(r"epoch 2/2, loss \d\.\d{3}", shown)
    assert "4/4" in shown
    assert "epoch 1/2: loss" in shown
    assert shown.endswith("\x1b[2K")  # the bar's line is cleared


def test_the_bar_shows_how_far_a_validation_is(run):
    screen = io.StringIO()
    bar = Bar(recording.Recorder(run), Console(file=screen, force_terminal=True, width=100, highlight=False))
    bar.on_train_start(None, None)
    bar.validating(3, 12)
    bar.teardown(None, None, "fit")
    assert re.search(r"validating .* 3/12", screen.getvalue())


def test_every_weight_file_is_finite(learn, run):
    learn(run.folder)
    assert all(torch.isfinite(value).all() for value in load_file(run.model).values())
