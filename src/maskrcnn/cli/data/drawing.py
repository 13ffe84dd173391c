"""`maskrcnn data synth`."""

from __future__ import annotations

import re
from pathlib import Path

from maskrcnn.cli.words import progress, say
from maskrcnn.data.synth import synthesise
from maskrcnn.errors import InputError


def parse_size(text: str) -> tuple[int, int]:
    """Read height x width.

    >>> parse_size("192x256")
    (192, 256)

    Raises:
        InputError: It is something else.
    """
    match = re.fullmatch(r"(\d+)x(\d+)", text.strip().lower())
    if not match or min(int(side) for side in match.groups()) < 1:
        raise InputError(f"--size: expected height x width such as 192x256, got {text!r}")
    return int(match[1]), int(match[2])


def run_synth(kind: str, out: Path, count: int, seed: int, size: str, layout: str) -> None:
    """Draw, with a progress bar."""
    size_hw = parse_size(size)
    with progress(f"drawing {kind}") as advance:
        synthesise(
            kind,
            out,
            count,
            seed=seed,
            size_hw=size_hw,
            layout=layout,
            progress=lambda done: advance(done, count),
            workers=-1,
        )
    say(f"{count} pictures in {out}")
