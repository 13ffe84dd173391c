"""`maskrcnn report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maskrcnn.cli.browsing import browse
from maskrcnn.cli.opening import Wanted, open_chosen
from maskrcnn.cli.running import Running
from maskrcnn.cli.words import progress_of_stages, say
from maskrcnn.errors import InputError
from maskrcnn.reporting import report


def run_report(
    runs: Sequence[Path],
    out: Path | None,
    data: Path | None,
    show: bool,
    pictures: int,
    score: float | None,
    wanted: Wanted,
    running: Running,
    batch: int,
    workers: int,
) -> None:
    """Write the page, with a progress bar for each part of the work, and open it where that is wished."""
    if data is None and wanted != Wanted():
        raise InputError("report: expected --data beside --format or --classes, got none")
    dataset = None if data is None else open_chosen(data, wanted)
    with progress_of_stages("reporting") as advance:
        page = report(
            runs,
            out,
            data=dataset,
            pictures=pictures,
            score=score,
            open_model=lambda model: running.load(str(model)),
            batch=batch,
            workers=workers,
            progress=advance,
        )
    say(f"page {page}")
    if show:
        browse(page)
