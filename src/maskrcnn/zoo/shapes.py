"""The shapes of a model's tensors, without their numbers.

Memory that nothing is written to is only reserved. The device `meta` would not even reserve it, but some steps of
building a model there import more code, and take more memory, than all of this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from maskrcnn.config import ModelConfig
from maskrcnn.model.backbone import build_backbone
from maskrcnn.model.mask_rcnn import build

_FILLS = frozenset({Tensor.normal_, Tensor.uniform_, Tensor.fill_, Tensor.zero_})


class _Unfilled(TorchFunctionMode):
    """Leave out what only fills a tensor."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        _: object,
        arguments: tuple[Any, ...] = (),
        named: dict[str, Any] | None = None,
    ) -> Any:
        if function in _FILLS:
            return arguments[0]
        if getattr(function, "__module__", "") == "torch.nn.init":
            return arguments[0] if arguments else (named or {})["tensor"]
        return function(*arguments, **(named or {}))


def shapes_of(config: ModelConfig, complete: bool) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of a model's state dict, or of `backbone.*` alone.

    >>> shapes_of(ModelConfig(classes=("cat",)), complete=False)["backbone.stem.conv1.conv.weight"]
    (64, 3, 7, 7)
    """
    with _Unfilled():
        if complete:
            return {name: tuple(tensor.shape) for name, tensor in build(config).state_dict().items()}
        backbone = build_backbone(config.backbone, config.input.bands)
        return {f"backbone.{name}": tuple(tensor.shape) for name, tensor in backbone.state_dict().items()}
