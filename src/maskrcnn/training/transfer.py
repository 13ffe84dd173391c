"""Starting from another model's weights: heads are matched by class name, and every tensor is accounted for.

Letters: K classes of the new model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

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


def _rows_per_class(name: str) -> int:
    """Return how many rows of an output tensor belong to one class; 0 where rows are not classes."""
    head = name.rsplit(".", 1)[0]
    return {"box_head.logits": 1, "box_head.deltas": 4, "mask_head.logits": 1}.get(head, 0)


def _class_rows(
    own: Tensor, foreign: Tensor, name: str, new: Sequence[str], old: Sequence[str]
) -> tuple[Tensor, list[str]]:
    """Copy the rows of classes that both have, and of background where there is one."""
    each = _rows_per_class(name)
    result = own.clone()
    shared = [name for name in new if name in old]
    pairs = [(new.index(each), old.index(each)) for each in shared]
    if name.startswith("box_head.logits"):
        pairs.append((len(new), len(old)))  # background is last
    for to, source in pairs:
        result[to * each : (to + 1) * each] = foreign[source * each : (source + 1) * each]
    return result, shared


def _fits_by_class(name: str, own: Tensor, foreign: Tensor, new: Sequence[str], old: Sequence[str]) -> bool:
    each = _rows_per_class(name)
    extra = 1 if name.startswith("box_head.logits") else 0
    return (
        bool(each)
        and own.shape[1:] == foreign.shape[1:]
        and (own.shape[0], foreign.shape[0])
        == (
            each * (len(new) + extra),
            each * (len(old) + extra),
        )
    )


def transfer(model: MaskRCNN, tensors: Mapping[str, Tensor], old_classes: Sequence[str]) -> list[Transfer]:
    """Fill a model from tensors of another one.

    Args:
        model: The new model; its class names are its settings'.
        tensors: Names and values of the old one.
        old_classes: Class names of the old one, in label order.

    Returns:
        One line for every tensor of either model.
    """
    new_classes = model.config.classes
    lines = []
    for name, own in model.state_dict().items():
        value, line = _one(name, own, tensors.get(name), new_classes, tuple(old_classes))
        with torch.no_grad():
            own.copy_(value)
        lines.append(line)
    own_names = model.state_dict().keys()
    unused = [Transfer(name, "unused", "the new model has no such tensor") for name in tensors if name not in own_names]
    return lines + unused


def _one(
    name: str, own: Tensor, foreign: Tensor | None, new: tuple[str, ...], old: tuple[str, ...]
) -> tuple[Tensor, Transfer]:
    if foreign is None:
        return own, Transfer(name, "fresh", "not in the file")
    if _fits_by_class(name, own, foreign, new, old) and new != old:
        value, shared = _class_rows(own, foreign, name, new, old)
        missing = [each for each in new if each not in shared]
        if not missing:
            return value, Transfer(name, "loaded", "classes matched by name")
        known = f"has {', '.join(shared)}" if shared else "has none of these classes"
        return value, Transfer(name, "partly", f"the file {known}; fresh: {', '.join(missing)}")
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
