"""`train`: annotated pictures in, a run folder with the model, its scores and its history out."""

from __future__ import annotations

import json
import os
import platform
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, LearningRateMonitor, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from maskrcnn.config import AugmentConfig, InputConfig, ModelConfig, TrainConfig
from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.loading import TrainingLoader
from maskrcnn.data.transforms import (
    Colour,
    Compose,
    HorizontalFlip,
    RandomCrop,
    Resize,
    ScaleJitter,
    Transform,
    Turn90,
    VerticalFlip,
)
from maskrcnn.errors import InputError
from maskrcnn.files import write_text
from maskrcnn.model.mask_rcnn import MaskRCNN, build
from maskrcnn.prediction.predictor import best_device
from maskrcnn.training.callbacks import EpochLines, Validation
from maskrcnn.training.checkpoints import ExportModel, LastCheckpoint, WholeCheckpoints
from maskrcnn.training.module import TrainingModule
from maskrcnn.training.setup import choose_preset, start_model
from maskrcnn.training.transfer import Transfer, summary

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def _silent(_: str) -> None: ...


@dataclass(frozen=True)
class Run:
    """A folder that holds one training and everything that came of it."""

    folder: Path

    @property
    def model(self) -> Path:
        """The best model so far, all that `maskrcnn.load` needs."""
        return self.folder / "model.safetensors"

    @property
    def settings(self) -> Path:
        """The settings of model and training."""
        return self.folder / "settings.json"

    @property
    def facts(self) -> Path:
        """Data fingerprints, versions, seed, machine."""
        return self.folder / "run.json"

    @property
    def checkpoints(self) -> Path:
        """`last.ckpt`, from which a run goes on, and `best.ckpt`."""
        return self.folder / "checkpoints"

    @property
    def last(self) -> Path:
        """The newest state."""
        return self.checkpoints / "last.ckpt"

    @property
    def samples(self) -> Path:
        """Pictures of truth beside prediction, one an epoch."""
        return self.folder / "samples"


