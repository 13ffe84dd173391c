"""What happens beside the steps of a run: validation, sample pictures, lines for people without a terminal."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.coco_results import Result
from maskrcnn.draw.layout import contact_sheet, side_by_side
from maskrcnn.draw.overlay import overlay
from maskrcnn.evaluation.coco import Metrics, evaluate_results
from maskrcnn.evaluation.run import matching_categories, predict_dataset, results_of
from maskrcnn.files import replacing
from maskrcnn.prediction import Predictor
from maskrcnn.structures import Instances
from maskrcnn.training.module import TrainingModule

SAMPLES = 4  # pictures that are drawn after every validation
SHOWN = ("AP", "AP50", "AP75", "AR100")


class Validation(Callback):
    """Measures AP on the validation pictures, shared among the processes, after every so many epochs.

    Args:
        dataset: The validation pictures.
        every: Epochs between two.
        workers: Processes that read pictures.
        samples: Folder for pictures of truth beside prediction.
    """

    def __init__(self, dataset: Dataset, every: int, workers: int, samples: Path) -> None:
        self.dataset = dataset
        self.every = every
        self.workers = workers
        self.samples = samples

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measure, log and draw when it is time."""
        epoch = trainer.current_epoch + 1
        last = trainer.max_epochs is not None and epoch >= trainer.max_epochs
        if not isinstance(pl_module, TrainingModule) or (epoch % self.every and not last):
            return
        predictor = Predictor(pl_module.model, pl_module.device)
        metrics, drawn = self._measure(trainer, predictor)
        numbers = {f"val/{kind}/{name}": metrics[f"{kind}/{name}"] for kind in metrics.kinds for name in SHOWN}
        numbers["val/AP"] = metrics[f"{metrics.kinds[-1]}/AP"]
        pl_module.log_dict({name: value for name, value in numbers.items() if value is not None})
        if trainer.is_global_zero:
            self._draw(trainer, drawn, epoch)
        pl_module.model.train()

    def _measure(self, trainer: L.Trainer, predictor: Predictor) -> tuple[Metrics, list[Instances]]:
        ids = matching_categories(predictor.class_names, self.dataset)
        mine = range(trainer.global_rank, len(self.dataset), trainer.world_size)
        results: list[Result] = []
        drawn: list[Instances] = []
        for i, found in zip(mine, predict_dataset(predictor, self.dataset, mine, workers=self.workers), strict=True):
            results += results_of(found, self.dataset.image_id(i), ids, self.dataset.category_ids)
            drawn += [found] if len(drawn) < SAMPLES else []
        return evaluate_results(self.dataset, _gather(trainer, results)), drawn

    def _draw(self, trainer: L.Trainer, drawn: list[Instances], epoch: int) -> None:
        rows = []
        for place, found in enumerate(drawn):
            sample = self.dataset[place * trainer.world_size]
            truth, prediction = (
                overlay(sample.image, sample.instances),
                overlay(sample.image, found[found.scores >= 0.5]),
            )
            rows.append(side_by_side([truth, prediction], ["annotated", "predicted"]))
        if not rows:
            return
        sheet = contact_sheet(rows, 1).convert("RGB")
        with replacing(self.samples / f"epoch_{epoch:04d}.jpg") as path:
            sheet.save(path, quality=90)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("samples", np.asarray(sheet), trainer.global_step, dataformats="HWC")


def _gather(trainer: L.Trainer, results: list[Result]) -> list[Result]:
    """Bring the results of all processes together, on every one of them."""
    if trainer.world_size == 1:
        return results
    parts: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(parts, results)
    return [result for part in parts for result in part]


class EpochLines(Callback):
    """Says a line an epoch, where a progress bar would fill a log file.

    Args:
        say: Takes a line.
    """

    def __init__(self, say: Any) -> None:
        self.say = say
        self._began = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say the epoch, the loss and the AP."""
        del pl_module
        numbers = trainer.callback_metrics
        shown = [("loss", "train/loss"), ("box AP50", "val/box/AP50"), ("mask AP50", "val/mask/AP50")]
        words = [f"{word} {float(numbers[name]):.3f}" for word, name in shown if name in numbers]
        seconds = time.monotonic() - self._began
        self.say(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: {', '.join(words)} ({seconds:.0f} s)")
