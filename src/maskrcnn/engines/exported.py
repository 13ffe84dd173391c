"""Files of PyTorch that were exported, run by PyTorch: exported programs and TorchScript."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from maskrcnn.engines.engine import Backend, Engine
from maskrcnn.engines.graphs.metadata import About
from maskrcnn.engines.graphs.programs import open_pt2, open_torchscript, write_pt2, write_torchscript
from maskrcnn.engines.graphs.running import Graph, cached, engine_of
from maskrcnn.errors import InputError
from maskrcnn.model.mask_rcnn import MaskRCNN

Opener = Callable[[Path], tuple[nn.Module, About]]
Writer = Callable[[MaskRCNN, About, Path], None]


def _engine(name: str, path: Path, opener: Opener, device: torch.device, threads: int | None) -> Engine:
    if device.type != "cpu":
        raise InputError(f"device: expected cpu, which {path.name} was exported for, got {device}")
    program, about = opener(path)
    if threads is not None:
        torch.set_num_threads(threads)

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            found: tuple[Tensor, ...] = program(*inputs)
        return found

    return engine_of(Graph(name, about, device, run))


def _backend(name: str, title: str, suffix: str, opener: Opener, writer: Writer) -> Backend:
    def opened(path: Path, device: torch.device, threads: int | None = None) -> Engine:
        return _engine(name, path, opener, device, threads)

    def make(model: MaskRCNN, precision: str, device: torch.device, threads: int | None = None) -> Engine:
        path = cached(model, precision, suffix, lambda place: writer(model, About(model.config), place))
        return opened(path, device, threads)

    return Backend(title, {"cpu": ("fp32",)}, lambda: None, make, (suffix,), opened)


PT2 = _backend("pt2", "an exported program", ".pt2", open_pt2, write_pt2)
TORCHSCRIPT = _backend("torchscript", "TorchScript", ".torchscript", open_torchscript, write_torchscript)
