"""The settings of a model, read off its tensors.

Letters: K classes, A anchors a cell.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from maskrcnn.errors import WeightsError
from maskrcnn.model.account import settle
from maskrcnn.model.backbone import BASIC, DEEP

Tensors = Mapping[str, Tensor]
_RESIDUAL = ("backbone.stem.conv1.conv.weight", "backbone.res5.0.conv2.conv.weight")
_HEADS = (
    "pyramid.lateral.0.conv.weight",
    "rpn.head.convs.0.weight",
    "rpn.head.objectness.weight",
    "box_head.body.fc1.weight",
    "box_head.logits.weight",
    "box_head.deltas.weight",
    "mask_head.convs.0.conv.weight",
    "mask_head.upsample.weight",
    "mask_head.logits.weight",
)


def check_essentials(tensors: Tensors, source: str, complete: bool) -> None:
    """Make sure that the tensors are there which the others are measured by.

    Raises:
        WeightsError: Some are not.
    """
    wanted = _RESIDUAL + _HEADS if complete else _RESIDUAL
    settle(source, "the tensors of a whole model", {"missing": [name for name in wanted if name not in tensors]})


def measure_backbone(tensors: Tensors, source: str) -> dict[str, Any]:
    """Return `depth` and `norm`.

    Raises:
        WeightsError: It is none of the networks that there are.
    """
    blocks = tuple(_count(tensors, rf"backbone\.res{stage}\.(\d+)\..*") for stage in (2, 3, 4, 5))
    deep = "backbone.res2.0.conv3.conv.weight" in tensors
    inner, each = tensors["backbone.res2.0.conv2.conv.weight"].shape[:2]
    for depth, plan in (DEEP if deep else BASIC).items():
        if plan.blocks == blocks and inner == plan.groups * plan.width_per_group and inner == each * plan.groups:
            return {"depth": depth, "norm": _norm_of(tensors, "backbone.stem.conv1", _statistics(tensors))}
    kind = f"bottlenecks of {inner} channels in {inner // max(each, 1)} groups" if deep else "basic blocks"
    known = ", ".join([*BASIC, *DEEP])
    raise WeightsError(f"{source}: expected one of {known}, got stages of {blocks} {kind}")


def measure_model(tensors: Tensors, source: str) -> dict[str, Any]:
    """Return the settings that the shapes of a whole model decide, as nested names and values.

    Raises:
        WeightsError: The backbone is none of those that there are.
    """
    return {
        "backbone": measure_backbone(tensors, source),
        "pyramid": {
            "channels": tensors["pyramid.lateral.0.conv.weight"].shape[0],
            "norm": _norm_of(tensors, "pyramid.lateral.0", "batch"),
        },
        "rpn": _rpn(tensors),
        "box_head": _box_head(tensors),
        "mask_head": _mask_head(tensors),
    }


def classes_of(tensors: Tensors) -> int:
    """Return K."""
    return tensors["box_head.logits.weight"].shape[0] - 1


def anchors_of(tensors: Tensors) -> int:
    """Return A."""
    return tensors["rpn.head.objectness.weight"].shape[0]


def _count(tensors: Tensors, pattern: str) -> int:
    """Count the different numbers that the pattern's group has."""
    return len({match[1] for match in map(re.compile(pattern).fullmatch, tensors) if match})


def _statistics(tensors: Tensors) -> str:
    """Tell whether statistics without a count of steps once moved: recipes that train norms do so in all parts."""
    return "batch" if "pyramid.lateral.0.norm.running_var" in tensors else "frozen"


def _norm_of(tensors: Tensors, layer: str, with_statistics: str) -> str:
    """Tell which norm follows a convolution; some files leave out the count of steps."""
    if f"{layer}.norm.running_var" in tensors:
        return "batch" if f"{layer}.norm.num_batches_tracked" in tensors else with_statistics
    return "group" if f"{layer}.norm.weight" in tensors else "none"


def _rpn(tensors: Tensors) -> dict[str, Any]:
    width = tensors["rpn.head.convs.0.weight"].shape[0]
    same = width == tensors["pyramid.lateral.0.conv.weight"].shape[0]
    return {"channels": 0 if same else width, "depth": _count(tensors, r"rpn\.head\.convs\.(\d+)\.weight")}


def _box_head(tensors: Tensors) -> dict[str, Any]:
    convs = "box_head.body.convs.0.conv.weight"
    fc1 = tensors["box_head.body.fc1.weight"]
    into = tensors[convs if convs in tensors else "pyramid.lateral.0.conv.weight"].shape[0]
    body: dict[str, Any] = {"kind": "2fc"}
    if "box_head.body.fc2.weight" not in tensors:
        norm = _norm_of(tensors, "box_head.body.convs.0", "batch")
        body = {"kind": "4conv1fc", "conv_channels": into, "norm": norm}
    agnostic = tensors["box_head.deltas.weight"].shape[0] == 4 and classes_of(tensors) > 1
    return {
        **body,
        "channels": fc1.shape[0],
        "pool": max(1, math.isqrt(fc1.shape[1] // into)),
        "class_agnostic": agnostic,
    }


def _mask_head(tensors: Tensors) -> dict[str, Any]:
    return {
        "channels": tensors["mask_head.upsample.weight"].shape[1],
        "convs": _count(tensors, r"mask_head\.convs\.(\d+)\..*"),
        "norm": _norm_of(tensors, "mask_head.convs.0", "batch"),
        "class_agnostic": tensors["mask_head.logits.weight"].shape[0] == 1 and classes_of(tensors) > 1,
    }
