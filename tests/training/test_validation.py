"""When AP is measured, what it decides, and that a resumed run decides the same."""

from __future__ import annotations

import pytest
import torch
from safetensors import safe_open

from maskrcnn.training import Run, validation
from maskrcnn.training.history import curve, read_history


class Scores:
    """Stands for the metrics of an epoch."""

    def __init__(self, score: float | None) -> None:
        self.score = score
        self.kinds = ("box", "mask")

    def __getitem__(self, name: str) -> float | None:
        return None if self.score is None else self.score / (2 if name.startswith("box") else 1)


@pytest.fixture
def run(tmp_path) -> Run:
    return Run(tmp_path / "run")


@pytest.fixture
def scored(learn, shapes, monkeypatch):
    """Train with scores that are given, one an epoch; one that must not be asked for is an error."""

    def train(run, scores, say=lambda _: None, resume=False, **settings):
        def measure(self, trainer, predictor):
            score = scores[trainer.current_epoch]
            assert score != "not measured"
            return Scores(score), []

        monkeypatch.setattr(validation.Validation, "_measure", measure)
        settings = {"stages": [{"epochs": len(scores)}], **settings}
        learn(run.folder, val=shapes / "val", settings=settings, say=say, resume=resume)

    return train


def epoch_of_model(run: Run) -> int:
    with safe_open(run.model, "pt") as file:
        return int(file.metadata()["epoch"])


def epoch_of(path) -> int:
    return torch.load(path, weights_only=True)["epoch"] + 1


def test_the_best_model_is_kept_and_the_last_state(scored, run):
    scored(run, [0.1, 0.3, 0.3, 0.2])
    assert epoch_of_model(run) == epoch_of(run.best) == 2
    assert epoch_of(run.last) == 4
    assert curve(read_history(run.folder), "val/AP")[1] == [0.1, 0.3, 0.3, 0.2]
    assert curve(read_history(run.folder), "val/box/AP50")[1] == [0.05, 0.15, 0.15, 0.1]
    with safe_open(run.model, "pt") as file:
        assert file.metadata()["val/AP"] == "0.3000"


def test_every_so_many_epochs_and_at_the_end(scored, run):
    scored(run, ["not measured", 0.2, "not measured", 0.4, 0.3], validate_every=2)
    assert curve(read_history(run.folder), "val/AP") == ([7, 15, 19], [0.2, 0.4, 0.3])
    assert epoch_of_model(run) == 4


def test_before_the_first_score_the_newest_model_is_there(scored, run):
    seen = []

    def say(line: str) -> None:
        if line.startswith("epoch"):
            seen.append(epoch_of_model(run) if run.model.exists() else 0)

    scored(run, ["not measured", "not measured", 0.0, "not measured"][:3], say=say, validate_every=3)
    assert seen == [0, 1, 2]  # the line comes before the file
    assert epoch_of_model(run) == 3


def test_without_anything_to_measure_on_the_newest_model_is_kept(scored, run):
    scored(run, [None, None, None])
    assert epoch_of_model(run) == 3
    assert not run.best.exists()
    assert curve(read_history(run.folder), "val/AP") == ([], [])


def test_a_run_ends_after_so_many_validations_without_a_better_score(scored, run):
    scored(run, [0.1, 0.3, 0.3, 0.2, "not measured"], patience=2)
    assert {row["epoch"] for row in read_history(run.folder)} == {0, 1, 2, 3}


def test_patience_counts_validations_and_not_epochs(scored, run):
    scores = [score for measured in (0.3, 0.2, 0.1, 0.9) for score in ("not measured", measured)]
    scored(run, scores, patience=3, validate_every=2)
    assert epoch_of_model(run) == 8
    assert {row["epoch"] for row in read_history(run.folder)} == set(range(8))


def test_a_run_that_ended_early_stays_ended_when_resumed(scored, run):
    scored(run, [0.3, 0.2, "not measured"], patience=1)
    before = run.history.read_bytes()
    scored(run, ["not measured"] * 3, resume=True)
    assert run.history.read_bytes() == before
    assert epoch_of_model(run) == 1


def test_a_run_killed_between_validations_keeps_its_best(scored, run):
    def die(line: str) -> None:
        if line.startswith("epoch 3/"):
            raise KeyboardInterrupt

    scores = ["not measured", 0.5, "not measured", 0.4, "not measured", 0.3]
    with pytest.raises(KeyboardInterrupt):
        scored(run, scores, say=die, validate_every=2, patience=2)
    scored(run, scores, resume=True)
    assert epoch_of_model(run) == 2
    assert curve(read_history(run.folder), "val/AP")[1] == [0.5, 0.4, 0.3]


def test_sample_pictures_show_truth_beside_prediction(learn, run, shapes):
    from PIL import Image

    learn(run.folder, val=shapes / "val", settings={"stages": [{"epochs": 2}], "validate_every": 2})
    (sheet,) = run.samples.iterdir()
    assert sheet.name == "epoch_0002.jpg"
    with Image.open(sheet) as picture:
        assert picture.width >= 2 * 64
        assert picture.height >= 2 * 64


def test_validation_changes_nothing_of_the_training(learn, run, shapes, tmp_path):
    learn(run.folder, val=shapes / "val", settings={"stages": [{"epochs": 2}]})
    learn(tmp_path / "alone", settings={"stages": [{"epochs": 2}]})
    losses = [curve(read_history(folder), "train/loss") for folder in (run.folder, tmp_path / "alone")]
    assert losses[0] == losses[1]
