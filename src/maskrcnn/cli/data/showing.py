"""`maskrcnn data show`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from maskrcnn.cli.browsing import browse
from maskrcnn.cli.opening import Wanted, describe, open_chosen
from maskrcnn.cli.words import progress, say
from maskrcnn.errors import InputError
from maskrcnn.files import cache_folder, make_folder
from maskrcnn.inspection import show_data


def run_show(data: Path, out: Path | None, show: bool, count: int, seed: int, wanted: Wanted) -> None:
    """Write the page, with a progress bar, and open it where that is wished."""
    if out is None and not show:
        raise InputError("data show: expected --out DIR, --open, or both, got neither")
    folder = _cached(data) if out is None else out
    dataset = open_chosen(data, wanted, "optional")
    make_folder(folder)
    describe(dataset)
    with progress("looking") as advance:
        page = show_data(dataset, folder, count=count, seed=seed, progress=advance)
    say(f"page {page}")
    if show:
        browse(page)


def _cached(data: Path) -> Path:
    """Name the folder in the cache that belongs to a set: the same for the same place."""
    place = data.absolute()
    return cache_folder() / "shown" / f"{place.name[:60]}-{hashlib.sha256(str(place).encode()).hexdigest()[:12]}"
