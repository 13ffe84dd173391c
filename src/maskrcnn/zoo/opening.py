"""Weight files of any kind, this package's own and others', opened the same way."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from maskrcnn.config import ModelConfig
from maskrcnn.errors import InputError, WeightsError
from maskrcnn.files import replacing
from maskrcnn.model.weights import KIND, Weights, build_filled, read, save
from maskrcnn.settings import merge
from maskrcnn.zoo.export import Exported, Project, export
from maskrcnn.zoo.kinds import ARCHIVE, HDF5, PICKLES
from maskrcnn.zoo.ledger import Entry
from maskrcnn.zoo.published import resolve
from maskrcnn.zoo.reading import read_foreign


class Opened(NamedTuple):
    """What a weight file holds, in this package's own terms.

    Attributes:
        path: The file.
        kind: `maskrcnn`, or the project that it comes from, as `Foreign` names it.
        weights: Settings and tensors; of a backbone alone only `backbone` and `input` come from the file, and only
            `backbone.*` is filled.
        ledger: Of another project's file one line a tensor of it; of an own file nothing.
        complete: False for a backbone alone.
    """

    path: Path
    kind: str
    weights: Weights
    ledger: tuple[Entry, ...]
    complete: bool

    def ignored(self) -> list[Entry]:
        """Return the tensors of the file that are not used."""
        return [entry for entry in self.ledger if entry.outcome == "ignored"]


def open_file(source: str | os.PathLike[str], classes: Sequence[str] | None = None) -> Opened:
    """Read a weight file of any kind, a whole model or a backbone.

    Args:
        source: A path, an address, or the name of a published model, as `resolve` takes them.
        classes: Names of its foreground classes in its own order; by default those in the file or, where it has
            none, those that its kind is known for.

    Raises:
        WeightsError: There is no such file, it is of no known kind, or does not hold what its kind should.
        ConfigError: Its settings do not fit this version.
        OutputError: What had to be fetched can't be kept.
    """
    path = resolve(source)
    _check_no_state_of_a_run(path)
    if not _is_foreign(path):
        weights = read(path)
        return Opened(path, KIND, _renamed(weights, classes, path), (), complete=True)
    foreign = read_foreign(path, classes=classes)
    metadata = {"origin": foreign.kind, "origin_file": path.name}
    return Opened(
        path, foreign.kind, Weights(foreign.config, foreign.tensors, metadata), foreign.ledger, foreign.complete
    )


def open_weights(source: str | os.PathLike[str], classes: Sequence[str] | None = None) -> Weights:
    """Read a model from a file of any kind.

    Args:
        source: As `open_file` takes it.
        classes: Likewise.

    Raises:
        WeightsError: As by `open_file`, or the file holds a backbone alone.
        ConfigError: Its settings do not fit this version.
        OutputError: What had to be fetched can't be kept.
    """
    return _whole(open_file(source, classes)).weights


def _is_foreign(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(16).startswith((HDF5, ARCHIVE, *PICKLES))


def _check_no_state_of_a_run(path: Path) -> None:
    model = path.parent.parent / "model.safetensors"
    if path.suffix == ".ckpt" and path.is_file() and model.is_file():
        raise WeightsError(f"{path}: expected a model file, got a checkpoint of a run; did you mean {model}?")


def _renamed(weights: Weights, classes: Sequence[str] | None, path: Path) -> Weights:
    """Give the classes of an own file other names."""
    if classes is None:
        return weights
    known = weights.config.classes
    if len(classes) != len(known):
        raise WeightsError(f"{path}: expected {len(known)} class names ({', '.join(known[:10])}), got {len(classes)}")
    return weights._replace(config=weights.config.change(classes=list(classes)))


def _whole(opened: Opened) -> Opened:
    if not opened.complete:
        raise WeightsError(
            f"{opened.path}: expected a whole model, got a {opened.kind} without heads; training can start from it"
        )
    return opened


# ---- converting


class Conversion(NamedTuple):
    """What became of a file.

    Attributes:
        opened: The file.
        config: The settings of the model that was written.
        notes: What another project's file can't say, or says differently, a sentence each.
    """

    opened: Opened
    config: ModelConfig
    notes: tuple[str, ...]


def _write_own(opened: Opened, out: Path) -> tuple[str, ...]:
    model = build_filled(opened.weights.config, opened.weights.tensors, str(opened.path))
    save(model, out, opened.weights.metadata)
    return ()


def _write_torchvision(opened: Opened, out: Path) -> tuple[str, ...]:
    exported = _exported(opened, "torchvision")
    with replacing(out) as temporary:
        torch.save(exported.tensors, temporary)
    return exported.notes


def _write_detectron2(opened: Opened, out: Path) -> tuple[str, ...]:
    exported = _exported(opened, "detectron2")
    arrays = {name: tensor.numpy() for name, tensor in exported.tensors.items()}
    content = {"model": arrays, "__author__": KIND, "matching_heuristics": False}
    with replacing(out) as temporary, temporary.open("wb") as file:
        pickle.dump(content, file)
    return exported.notes


def _exported(opened: Opened, project: Project) -> Exported:
    return export(build_filled(opened.weights.config, opened.weights.tensors, str(opened.path)), project)


TARGETS = {
    KIND: (".safetensors", _write_own),
    "torchvision": (".pth", _write_torchvision),
    "detectron2": (".pkl", _write_detectron2),
}


def convert(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    classes: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    to: str = KIND,
) -> Conversion:
    """Write the model in a file of any kind as a file of this package, or of another project.

    Args:
        source: As `open_file` takes it.
        out: `.safetensors`, or `.pth` and `.pkl` for torchvision and Detectron2.
        classes: As for `open_file`.
        settings: Nested `ModelConfig` values that the file does not say and its kind does not imply, such as
            `{"anchors": {"sizes": ...}}`.
        to: `maskrcnn`, `torchvision` or `detectron2`.

    Raises:
        InputError: `out` has another suffix or is the source itself, or there is no such target.
        WeightsError: The source can't be read, holds no whole model, or does not fit the settings.
        ConfigError: There is no such setting, or it is out of range.
        OutputError: `out` can't be written.
    """
    if to not in TARGETS:
        raise InputError(f"to: expected one of {', '.join(TARGETS)}, got {to}")
    suffix, write = TARGETS[to]
    target = Path(out)
    if target.suffix != suffix:
        raise InputError(f"{target}: expected a name that ends in {suffix}, got '{target.suffix}'")
    opened = _whole(open_file(source, classes))
    if target.exists() and target.samefile(opened.path):
        raise InputError(f"{target}: expected another file than the one that is converted")
    opened = _set(opened, settings or {})
    notes = write(opened, target)
    return Conversion(opened, opened.weights.config, notes)


def _set(opened: Opened, settings: Mapping[str, Any]) -> Opened:
    values = merge(opened.weights.config.model_dump(mode="json"), settings)
    return opened._replace(weights=opened.weights._replace(config=ModelConfig.parse(values, "model")))