@dataclass(frozen=True)
class Devices:
    """Where a run computes.

    Attributes:
        accelerator: `auto`, `cpu`, `gpu` or another name that Lightning knows.
        count: Devices (on a CPU: processes) of this machine; under torchrun its own number counts.
        nodes: Machines; likewise.
    """

    accelerator: str = "auto"
    count: int = 1
    nodes: int = 1

    def trainer_arguments(self, staged: bool) -> dict[str, Any]:
        """Return what Lightning's Trainer takes."""
        world = int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_WORLD_SIZE" in os.environ else 1
        local = int(os.environ.get("LOCAL_WORLD_SIZE", str(self.count)))
        nodes = max(self.nodes, world // local)
        together = "ddp_find_unused_parameters_true" if staged else "ddp"
        return {
            "accelerator": self.accelerator,
            "devices": local,
            "num_nodes": nodes,
            "strategy": together if local * nodes > 1 else "auto",
        }


@dataclass
class Plan:
    """What is to be done: data, model and settings, all of them checked."""

    run: Run
    dataset: Dataset
    validation: Dataset | None
    model: MaskRCNN
    config: TrainConfig
    devices: Devices
    transfers: list[Transfer] = field(default_factory=list)
    checkpoint: Path | None = None
    say: Callable[[str], None] = _silent


def augmentation(config: AugmentConfig, picture: InputConfig) -> Transform:
    """Make the chain of transforms that training pictures go through, ending at the network's size."""
    parts: list[Transform] = [HorizontalFlip(config.flip)]
    parts += [VerticalFlip(config.vertical_flip)] if config.vertical_flip else []
    parts += [Turn90(config.turn)] if config.turn else []
    parts += [RandomCrop(config.crop)] if config.crop < 1 else []
    parts += [Colour(config.colour, config.colour, config.colour)] if config.colour else []
    parts += [Resize.of(picture)]
    parts += [ScaleJitter(*config.scale)] if config.scale != (1.0, 1.0) else []
    return Compose(tuple(parts))


def spare_workers(wanted: int) -> int:
    """Return the number of processes that read pictures; -1 takes the cores to spare, at most 8."""
    return wanted if wanted >= 0 else max(0, min(8, (os.cpu_count() or 1) - 1))


def _check_folder(run: Run, resume: bool) -> None:
    if run.folder.exists() and not run.folder.is_dir():
        raise InputError(f"{run.folder}: expected a folder for the run, got a file")
    used = run.settings.exists() or run.last.exists()
    if used and not resume:
        raise InputError(f"{run.folder}: expected a new folder, got a run; go on with --resume or name another folder")
    if resume and not run.settings.exists():
        raise InputError(
            f"{run.folder}: expected a run to resume, got {'an empty' if run.folder.exists() else 'no'} folder"
        )


def _check_same_data(run: Run, dataset: Dataset) -> None:
    facts = json.loads(run.facts.read_text(encoding="utf-8"))
    if facts["data"]["fingerprint"] != dataset.fingerprint():
        raise InputError(
            f"{dataset.source}: expected the data that {run.folder} began with ({facts['data']['source']}), got other "
            "pictures or annotations; start a new run, with --weights to keep what was learnt"
        )


def _check_validation(dataset: Dataset, validation: Dataset) -> None:
    unknown = [name for name in validation.class_names if name not in dataset.class_names]
    if unknown:
        raise InputError(
            f"{validation.source}: expected only classes of the training data ({', '.join(dataset.class_names[:10])}), "
            f"got {', '.join(unknown[:10])} too"
        )


def _facts(plan: Plan) -> dict[str, Any]:
    packages = ("maskrcnn", "torch", "lightning", "numpy", "pillow", "faster-coco-eval")

    def data(dataset: Dataset) -> dict[str, Any]:
        return {
            "source": str(dataset.source),
            "format": dataset.format,
            "pictures": len(dataset),
            "fingerprint": dataset.fingerprint(),
        }

    return {
        "data": data(plan.dataset),
        "validation": None if plan.validation is None else data(plan.validation),
        "classes": list(plan.dataset.class_names),
        "seed": plan.config.seed,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
        "weights": [line._asdict() for line in plan.transfers],
    }


def _begin(plan: Plan) -> None:
    settings = {
        "model": plan.model.config.model_dump(mode="json"),
        "train": plan.config.model_dump(mode="json"),
    }
    write_text(plan.run.facts, json.dumps(_facts(plan), indent=1) + "\n")
    write_text(plan.run.settings, json.dumps(settings, indent=1) + "\n")


def _recall(run: Run) -> tuple[MaskRCNN, TrainConfig]:
    """Build the model of a run that is resumed, and read its settings."""
    values = json.loads(run.settings.read_text(encoding="utf-8"))
    model = ModelConfig.parse(values["model"], f"{run.settings}: model")
    return build(model), TrainConfig.parse(values["train"], f"{run.settings}: train")


def _new_plan(
    run: Run,
    dataset: Dataset,
    validation: Dataset | None,
    weights: Path | None,
    preset: str | None,
    changes: Mapping[str, Any],
    config: TrainConfig,
    devices: Devices,
    say: Callable[[str], None],
) -> Plan:
    device = torch.device("cpu") if devices.accelerator == "cpu" else best_device()
    preset = preset or choose_preset(device)
    model, transfers = start_model(dataset, weights, preset, changes, config.seed)
    for outcome, count, reason in summary(transfers):
        say(f"weights: {count} tensors {outcome}: {reason}")
    chosen = model.config
    sizes = ", ".join(f"{size:g}" for level in chosen.anchors.sizes for size in level)
    say(
        f"model: {chosen.backbone.depth}, {len(chosen.classes)} classes, short edge {chosen.input.min_size}, "
        f"anchors {sizes} px" + ("" if weights else f" (preset {preset}, fitted to the data)")
    )
    return Plan(run, dataset, validation, model, config, devices, list(transfers), say=say)


def _callbacks(plan: Plan) -> list[Callback]:
    config, run = plan.config, plan.run
    monitor = "val/AP"  # of masks, or of boxes where there are no masks
    callbacks: list[Callback] = [LearningRateMonitor("step")]
    if plan.validation is not None:
        callbacks.append(Validation(plan.validation, config.validate_every, spare_workers(config.workers), run.samples))
        callbacks.append(
            ModelCheckpoint(
                run.checkpoints,
                "best",
                monitor=monitor,
                mode="max",
                save_top_k=1,
                every_n_epochs=config.validate_every,
                save_on_train_epoch_end=True,
                enable_version_counter=False,
            )
        )
        if config.patience:
            patience = config.patience * config.validate_every
            callbacks.append(
                EarlyStopping(monitor, mode="max", patience=patience, strict=False, check_on_train_epoch_end=True)
            )
    callbacks.append(RichProgressBar() if sys.stderr.isatty() else EpochLines(plan.say))
    callbacks.append(ExportModel(run.model, monitor, {"run": run.folder.name}))
    callbacks.append(LastCheckpoint(run.last, config.checkpoint_minutes))
    return callbacks


def _precision(config: TrainConfig, devices: Devices) -> str:
    if config.precision != "auto":
        return PRECISIONS[config.precision]
    gains = devices.accelerator != "cpu" and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return PRECISIONS["bf16" if gains else "fp32"]


def _trainer(plan: Plan) -> L.Trainer:
    config, callbacks = plan.config, _callbacks(plan)
    bar = any(isinstance(callback, RichProgressBar) for callback in callbacks)
    return L.Trainer(
        **plan.devices.trainer_arguments(staged=len(config.stages) > 1),
        max_epochs=config.epochs,
        precision=_precision(config, plan.devices),  # type: ignore[arg-type]  # one of Lightning's names
        gradient_clip_val=config.clip_norm or None,
        accumulate_grad_batches=config.accumulate,
        callbacks=callbacks,
        logger=[
            CSVLogger(plan.run.folder, "logs", flush_logs_every_n_steps=10),
            TensorBoardLogger(plan.run.folder, "tensorboard", ""),
        ],
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        use_distributed_sampler=False,
        enable_progress_bar=bar,
        enable_model_summary=False,
        default_root_dir=plan.run.folder,
        plugins=[WholeCheckpoints()],
    )


def _fit(plan: Plan) -> None:
    trainer = _trainer(plan)
    config = plan.config
    loader = TrainingLoader(
        plan.dataset,
        plan.model.config.input,
        augmentation(config.augment, plan.model.config.input),
        batch_size=config.batch,
        seed=config.seed,
        workers=spare_workers(config.workers),
        rank=trainer.global_rank,
        world_size=trainer.world_size,
    )
    module = TrainingModule(plan.model, config, -(-len(loader) // config.accumulate))
    with warnings.catch_warnings():
        # Lightning advises on loaders that are not torch's own; ours brings its own workers
        warnings.filterwarnings("ignore", module="lightning")
        try:
            trainer.fit(module, loader, ckpt_path=plan.checkpoint, weights_only=True)
        finally:
            loader.close()


def train(
    data: str | Path | Dataset,
    *,
    out: str | Path,
    val: str | Path | Dataset | None = None,
    weights: str | Path | None = None,
    resume: bool = False,
    preset: str | None = None,
    model: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | TrainConfig | None = None,
    devices: Devices | None = None,
    say: Callable[[str], None] = _silent,
) -> Path:
    """Train a Mask R-CNN on annotated pictures.

    Args:
        data: A folder or file in any known format, or an open data set.
        out: The run's folder.
        val: Pictures to measure AP on while training, likewise.
        weights: A model file to start from; heads are matched by class name.
        resume: Go on with the run in `out`, with its own settings.
        preset: `small` or `full`; by default `small` on a CPU and `full` on an accelerator.
        model: Nested `ModelConfig` values that override the chosen ones.
        settings: `TrainConfig` values.
        devices: Where to compute.
        say: Takes a line for people now and then.

    Returns:
        The model file in the run.

    Raises:
        MaskRCNNError: Data, weights or settings are wrong; nothing was trained.
    """
    run, devices = Run(Path(out)), devices or Devices()
    _check_folder(run, resume)
    dataset = data if isinstance(data, Dataset) else open_dataset(data)
    if len(dataset) == 0:
        raise InputError(f"{dataset.source}: expected pictures to train on, got none")
    validation = val if isinstance(val, Dataset) or val is None else open_dataset(val)
    if validation is not None:
        _check_validation(dataset, validation)
    if resume:
        _check_same_data(run, dataset)
        network, config = _recall(run)
        plan = Plan(run, dataset, validation, network, config, devices, say=say)
        plan.checkpoint = run.last if run.last.exists() else None
        say(f"resuming {run.folder}" + ("" if plan.checkpoint else ": no checkpoint yet, from the beginning"))
    else:
        config = settings if isinstance(settings, TrainConfig) else TrainConfig.parse(dict(settings or {}))
        start = Path(weights) if weights else None
        plan = _new_plan(run, dataset, validation, start, preset, model or {}, config, devices, say)
        _begin(plan)
    _fit(plan)
    return run.model
