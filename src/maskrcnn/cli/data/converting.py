"""`maskrcnn data convert`."""

from __future__ import annotations

from pathlib import Path

from maskrcnn.cli.opening import describe
from maskrcnn.cli.words import count_of, progress, say
from maskrcnn.data import open_dataset
from maskrcnn.data.writing import WRITERS, Written
from maskrcnn.data.writing import convert as write
from maskrcnn.data.writing.how import Way


def run_convert(data: Path, out: Path, format_: str, tolerance: float, pictures: Way, from_: str | None) -> None:
    """Convert, with a progress bar, and say what became of the set."""
    dataset = open_dataset(data, format=from_, pictures="optional" if pictures == "none" else "required")
    describe(dataset)
    with progress(f"writing {format_}") as advance:
        written = write(dataset, out, format_, tolerance=tolerance, pictures=pictures, progress=advance)
    for line in report(written):
        say(line)
    say(f"{WRITERS[format_].title} in {out}")


def report(written: Written) -> list[str]:
    """Set what came in against what went out, with everything that was lost on the way."""
    lines = [
        f"{'':<10}{'in':>12}{'out':>12}",
        f"{'pictures':<10}{written.pictures:>12,}{written.pictures:>12,}",
        f"{'objects':<10}{written.objects_in:>12,}{written.objects:>12,}",
    ]
    changed = written.objects - written.exact
    if changed and written.worst is not None:
        lines.append(f"changed: {count_of(changed, 'mask')}; worst IoU {written.worst.iou:.3f}, {written.worst.name}")
    elif written.worst is not None:
        lines.append("every mask is exact")
    return [*lines, *(f"lost: {loss}" for loss in written.losses)]
