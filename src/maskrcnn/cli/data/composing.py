"""`maskrcnn data compose`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from maskrcnn.cli.data.drawing import parse_size
from maskrcnn.cli.opening import Wanted, describe, open_chosen
from maskrcnn.cli.words import progress, say
from maskrcnn.data.compose import Look
from maskrcnn.data.compose import compose as compose_set
from maskrcnn.errors import InputError


class Ranges(NamedTuple):
    """What the options say of how objects look."""

    objects: str
    scale: str
    turn: float
    light: float
    hidden: float

    def look(self) -> Look:
        """Read the ranges.

        Raises:
            InputError: One is no range, or out of range.
        """
        low, high = parse_range(self.objects, "--objects")
        if not (low.is_integer() and high.is_integer()):
            raise InputError(f"--objects: expected whole numbers such as 1-5, got {self.objects!r}")
        return Look((int(low), int(high)), parse_range(self.scale, "--scale"), self.turn, self.light, self.hidden)


def parse_range(text: str, option: str) -> tuple[float, float]:
    """Read two numbers with a hyphen between them, or one that stands for both.

    >>> parse_range("0.2-0.8", "--scale"), parse_range("3", "--objects")
    ((0.2, 0.8), (3.0, 3.0))

    Raises:
        InputError: It is something else.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)(?:\s*-\s*(\d+(?:\.\d+)?))?\s*", text)
    if match is None:
        raise InputError(f"{option}: expected two numbers such as 0.2-0.8, got {text!r}")
    return float(match[1]), float(match[2] or match[1])


def run_compose(
    data: Path,
    wanted: Wanted,
    out: Path,
    backgrounds: Sequence[str],
    count: int,
    size: str | None,
    seed: int,
    ranges: Ranges,
) -> None:
    """Compose, with a progress bar."""
    size_hw = None if size is None else parse_size(size)
    look = ranges.look()
    dataset = open_chosen(data, wanted)
    describe(dataset)
    with progress("composing") as advance:
        compose_set(
            dataset,
            out,
            count,
            backgrounds=backgrounds,
            seed=seed,
            size_hw=size_hw,
            look=look,
            progress=lambda done: advance(done, count),
            workers=-1,
        )
    say(f"{count} pictures in {out}")
