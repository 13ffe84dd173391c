"""One training step for Lightning: five losses, their sum, the optimiser and its schedule."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from maskrcnn.config import TrainConfig
from maskrcnn.model.losses import Losses
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.structures import Batch
from maskrcnn.training.layers import freeze


class TrainingModule(L.LightningModule):
    """The model with what a training step needs.

    Args:
        model: The network.
        config: How it is trained.
        steps_per_epoch: Optimiser steps of an epoch, for the schedule.
    """

    def __init__(self, model: MaskRCNN, config: TrainConfig, steps_per_epoch: int) -> None:
        super().__init__()
        self.model = model
        self.settings = config
        self.steps_per_epoch = steps_per_epoch

    def on_train_epoch_start(self) -> None:
        """Freeze what the current stage does not train."""
        self.model.train()
        freeze(self.model, self.settings.stages[stage_of(self.current_epoch, self.settings)].layers)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the sum of the five losses, each a mean over the samples of all processes."""
        means = self._means(self.model.losses(batch))
        total = torch.stack(list(means.values())).sum()
        self.log_dict({f"train/{name}": value.detach() for name, value in means.items()}, sync_dist=True)
        self.log("train/loss", total.detach(), prog_bar=True, sync_dist=True)
        return total

    def _means(self, losses: Losses) -> dict[str, Tensor]:
        counts = torch.stack([loss.samples for loss in losses.values()])
        if self.trainer.world_size > 1:
            # the mean of the processes' gradients must be the gradient of the joint batch
            counts = self.trainer.strategy.reduce(counts, reduce_op="mean")
        least = 1 / self.trainer.world_size
        return {
            name: loss.total / count.clamp(min=least)
            for (name, loss), count in zip(losses.items(), counts, strict=True)
        }

    def configure_optimizers(self) -> Any:
        """Make the optimiser and the schedule, which moves with every step."""
        optimiser = build_optimiser(self.model, self.settings)
        factor = rate_factor(self.settings, self.steps_per_epoch)
        schedule = {"scheduler": LambdaLR(optimiser, factor), "interval": "step", "name": "rate"}
        return {"optimizer": optimiser, "lr_scheduler": schedule}


def stage_of(epoch: int, config: TrainConfig) -> int:
    """Return the stage that an epoch belongs to; epochs past the end belong to the last one.

    >>> from maskrcnn.config import Stage
    >>> stages = TrainConfig(stages=(Stage(layers="heads", epochs=2), Stage(epochs=3)))
    >>> [stage_of(epoch, stages) for epoch in range(6)]
    [0, 0, 1, 1, 1, 1]
    """
    last = 0
    for i, stage in enumerate(config.stages):
        last += stage.epochs
        if epoch < last:
            return i
    return len(config.stages) - 1


def rate_factor(config: TrainConfig, steps_per_epoch: int) -> Callable[[int], float]:
    """Return the factor on the learning rate as a function of the step."""
    total = max(1, config.epochs * steps_per_epoch)

    def factor(step: int) -> float:
        warmth = min(1.0, (step + 1) / (config.warmup + 1))
        stage = config.stages[stage_of(step // max(1, steps_per_epoch), config)]
        return warmth * stage.rate * _decay(config.schedule, step / total)

    return factor


def _decay(schedule: str, progress: float) -> float:
    if schedule == "cosine":
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    if schedule == "step":
        return 0.1 ** ((progress >= 2 / 3) + (progress >= 8 / 9))
    return 1.0


def build_optimiser(model: nn.Module, config: TrainConfig) -> Optimizer:
    """Make the optimiser; weights decay, biases and norms do not."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    if config.optimiser == "sgd":
        return SGD(groups, lr=config.learning_rate, momentum=config.momentum)
    return AdamW(groups, lr=config.learning_rate)
