"""Other projects' names of tensors, turned into this package's by tables of patterns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

Change = Callable[[Tensor], Tensor]
NOTHING: Mapping[str, str] = {}
FROM_ONE: dict[str, str] = {str(i + 1): str(i) for i in range(8)}
"""Layers that others count from 1."""
FROM_TWO: dict[str, str] = {str(i + 2): str(i) for i in range(4)}
"""Levels that others call by their stage, 2 to 5."""


class Rule(NamedTuple):
    """A row of a table of names.

    Attributes:
        pattern: Regular expression of the whole foreign name.
        name: The own name; `{0}` is the pattern's first group, and so on.
        words: What groups are called here, where that differs.
        change: Another layout of the numbers.
    """

    pattern: str
    name: str
    words: Mapping[str, str] = NOTHING
    change: Change | None = None


class Skip(NamedTuple):
    """A row of a table of tensors that no model needs."""

    pattern: str
    reason: str


class Target(NamedTuple):
    """Where a tensor goes."""

    name: str
    change: Change | None


def find(rules: Sequence[Rule], name: str) -> Target | None:
    r"""Look a foreign name up; the first row that fits counts.

    >>> find([Rule(r"layer(\d)\.(w|b)", "res{0}.{1}", {"w": "weight"})], "layer2.w").name
    'res2.weight'
    """
    for rule in rules:
        match = re.fullmatch(rule.pattern, name)
        if match:
            return Target(rule.name.format(*(rule.words.get(g, g) for g in match.groups(""))), rule.change)
    return None


def find_reason(skips: Iterable[Skip], name: str) -> str | None:
    """Look up why a foreign tensor is ignored."""
    return next((skip.reason for skip in skips if re.fullmatch(skip.pattern, name)), None)


LEAF = "(weight|bias|running_mean|running_var|num_batches_tracked)"
_STAGES = {"layer1": "res2", "layer2": "res3", "layer3": "res4", "layer4": "res5"}
STEP_COUNT = Skip(r".*\bnum_batches_tracked", "counts the steps of a training; frozen norms have none")
CLASSIFIER = Skip(r"(fc|linear|head\.fc)\.(weight|bias)", "the classifier of ImageNet")


def residual_rules(prefix: str) -> tuple[Rule, ...]:
    """Make the rows of a residual network with stages called `layer1` to `layer4`, behind a prefix."""
    start = re.escape(prefix)
    block = rf"{start}(layer[1-4])\.(\d+)\."
    return (
        Rule(rf"{start}conv1\.weight", "backbone.stem.conv1.conv.weight"),
        Rule(rf"{start}bn1\.{LEAF}", "backbone.stem.conv1.norm.{0}"),
        Rule(rf"{block}conv([1-3])\.weight", "backbone.{0}.{1}.conv{2}.conv.weight", _STAGES),
        Rule(rf"{block}bn([1-3])\.{LEAF}", "backbone.{0}.{1}.conv{2}.norm.{3}", _STAGES),
        Rule(rf"{block}downsample\.0\.weight", "backbone.{0}.{1}.shortcut.conv.weight", _STAGES),
        Rule(rf"{block}downsample\.1\.{LEAF}", "backbone.{0}.{1}.shortcut.norm.{2}", _STAGES),
    )
