"""A model as an ONNX file of standard operators.

References: ONNX, open neural network exchange: IR and operators of opset 18.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from maskrcnn.engines.graphs.capture import OUTPUTS, capture, inputs_of, quietly
from maskrcnn.engines.graphs.metadata import About, from_texts, to_texts
from maskrcnn.engines.graphs.onnx_operators import OPSET, translations
from maskrcnn.engines.graphs.operators import NAMED
from maskrcnn.errors import InputError, WeightsError
from maskrcnn.files import replacing
from maskrcnn.model.mask_rcnn import MaskRCNN

_AXES: dict[str, tuple[str | None, ...]] = {
    "images": ("batch", None, "height", "width"),
    "size_hw": ("batch", None),
}


def missing() -> str | None:
    """Say what writing an ONNX file lacks here; None where nothing does."""
    for name in ("onnx", "onnxscript"):
        try:
            importlib.import_module(name)
        except ImportError:
            return f"{name} is not installed; pip install maskrcnn[onnx]"
    return None


def write_onnx(model: MaskRCNN, about: About, path: Path) -> None:
    """Write a model as an ONNX file.

    Args:
        model: The model, on a CPU.
        about: What goes into its metadata; `takes` says which kind of picture it takes.
        path: Where to.

    Raises:
        InputError: A library is missing.
        OutputError: The file can't be written.
    """
    if (reason := missing()) is not None:
        raise InputError(f"{path}: expected what writes ONNX files, but {reason}")
    import onnx

    graph = to_onnx(model, about)
    with replacing(path) as temporary:
        onnx.save(graph, temporary)


def to_onnx(model: MaskRCNN, about: About) -> Any:
    """Turn a model into an `onnx.ModelProto`; arguments as of `write_onnx`."""
    program = capture(model, about.takes, NAMED)
    with quietly(), _without_hints(), torch.no_grad():
        made = torch.onnx.export(
            program,
            (),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            custom_translation_table=translations(),
            input_names=inputs_of(about.takes),
            output_names=OUTPUTS,
        )
    assert made is not None, "written in memory"
    graph = made.model_proto
    _tidy(graph, about)
    return graph


@contextmanager
def _without_hints() -> Iterator[None]:
    """Keep the exporter from saying that a library is missing which nothing here uses."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _tidy(graph: Any, about: About) -> None:
    """Leave out where each node came from, and name the axes."""
    for item in (*graph.graph.node, *graph.graph.input, *graph.graph.output, graph.graph):
        del item.metadata_props[:]
        item.doc_string = ""
    del graph.graph.value_info[:]
    graph.graph.name = "maskrcnn"
    for value in (*graph.graph.input, *graph.graph.output):
        axes = _AXES.get(value.name, ("batch",))
        for axis, name in zip(value.type.tensor_type.shape.dim, axes, strict=False):
            if name is not None:
                axis.dim_param = name
    del graph.metadata_props[:]
    for name, text in {**to_texts(about), "opset": str(OPSET)}.items():
        graph.metadata_props.add(key=name, value=text)


def read_about(path: Path) -> About:
    """Read what an ONNX file says of itself, without running it.

    Raises:
        WeightsError: The file is missing, broken, or of another program.
        ConfigError: Its settings do not fit this version.
    """
    import onnx

    if not path.is_file():
        raise WeightsError(f"{path}: expected an ONNX file, got no such file")
    try:
        graph = onnx.load(path, load_external_data=False)
    except Exception as error:  # a broken file can raise anything
        raise WeightsError(f"{path}: expected an ONNX file, got a broken one: {error}") from None
    return from_texts({each.key: each.value for each in graph.metadata_props}, path)
