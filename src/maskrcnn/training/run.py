"""`train`: annotated pictures in, a run folder with the model, its scores and its history out."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from maskrcnn.config import ModelConfig, TrainConfig
from maskrcnn.data.classes import Classes
from maskrcnn.data.dataset import Dataset
from maskrcnn.errors import InputError
from maskrcnn.evaluation.run import matching_categories, naming_note
from maskrcnn.model.mask_rcnn import build
from maskrcnn.model.weights import load_model, save
from maskrcnn.training.boards import check_loggers
from maskrcnn.training.devices import Devices, leads
from maskrcnn.training.fit import Plan, fit, make_trainer
from maskrcnn.training.fitting import fitting_batch
from maskrcnn.training.folder import (
    Run,
    check_new,
    check_resumable,
    check_same_data,
    describe,
    read_settings,
    sweep,
    write_settings,
)
from maskrcnn.training.setup import Start, choose_preset, start_model
from maskrcnn.training.sources import Data, Say, Sources
from maskrcnn.training.transfer import summary
from maskrcnn.zoo.opening import Opened, open_file

PACKAGES = ("maskrcnn", "torch", "lightning", "numpy", "pillow", "faster-coco-eval")


@dataclass(frozen=True)
class _Job:
    """What a run works on, whether it begins or goes on."""

    run: Run
    dataset: Dataset
    validation: Dataset | None
    devices: Devices
    say: Say


@dataclass(frozen=True)
class _Wishes:
    """What a caller may say of a new run, and not of one that goes on."""

    weights: str | Path | None
    preset: str | None
    model: Mapping[str, Any] | ModelConfig | None
    settings: Mapping[str, Any] | TrainConfig | None


def _say_on_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")


def _say_nothing(_: str) -> None: ...


def train(
    data: Data | Sequence[Data],
    *,
    out: str | Path,
    val: Data | Sequence[Data] | None = None,
    format: str | None = None,  # noqa: A002  # as in `open_dataset`
    classes: Classes | None = None,
    weights: str | Path | None = None,
    resume: bool = False,
    preset: str | None = None,
    model: Mapping[str, Any] | ModelConfig | None = None,
    settings: Mapping[str, Any] | TrainConfig | None = None,
    devices: Devices | int | str | None = None,
    say: Callable[[str], None] = _say_on_stderr,
) -> Path:
    """Train a Mask R-CNN on annotated pictures.

    ```python
    maskrcnn.train("photos/train", val="photos/val", out="run", settings={"stages": [{"epochs": 12}], "batch": 2})
    maskrcnn.train("photos/train", val="photos/val", out="run", resume=True)
    ```

    Args:
        data: A folder or file in any known format, an open data set, or several of these, which are joined by class
            name (`maskrcnn.data.joining`).
        out: The run's folder, which `Run` describes.
        val: Pictures to measure AP on while training, likewise; without them the newest model is kept.
        format: The kind of all annotations, where it is not to be recognised.
        classes: Merges, renames or drops classes of both, `"vehicle=car,truck;person"` (`maskrcnn.data.classes`).
        weights: What to start from: a file of this package or of another project, an address, or the name of a
            published model. Of a model the settings are kept, and heads are matched by class name; a backbone alone
            fills the backbone.
        resume: Go on with the run in `out`, with its own settings and the same data.
        preset: `small` or `full`; by default `small` on a CPU and `full` on an accelerator.
        model: Nested `ModelConfig` values that override the chosen ones, `{"input": {"min_size": 512}}`.
        settings: `TrainConfig` values.
        devices: A number of devices (on a CPU: processes), an accelerator such as `"cpu"`, or both as `Devices`.
        say: Takes a line for people now and then; on stderr unless told otherwise.

    Returns:
        The model file in the run.

    Raises:
        InputError: The folder is in use or holds no run to resume, the data is not that of the run, validation
            has other classes, or a device is not there.
        ConfigError: A setting is unknown or out of range.
        WeightsError: The weights can't be read.
        MaskRCNNError: Data can't be read, files can't be written, or a loss is no number any more.
        KeyboardInterrupt: It was interrupted; the run can be resumed.
    """
    job_say = say if leads() else _say_nothing
    run, wishes = Run(Path(out)), _Wishes(weights, preset, model, settings)
    if resume:
        _refuse(wishes)
        check_resumable(run)
    elif leads():  # the other processes find the folder begun when they come to look
        check_new(run)
    sources = Sources.open(data, val, format, classes)
    dataset, validation = sources.joined(job_say)
    if validation is not None:
        matching_categories(dataset.class_names, validation)
        _tell(job_say, naming_note(dataset.class_names, validation))
    job = _Job(run, dataset, validation, Devices.of(devices), job_say)
    plan = _resumed(job) if resume else _begun(job, wishes)
    trainer = make_trainer(plan)
    if leads() and not resume:
        _write(plan, sources)
    try:
        fit(plan, trainer)
    except KeyboardInterrupt:
        job_say(f"the run can go on: maskrcnn train {sources.words()} --out {shlex.quote(str(run.folder))} --resume")
        raise
    return run.model


def _tell(say: Say, note: str | None) -> None:
    if note:
        say(f"note: {note}")


def _refuse(wishes: _Wishes) -> None:
    if wishes.weights or wishes.preset or wishes.model or wishes.settings:
        raise InputError("resume: expected no other settings, got some; a resumed run keeps its own")


def _resumed(job: _Job) -> Plan:
    """Take up a run: its settings, and its newest state or, before there was one, the weights it began with."""
    run = job.run
    if leads():
        sweep(run)
    check_same_data(run, job.dataset, job.validation)
    chosen, config = read_settings(run)
    if run.last.exists():
        job.say(f"resuming {run.folder}")
        return Plan(run, job.dataset, job.validation, build(chosen), config, job.devices, job.say, run.last)
    job.say(f"resuming {run.folder}: no checkpoint yet, from the beginning")
    return Plan(run, job.dataset, job.validation, load_model(run.start), config, job.devices, job.say)


def _begun(job: _Job, wishes: _Wishes) -> Plan:
    """Choose what was not said."""
    weights = open_file(wishes.weights) if wishes.weights else None
    whole = weights is not None and weights.complete
    if whole and wishes.preset:
        raise InputError(f"preset {wishes.preset}: expected none beside weights, which bring their own settings")
    given = wishes.settings or {}
    config = given if isinstance(given, TrainConfig) else TrainConfig.parse(dict(given))
    check_loggers(config.loggers)
    _check_batch(config, job.devices)
    changes = wishes.model.model_dump(mode="json") if isinstance(wishes.model, ModelConfig) else wishes.model or {}
    preset = wishes.preset or choose_preset(job.devices.kind)
    start = start_model(job.dataset, weights, preset, changes, config.seed)
    _say_data(job)
    _say_weights(job.say, weights)
    _say_start(job.say, start, None if whole else preset)
    config = _settled(config, start, job)
    return Plan(
        job.run, job.dataset, job.validation, start.model, config, job.devices, job.say, transfers=start.transfers
    )


def _check_batch(config: TrainConfig, devices: Devices) -> None:
    """Refuse to look for a batch where several processes would find different ones."""
    if config.batch == 0 and devices.local * devices.machines > 1:
        raise InputError("batch: expected a number with several processes, got auto; find it with one of them first")


def _settled(config: TrainConfig, start: Start, job: _Job) -> TrainConfig:
    """Find the largest batch if that was asked for, and say what a device does not gain by."""
    device = torch.device("cuda" if job.devices.kind in ("gpu", "cuda") else job.devices.kind)
    if config.compile and device.type != "cuda":
        job.say("compile: not used, as only a GPU gains by it")
        config = config.change(compile=False)
    if config.batch:
        return config
    job.say("batch auto: trying steps on pictures of the largest shape")
    found = fitting_batch(start.model, config, device, job.devices.precision(config), len(job.dataset))
    job.say(f"batch auto: {found}")
    return config.change(batch=found)


def _write(plan: Plan, sources: Sources) -> None:
    """Leave the choices and the first weights in the run's folder; from then on it can be resumed."""
    save(plan.model, plan.run.start)
    write_settings(plan.run, _facts(plan, sources), plan.model.config, plan.config)


