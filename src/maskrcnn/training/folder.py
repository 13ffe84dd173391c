"""The folder of a run: what lies where, and whether a training may begin or go on there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskrcnn.config import ModelConfig, TrainConfig
from maskrcnn.data.dataset import Dataset
from maskrcnn.errors import InputError
from maskrcnn.files import write_text


@dataclass(frozen=True)
class Run:
    """A folder that holds one training and everything that came of it."""

    folder: Path

    @property
    def model(self) -> Path:
        """The best model so far (the newest without validation), all that `maskrcnn.load` needs."""
        return self.folder / "model.safetensors"

    @property
    def settings(self) -> Path:
        """The settings of model and training; a folder that has it holds a run."""
        return self.folder / "settings.json"

    @property
    def facts(self) -> Path:
        """Data fingerprints, versions, seed, machine, and what became of the weights it started from."""
        return self.folder / "run.json"

    @property
    def history(self) -> Path:
        """Losses and learning rate of every step, AP of every validation, as CSV."""
        return self.folder / "logs" / "history.csv"

    @property
    def tensorboard(self) -> Path:
        """The same for TensorBoard, with sample pictures."""
        return self.folder / "tensorboard"

    @property
    def samples(self) -> Path:
        """Pictures of truth beside prediction, one an epoch."""
        return self.folder / "samples"

    @property
    def start(self) -> Path:
        """The weights that the run began with, there until the first checkpoint is."""
        return self.folder / "checkpoints" / "start.safetensors"

    @property
    def last(self) -> Path:
        """The newest state, from which a run goes on."""
        return self.folder / "checkpoints" / "last.ckpt"

    @property
    def best(self) -> Path:
        """The state with the best AP."""
        return self.folder / "checkpoints" / "best.ckpt"


def check_new(run: Run) -> None:
    """Refuse a place where a new run cannot begin.

    Raises:
        InputError: It is a file, or holds a run.
    """
    if run.folder.exists() and not run.folder.is_dir():
        raise InputError(f"{run.folder}: expected a folder for the run, got a file")
    if run.settings.exists():
        raise InputError(f"{run.folder}: expected a new folder, got a run; go on with --resume or name another folder")


def check_resumable(run: Run) -> None:
    """Refuse a place without a run.

    Raises:
        InputError: There is none.
    """
    if run.settings.is_file():
        return
    kind = "nothing there" if not run.folder.exists() else "a folder without settings.json"
    raise InputError(f"{run.folder}: expected a run to resume, got {kind}; begin one without --resume")


def sweep(run: Run) -> None:
    """Remove the half-written files that a kill left behind."""
    for path in (run.model, run.settings, run.facts, run.history, run.start, run.last, run.best):
        for half in path.parent.glob(f".{path.name}.*"):
            half.unlink(missing_ok=True)


def describe(dataset: Dataset) -> dict[str, Any]:
    """Return what a run notes of a data set."""
    return {
        "source": str(dataset.source),
        "format": dataset.format,
        "pictures": len(dataset),
        "fingerprint": dataset.fingerprint(),
    }


def check_same_data(run: Run, dataset: Dataset, validation: Dataset | None) -> None:
    """Refuse other data than the run began with, wherever it lies now.

    Raises:
        InputError: Pictures or annotations differ, validation is there now but was not then or the other way
            round, or the run's notes are broken.
    """
    facts = read_facts(run)
    _check_same(run, "training", facts.get("data"), dataset)
    _check_same(run, "validation", facts.get("validation"), validation)


def _check_same(run: Run, role: str, noted: object, dataset: Dataset | None) -> None:
    then = noted if isinstance(noted, dict) else {}
    if then.get("fingerprint") == (dataset.fingerprint() if dataset else None):
        return
    expected = f"the {role} data that {run.folder} began with ({then['source']})" if then else f"no {role} data"
    hint = "" if role == "validation" else "; start a new run, with --weights to keep what was learnt"
    if dataset is None:
        raise InputError(f"{run.folder}: expected {expected}, got none; name it with --val")
    got = "other pictures or annotations" if then else f"some, but {run.folder} began without"
    raise InputError(f"{dataset.source}: expected {expected}, got {got}{hint}")


def write_settings(run: Run, facts: Mapping[str, Any], model: ModelConfig, config: TrainConfig) -> None:
    """Write the notes and then the settings, with which the folder becomes a run.

    Raises:
        OutputError: They can't be written.
    """
    settings = {"model": model.model_dump(mode="json"), "train": config.model_dump(mode="json")}
    write_text(run.facts, json.dumps(facts, indent=1) + "\n")
    write_text(run.settings, json.dumps(settings, indent=1) + "\n")


def read_settings(run: Run) -> tuple[ModelConfig, TrainConfig]:
    """Read the settings of a run that goes on.

    Raises:
        InputError: The file is broken.
        ConfigError: A setting does not fit.
    """
    values = _read(run.settings)
    model, train = (values.get(name) for name in ("model", "train"))
    if not isinstance(model, dict) or not isinstance(train, dict):
        raise InputError(f"{run.settings}: expected settings of model and train, got {', '.join(values) or 'nothing'}")
    return ModelConfig.parse(model, f"{run.settings}: model"), TrainConfig.parse(train, f"{run.settings}: train")


def read_facts(run: Run) -> dict[str, Any]:
    """Read the notes of a run: its data, versions, machine.

    Raises:
        InputError: The file is missing or broken.
    """
    return _read(run.facts)


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: expected a file of the run, got {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path}: expected JSON, got an error: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a JSON object, got {type(values).__name__}")
    return values
