"""One training step for Lightning: five losses, their sum, the optimiser and its schedule.

Letters: n losses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from maskrcnn.config import TrainConfig
from maskrcnn.errors import InputError
from maskrcnn.model.losses import Losses
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.structures import Batch
from maskrcnn.training.history import LOSSES
from maskrcnn.training.layers import freeze

KEY = "maskrcnn"  # of what this package adds to a checkpoint


class TrainingModule(L.LightningModule):
    """The model with what a training step needs.

    Args:
        model: The network.
        config: How it is trained.
        steps_per_epoch: Optimiser steps of an epoch, for the schedule.
        joint_batch: Pictures a step of all processes, which a checkpoint insists on.

    Attributes:
        means: (1 + n) float32. Loss and its n parts in the last batch; of this process's samples, but divided by
            the mean count of all processes, so that the mean over processes is the loss of the joint batch.
    """

    means: Tensor

    def __init__(self, model: MaskRCNN, config: TrainConfig, steps_per_epoch: int, joint_batch: int) -> None:
        super().__init__()
        self.model = model
        self.settings = config
        self.steps_per_epoch = steps_per_epoch
        self.joint_batch = joint_batch

    def on_train_start(self) -> None:
        """Freeze what the current stage does not train; a run that goes on inside an epoch has no other start."""
        self.enter_stage()

    def on_train_epoch_start(self) -> None:
        """Freeze what the current stage does not train."""
        self.enter_stage()

    def enter_stage(self) -> None:
        """Put the model into training as the current stage wants it."""
        self.model.train()
        freeze(self.model, self.settings.stages[stage_of(self.current_epoch, self.settings)].layers)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the sum of the five losses, each a mean over the samples of all processes."""
        parts = self._parts(self.model.losses(batch))
        total = parts.sum()
        self.means = torch.cat([total[None], parts]).detach().float()
        return total

    def _parts(self, losses: Losses) -> Tensor:
        """Divide sums by counts: (n) float in the order of `LOSSES`."""
        totals = torch.stack([losses[name].total for name in LOSSES])
        counts = torch.stack([losses[name].samples for name in LOSSES])
        world = self.trainer.world_size
        if world > 1:
            # the mean of the processes' gradients must be the gradient of the joint batch
            counts = self.trainer.strategy.reduce(counts, reduce_op="mean")
        return totals / counts.clamp(min=1 / world)

    def configure_optimizers(self) -> Any:
        """Make the optimiser and the schedule, which moves with every step."""
        optimiser = build_optimiser(self.model, self.settings)
        factor = rate_factor(self.settings, self.steps_per_epoch)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": LambdaLR(optimiser, factor), "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note what a run that goes on must agree with."""
        checkpoint[KEY] = {"joint_batch": self.joint_batch, "model": self.model.config.model_dump_json()}

    def on_load_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """Refuse a checkpoint of another run.

        Raises:
            InputError: The model or the number of pictures a step differs.
        """
        noted = checkpoint.get(KEY, {})
        if noted.get("model") != self.model.config.model_dump_json():
            raise InputError("checkpoint: expected one of the model in settings.json, got another; was one replaced?")
        if noted.get("joint_batch") != self.joint_batch:
            raise InputError(
                f"checkpoint: expected {noted.get('joint_batch')} pictures a step over all processes, got "
                f"{self.joint_batch}; resume with the number of devices that the run began with"
            )


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
    """Return the factor on the learning rate as a function of the step.

    Args:
        config: Warm-up, schedule and the stages' own factors.
        steps_per_epoch: Optimiser steps of an epoch.

    >>> [rate_factor(TrainConfig(warmup=4, schedule="constant"), 10)(step) for step in (0, 1, 4, 5)]
    [0.2, 0.4, 1.0, 1.0]
    """
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
    return AdamW(groups, lr=config.learning_rate, fused=True)
