"""Annotation files: one module a format, and the door that recognises them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats import coco, via
from maskrcnn.data.formats.fields import load_json
from maskrcnn.data.formats.pictures import Pictures
from maskrcnn.errors import FormatError

__all__ = ["FORMATS", "open_dataset"]


class _Recognises(Protocol):
    def __call__(self, document: object) -> bool: ...


class _Read(Protocol):
    def __call__(self, path: str | Path, *, document: object, pictures: Pictures) -> Dataset: ...


class Format(NamedTuple):
    """How a kind of annotation file is told from others, and read."""

    recognises: _Recognises
    read: _Read


FORMATS: dict[str, Format] = {
    "via": Format(via.recognises, via.read),
    "coco": Format(coco.recognises, coco.read),
}

_VIA_DEFAULT = "via_region_data.json"
_COCO_INSTANCES = "instances_*.json"


class _Found(NamedTuple):
    path: Path
    format: str
    document: object


def open_dataset(
    path: str | Path,
    *,
    format: str | None = None,  # noqa: A002  # the attribute's name
    pictures: Pictures = "required",
) -> Dataset:
    """Open annotated pictures, whatever their format.

    Args:
        path: An annotation file, or a folder that holds one (`via_region_data.json`, or else the only JSON
            file of a known format in it or in its `annotations` folder). Pictures are looked for beside the
            file, in `images`, in folders named after the file (`instances_val.json`: `val`), one level up.
        format: One of `FORMATS`, where it is not to be recognised.
        pictures: With `optional`, a picture may be missing until it is asked for, where the file says its
            size (COCO does, VIA does not).

    Raises:
        FormatError: Nothing is there, or nothing of a known format, or several files of one.
        AnnotationError: The annotation file is broken.
        ImageError: Pictures are missing.
    """
    if format is not None and format not in FORMATS:
        raise FormatError(f"format: expected one of {', '.join(FORMATS)}, got {format!r}")
    formats = FORMATS if format is None else {format: FORMATS[format]}
    path = Path(path)
    if path.is_dir():
        found = _in_folder(path, formats)
    elif path.is_file():
        found = _in_file(path, formats)
    else:
        raise FormatError(f"{path}: expected an annotation file or a folder with one, got no such file or folder")
    return FORMATS[found.format].read(found.path, document=found.document, pictures=pictures)


def _in_file(path: Path, formats: dict[str, Format]) -> _Found:
    if path.suffix.lower() != ".json":
        raise FormatError(f"{path}: expected a JSON file of {_names(formats)}, got {path.suffix or 'no'} suffix")
    document = load_json(path)
    found = _recognise(path, document, formats)
    if found is None:
        raise FormatError(f"{path}: expected annotations of {_names(formats)}, got {_outline(document)}")
    return found


def _in_folder(folder: Path, formats: dict[str, Format]) -> _Found:
    default = folder / _VIA_DEFAULT
    if "via" in formats and default.is_file():
        return _in_file(default, formats)
    candidates = _candidates(folder, formats)
    instances = [path for path in candidates if path.match(_COCO_INSTANCES)]
    if len(instances) > 1:
        raise _several(folder, instances)
    recognised = [
        found for path in instances or candidates if (found := _recognise(path, load_json(path), formats)) is not None
    ]
    if len(recognised) > 1:
        raise _several(folder, [found.path for found in recognised])
    if not recognised:
        raise FormatError(
            f"{folder}: expected {_VIA_DEFAULT} or a JSON file of {_names(formats)}, in it or in its "
            f"'annotations' folder; found {_contents(folder)}{_hint(folder)}"
        )
    return recognised[0]


def _candidates(folder: Path, formats: dict[str, Format]) -> list[Path]:
    places = [folder, folder / "annotations"] if "coco" in formats else [folder]
    found = [path for place in places if place.is_dir() for path in place.iterdir()]
    return sorted(
        path
        for path in found
        if path.suffix.lower() == ".json" and not path.name.startswith(".") and not path.stem.endswith("results")
    )


def _recognise(path: Path, document: object, formats: dict[str, Format]) -> _Found | None:
    named = (name for name, kind in formats.items() if kind.recognises(document))
    return next((_Found(path, name, document) for name in named), None)


def _several(folder: Path, paths: Iterable[Path]) -> FormatError:
    listed = ", ".join(str(path.relative_to(folder)) for path in paths)
    return FormatError(f"{folder}: expected one annotation file, got {listed}; name the one to open")


def _names(formats: dict[str, Format]) -> str:
    return " or ".join(name.upper() for name in formats)


def _outline(document: object) -> str:
    """Describe parsed JSON in a few words."""
    if isinstance(document, dict):
        keys = ", ".join(repr(key) for key in list(document)[:4])
        return f"an object with {keys}{', ...' if len(document) > 4 else ''}" if document else "an empty object"
    first = document[0] if isinstance(document, list) and document else None
    if isinstance(first, dict) and {"image_id", "score"} <= first.keys():
        return "COCO results, which are detections and not annotations"
    return f"a JSON {type(document).__name__}"


def _contents(folder: Path) -> str:
    inner = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    suffixes = Counter(path.suffix.lower() or "(no suffix)" for path in inner if not path.is_dir())
    files = [f"{count} {suffix}" for suffix, count in suffixes.most_common(4)]
    folders = [f"{path.name}/" for path in inner if path.is_dir()][:4]
    return ", ".join([*files, *folders]) or "nothing"


def _hint(folder: Path) -> str:
    """Name the folders inside that hold JSON files, as those of a set that is split into train and val do."""
    holders = sorted({str(path.parent) for path in folder.glob("*/*.json")})
    return f"; try {' or '.join(holders[:3])}" if holders else ""
