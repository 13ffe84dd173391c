"""What the operators that a graph names are in ONNX, and arithmetic of sizes in double precision.

References: ONNX operators of opset 18: NonMaxSuppression, RoiAlign, TopK, ScatterND.
Letters: S rows, N boxes a row, D slots of the result, R regions, C channels, P bins a side.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch

from maskrcnn.engines.graphs.operators import POOL, SUPPRESS

OPSET = 18
_LOWEST = torch.finfo(torch.float32).min
_DOUBLE = 11  # TensorProto.DOUBLE
_INT64 = 7


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return the functions that write each operator, for `torch.onnx.export`."""
    return {
        SUPPRESS: _suppress,
        POOL: _pool,
        torch.sym_float: _as_double,
        torch.sym_min: _arithmetic("Min"),
        torch.sym_max: _arithmetic("Max"),
        operator.truediv: _arithmetic("Div"),
        operator.mul: _arithmetic("Mul"),
        operator.add: _arithmetic("Add"),
        operator.sub: _arithmetic("Sub"),
        math.trunc: _truncated,
        round: _rounded,
    }


def _op() -> Any:
    from onnxscript import opset18

    return opset18


# ---- sizes


def _as_double(number: Any) -> Any:
    if isinstance(number, int | float):
        return _op().Constant(value=_scalar(float(number)))
    return _op().Cast(number, to=_DOUBLE)


def _scalar(value: float) -> Any:
    import onnx

    return onnx.helper.make_tensor("", _DOUBLE, [], [value])


def _is_float(number: Any) -> bool:
    return isinstance(number, float) or getattr(number, "dtype", None) in (1, _DOUBLE)


def _arithmetic(name: str) -> Callable[[Any, Any], Any]:
    """Write arithmetic of two numbers, in double precision if one of them is no whole number."""

    def write(first: Any, second: Any) -> Any:
        if name == "Div" or _is_float(first) or _is_float(second):
            first, second = _as_double(first), _as_double(second)
        return getattr(_op(), name)(first, second)

    return write


def _truncated(number: Any) -> Any:
    return _op().Cast(number, to=_INT64)


def _rounded(number: Any, digits: None = None) -> Any:  # noqa: ARG001  # as `round`
    return _op().Cast(_op().Round(number), to=_INT64)


# ---- suppression and RoIAlign


def _suppress(
    boxes: Any, scores: Any, valid: Any, groups: Any, iou_threshold: float, limit: int, count: int
) -> tuple[Any, Any]:
    """Suppress each group as a class of ONNX's operator, then take the best of all groups.

    The operator breaks ties by lower index, as TopK does, and keeps what is above the lowest number, so that
    minus infinity stands for what is not there.
    """
    op = _op()
    nothing = op.Constant(value_float=float("-inf"))
    competing = op.Unsqueeze(op.Where(valid, scores, nothing), op.Constant(value_ints=[1]))  # (S, 1, N)
    if count > 1:
        classes = op.Constant(value=_column(count))
        own = op.Equal(op.Unsqueeze(groups, op.Constant(value_ints=[1])), classes)
        competing = op.Where(own, competing, nothing)  # (S, count, N)
    # OpenVINO forgets that boxes have four numbers where layers before are joined in integers
    four = op.Reshape(boxes, op.Constant(value_ints=[0, -1, 4]))
    found = op.NonMaxSuppression(
        four,
        competing,
        op.Constant(value_ints=[limit]),
        op.Constant(value_floats=[iou_threshold]),
        op.Constant(value_floats=[_LOWEST]),
    )
    place = op.Gather(found, op.Constant(value_ints=[0, 2]), axis=1)  # row and box
    marks = op.Expand(op.Constant(value_float=1.0), op.Shape(place, start=0, end=1))
    kept = op.ScatterND(op.Expand(op.Constant(value_float=0.0), op.Shape(scores)), place, marks)
    left = op.Where(op.Greater(kept, op.Constant(value_float=0.5)), scores, nothing)
    best, index = op.TopK(left, op.Constant(value_ints=[limit]), axis=1)
    there = op.Greater(best, op.Constant(value_float=_LOWEST))
    return op.Where(there, index, op.Constant(value_int=0)), there


def _column(count: int) -> Any:
    import onnx

    return onnx.helper.make_tensor("", _INT64, [1, count, 1], range(count))


def _pool(levels: Sequence[Any], boxes: Any, picture: Any, level: Any, bins: int, samples: int, places: str) -> Any:
    """Pool the regions of each level on their own, then put them back in order."""
    op = _op()
    pooled, order = [], []
    for i, features in enumerate(levels):
        here = op.Squeeze(op.NonZero(op.Equal(level, op.Constant(value_int=i))), op.Constant(value_ints=[0]))
        regions = op.RoiAlign(
            features,
            op.Gather(boxes, here),
            op.Gather(picture, here),
            coordinate_transformation_mode=places,
            mode="avg",
            output_height=bins,
            output_width=bins,
            sampling_ratio=samples,
            spatial_scale=1.0,
        )
        pooled.append(regions)
        order.append(here)
    places_of = op.Concat(*order, axis=0)
    _, back = op.TopK(places_of, op.Shape(places_of), largest=0)
    return op.Gather(op.Concat(*pooled, axis=0), back)
