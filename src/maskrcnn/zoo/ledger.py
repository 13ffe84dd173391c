"""What became of every tensor of another project's file, one line each."""

from __future__ import annotations

from typing import Literal, NamedTuple


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
