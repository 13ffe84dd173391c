"""Building a model whose numbers come from elsewhere, without drawing numbers first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

_FILLS = frozenset({Tensor.normal_, Tensor.uniform_, Tensor.fill_, Tensor.zero_})


class Unfilled(TorchFunctionMode):
    """Leave out what only fills a tensor: parameters keep whatever their memory holds."""

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
