"""An exported graph as an engine, whatever runs it and whichever kind of picture it takes.

Letters: B pictures, H, W height and width of the padded pictures, D detections.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from maskrcnn.config import ModelConfig
from maskrcnn.engines.engine import Engine
from maskrcnn.engines.graphs import onnx_file
from maskrcnn.engines.graphs.metadata import About
from maskrcnn.errors import ImageError, InputError
from maskrcnn.files import cache_folder
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.postprocess import Detections

KEPT = 16
"""Graphs that stay in the cache."""


@dataclass(frozen=True)
class Graph:
    """A graph that is ready to run.

    Attributes:
        backend: What runs it.
        about: What the file says of itself.
        device: Where it runs.
        run: Maps its inputs, on the CPU, to its four outputs, on the CPU.
    """

    backend: str
    about: About
    device: torch.device
    run: Callable[..., tuple[Tensor, ...]]

    @property
    def precision(self) -> str:
        """Of its arithmetic."""
        return self.about.precision


class NetworkEngine(Graph):
    """A graph that takes what `MaskRCNN.forward` takes."""

    @property
    def config(self) -> ModelConfig:
        """The settings of the network."""
        return self.about.config

    def __call__(self, images: Tensor, size_hw: Tensor) -> Detections:
        """Find the objects of each picture; arguments and result as of `MaskRCNN.forward`."""
        return Detections(*self.run(images.cpu().float(), size_hw.cpu()))


class WholeEngine(Graph):
    """A graph that takes pictures as they are read: those of one size run together, without their padding."""

    @property
    def config(self) -> ModelConfig:
        """The settings of the network, but for resizing, which the graph does."""
        config = self.about.config
        return config.change(input=config.input.change(resize="none"))

    def __call__(self, images: Tensor, size_hw: Tensor) -> Detections:
        """Find the objects of each picture; arguments and result as of `MaskRCNN.forward`.

        Raises:
            ImageError: The graph takes 8 bits, and these are other pictures.
        """
        wanted = _DTYPES[self.about.takes]
        if wanted == torch.uint8 != images.dtype:
            raise ImageError(f"picture: expected 8 bits, as the graph was exported for, got {images.dtype}")
        found: dict[int, list[Tensor]] = {}
        for (h, w), group in _by_size(size_hw.tolist()).items():
            pictures = images[group, :, :h, :w].cpu().to(wanted).contiguous()
            results = _filled_first(*self.run(pictures))
            found |= {i: [each[slot] for each in results] for slot, i in enumerate(group)}
        return Detections(*(torch.stack(each) for each in zip(*(found[i] for i in sorted(found)), strict=True)))


_DTYPES = {"uint8": torch.uint8, "float32": torch.float32}
_ENGINES: dict[str, type[NetworkEngine | WholeEngine]] = {
    "network": NetworkEngine,
    "uint8": WholeEngine,
    "float32": WholeEngine,
}


def engine_of(graph: Graph) -> Engine:
    """Make the engine that a graph's kind of input needs."""
    return _ENGINES[graph.about.takes](graph.backend, graph.about, graph.device, graph.run)


def _by_size(sizes_hw: list[list[int]]) -> dict[tuple[int, int], list[int]]:
    """Group pictures by size.

    >>> _by_size([[2, 3], [5, 5], [2, 3]])
    {(2, 3): [0, 2], (5, 5): [1]}
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for i, (h, w) in enumerate(sizes_hw):
        groups.setdefault((h, w), []).append(i)
    return groups


def _filled_first(boxes: Tensor, scores: Tensor, labels: Tensor, masks: Tensor) -> Detections:
    """Move empty slots behind the filled ones, which a graph leaves where a rounded box has no pixels."""
    order = torch.sort((labels < 0).to(torch.uint8), dim=1, stable=True).indices
    rows = torch.arange(len(order))[:, None]
    return Detections(boxes[rows, order], scores[rows, order], labels[rows, order], masks[rows, order])


# ---- files of models that were not exported yet


def cached(model: MaskRCNN, precision: str, suffix: str, write: Callable[[Path], None]) -> Path:
    """Return the place in the cache of a model's graph, written first where it is not there yet.

    Args:
        model: The model; the place follows from its settings and weights.
        precision: Of the graph.
        suffix: Of the file.
        write: Writes the file.
    """
    path = cache_folder() / "graphs" / f"{_digest(model)}-{precision}{suffix}"
    if not path.is_file():
        write(path)
        _prune(path.parent)
    else:
        path.touch()
    return path


def cached_onnx(model: MaskRCNN, backend: str, precision: str) -> Path:
    """Return the place in the cache of a model's ONNX graph in full precision, for a backend that runs such.

    Raises:
        InputError: A library is missing, or the precision is int8, which needs pictures.
        OutputError: The cache can't be written.
    """
    if precision == "int8":
        raise InputError(
            "precision: expected one that needs no pictures to measure on, got int8; "
            f"maskrcnn export MODEL --to {backend} --int8 --calibrate DATA writes a file that computes so"
        )
    return cached(model, "fp32", ".onnx", lambda place: onnx_file.write_onnx(model, About(model.config), place))


def _prune(folder: Path) -> None:
    """Remove the graphs that were not used for longest, so that the cache does not grow with every training."""
    by_use = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in by_use[KEPT:]:
        path.unlink(missing_ok=True)


def _digest(model: MaskRCNN) -> str:
    about = About(model.config)
    digest = hashlib.sha256(f"{about.version} {torch.__version__} {about.config.model_dump_json()}".encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:32]
