"""One training step for Lightning: five losses, their sum, its gradient, the optimiser and its schedule.

A step computes its gradient itself and hands it to Lightning as that of its loss, so that a step whose memory ran out
can be taken again in parts.

Letters: n losses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from maskrcnn.config import TrainConfig
from maskrcnn.data.batches import DeferredBatch
from maskrcnn.data.loading import AnyBatch
from maskrcnn.errors import InputError, MaskRCNNError
from maskrcnn.model.losses import Losses
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.structures import Batch
from maskrcnn.training.history import LOSSES
from maskrcnn.training.layers import freeze
from maskrcnn.training.parts import ran_out, split, still_statistics
from maskrcnn.training.ways import ways

KEY = "maskrcnn"  # of what this package adds to a checkpoint
COMPILER = "inductor"
MOST_SHAPES = 64  # of batches, padded shapes times numbers of slots; beyond 8 torch would compute as if not compiled


class _Delivery(torch.autograd.Function):
    """A loss whose gradient is there already."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, unit: Tensor, gradients: list[Tensor], *_: Tensor) -> Tensor:
        ctx.unit, ctx.gradients = unit, gradients
        return loss.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None
        torch._foreach_mul_(gradients, scale / ctx.unit)
        return None, None, None, *gradients


def _nothing(_: str) -> None: ...


