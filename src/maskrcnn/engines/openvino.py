"""Networks in OpenVINO: its own files, ONNX files, or a model that is written as one first.

A compiled graph takes pictures of every size and number: on a CPU that costs no time against one for a fixed size.

References: OpenVINO 2026, Python API; properties of the CPU device.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskrcnn.engines.engine import Backend, Engine
from maskrcnn.engines.graphs.capture import OUTPUTS
from maskrcnn.engines.graphs.metadata import About, from_texts
from maskrcnn.engines.graphs.running import Graph, cached_onnx, engine_of
from maskrcnn.errors import InputError, WeightsError
from maskrcnn.files import replacing
from maskrcnn.machine import usable_cores
from maskrcnn.model.mask_rcnn import MaskRCNN

NAME = "openvino"
CPU = torch.device("cpu")
SECTION = "maskrcnn"
"""The section of a file's runtime information that holds the texts of `graphs.metadata`."""

_ONNX_SECTION = "framework"  # where OpenVINO puts the metadata of an ONNX file
_HINTS = {"fp32": "f32", "int8": "f32", "bf16": "bf16", "fp16": "f16"}
_CAPABILITIES = {"bf16": "BF16", "fp16": "FP16"}


def missing() -> str | None:
    """Say what running an OpenVINO file lacks here; None where nothing does."""
    if importlib.util.find_spec("openvino") is None:
        return "openvino is not installed; pip install maskrcnn[openvino]"
    return None


def _library(path: Path) -> Any:
    if (reason := missing()) is not None:
        raise InputError(f"{path}: expected what runs OpenVINO files, but {reason}")
    return importlib.import_module("openvino")


def _read(ov: Any, path: Path) -> Any:
    """Read a graph, an `.xml` with the `.bin` beside it or an `.onnx`."""
    weights = path.with_suffix(".bin")
    if not path.is_file():
        raise WeightsError(f"{path}: expected an OpenVINO or ONNX file, got no such file")
    if path.suffix.lower() == ".xml" and not weights.is_file():
        raise WeightsError(f"{path}: expected its weights beside it, got no {weights.name}")
    try:
        return ov.Core().read_model(path)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise WeightsError(f"{path}: expected an OpenVINO or ONNX file, got a broken one: {reason}") from None


def _texts(graph: Any) -> dict[str, str]:
    information = graph.get_rt_info()
    section = next((information[name] for name in (SECTION, _ONNX_SECTION) if name in information), None)
    if not isinstance(section, dict):
        return {}
    return {name: str(text.value) for name, text in section.items() if not isinstance(text, dict)}


def read_about(path: Path) -> About:
    """Read what a file says of itself, without running it.

    Raises:
        InputError: OpenVINO is missing.
        WeightsError: The file is missing, broken, or of another program.
        ConfigError: Its settings do not fit this version.
    """
    return from_texts(_texts(_read(_library(path), path)), path)


def open_graph(
    path: Path, device: torch.device = CPU, threads: int | None = None, precision: str | None = None
) -> Engine:
    """Open an exported file.

    Args:
        path: An `.xml` with the `.bin` beside it, or an `.onnx`.
        device: The CPU.
        threads: To compute with; all cores by default.
        precision: Of what the file does not compute in integers, if not fp32.

    Raises:
        InputError: OpenVINO is missing, or this CPU does not have that precision.
        WeightsError: The file is missing or broken, or another program wrote it.
        ConfigError: Its settings do not fit this version.
    """
    ov = _library(path)
    graph = _read(ov, path)
    about = from_texts(_texts(graph), path)
    wanted = precision or about.precision
    _check_precision(ov, wanted)
    request = ov.Core().compile_model(graph, "CPU", _options(wanted, threads)).create_infer_request()
    names = [each.any_name for each in graph.inputs]

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        found = request.infer({name: each.contiguous().numpy() for name, each in zip(names, inputs, strict=True)})
        return tuple(torch.from_numpy(found[name]) for name in OUTPUTS)

    return engine_of(Graph(NAME, about._replace(precision=wanted), device, run))


def _check_precision(ov: Any, precision: str) -> None:
    needed = _CAPABILITIES.get(precision)
    if needed is not None and needed not in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise InputError(f"precision: expected one that this CPU computes in, such as fp32, got {precision}")


def _options(precision: str, threads: int | None) -> dict[str, Any]:
    return {
        "PERFORMANCE_HINT": "LATENCY",  # a batch is computed by all threads together
        "INFERENCE_NUM_THREADS": threads or usable_cores(),
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
    }


def make(model: MaskRCNN, precision: str, device: torch.device, threads: int | None = None) -> Engine:
    """Write a model as an ONNX graph and run that; the file stays in the cache, where the same weights find it again.

    Raises:
        InputError: A library is missing, this CPU does not have that precision, or it is int8, which needs pictures.
        OutputError: The cache can't be written.
    """
    return open_graph(cached_onnx(model, NAME, precision), device, threads, precision)


def convert(onnx_path: Path, out: Path) -> None:
    """Write an exported ONNX file as OpenVINO files: `out`, and the `.bin` beside it, in full precision.

    Args:
        onnx_path: What `maskrcnn export` wrote, fp32 or int8.
        out: Where to; `.xml`.

    Raises:
        InputError: OpenVINO is missing.
        WeightsError: The graph is broken, or has an operator that OpenVINO does not know.
        OutputError: The files can't be written.
    """
    ov = _library(out)
    graph = _read(ov, onnx_path)
    for name, text in _texts(graph).items():
        graph.set_rt_info(text, [SECTION, name])
    with replacing(out.with_suffix(".bin")) as weights, replacing(out) as description:
        ov.save_model(graph, description, compress_to_fp16=False)
        description.with_suffix(".bin").replace(weights)


BACKEND = Backend(
    title="OpenVINO",
    precisions={"cpu": ("fp32", "bf16", "fp16", "int8")},
    missing=missing,
    make=make,
    suffixes=(".xml",),
    open=open_graph,
)
