"""`maskrcnn export`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maskrcnn.cli.words import progress_of_stages, say, show
from maskrcnn.data import open_dataset
from maskrcnn.data.images import list_images
from maskrcnn.engines.graphs.metadata import Takes
from maskrcnn.errors import InputError
from maskrcnn.export import export


def run_export(
    model: str, out: Path, to: str, takes: Takes, pictures: Sequence[str], data: Path | None, calibrate: Path | None
) -> None:
    """Write the file, show how well it agrees, and say where both are."""
    with progress_of_stages("exporting") as advance:
        report = export(
            model,
            out,
            to=to,
            takes=takes,
            calibrate=calibrate,
            pictures=list_images(pictures) if pictures else (),
            data=None if data is None else open_dataset(data),
            progress=advance,
        )
    show(report.table())
    for note in report.notes:
        say(f"note: {note}")
    say(f"model: {out}; report: {out}.json")


def check_calibration(int8: bool, calibrate: Path | None) -> None:
    """Refuse one of `--int8` and `--calibrate` without the other.

    Raises:
        InputError: It stands alone.
    """
    if int8 and calibrate is None:
        raise InputError("--int8: expected --calibrate with pictures of the kind that the model will see, got none")
    if calibrate is not None and not int8:
        raise InputError(f"--calibrate: expected --int8 beside it, got {calibrate} alone")
