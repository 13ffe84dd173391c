"""Where integers go in a graph, and what they stand for: on graphs of a few layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from maskrcnn.export.integers import SCHEMES, WEIGHT_LIMIT, Range, Writer, grid, plan, watched

CHANNELS = 8


def _constant(name: str, *shape: int) -> Any:
    values = np.random.default_rng(len(name)).normal(0, 0.3, shape).astype(np.float32)
    return numpy_helper.from_array(values, name)


def make_graph() -> Any:
    """Convolutions: a first, a block of two with a shortcut, logits; what comes behind looks at the best of them."""
    conv = {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w0", "b0"], ["c0"], name="first", **conv),
        node("Relu", ["c0"], ["r0"]),
        node("Conv", ["r0", "w1", "b1"], ["c1"], name="one", **conv),
        node("Relu", ["c1"], ["r1"]),
        node("Conv", ["r1", "w1", "b2"], ["c2"], name="two", **conv),
        node("Add", ["c2", "r0"], ["sum"]),
        node("Conv", ["sum", "w3", "b3"], ["c3"], name="three", **conv),
        node("Conv", ["c3", "w4"], ["logits"], name="last", **conv),
        node("ReduceMax", ["logits"], ["best"], keepdims=0),
        node("Mul", ["best", "c3"], ["y"]),
    ]
    shapes = {"w0": (CHANNELS, 3, 3, 3), "w1": (CHANNELS, CHANNELS, 3, 3), "w3": (CHANNELS, CHANNELS, 3, 3)}
    constants = [_constant(name, *shape) for name, shape in {**shapes, "w4": (2, CHANNELS, 3, 3)}.items()]
    constants += [_constant(name, CHANNELS) for name in ("b0", "b1", "b2", "b3")]
    values = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, channels, None, None])
        for name, channels in (("x", 3), ("logits", 2), ("y", CHANNELS))
    ]
    graph = helper.make_graph(nodes, "few", values[:1], values[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def run(model: Any, x: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(1, 3, 9, 11)).astype(np.float32)


def quantised(model: Any, suffix: str) -> Any:
    """Quantise on one picture."""
    scheme = SCHEMES[suffix]
    chosen = plan(model, scheme)
    extremes = np.array(run(watched(model, chosen.tensors), picture())).reshape(-1, 2)
    ranges = {name: Range(*map(float, each)) for name, each in zip(chosen.tensors, extremes, strict=True)}
    Writer(model, ranges, scheme).write(chosen)
    return model


def test_the_first_layer_and_the_logits_stay() -> None:
    chosen = plan(make_graph(), SCHEMES[".xml"])
    assert [node.name for node in chosen.layers] == ["first", "one", "two", "three", "last"]
    assert [node.name for node in chosen.chosen] == ["one", "two", "three"]
    assert chosen.tensors == ["r0", "r1", "sum"]


def test_onnx_runtime_gets_integers_on_both_sides() -> None:
    assert plan(make_graph(), SCHEMES[".onnx"]).tensors == ["r0", "r1", "sum", "c2", "c3"]


def test_extremes_are_those_of_the_values() -> None:
    model = make_graph()
    low, high = run(watched(model, ["y"]), picture())
    y = run(model, picture())[1]
    assert (low, high) == (y.min(), y.max())
    assert len(model.graph.output) == 2, "the model itself is left alone"


@pytest.mark.parametrize("suffix", SCHEMES)
def test_integers_come_near_the_numbers(suffix: str) -> None:
    model = make_graph()
    expected = run(model, picture())
    quantised(model, suffix)
    onnx.checker.check_model(model)
    found = run(model, picture())
    for one, other in zip(found, expected, strict=True):
        error = np.abs(one - other).max()
        assert 0 < error < 0.05 * np.abs(other).max()


@pytest.mark.parametrize("suffix", SCHEMES)
def test_weights_have_7_bits_and_a_scale_a_channel(suffix: str) -> None:
    model = quantised(make_graph(), suffix)
    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    weights = {name: values for name, values in constants.items() if name.endswith("/integers") and values.ndim == 4}
    assert len(weights) == 3
    for name, values in weights.items():
        assert values.dtype == np.int8
        assert (np.abs(values).reshape(CHANNELS, -1).max(1) == WEIGHT_LIMIT).all(), "each channel uses its whole range"
        assert constants[name.replace("/integers", "/scale")].shape == (CHANNELS,)
    assert not {"w1", "w3"} & constants.keys(), "the numbers are not kept beside the integers"
    assert {"w0", "w4"} <= constants.keys()


def test_a_channel_without_weights_keeps_its_bias() -> None:
    model = make_graph()
    for each in model.graph.initializer:
        values = numpy_helper.to_array(each).copy()
        if each.name == "w3":
            values[2] = 0
        if each.name == "b3":
            values[2] = 5
        each.CopyFrom(numpy_helper.from_array(values, each.name))
    shown = helper.make_tensor_value_info("c3", onnx.TensorProto.FLOAT, None)
    model.graph.output.append(shown)
    quantised(model, ".xml")
    c3 = run(model, picture())[2]
    assert np.abs(c3[:, 2] - 5).max() < 1e-3


def test_ranges_of_both_signs_are_kept_as_asked_for() -> None:
    assert grid(Range(-1.0, 1.0), "int8").zero.dtype == np.int8
    signed = grid(Range(-1.0, 1.0), "uint8")
    assert signed.zero.dtype == np.uint8
    assert 127 <= signed.zero <= 128
    positive = grid(Range(0.5, 2.0), "uint8")
    assert positive.zero == 0
    assert positive.scale == pytest.approx(2 / 255)


def test_a_value_that_is_always_zero_is_no_error() -> None:
    assert grid(Range(0.0, 0.0), "uint8").scale == 1
