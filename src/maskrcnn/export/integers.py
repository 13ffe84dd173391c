"""8-bit integers in an ONNX graph: where they go, and the pairs of operators that say so.

A value that is to be an integer passes through QuantizeLinear and DequantizeLinear; what runs the graph then computes
the layer between two such pairs in integers. Weights have a scale a channel and 7 bits, because the instruction that
multiplies bytes on x86 without VNNI adds two products in 16 bits, which 8 bits would overflow.

References: Quantization and training of neural networks for efficient integer-arithmetic-only inference (1712.05877);
ONNX operators QuantizeLinear and DequantizeLinear.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

WEIGHT_LIMIT = 63  # of 7 bits
_BIAS_LIMIT = 2**30  # of 32 bits, with room for a sum
_LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
# values go through these from one layer to the next; anything else is detection logic
_PASSING = frozenset(
    {"Relu", "Add", "Mul", "InstanceNormalization", "MaxPool", "Resize", "Reshape", "Flatten", "Transpose", "Identity"}
)
_PAIR = frozenset({"QuantizeLinear", "DequantizeLinear"})


class Scheme(NamedTuple):
    """What a runtime computes in integers.

    Attributes:
        layers: Types of operators.
        signed: How values of both signs are kept: `uint8` with a zero in the middle, or `int8`.
        outputs: Whether the output of a layer has to be an integer too.
    """

    layers: frozenset[str]
    signed: str
    outputs: bool


# by the suffix of the file: ONNX Runtime joins a layer only with integers on both sides, and is slow with int8 values;
# OpenVINO adds the shortcut to a layer's sum, which an integer between them would prevent
SCHEMES = {
    ".onnx": Scheme(frozenset({"Conv", "Gemm", "MatMul"}), "uint8", outputs=True),
    ".xml": Scheme(frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"}), "int8", outputs=False),
}


class Range(NamedTuple):
    """Smallest and largest value of a tensor."""

    low: float
    high: float


class Grid(NamedTuple):
    """The values that an integer stands for: `(integer - zero) * scale`."""

    scale: np.float32
    zero: np.integer[Any]


class Plan(NamedTuple):
    """What becomes integers.

    Attributes:
        layers: Every layer with constant weights, in order.
        chosen: Those of them that compute in integers.
        tensors: Names of the values that become integers.
    """

    layers: list[Any]
    chosen: list[Any]
    tensors: list[str]


class _Graph:
    """A graph that can be asked who reads a value."""

    def __init__(self, graph: Any) -> None:
        self.nodes = list(graph.node)
        self.constants = {each.name for each in graph.initializer}
        self.readers: dict[str, list[Any]] = defaultdict(list)
        for node in self.nodes:
            for name in node.input:
                self.readers[name].append(node)

    def is_layer(self, node: Any) -> bool:
        """Tell whether it is a convolution or a matrix product with constant weights."""
        return node.op_type in _LAYERS and len(node.input) > 1 and node.input[1] in self.constants

    def is_last(self, node: Any) -> bool:
        """Tell whether no layer takes what this one gives: it says the logits."""
        seen, waiting = set(node.output), list(node.output)
        while waiting:
            for reader in self.readers[waiting.pop()]:
                if self.is_layer(reader):
                    return False
                if reader.op_type in _PASSING:
                    waiting += [name for name in reader.output if name not in seen]
                    seen.update(reader.output)
        return True

    def activated(self, name: str) -> str:
        """Return the value behind the ReLU of a value, if that is all that reads it."""
        readers = self.readers[name]
        return str(readers[0].output[0]) if len(readers) == 1 and readers[0].op_type == "Relu" else name


def plan(model: Any, scheme: Scheme) -> Plan:
    """Choose the layers that compute in integers: all but the first and those that say the logits.

    Args:
        model: The `ModelProto`.
        scheme: What can be computed in integers.
    """
    graph = _Graph(model.graph)
    layers = [node for node in graph.nodes if graph.is_layer(node)]
    chosen = [node for node in layers[1:] if node.op_type in scheme.layers and not graph.is_last(node)]
    names = [node.input[0] for node in chosen]
    if scheme.outputs:
        names += [graph.activated(node.output[0]) for node in chosen]
    return Plan(layers, chosen, list(dict.fromkeys(names)))


def watched(model: Any, names: Iterable[str]) -> Any:
    """Return a copy of a model that gives the smallest and the largest value of tensors, in turn, and nothing else."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    for name in names:
        for extreme in ("Min", "Max"):
            out = f"{name}/{extreme}"
            copy.graph.node.append(onnx.helper.make_node(f"Reduce{extreme}", [name], [out], keepdims=0))
            copy.graph.output.append(onnx.helper.make_tensor_value_info(out, onnx.TensorProto.FLOAT, []))
    return copy


def grid(values: Range, dtype: str) -> Grid:
    """Spread 256 integers over a range; zero is one of them, and the first where no value is below it.

    >>> positive, signed = grid(Range(0.0, 2.55), "int8"), grid(Range(-1.27, 0.5), "int8")
    >>> round(float(positive.scale), 4), positive.zero, round(float(signed.scale), 4), signed.zero
    (0.01, np.uint8(0), 0.01, np.int8(0))
    """
    low, high = min(values.low, 0.0), max(values.high, 0.0)
    if low < 0 and dtype == "int8":
        return Grid(np.float32(max(-low, high) / 127), np.int8(0))
    scale = (high - low) / 255 or 1.0
    return Grid(np.float32(scale), np.uint8(round(-low / scale)))


