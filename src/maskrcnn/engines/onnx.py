"""Networks in ONNX Runtime: a file that was exported, or a model that is written as one first.

References: ONNX Runtime, Python API.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskrcnn.engines.engine import Backend, Engine
from maskrcnn.engines.graphs import onnx_file
from maskrcnn.engines.graphs.metadata import About
from maskrcnn.engines.graphs.running import Graph, cached_onnx, engine_of
from maskrcnn.errors import InputError, WeightsError
from maskrcnn.model.mask_rcnn import MaskRCNN

NAME = "onnx"
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def missing() -> str | None:
    """Say what running an ONNX file lacks here; None where nothing does."""
    try:
        importlib.import_module("onnxruntime")
    except ImportError:
        return "onnxruntime is not installed; pip install maskrcnn[onnx]"
    return onnx_file.missing()


def open_session(path: Path, device: torch.device, threads: int | None = None) -> Any:
    """Open a file in ONNX Runtime.

    Args:
        path: The file.
        device: Where it is to run.
        threads: To compute with; all cores by default.

    Raises:
        InputError: ONNX Runtime is missing, or was not built for that device.
        WeightsError: It can't run the file.
    """
    if (reason := missing()) is not None:
        raise InputError(f"{path}: expected what runs ONNX files, but {reason}")
    import onnxruntime

    provider = _PROVIDERS.get(device.type)
    available = onnxruntime.get_available_providers()
    if provider not in available:
        raise InputError(f"device: expected one that this ONNX Runtime has ({', '.join(available)}), got {device}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3  # its warnings are about its own choices
    try:
        return onnxruntime.InferenceSession(path, options, providers=[provider])
    except Exception as error:  # its errors share no class that is public
        raise WeightsError(f"{path}: expected a graph that ONNX Runtime can run: {error}") from None


def open_graph(path: Path, device: torch.device, threads: int | None = None) -> Engine:
    """Open an exported `.onnx` file.

    Raises:
        InputError: ONNX Runtime is missing, or was not built for that device.
        WeightsError: It is broken, or another program wrote it.
        ConfigError: Its settings do not fit this version.
    """
    about = onnx_file.read_about(path)
    return _engine(open_session(path, device, threads), about, device)


def make(model: MaskRCNN, precision: str, device: torch.device, threads: int | None = None) -> Engine:
    """Write a model as a graph and run that; the file stays in the cache, where the same weights find it again.

    Raises:
        InputError: A library is missing, or the precision is int8, which needs pictures.
        OutputError: The cache can't be written.
    """
    return open_graph(cached_onnx(model, NAME, precision), device, threads)


def _engine(session: Any, about: About, device: torch.device) -> Engine:
    names = [each.name for each in session.get_inputs()]

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        found = session.run(None, {name: each.numpy() for name, each in zip(names, inputs, strict=True)})
        return tuple(torch.from_numpy(each) for each in found)

    return engine_of(Graph(NAME, about, device, run))


BACKEND = Backend(
    title="ONNX Runtime",
    precisions={"cpu": ("fp32", "int8"), "cuda": ("fp32",)},
    missing=missing,
    make=make,
    suffixes=(".onnx",),
    open=open_graph,
)