def _say_data(job: _Job) -> None:
    for use, dataset in (("data", job.dataset), ("validation", job.validation)):
        if dataset is not None:
            objects = sum(len(record.annotations) for record in dataset.records)
            job.say(f"{use}: {dataset.source} ({dataset.format}), {len(dataset):,} pictures, {objects:,} objects")


def _say_weights(say: Say, weights: Opened | None) -> None:
    if weights is not None and weights.ledger:
        alone = "" if weights.complete else ", without heads: all but the backbone starts fresh"
        say(f"weights: {weights.path.name} is of {weights.kind}{alone}")


def _say_start(say: Say, start: Start, preset: str | None) -> None:
    for outcome, count, reason in summary(start.transfers):
        say(f"weights: {count} tensors {outcome}: {reason}")
    chosen = start.model.config
    noun = f"{len(chosen.classes)} class{'' if len(chosen.classes) == 1 else 'es'}"
    sizes = ", ".join(f"{size:g}" for level in chosen.anchors.sizes for size in level)
    say(
        f"model: {chosen.backbone.depth}, {noun}, short edge {chosen.input.min_size}, "
        f"anchors {sizes} px" + (f" (preset {preset}, fitted to the data)" if preset else "")
    )


def _facts(plan: Plan, sources: Sources) -> dict[str, Any]:
    measured = plan.validation
    return {
        "data": describe(plan.dataset),
        "validation": None if measured is None else {**describe(measured), "opened": sources.opened_validation()},
        "classes": list(plan.dataset.class_names),
        "seed": plan.config.seed,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
        "weights": [line._asdict() for line in plan.transfers],
    }
