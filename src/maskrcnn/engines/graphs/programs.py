"""A model as a file of PyTorch: an exported program (`.pt2`) or TorchScript, neither of which needs this package.

References: torch.export, `save` and `load`. TorchScript language reference.
"""

from __future__ import annotations

import json
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, cast
from zipfile import ZipFile

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from maskrcnn.engines.graphs.capture import capture, quietly
from maskrcnn.engines.graphs.metadata import About, from_texts, to_texts
from maskrcnn.engines.graphs.operators import NAMED_SUPPRESSION, PLAIN, SUPPRESS, keep_next
from maskrcnn.errors import InputError, WeightsError
from maskrcnn.files import replacing
from maskrcnn.model.mask_rcnn import MaskRCNN

ABOUT = "about.json"

# ---- exported programs


def write_pt2(model: MaskRCNN, about: About, path: Path) -> None:
    """Write a model as an exported program.

    Args:
        model: The model, on a CPU.
        about: What goes beside it; `takes` says which kind of picture it takes.
        path: Where to; `.pt2`.

    Raises:
        InputError: It is to take whole pictures, and rounds their size half to even, which such files can't say.
        OutputError: The file can't be written.
    """
    program = capture(model, about.takes, PLAIN)
    if any(node.target is round for node in program.graph.nodes):
        raise InputError(
            f"{path}: expected takes network, got {about.takes}: an exported program of PyTorch can't round sizes half "
            f"to even, as {about.config.input.resize} pictures need; onnx can"
        )
    _forget_places(program)
    with replacing(path) as temporary, quietly():
        torch.export.save(program, temporary, extra_files={ABOUT: json.dumps(to_texts(about))})


def _forget_places(program: ExportedProgram) -> None:
    """Leave out which lines of whose files each operator came from."""
    for module in program.graph_module.modules():
        if isinstance(module, fx.GraphModule):
            for node in module.graph.nodes:
                for key in ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn"):
                    node.meta.pop(key, None)


def open_pt2(path: Path) -> tuple[nn.Module, About]:
    """Read an exported program.

    Raises:
        WeightsError: It is missing, broken, or of another program.
        ConfigError: Its settings do not fit this version.
    """
    texts = {ABOUT: ""}
    with quietly():
        program = _read(path, lambda: torch.export.load(path, extra_files=texts))
    return program.module(), _about(texts[ABOUT], path)


def operators_of(program: nn.Module) -> Counter[str]:
    """Count the operators of an exported program, those of its loops too."""
    modules = (module for module in program.modules() if isinstance(module, fx.GraphModule))
    nodes = (node for module in modules for node in module.graph.nodes if node.op == "call_function")
    return Counter(str(node.target) for node in nodes if isinstance(node.target, torch._ops.OperatorBase))


# ---- TorchScript


def write_torchscript(model: MaskRCNN, about: About, path: Path) -> None:
    """Write a model as TorchScript; arguments as of `write_pt2`, but for the suffix, `.torchscript`.

    Raises:
        OutputError: The file can't be written.
    """
    script = to_script(capture(model, about.takes, NAMED_SUPPRESSION))
    content = BytesIO()
    with _scripting():
        torch.jit.save(script, content, _extra_files={ABOUT: json.dumps(to_texts(about))})
    with replacing(path) as temporary:
        _copy_without_places(content, temporary)


def _copy_without_places(content: BytesIO, path: Path) -> None:
    """Copy an archive without the records that say which lines of whose files it was made of."""
    with ZipFile(content) as source, ZipFile(path, "w") as target:
        for record in source.infolist():
            if not record.filename.endswith(".debug_pkl"):
                target.writestr(record.filename, source.read(record))


def open_torchscript(path: Path) -> tuple[nn.Module, About]:
    """Read TorchScript.

    Raises:
        WeightsError: It is missing, broken, or of another program.
        ConfigError: Its settings do not fit this version.
    """
    texts = {ABOUT: ""}
    with _scripting():
        script = _read(path, lambda: torch.jit.load(path, map_location="cpu", _extra_files=texts))
    text = cast("str | bytes", texts[ABOUT])
    return script, _about(text.decode() if isinstance(text, bytes) else text, path)


@contextmanager
def _scripting() -> Iterator[None]:
    """Leave out that TorchScript will not be developed further, which those who choose the format know."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message=".*torch.jit", category=FutureWarning)
        warnings.filterwarnings("ignore", message="The TorchScript type system", category=UserWarning)
        yield


def suppress(
    boxes: Tensor, scores: Tensor, valid: Tensor, groups: Tensor, iou_threshold: float, limit: int, count: int
) -> tuple[Tensor, Tensor]:
    """Suppress in a loop, as `looped_nms` does, in the part of Python that TorchScript knows."""
    index = torch.full([scores.shape[0], limit], -1, dtype=torch.int64, device=scores.device)
    if count == 1:
        groups = torch.zeros_like(groups)
    alive = valid
    step = torch.zeros([], dtype=torch.int64, device=scores.device)
    while int(step) < limit and bool(alive.any()):
        alive, index = keep_next(step, alive, index, boxes, scores, groups, iou_threshold)
        step = step + 1
    return index.clamp(min=0), index >= 0


_CHECKS = (
    torch.ops.aten._assert_tensor_metadata.default,
    torch.ops.aten._assert_scalar.default,
    torch.ops.aten.sym_constrain_range_for_size.default,
    torch.ops.aten.sym_constrain_range.default,
)


def _choose(condition: bool, first: float, second: float) -> float:
    return first if condition else second


_IN_PYTHON: dict[Any, Callable[..., Any]] = {
    torch.sym_min: min,
    torch.sym_max: max,
    torch.sym_float: float,
    torch.ops.aten.item.default: int,
    torch.ops.aten._local_scalar_dense.default: int,
    torch.sym_ite: _choose,
    torch.sym_sum: sum,
    math.trunc: int,
}


def to_script(program: ExportedProgram) -> torch.jit.ScriptModule:
    """Turn an exported program whose suppression is a name into TorchScript.

    Each operator of the program is one of TorchScript too, which finds the overload by itself.
    """
    module = program.module(check_guards=False)
    graph = module.graph
    for node in list(graph.nodes):
        if node.op == "call_module" or node.target in _CHECKS:
            graph.erase_node(node)
        elif node.op == "call_function":
            _translate(node)
    graph.eliminate_dead_code()
    graph.set_codegen(fx.graph.CodeGen())
    with _scripting():
        return torch.jit.script(fx.GraphModule(module, graph, "Network"))


def _translate(node: fx.Node) -> None:
    if node.target is SUPPRESS:
        node.target = suppress
    elif node.target is torch.ops.aten.sym_size.int:
        node.op, node.target = "call_method", "size"
    elif node.target in _IN_PYTHON:
        node.target = _IN_PYTHON[node.target]
    elif isinstance(node.target, torch._ops.OpOverload):
        node.target = node.target.overloadpacket


# ---- both


def _read(path: Path, read: Callable[[], Any]) -> Any:
    if not path.is_file():
        raise WeightsError(f"{path}: expected an exported model, got no such file")
    try:
        return read()
    except Exception as error:  # a broken file can raise anything
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(f"{path}: expected an exported model, got a broken one: {reason}") from None


def _about(text: str, path: Path) -> About:
    try:
        texts = json.loads(text)
    except ValueError:
        texts = {}
    return from_texts(texts, path)
