"""Starting from another model's weights: heads are matched by class name, and every tensor is accounted for.

Letters: K classes of the new model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from maskrcnn.config import ModelConfig
from maskrcnn.model.mask_rcnn import MaskRCNN


class Transfer(NamedTuple):
    """What became of one tensor of the new model, or of one that it has no place for.

    Attributes:
        name: The tensor.
        outcome: `loaded`, `partly` (some classes), `fresh` (of the new model) or `unused` (of the old one).
        reason: Why, in words.
    """

    name: str
    outcome: str
    reason: str


def _rows_per_class(name: str, config: ModelConfig) -> int:
    """Return how many rows of an output tensor belong to one class; 0 where rows are not classes."""
    rows = {
        "box_head.logits": 1,
        "box_head.deltas": 0 if config.box_head.class_agnostic else 4,
        "mask_head.logits": 0 if config.mask_head.class_agnostic else 1,
    }
    return rows.get(name.rsplit(".", 1)[0], 0)


def _by_class(own: Tensor, foreign: Tensor, each: int, pairs: Sequence[tuple[int, int]]) -> Tensor:
    """Copy the rows of paired classes."""
    result = own.clone()
    for to, source in pairs:
        result[to * each : (to + 1) * each] = foreign[source * each : (source + 1) * each]
    return result


def _class_line(name: str, new: Sequence[str], shared: Sequence[str], background: bool) -> Transfer:
    missing = [each for each in new if each not in shared]
    if not missing:
        return Transfer(name, "loaded", "classes matched by name")
    known = f"has {', '.join(shared)}" if shared else "has none of these classes"
    reason = f"the file {known}; fresh: {', '.join(missing)}"
    return Transfer(name, "partly" if shared or background else "fresh", reason)


def transfer(model: MaskRCNN, tensors: Mapping[str, Tensor], old_classes: Sequence[str]) -> list[Transfer]:
    """Fill a model from tensors of another one.

    Args:
        model: The new model; its class names are its settings'.
        tensors: Names and values of the old one.
        old_classes: Class names of the old one, in label order.

    Returns:
        One line for every tensor of either model.
    """
    lines = []
    for name, own in model.state_dict().items():
        value, line = _one(name, own, tensors.get(name), model.config, tuple(old_classes))
        with torch.no_grad():
            own.copy_(value)
        lines.append(line)
    own_names = model.state_dict().keys()
    unused = [Transfer(name, "unused", "the new model has no such tensor") for name in tensors if name not in own_names]
    return lines + unused


def _one(
    name: str, own: Tensor, foreign: Tensor | None, config: ModelConfig, old: tuple[str, ...]
) -> tuple[Tensor, Transfer]:
    """Return the value of one tensor of the new model, and what became of it."""
    if foreign is None:
        return own, Transfer(name, "fresh", "not in the file")
    new, each = config.classes, _rows_per_class(name, config)
    background = name.startswith("box_head.logits")
    fits = own.shape[1:] == foreign.shape[1:] and len(foreign) == each * (len(old) + background) if each else False
    if fits and new != old:
        shared = [each for each in new if each in old]
        pairs = [(new.index(each), old.index(each)) for each in shared]
        pairs += [(len(new), len(old))] if background else []  # the last row
        return _by_class(own, foreign, each, pairs), _class_line(name, new, shared, background)
    if own.shape != foreign.shape:
        return own, Transfer(name, "fresh", f"shape {tuple(own.shape)} here, {tuple(foreign.shape)} in the file")
    return foreign, Transfer(name, "loaded", "same name and shape")


def summary(lines: Sequence[Transfer]) -> list[tuple[str, int, str]]:
    """Group lines of one outcome and reason: (outcome, tensors, reason and names), for a short table."""
    groups: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        groups.setdefault((line.outcome, line.reason), []).append(line.name)
    rows = []
    for (outcome, reason), names in groups.items():
        listed = "" if outcome == "loaded" else f": {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}"
        rows.append((outcome, len(names), reason + listed))
    return rows