class TrainingModule(L.LightningModule):
    """The model with what a training step needs.

    Args:
        model: The network.
        config: How it is trained.
        steps_per_epoch: Optimiser steps of an epoch, for the schedule.
        joint_batch: Pictures a step of all processes, which a checkpoint insists on.
        say: Takes a line for people.

    Attributes:
        parts: Into how many a batch is cut; doubled whenever memory runs out.
        means: (1 + n) float32. Loss and its n parts in the last batch; of this process's samples, but divided by
            the mean count of all processes, so that the mean over processes is the loss of the joint batch.
    """

    means: Tensor

    def __init__(
        self,
        model: MaskRCNN,
        config: TrainConfig,
        steps_per_epoch: int,
        joint_batch: int,
        say: Callable[[str], None] = _nothing,
    ) -> None:
        super().__init__()
        self.model = model
        self.settings = config
        self.steps_per_epoch = steps_per_epoch
        self.joint_batch = joint_batch
        self.say = say
        self.parts = config.parts
        self._losses = compiled(model) if config.compile else model.losses

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

    def on_after_batch_transfer(self, batch: AnyBatch, dataloader_idx: int) -> Batch:  # noqa: ARG002  # Lightning's
        """Make the pictures of a batch, where the loader left that to the device."""
        return batch.made() if isinstance(batch, DeferredBatch) else batch

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Return the sum of the five losses, each a mean over the samples of all processes, with its gradient.

        Raises:
            MaskRCNNError: There is no memory for a single picture.
        """
        if index % self.settings.accumulate == 0:  # Lightning would keep the old gradients until the new are there
            self.model.zero_grad()
        learning = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        unit = self._unit(batch.images.device)
        divisors: list[Tensor] = []
        while True:
            try:
                means, gradients = self._learn(split(batch, self.parts), learning, unit, divisors)
                break
            except (RuntimeError, MemoryError) as error:
                if not ran_out(error):
                    raise
            # not inside `except`, where the traceback holds what is to be let go
            self._cut_smaller(batch)
        self.means = torch.cat([means.sum()[None], means]).float()
        return _Delivery.apply(self.means[0], unit, gradients, *learning)  # type: ignore[no-untyped-call, no-any-return]

    def _cut_smaller(self, batch: Batch) -> None:
        pictures = len(batch.images)
        if self.parts >= pictures:
            raise MaskRCNNError(
                "memory: expected enough for a step of one picture, got less; set train.checkpointing=true, or give "
                "a smaller --min-size and --max-size"
            )
        self.parts *= 2
        if batch.images.device.type == "cuda":
            torch.cuda.empty_cache()
        self.say(
            f"memory ran out in a step of {pictures} pictures: it is taken in {min(self.parts, pictures)} parts from "
            "now on, with the same gradient"
        )

    def _learn(
        self, parts: Sequence[Batch], learning: Sequence[Tensor], unit: Tensor, divisors: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Compute the means of the losses, (n), and the gradients of their sum times the unit, part by part.

        Args:
            parts: A batch.
            learning: What gradients are wanted of.
            unit: (scalar) float.
            divisors: Gets what the sums are divided by, (n), if it is empty: the processes agree on it once a batch,
                however often one of them has to begin again.
        """
        if len(parts) > 1 and not divisors:
            divisors.append(self._divisors(self._count(parts)))
        means: list[Tensor] = []
        gradients: list[Tensor] = []
        for part in parts:
            with ways(self.model, self.settings, self.device.type):
                totals, counts = _stack(self._losses(part))
                if not divisors:
                    divisors.append(self._divisors(counts))
                own = totals / divisors[0]
                with torch.autocast(own.device.type, enabled=False):
                    found = torch.autograd.grad(own.sum() * unit, learning, allow_unused=True, materialize_grads=True)
            means.append(own.detach())
            if gradients:
                torch._foreach_add_(gradients, list(found))
            else:
                gradients = list(found)
        return torch.stack(means).sum(dim=0), gradients

    @torch.no_grad()
    def _count(self, parts: Sequence[Batch]) -> Tensor:
        """Count the samples of a batch, (n) float, before it is learnt from part by part."""
        with still_statistics(self.model):
            return torch.stack([_stack(self._losses(part))[1] for part in parts]).sum(dim=0)

    def _divisors(self, counts: Tensor) -> Tensor:
        """Return what the sums are divided by, (n) float: the mean of the processes' gradients is the joint one."""
        world = self.trainer.world_size
        if world > 1:
            counts = self.trainer.strategy.reduce(counts, reduce_op="mean")
        return counts.clamp(min=1 / world)

    def _unit(self, device: torch.device) -> Tensor:
        """Return the factor that keeps small gradients of fp16 from vanishing, 1 elsewhere: (scalar) float."""
        one = torch.ones((), device=device)
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        return one if scaler is None else scaler.scale(one)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Shorten a gradient that is too long.

        Lightning itself refuses to do so beside a fused optimiser in any mixed precision, as one may undo the scale of
        fp16 later on. Ours is not fused there, and elsewhere there is no scale.
        """
        del optimizer, gradient_clip_algorithm
        if gradient_clip_val:
            nn.utils.clip_grad_norm_(self.model.parameters(), gradient_clip_val)

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


def compiled(model: MaskRCNN) -> Callable[[Batch], Losses]:
    """Compile the losses, anew for each shape of a batch but not for each sum of its masks' sizes."""
    losses = torch.compile(model.losses, dynamic=False, backend=COMPILER)

    def run(batch: Batch) -> Losses:
        torch._dynamo.maybe_mark_dynamic(batch.masks.sums, 0)
        with torch._dynamo.config.patch(recompile_limit=MOST_SHAPES):
            return losses(batch)

    return run


def _stack(losses: Losses) -> tuple[Tensor, Tensor]:
    """Return sums and counts, (n) float each, in the order of `LOSSES`."""
    totals = torch.stack([losses[name].total for name in LOSSES])
    return totals, torch.stack([losses[name].samples for name in LOSSES]).to(totals.dtype)


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
    unscaled = config.precision != "fp16"  # a fused one would undo the scale itself, after the gradient was shortened
    if config.optimiser == "sgd":
        # its fused way can't begin with some parameters and take up others later
        whole = all(stage.layers == "all" for stage in config.stages)
        return SGD(groups, lr=config.learning_rate, momentum=config.momentum, fused=unscaled and whole)
    return AdamW(groups, lr=config.learning_rate, fused=unscaled)
