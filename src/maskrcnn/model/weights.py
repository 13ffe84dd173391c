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
from safetensors.torch import save_file
from torch import Tensor, nn

from maskrcnn.config import ModelConfig
from maskrcnn.errors import WeightsError
from maskrcnn.files import replacing
from maskrcnn.model.mask_rcnn import MaskRCNN, build
from maskrcnn.version import __version__

KIND = "maskrcnn"


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
        save_file(tensors, temporary, header)


def read(path: Path) -> Weights:
    """Read a file that `save` wrote.

    Raises:
        WeightsError: The file is missing, is not safetensors, or was not written by this package.
        ConfigError: Its settings do not fit this version.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: expected a model file, got {'a folder' if path.is_dir() else 'nothing there'}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: expected a safetensors file, got one that can't be read: {error}") from None
    if metadata.get("kind") != KIND or "config" not in metadata:
        raise WeightsError(f"{path}: expected a file that this package wrote, got safetensors without its settings")
    return Weights(ModelConfig.parse_json(metadata["config"], f"{path}: settings"), tensors, metadata)


def fill(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Copy tensors into a module, every one of both sides accounted for.

    Raises:
        WeightsError: A name is missing or left over, or a shape differs; the first ten of each are named.
    """
    own = module.state_dict()
    missing = [name for name in own if name not in tensors]
    surplus = [name for name in tensors if name not in own]
    unequal = [
        f"{name} (expected {tuple(own[name].shape)}, got {tuple(tensors[name].shape)})"
        for name in own
        if name in tensors and own[name].shape != tensors[name].shape
    ]
    faults = [("missing", missing), ("not used", surplus), ("of another shape", unequal)]
    if any(names for _, names in faults):
        listed = "; ".join(f"{len(names)} {what}: {', '.join(names[:10])}" for what, names in faults if names)
        raise WeightsError(f"{source}: expected the tensors of the model that its settings describe, got {listed}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def load_model(path: Path) -> MaskRCNN:
    """Read a model for inference.

    Raises:
        WeightsError: The file is missing, broken, or does not hold what its settings describe.
    """
    weights = read(path)
    model = build(weights.config)
    fill(model, weights.tensors, str(path))
    return model.eval()
