"""Sets written in other formats: one module a format, and a table of what each can hold.

```python
from maskrcnn.data import open_dataset
from maskrcnn.data.writing import convert

written = convert(open_dataset("photos/train"), "photos-coco", "coco")
print(written.objects, written.losses)
```
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol, get_args

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.writing import coco, cvat, labelme, labels, png, via, voc, yolo
from maskrcnn.data.writing.folder import Call, claim
from maskrcnn.data.writing.how import Exactness, Held, Way, Writing
from maskrcnn.data.writing.tally import Loss, Worst, Written
from maskrcnn.errors import InputError

__all__ = ["WRITERS", "Exactness", "Loss", "Worst", "Writer", "Writing", "Written", "convert"]

_GENERATION = 1  # grows when the same call would write other bytes than before


class _Write(Protocol):
    def __call__(self, dataset: Dataset, out: Path, how: Writing) -> Written: ...


class Writer(NamedTuple):
    """A format that is written.

    Attributes:
        title: What people call it.
        write: Writes a set into a folder.
        exactness: What comes out as it went in.
    """

    title: str
    write: _Write
    exactness: Exactness


_CLASSES: frozenset[Held] = frozenset({"overlaps", "classes"})
_PLAIN: frozenset[Held] = frozenset({"overlaps"})

WRITERS: dict[str, Writer] = {
    "coco": Writer("COCO instances", coco.write, coco.EXACTNESS),
    "png": Writer("one PNG an object", png.write, Exactness("pixels", "left out", _PLAIN)),
    "via": Writer("VGG Image Annotator", via.write, Exactness("outlines", "as rectangles", _PLAIN)),
    "yolo": Writer("YOLO segmentation", yolo.write, Exactness("outlines", "kept", _CLASSES)),
    "labelme": Writer("LabelMe", labelme.write, Exactness("outlines", "as rectangles", _PLAIN)),
    "cvat": Writer("CVAT for images", cvat.write, Exactness("outlines", "kept where all are", _CLASSES)),
    "voc": Writer("Pascal VOC", voc.write, Exactness("labels", "kept", frozenset({"crowds", "classes"}))),
    "labels": Writer("label images", labels.write, Exactness("labels", "left out", frozenset())),
}
"""Every format that is written, by its name."""


def convert(
    dataset: Dataset,
    out: str | Path,
    format: str,  # noqa: A002  # as everywhere in this package
    *,
    tolerance: float = 0.0,
    pictures: Way = "copy",
    progress: Callable[[int, int], None] | None = None,
) -> Written:
    """Write a set in another format, and say what of it the format can't hold.

    A call that was broken off goes on when it is made again. Pictures keep their names and folders.

    Args:
        dataset: The set.
        out: A folder that is new, empty, or begun by the same call.
        format: One of `WRITERS`.
        tolerance: Pixels by which outlines may be simplified, in formats that have outlines.
        pictures: `copy` them, byte for byte; `link` them, so that they take no room; or write annotations only
            and leave the pictures where they are (`none`).
        progress: Is told how many pictures are done, of how many.

    Raises:
        InputError: An argument is unknown or out of range.
        ImageError: A picture is missing or broken.
        OutputError: The folder holds something else, or can't be written.
    """
    out = Path(out)
    _check(out, format, tolerance, pictures)
    call: Call = {
        "command": "convert",
        "generation": _GENERATION,
        "set": dataset.fingerprint(),
        "format": format,
        "tolerance": tolerance,
        "pictures": pictures,
    }
    claim(out, call)
    writer = WRITERS[format]
    return writer.write(dataset, out, Writing(writer.exactness, tolerance, pictures, progress or _silent))


def _check(out: Path, name: str, tolerance: float, pictures: str) -> None:
    if name not in WRITERS:
        raise InputError(f"format: expected one of {', '.join(WRITERS)}, got {name!r}")
    if pictures not in get_args(Way):
        raise InputError(f"pictures: expected one of {', '.join(get_args(Way))}, got {pictures!r}")
    if not 0 <= tolerance < float("inf"):
        raise InputError(f"tolerance: expected pixels from 0 up, got {tolerance}")
    if tolerance and WRITERS[name].exactness.masks != "outlines":
        drawn = ", ".join(key for key, writer in WRITERS.items() if writer.exactness.masks == "outlines")
        raise InputError(f"tolerance: expected a format with outlines ({drawn}), got {name}, which has pixels")
    if out.suffix.lower() in {".json", ".xml", ".zip", ".csv"}:
        raise InputError(f"{out}: expected a folder to write into, got the name of a file")


def _silent(_done: int, _total: int) -> None:
    """Tell nobody."""
