"""What became of every tensor of another project's file, one line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from maskrcnn.errors import WeightsError

_MOST_NAMES = 10


class Entry(NamedTuple):
    """One line.

    Attributes:
        name: The tensor's name in the file.
        outcome: Whether it lives on.
        reason: The own tensors that it went into, or why it is ignored.
    """

    name: str
    outcome: Literal["used", "ignored"]
    reason: str


def listed(names: Sequence[str]) -> str:
    """Name the first ten.

    >>> listed(["a", "b"])
    'a, b'
    """
    return ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")


def settle(source: str, expectation: str, faults: Mapping[str, Sequence[str]]) -> None:
    """End the import if anything is left over, missing or of another shape.

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
