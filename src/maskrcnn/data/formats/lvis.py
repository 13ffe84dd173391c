"""LVIS: COCO instances in which only some classes were looked for in each picture.

A picture's `labelled` are the classes of its annotations and those of `neg_category_ids`, which are known to be
absent, without those of `not_exhaustive_category_ids`: more of these may be in the picture than are annotated.

References: www.lvisdataset.org/dataset, versions 0.5 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from maskrcnn.data.columns import Known
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.coco_annotations import Entry
from maskrcnn.data.formats.coco_records import Dialect, candidates, first_of, read_as
from maskrcnn.data.formats.fields import expected, listing, text, whole
from maskrcnn.data.formats.place import Place
from maskrcnn.data.formats.reading import Reading

_NEGATIVE = "neg_category_ids"
_NOT_EXHAUSTIVE = "not_exhaustive_category_ids"
_OLD_NAME = len("COCO_val2014_")


def find(place: Place) -> list[Path]:
    """List the LVIS files of a place or of its `annotations` folder."""
    return [path for path in candidates(place) if _NEGATIVE in first_of(place.json(path), "images")]


def read(source: Path, reading: Reading) -> Dataset:
    """Read an LVIS file.

    Args:
        source: The JSON file.
        reading: What becomes of faults; pictures may be missing, for the file says their sizes.

    Raises:
        AnnotationError: The file is broken, or a field of it is not what LVIS says.
        ImageError: Pictures are missing.
    """
    return read_as(_LVIS, source, reading)


def _name(entry: Entry, where: str) -> str:
    """Return `file_name`, or in version 1, which has none, the end of `coco_url`: its folder and its name."""
    if entry.get("file_name") is not None or entry.get("coco_url") is None:
        return text(entry.get("file_name"), where, "file_name")
    address = text(entry["coco_url"], where, "coco_url")
    try:
        path = PurePosixPath(urlsplit(address).path)
    except ValueError:  # brackets with no address in them
        raise expected("an address", address, where, "coco_url") from None
    return text("/".join(path.parts[-2:]).lstrip("/"), where, "coco_url")


def _known(entry: Entry, where: str) -> Known:
    negative, open_ = (
        [whole(each, where, field) for each in listing(entry.get(field) or [], where, field)]
        for field in (_NEGATIVE, _NOT_EXHAUSTIVE)
    )
    return Known(negative, objects=True, open=open_)


def _spellings(name: str) -> Sequence[str]:
    """Give a picture's name in COCO's folders of 2017, or in one folder; version 0.5 has the names of 2014."""
    if name.startswith("COCO_"):
        number = name[_OLD_NAME:]
        return name, number, f"train2017/{number}", f"val2017/{number}"
    return (name, name.rpartition("/")[2]) if "/" in name else (name,)


_LVIS = Dialect("lvis", _name, _known, _spellings)
