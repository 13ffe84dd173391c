"""Tensors of a file held against those of a model, every one of both sides accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from maskrcnn.errors import WeightsError, few

if TYPE_CHECKING:
    from torch import Tensor

_MOST_NAMES = 10


def listed(names: Sequence[str]) -> str:
    """Name the first ten.

    >>> listed(["a", "b"])
    'a, b'
    """
    return few(names, _MOST_NAMES)


def compare(wanted: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """List what is missing, left over or of another shape, by what is wrong with it.

    Args:
        wanted: The shape of every tensor of the model.
        tensors: What there is.
    """
    return {
        "missing": [name for name in wanted if name not in tensors],
        "not used": [name for name in tensors if name not in wanted],
        "of another shape": [
            f"{name} (expected {wanted[name]}, got {tuple(tensor.shape)})"
            for name, tensor in tensors.items()
            if name in wanted and wanted[name] != tuple(tensor.shape)
        ],
    }


def settle(source: str, expectation: str, faults: Mapping[str, Sequence[str]]) -> None:
    """End the reading if anything is wrong.

    Args:
        source: Where the tensors come from.
        expectation: What they should have been.
        faults: Names by what is wrong with them.

    Raises:
        WeightsError: There is a fault; the first ten names of each are given.
    """
    if any(faults.values()):
        found = "; ".join(f"{len(names)} {what}: {listed(names)}" for what, names in faults.items() if names)
        raise WeightsError(f"{source}: expected {expectation}, got {found}")
