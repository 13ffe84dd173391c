"""A model as one file: safetensors whose metadata holds the settings, the classes and the version.

References: safetensors, format description.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from maskrcnn.config import ModelConfig
from maskrcnn.errors import ConfigError, WeightsError
from maskrcnn.files import replacing
from maskrcnn.model.account import compare, settle
from maskrcnn.model.mask_rcnn import MaskRCNN, build
from maskrcnn.model.unfilled import Unfilled
from maskrcnn.version import __version__

KIND = "maskrcnn"
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # torch.save since 1.6; others


class Weights(NamedTuple):
    """What a file holds.

    Attributes:
        config: The settings of the model.
        tensors: Its parameters and buffers by name.
        metadata: Every text in the file's header.
    """

    config: ModelConfig
    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def save(model: MaskRCNN, path: Path, notes: Mapping[str, str] | None = None) -> None:
    """Write a model as one file that `load_model` needs nothing else for.

    Args:
        model: The model; its settings go along.
        path: Where to; `.safetensors`.
        notes: More texts for the file's header.

    Raises:
        OutputError: The file can't be written.
    """
    header = {
        **(notes or {}),
        "kind": KIND,
        "version": __version__,
        "config": model.config.model_dump_json(),
        "classes": json.dumps(model.config.classes),
        "normalisation": json.dumps({"mean": model.config.input.mean, "std": model.config.input.std}),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with replacing(path) as temporary:
        temporary.write_bytes(to_bytes(tensors, header))


def rewrite(path: Path, config: ModelConfig) -> None:
    """Give a model file other settings beside the same weights, in one step.

    Args:
        path: A file that `save` wrote.
        config: The settings; of a model with the same tensors.

    Raises:
        WeightsError: The file is missing, is not safetensors, or was not written by this package.
        OutputError: It can't be written.
    """
    weights = read(path)
    header = {**weights.metadata, "version": __version__, "config": config.model_dump_json()}
    with replacing(path) as temporary:
        temporary.write_bytes(to_bytes(weights.tensors, header))


def read(path: Path) -> Weights:
    """Read a file that `save` wrote.

    Raises:
        WeightsError: The file is missing, is not safetensors, or was not written by this package.
        ConfigError: Its settings do not fit this version.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: expected a model file, got {_what_is_there(path)}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: expected a model file (safetensors), got {_kind(path, error)}") from None
    if metadata.get("kind") != KIND or "config" not in metadata:
        raise WeightsError(f"{path}: expected a model file of this package, got safetensors without its settings")
    return Weights(_config(metadata, path), tensors, metadata)


def _what_is_there(path: Path) -> str:
    if not path.is_dir():
        return "no such file"
    inside = path / "model.safetensors"
    return f"a folder; did you mean {inside}?" if inside.is_file() else "a folder"


def _kind(path: Path, error: Exception) -> str:
    """Say what a file is that safetensors refused."""
    if isinstance(error, OSError) and error.strerror:
        return f"one that can't be read: {error.strerror}"
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(_PICKLES):
        return (
            "a checkpoint of PyTorch or another pickle, which could run code; a run has a model.safetensors beside "
            "its checkpoints"
        )
    if len(start) == 8 and int.from_bytes(start, "little") < path.stat().st_size:
        return f"one that is cut off or broken: {error}"
    return f"a file of another kind, starting with {start!r}" if start else "an empty file"


def _config(metadata: Mapping[str, str], path: Path) -> ModelConfig:
    try:
        return ModelConfig.parse_json(metadata["config"], f"{path}: settings")
    except ConfigError as error:
        writer = metadata.get("version", "?")
        if writer == __version__:
            raise
        raise ConfigError(f"{error}; written by version {writer}, this is {__version__}") from None


def fill(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Copy tensors into a module, every one of both sides accounted for.

    Raises:
        WeightsError: A name is missing or left over, or a shape differs; the first ten of each are named.
    """
    own = module.state_dict()
    faults = compare({name: tuple(tensor.shape) for name, tensor in own.items()}, tensors)
    settle(source, "the tensors of the model that its settings describe", faults)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def build_filled(config: ModelConfig, tensors: Mapping[str, Tensor], source: str) -> MaskRCNN:
    """Make the model that settings describe, with these weights, for inference.

    Raises:
        WeightsError: The tensors are not those of the model, or the model does not fit into memory.
    """
    try:
        with Unfilled():
            model = build(config)
    except (RuntimeError, MemoryError):
        raise WeightsError(f"{source}: expected a model that fits into memory, got settings of a larger one") from None
    fill(model, tensors, source)
    return model.eval()


def load_model(path: Path) -> MaskRCNN:
    """Read a model for inference.

    Raises:
        WeightsError: The file is missing, broken, or does not hold what its settings describe.
    """
    weights = read(path)
    return build_filled(weights.config, weights.tensors, str(path))
