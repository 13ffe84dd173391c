"""A set written anew as COCO, with a log of what was changed: `annotations.json`, `images/`, `fixes.json`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.writing import coco
from maskrcnn.data.writing.folder import Call, claim
from maskrcnn.data.writing.how import Writing
from maskrcnn.files import write_text

LOG = "fixes.json"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Copied:
    """What is in a copy.

    Attributes:
        folder: Where it is.
        pictures: How many.
        objects: How many objects.
        changes: How many changes the log has.
    """

    folder: Path
    pictures: int
    objects: int
    changes: int


def write_copy(
    out: Path, call: Call, dataset: Dataset, changes: Sequence[dict[str, str]], progress: Progress
) -> Copied:
    """Write pictures and annotations; the log comes last.

    Args:
        out: A folder that is new, empty, or begun by the same call.
        call: What the copy follows from; `set` is a fingerprint.
        dataset: What is written.
        changes: What the log says was changed.
        progress: Is told how many pictures are written, of how many.

    Raises:
        OutputError: The folder holds something else, or a file can't be written.
        ImageError: A picture is missing, or one that is stored anew can't be read.
    """
    source = str(dataset.source)
    claim(out, {**call, "source": source})
    # what is uncertain of a turned picture stays uncertain
    written = coco.write(dataset, out, Writing(coco.EXACTNESS, 0.0, "copy", progress), exif="kept")
    log = {"source": source, "pictures": written.pictures, "objects": written.objects, "changes": changes}
    write_text(out / LOG, json.dumps(log, indent=1, ensure_ascii=False) + "\n")
    return Copied(out, written.pictures, written.objects, len(changes))
