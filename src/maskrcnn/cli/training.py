"""`maskrcnn train`: options to settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from maskrcnn.cli.settings import parse_setting
from maskrcnn.cli.words import say
from maskrcnn.config import ModelConfig, TrainConfig
from maskrcnn.errors import ConfigError, InputError
from maskrcnn.machine import keep_memory
from maskrcnn.settings import Settings, merge
from maskrcnn.training import Devices, train

HOMES: dict[str, type[Settings]] = {"model": ModelConfig, "train": TrainConfig}


@dataclass(frozen=True)
class Flags:
    """The options of `train` that are settings; None is not given."""

    epochs: int | None = None
    batch: int | None = None
    accumulate: int | None = None
    learning_rate: float | None = None
    min_size: int | None = None
    max_size: int | None = None
    backbone: str | None = None
    train_layers: str | None = None
    stages: str | None = None
    patience: int | None = None
    precision: str | None = None
    checkpointing: bool | None = None
    compile: bool | None = None
    seed: int | None = None
    workers: int | None = None
    logger: str | None = None
    config: Path | None = None
    settings: tuple[str, ...] = ()


class Named(NamedTuple):
    """The data that the command line names, and how it is to be opened."""

    data: tuple[Path, ...]
    val: tuple[Path, ...]
    format: str | None
    classes: str | None


def parse_stages(text: str) -> list[dict[str, Any]]:
    """Read a staged schedule.

    >>> parse_stages("heads:2,all:8@0.1")
    [{'layers': 'heads', 'epochs': 2}, {'layers': 'all', 'epochs': 8, 'rate': 0.1}]

    Raises:
        InputError: A part is not layers:epochs or layers:epochs@rate.
    """
    stages: list[dict[str, Any]] = []
    for part in text.split(","):
        layers, _, rest = part.strip().partition(":")
        epochs, _, rate = rest.partition("@")
        try:
            stage: dict[str, Any] = {"layers": layers, "epochs": int(epochs)}
            stages.append({**stage, "rate": float(rate)} if rate else stage)
        except ValueError:
            raise InputError(f"--stages: expected layers:epochs[@rate] such as heads:10, got {part!r}") from None
    return stages


def read_config(path: Path) -> dict[str, Any]:
    """Read a settings file.

    Raises:
        ConfigError: It is missing, or not a JSON object of `model` and `train`.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: expected a settings file, got one that can't be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: expected JSON, got an error: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a JSON object, got {type(values).__name__}")
    return values


def _stages(flags: Flags) -> list[dict[str, Any]] | None:
    if flags.stages:
        if flags.train_layers or flags.epochs:
            raise InputError("--stages: expected it alone, got --train-layers or --epochs beside it")
        return parse_stages(flags.stages)
    if flags.train_layers is None and flags.epochs is None:
        return None
    default = TrainConfig().stages[0]
    return [{"layers": flags.train_layers or default.layers, "epochs": flags.epochs or default.epochs}]


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Drop what was not given, level by level."""
    kept = {k: _given(v) if isinstance(v, Mapping) else v for k, v in values.items() if v is not None}
    return {k: v for k, v in kept.items() if v != {}}


def _home(values: Mapping[str, Any], home: str) -> dict[str, Any]:
    inner = values.get(home, {})
    if not isinstance(inner, dict):
        raise ConfigError(f"{home}: expected a JSON object of settings, got {inner!r}")
    return inner


def _check_homes(values: Mapping[str, Any]) -> None:
    for name in values:
        if name not in HOMES:
            likely = [f"{home}.{name}" for home, settings in HOMES.items() if name in settings.model_fields]
            hint = f"did you mean {' or '.join(likely)}?" if likely else "names begin with model or train"
            raise ConfigError(f"{name}: unknown setting; {hint}")


def collect(flags: Flags) -> tuple[dict[str, Any], dict[str, Any]]:
    """Lay the settings file, `--set` and the options over each other, the last one strongest: model and train.

    Raises:
        ConfigError: The file is wrong, or a name begins with neither `model` nor `train`, or a setting of `train`
            does not fit.
        InputError: An option does not read.
    """
    values: dict[str, Any] = read_config(flags.config) if flags.config else {}
    for setting in flags.settings:
        values = merge(values, parse_setting(setting))
    options = {
        "model": {
            "input": {"min_size": flags.min_size, "max_size": flags.max_size},
            "backbone": {"depth": flags.backbone},
        },
        "train": {
            "stages": _stages(flags),
            "batch": flags.batch,
            "accumulate": flags.accumulate,
            "learning_rate": flags.learning_rate,
            "patience": flags.patience,
            "precision": flags.precision,
            "checkpointing": flags.checkpointing,
            "compile": flags.compile,
            "seed": flags.seed,
            "workers": flags.workers,
            "loggers": None if flags.logger is None else [name for name in flags.logger.split(",") if name],
        },
    }
    values = merge(values, _given(options))
    _check_homes(values)
    train_values = _home(values, "train")
    TrainConfig.parse(train_values, "train")
    # a run's settings.json has the classes of its data
    return {name: value for name, value in _home(values, "model").items() if name != "classes"}, train_values


def _check_accelerator(name: str, count: int) -> None:
    """Refuse an accelerator that is not there, before a run is begun.

    Raises:
        InputError: It is not there, or there are fewer.
    """
    there = {"gpu": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if name in there and not there[name]:
        raise InputError(f"--accelerator: expected one that this machine has, got {name}")
    if name in there and there[name] < count:
        raise InputError(f"--devices: expected at most {there[name]} {name}, as this machine has, got {count}")


def run_training(
    named: Named,
    out: Path,
    weights: str | None,
    resume: bool,
    preset: str | None,
    flags: Flags,
    accelerator: str,
    devices: int,
    nodes: int,
) -> None:
    """Train, and say where the model is."""
    _check_accelerator(accelerator, devices)
    keep_memory()
    model, settings = collect(flags)
    if resume and (model or settings or weights or preset):
        raise InputError("--resume: expected no other settings, got some; a resumed run keeps its own")
    path = train(
        named.data,
        out=out,
        val=named.val or None,
        format=named.format,
        classes=named.classes,
        weights=weights,
        resume=resume,
        preset=preset,
        model=model,
        settings=settings,
        devices=Devices(accelerator, devices, nodes),
        say=say,
    )
    say(f"model: {path}")
