"""The run itself: Lightning's trainer with our callbacks, over our loader."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback

from maskrcnn.config import AugmentConfig, InputConfig, TrainConfig
from maskrcnn.data.copy_paste import CopyPaste
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.loading import TrainingLoader
from maskrcnn.data.transforms import (
    Colour,
    Compose,
    Defer,
    HorizontalFlip,
    RandomCrop,
    Resize,
    ScaleJitter,
    Transform,
    Turn90,
    VerticalFlip,
)
from maskrcnn.errors import InputError
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.training.checkpoints import BestModel, LastCheckpoint, WholeCheckpoints
from maskrcnn.training.devices import Devices, leads
from maskrcnn.training.display import Bar, EpochLines
from maskrcnn.training.folder import Run
from maskrcnn.training.module import TrainingModule
from maskrcnn.training.quiet import python_interrupts, quiet
from maskrcnn.training.recording import Recorder
from maskrcnn.training.transfer import Transfer
from maskrcnn.training.validation import Patience, Validation


@dataclass(frozen=True)
class Plan:
    """What is to be done: data, model and settings, all of them checked.

    Attributes:
        run: The folder.
        dataset: Pictures to learn from.
        validation: Pictures to measure AP on.
        model: What learns.
        config: How.
        devices: Where.
        say: Takes a line for people.
        checkpoint: The state to go on from.
        transfers: What became of the weights that it begins with.
    """

    run: Run
    dataset: Dataset
    validation: Dataset | None
    model: MaskRCNN
    config: TrainConfig
    devices: Devices
    say: Callable[[str], None]
    checkpoint: Path | None = None
    transfers: Sequence[Transfer] = ()


def left_to(devices: Devices) -> tuple[Transform, ...]:
    """Leave resizing, flips and colours to a GPU, as a CPU learns with the cores that read."""
    return (Defer(),) if devices.cuda else ()


def augmentation(
    config: AugmentConfig, picture: InputConfig, dataset: Dataset, first: Sequence[Transform] = ()
) -> Transform:
    """Make the chain of transforms that training pictures go through, ending at the network's size.

    Args:
        config: How pictures are varied.
        picture: The network's size.
        dataset: Where pasted objects come from.
        first: What each picture that is read goes through before.
    """
    parts: list[Transform] = [*first, HorizontalFlip(config.flip)]
    parts += [VerticalFlip(config.vertical_flip)] if config.vertical_flip else []
    parts += [Turn90(config.turn)] if config.turn else []
    parts += [RandomCrop(config.crop)] if config.crop < 1 else []
    parts += [Colour(config.colour, config.colour, config.colour)] if config.colour else []
    parts += [Resize(picture)]
    parts += [ScaleJitter(*config.scale)] if config.scale != (1.0, 1.0) else []
    chain = Compose(tuple(parts))
    return CopyPaste(dataset, chain, config.copy_paste) if config.copy_paste else chain


def _callbacks(plan: Plan) -> list[Callback]:
    """List what happens beside the steps; at the end of an epoch in this order."""
    config, recorder = plan.config, Recorder(plan.run, plan.config.loggers)
    bar = Bar(recorder) if sys.stderr.isatty() and leads() else None
    validation = None
    if plan.validation is not None:
        workers = plan.devices.workers(config.workers)
        validation = Validation(plan.validation, config.validate_every, workers, plan.run.samples, recorder)
        validation.progress = bar.validating if bar else validation.progress
    watching = [Patience(validation, config.patience)] if validation and config.patience else []
    shown = [EpochLines(plan.say, recorder, validation), *([bar] if bar else [])]
    kept = [BestModel(plan.run, validation), LastCheckpoint(plan.run, config.checkpoint_minutes, recorder)]
    return [recorder, *([validation] if validation else []), *watching, *shown, *kept]


def make_trainer(plan: Plan) -> L.Trainer:
    """Make Lightning's trainer; nothing is written yet.

    Raises:
        InputError: The devices are not there.
    """
    config = plan.config
    try:
        with quiet():
            return L.Trainer(
                **plan.devices.trainer_arguments(config),
                max_epochs=config.epochs,
                gradient_clip_val=config.clip_norm or None,
                accumulate_grad_batches=config.accumulate,
                callbacks=_callbacks(plan),
                logger=False,
                num_sanity_val_steps=0,
                limit_val_batches=0,
                use_distributed_sampler=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                default_root_dir=plan.run.folder,
                plugins=[WholeCheckpoints()],
            )
    except (MisconfigurationException, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"devices: expected ones that this machine has, got {plan.devices}: {reason}") from None


def fit(plan: Plan, trainer: L.Trainer) -> None:
    """Train until the last epoch, or until AP does not rise any more.

    Raises:
        MaskRCNNError: A picture can't be read, a loss is not finite, a file can't be written, or the checkpoint does
            not belong to the run.
        KeyboardInterrupt: The user interrupted.
    """
    config = plan.config
    with quiet(), python_interrupts():
        picture = plan.model.config.input
        loader = TrainingLoader(
            plan.dataset,
            picture,
            augmentation(config.augment, picture, plan.dataset, left_to(plan.devices)),
            batch_size=config.batch,
            seed=config.seed,
            workers=plan.devices.workers(config.workers),
            rank=trainer.global_rank,
            world_size=trainer.world_size,
        )
        if trainer.world_size == 1:  # with several, gradients travel in buffers of the usual layout
            plan.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as the features lie
        steps = -(-len(loader) // config.accumulate)
        module = TrainingModule(plan.model, config, steps, config.batch * trainer.world_size, plan.say)
        try:
            trainer.fit(module, loader, ckpt_path=plan.checkpoint, weights_only=True)
        finally:
            loader.close()
