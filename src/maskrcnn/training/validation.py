"""AP during training, sample pictures, and an early end where it does not rise any more."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.coco_results import Result
from maskrcnn.draw.layout import contact_sheet, side_by_side
from maskrcnn.draw.overlay import overlay
from maskrcnn.evaluation.coco import Metrics
from maskrcnn.evaluation.measuring import evaluate_results
from maskrcnn.evaluation.run import matching_categories, predict_dataset, results_of
from maskrcnn.files import replacing
from maskrcnn.prediction import Predictor
from maskrcnn.structures import Instances
from maskrcnn.training.history import SHOWN
from maskrcnn.training.module import TrainingModule
from maskrcnn.training.recording import Recorder

SAMPLES = 4  # pictures that are drawn after every validation
SURE = 0.5  # a sample picture shows objects from this probability up


def _nowhere(_done: int, _total: int) -> None: ...


class Validation(Callback):
    """Measures AP on the validation pictures, shared among the processes, after every so many epochs.

    Args:
        dataset: The validation pictures.
        every: Epochs between two; the last epoch is always measured.
        workers: Processes that read pictures.
        samples: Folder for pictures of truth beside prediction.
        recorder: Writes the numbers.
        progress: Is told how many pictures are done, of how many.

    Attributes:
        scores: What was measured in this epoch by name, `val/AP` (of masks, or of boxes where there are no masks)
            among it; empty where nothing was, and without the numbers that the pictures have no objects for.
        measured: Whether anything was measured in this epoch.
    """

    def __init__(
        self,
        dataset: Dataset,
        every: int,
        workers: int,
        samples: Path,
        recorder: Recorder,
        progress: Callable[[int, int], None] = _nowhere,
    ) -> None:
        self.dataset = dataset
        self.every = every
        self.workers = workers
        self.samples = samples
        self.recorder = recorder
        self.progress = progress
        self.scores: Mapping[str, float] = {}
        self.measured = False

    @property
    def score(self) -> float | None:
        """The number that says how good the model is, where it was measured in this epoch."""
        return self.scores.get("val/AP")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measure, write and draw when it is time."""
        assert isinstance(pl_module, TrainingModule)
        epoch = trainer.current_epoch + 1
        self.measured = epoch % self.every == 0 or epoch == trainer.max_epochs
        self.scores = {}
        if not self.measured:
            return
        metrics, drawn = self._measure(trainer, Predictor(pl_module.model, pl_module.device))
        pl_module.enter_stage()
        self.scores = _scores(metrics)
        self.recorder.measured(trainer, self.scores)
        if trainer.is_global_zero:
            self._draw(trainer, drawn, epoch)

    def _measure(self, trainer: L.Trainer, predictor: Predictor) -> tuple[Metrics, list[Instances]]:
        ids = matching_categories(predictor.class_names, self.dataset)
        mine = range(trainer.global_rank, len(self.dataset), trainer.world_size)
        results: list[Result] = []
        drawn: list[Instances] = []
        found = predict_dataset(predictor, self.dataset, mine, workers=self.workers)
        for done, (i, instances) in enumerate(zip(mine, found, strict=True), 1):
            results += results_of(instances, self.dataset.image_id(i), ids, self.dataset.category_ids)
            drawn += [instances] if len(drawn) < SAMPLES else []
            self.progress(done, len(mine))
        return evaluate_results(self.dataset, _gather(trainer, results)), drawn

    def _draw(self, trainer: L.Trainer, drawn: list[Instances], epoch: int) -> None:
        rows = []
        for place, found in enumerate(drawn):
            sample = self.dataset[place * trainer.world_size]
            pictures = [overlay(sample.image, sample.instances), overlay(sample.image, found[found.scores >= SURE])]
            rows.append(side_by_side(pictures, ["annotated", "predicted"]))
        if not rows:
            return
        sheet = contact_sheet(rows, 1).convert("RGB")
        with replacing(self.samples / f"epoch_{epoch:04d}.jpg") as path:
            sheet.save(path, quality=90)
        self.recorder.picture(trainer, sheet)


def _scores(metrics: Metrics) -> dict[str, float]:
    numbers = {f"val/{kind}/{name}": metrics[f"{kind}/{name}"] for kind in metrics.kinds for name in SHOWN}
    if metrics.kinds:
        numbers["val/AP"] = metrics[f"{metrics.kinds[-1]}/AP"]
    return {name: value for name, value in numbers.items() if value is not None}


def _gather(trainer: L.Trainer, results: list[Result]) -> list[Result]:
    """Bring the results of all processes together, on every one of them."""
    if trainer.world_size == 1:
        return results
    parts: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(parts, results)
    return [result for part in parts for result in part]


class Patience(Callback):
    """Ends a run after so many validations without a better AP.

    Args:
        validation: Measures it; comes before in the trainer's list.
        validations: How many.
    """

    def __init__(self, validation: Validation, validations: int) -> None:
        self.validation = validation
        self.validations = validations
        self._best = -math.inf
        self._waited = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End at once where an earlier session had come to its end."""
        del pl_module
        self._stop_when_due(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Compare what was measured in this epoch."""
        del pl_module
        if not self.validation.measured:
            return
        score = self.validation.score
        if score is not None and score > self._best:
            self._best, self._waited = score, 0
        else:
            self._waited += 1
        self._stop_when_due(trainer)

    def _stop_when_due(self, trainer: L.Trainer) -> None:
        if self._waited >= self.validations:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """Return what a later session must know."""
        return {"best": self._best, "waited": self._waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from an earlier session."""
        self._best, self._waited = state_dict["best"], state_dict["waited"]
