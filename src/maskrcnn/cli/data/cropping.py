"""`maskrcnn data crop`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from maskrcnn.cli.data.drawing import parse_size
from maskrcnn.cli.opening import Wanted, describe, open_chosen
from maskrcnn.cli.words import count_of, progress, say
from maskrcnn.data.tiles import Tiling, write_tiles


def run_crop(data: Path, out: Path, size: str, wanted: Wanted, **how: Any) -> None:
    """Cut, with a progress bar."""
    tiling = Tiling(parse_size(size), **how)
    dataset = open_chosen(data, wanted)
    describe(dataset)
    with progress("cutting") as advance:
        made = write_tiles(dataset, out, tiling, advance)
    left_out = ", left out" if tiling.empty == "drop" else ""
    say(f"{count_of(made.tiles, 'tile')} in {out}; {made.empty:,} without an object{left_out}")
    say(f"{count_of(made.objects, 'object')}, of which {made.ignored:,} only mark regions to ignore")
