"""What the folder of a run says, and the data that the run was measured on."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskrcnn.config import ModelConfig, TrainConfig
from maskrcnn.data import open_dataset
from maskrcnn.data.classes import Classes, parse_classes
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.joining import join, set_names
from maskrcnn.errors import InputError
from maskrcnn.training import Run
from maskrcnn.training.folder import read_facts, read_settings
from maskrcnn.training.history import Row, read_history


@dataclass(frozen=True)
class Told:
    """What a run left behind.

    Attributes:
        name: What it is called beside others.
        run: Its folder.
        model: The settings of its model.
        train: The settings of its training.
        facts: Data, versions, machine, as `Run.facts` has them.
        history: What was measured while it went on, by rising step.
    """

    name: str
    run: Run
    model: ModelConfig
    train: TrainConfig
    facts: Mapping[str, Any]
    history: Sequence[Row]


def read_runs(folders: Sequence[Path]) -> list[Told]:
    """Read what runs left behind.

    Raises:
        InputError: There is none, one is named twice, a folder holds no run, or a run has no model yet.
        ConfigError: A setting does not fit.
    """
    if not folders:
        raise InputError("report: expected at least one run, got none")
    places = [folder.absolute() for folder in folders]
    twice = [folder for i, folder in enumerate(folders) if places[i] in places[:i]]
    if twice:
        raise InputError(f"report: expected different runs, got {twice[0]} twice")
    return [_read(folder, name) for folder, name in zip(folders, set_names(places), strict=True)]


def _read(folder: Path, name: str) -> Told:
    run = Run(folder)
    if not run.settings.is_file():
        kind = "nothing there" if not folder.exists() else "a file" if folder.is_file() else "a folder without one"
        raise InputError(f"{folder}: expected the folder of a run, with settings.json, got {kind}")
    model, config = read_settings(run)
    facts = read_facts(run)
    if not run.model.is_file():
        raise InputError(f"{folder}: expected a run with a model, got one without; its first epoch has not ended")
    return Told(name, run, model, config, facts, read_history(folder))


def validation_of(told: Told) -> Dataset:
    """Open the data that a run was measured on while it trained, as the run's notes name it.

    Raises:
        InputError: It was measured on none, or the data is not there any more.
        MaskRCNNError: It can't be read.
    """
    noted = told.facts.get("validation")
    hint = "name annotated pictures with --data"
    if not isinstance(noted, Mapping):
        raise InputError(f"{told.run.folder}: expected a run with validation data, got one without; {hint}")
    opened = noted.get("opened") or {"sources": [noted["source"]]}
    sources = [Path(source) for source in opened["sources"]]
    missing = [source for source in sources if not source.exists()]
    if missing:
        raise InputError(f"{told.run.folder}: expected its validation data at {missing[0]}, got nothing there; {hint}")
    return opened_set(sources, opened.get("format"), opened.get("classes"))


def opened_set(
    sources: Sequence[str | Path | Dataset], kind: str | None = None, classes: Classes | None = None
) -> Dataset:
    """Open data that models are measured on; several sets are joined.

    Raises:
        MaskRCNNError: It can't be read, or the classes do not fit.
    """
    opened = [each if isinstance(each, Dataset) else open_dataset(each, format=kind) for each in sources]
    # a run's choice of classes names those of its training data too, which need not be here
    named = () if classes is None else itertools.chain.from_iterable(parse_classes(classes).values())
    return join(opened, classes, named)


def same_data(told: Told, fingerprint: str) -> bool:
    """Say whether data is what the run was measured on while it trained."""
    noted = told.facts.get("validation")
    return isinstance(noted, Mapping) and noted.get("fingerprint") == fingerprint