class Writer:
    """Puts pairs of operators into a model, which is changed.

    Args:
        model: The `ModelProto`.
        ranges: Of the values that become integers, by name.
        scheme: How they are kept.
    """

    def __init__(self, model: Any, ranges: Mapping[str, Range], scheme: Scheme) -> None:
        import onnx

        self._onnx = onnx
        self._graph = model.graph
        self._grids = {name: grid(values, scheme.signed) for name, values in ranges.items()}
        self._constants = {each.name: each for each in model.graph.initializer}
        self._pairs: list[Any] = []

    def write(self, plan: Plan) -> None:
        """Make the layers of a plan compute in integers."""
        for node in plan.chosen:
            scale = self._weights(node)
            if len(node.input) > 2 and node.input[2] in self._constants:
                self._bias(node, scale)
        pairs = {name: self._pair(name) for name in plan.tensors}
        for node in self._graph.node:
            # every reader, or OpenVINO may give those that are left out the integers (2026.4)
            for i, name in enumerate(node.input):
                if name in pairs:
                    node.input[i] = pairs[name]
        self._finish()

    def _weights(self, node: Any) -> NDArray[np.float32]:
        """Replace the weights of a layer: (channels) float32, the scale of a product of value and weight."""
        name, axis = node.input[1], _channel_axis(node)
        values = self._onnx.numpy_helper.to_array(self._constants[name]).astype(np.float32)
        value_scale = self._grids[node.input[0]].scale
        others = tuple(i for i in range(values.ndim) if i != axis)
        scale = np.maximum(np.abs(values).max(others), 1e-8) / WEIGHT_LIMIT
        if len(node.input) > 2 and node.input[2] in self._constants:
            bias = self._onnx.numpy_helper.to_array(self._constants[node.input[2]])
            scale = np.maximum(scale, np.abs(bias) / (value_scale * _BIAS_LIMIT))
        shape = [-1 if i == axis else 1 for i in range(values.ndim)]
        integers = np.clip(np.rint(values / scale.reshape(shape)), -WEIGHT_LIMIT, WEIGHT_LIMIT).astype(np.int8)
        node.input[1] = self._constant(f"{name}/{node.input[0]}", integers, scale.astype(np.float32), axis)
        product: NDArray[np.float32] = (scale * value_scale).astype(np.float32)
        return product

    def _bias(self, node: Any, scale: NDArray[np.float32]) -> None:
        values = self._onnx.numpy_helper.to_array(self._constants[node.input[2]])
        integers = np.rint(values / scale).astype(np.int32)
        node.input[2] = self._constant(f"{node.input[2]}/{node.input[0]}", integers, scale, 0)

    def _constant(self, name: str, integers: NDArray[Any], scale: NDArray[np.float32], axis: int) -> str:
        """Add integers with a scale a channel, and return the name of what they stand for."""
        zero = np.zeros(scale.shape, integers.dtype)
        for end, values in (("integers", integers), ("scale", scale), ("zero", zero)):
            self._graph.initializer.append(self._onnx.numpy_helper.from_array(values, f"{name}/{end}"))
        inputs = [f"{name}/{end}" for end in ("integers", "scale", "zero")]
        self._pairs.append(self._onnx.helper.make_node("DequantizeLinear", inputs, [f"{name}/values"], axis=axis))
        return f"{name}/values"

    def _pair(self, name: str) -> str:
        """Turn a value into integers and back, and return the name of the result."""
        for end, values in zip(("scale", "zero"), self._grids[name], strict=True):
            self._graph.initializer.append(self._onnx.numpy_helper.from_array(np.asarray(values), f"{name}/{end}"))
        ends = [f"{name}/scale", f"{name}/zero"]
        node = self._onnx.helper.make_node
        self._pairs.append(node("QuantizeLinear", [name, *ends], [f"{name}/integers"]))
        self._pairs.append(node("DequantizeLinear", [f"{name}/integers", *ends], [f"{name}/values"]))
        return f"{name}/values"

    def _finish(self) -> None:
        """Put every node behind those whose values it reads, and drop what nobody reads any more."""
        made_by = {name: node for node in (*self._graph.node, *self._pairs) for name in node.output}
        ordered: list[Any] = []
        done: set[int] = set()
        for node in self._graph.node:
            _append_with_sources(node, made_by, ordered, done)
        del self._graph.node[:]
        self._graph.node.extend(ordered)
        read = {name for node in ordered for name in node.input}
        unread = [each for each in self._graph.initializer if each.name not in read]
        for each in unread:
            self._graph.initializer.remove(each)


def _append_with_sources(node: Any, made_by: Mapping[str, Any], ordered: list[Any], done: set[int]) -> None:
    """Append the new nodes that a node reads from, the first one first, then the node."""
    for name in node.input:
        source = made_by.get(name)
        if source is not None and source.op_type in _PAIR and id(source) not in done:
            _append_with_sources(source, made_by, ordered, done)
    done.add(id(node))
    ordered.append(node)


def _channel_axis(node: Any) -> int:
    """Return the axis of the weights that counts what comes out."""
    if node.op_type == "Gemm":
        turned = next((each.i for each in node.attribute if each.name == "transB"), 0)
        return 0 if turned else 1
    return 0 if node.op_type == "Conv" else 1
