"""ADE20K of 2017 and of 2020: whole objects and their parts, each with a mask of its own.

| edition | objects | masks |
|---|---|---|
| 2017 | a line of `x_atr.txt` | the blue band of `x_seg.png`, of parts that of `x_parts_1.png`, `x_parts_2.png` ... |
| 2020 | an object of `x.json` | its `instance_mask`, of which the visible part |

The class is the first of the names that an object has (`person` of `person, individual, someone`). A part is an
object too, and lies over the one that it belongs to.

References: Zhou et al. 2017; the ADE20K toolkit, `loadAde20K`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Dataset, Runs
from maskrcnn.data.formats.drafts import Draft, Thing, assemble
from maskrcnn.data.formats.fields import expected, listing, mapping, text, whole
from maskrcnn.data.formats.label_maps import each_file, of_mask, split
from maskrcnn.data.formats.pairing import a_few, check_size, deeply_listed, missing
from maskrcnn.data.formats.place import Place
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.formats.texts import Line, content, lines
from maskrcnn.data.images import IMAGE_SUFFIXES, header_size, read_labels
from maskrcnn.errors import AnnotationError

_SEGMENTS = "_seg"
_LABELS = (".json", "_atr.txt")
_SPLITS = ("training", "validation")
_ENCODINGS = ("utf-8-sig", "latin-1")  # names in a few files are in the latter
_HIDDEN = 128  # a mask's value where something else covers the object
_DEEPEST = 3
_LOOKED_AT = 3


class _Picture(NamedTuple):
    path: Path
    labels: Path  # `x.json` or `x_atr.txt`
    stem: str

    def beside(self, ending: str) -> Path:
        return self.labels.parent / f"{self.stem}{ending}"


def find(place: Place) -> list[Path]:
    """Return the splits of an ADE20K folder, or a folder inside."""
    if not place.is_folder:
        return []
    splits = [folder for folder in place.folders if folder.name in _SPLITS]
    return [folder for folder in splits or [place.path] if _has_segments(folder, _DEEPEST)]


def _has_segments(folder: Path, depth: int) -> bool:
    """Look for `x_seg.png` with what says its objects, in a few folders."""
    paths = a_few(folder)
    stems = [path.stem.removesuffix(_SEGMENTS) for path in paths if path.name.endswith(f"{_SEGMENTS}.png")]
    if any(_beside(folder, stem, _LABELS) for stem in stems):
        return True
    if depth == 0 or any(path.suffix.lower() in IMAGE_SUFFIXES for path in paths):
        return False
    return any(_has_segments(inner, depth - 1) for inner in islice(filter(Path.is_dir, paths), _LOOKED_AT))


def read(source: Path, reading: Reading) -> Dataset:
    """Read one split, such as `training`, or a folder inside.

    Args:
        source: The folder.
        reading: What becomes of faults.

    Raises:
        AnnotationError: A file is broken, or a mask has another size than its picture.
        ImageError: A file can't be read, or segments have no picture.
    """
    segments = [path for path in deeply_listed(source, {".png"}) if path.stem.endswith(_SEGMENTS)]
    pictures = list(reading.each(segments, _picture))
    return assemble(source, "ade20k", each_file(reading, pictures, partial(_draft, source)), reading)


def _picture(segments: Path) -> _Picture:
    stem, folder = segments.stem.removesuffix(_SEGMENTS), segments.parent
    path = _beside(folder, stem, (".jpg", ".png"))
    if path is None:
        raise missing(segments, stem, [folder])
    labels = _beside(folder, stem, _LABELS)
    if labels is None:
        raise AnnotationError(
            f"{segments}: expected {stem}.json or {stem}_atr.txt beside it, found neither", code="F009"
        )
    return _Picture(path, labels, stem)


def _beside(folder: Path, stem: str, endings: Iterable[str]) -> Path | None:
    return next((folder / f"{stem}{end}" for end in endings if (folder / f"{stem}{end}").is_file()), None)


def _draft(source: Path, picture: _Picture) -> Draft:
    size_hw = header_size(picture.path)
    things = _of_2020(picture, size_hw) if picture.labels.suffix == ".json" else _of_2017(picture, size_hw)
    return Draft(picture.path.relative_to(source).as_posix(), picture.path, size_hw, list(things))


def _first_name(names: str) -> str:
    return names.partition(",")[0].strip()


# 2017


class _Row(NamedTuple):
    where: str
    number: int
    level: int
    class_name: str


def _of_2017(picture: _Picture, size_hw: tuple[int, int]) -> Iterator[Thing]:
    rows = [_row(line) for line in lines(picture.labels, *_ENCODINGS)]
    for level in sorted({row.level for row in rows} | {0}):
        image = picture.beside(f"_parts_{level}.png" if level else f"{_SEGMENTS}.png")
        of_level = [row for row in rows if row.level == level]
        parted, numbers = split(_blue(image, picture, size_hw)), {row.number for row in of_level}
        if not parted.keys() <= numbers:  # values may be spread; then an object's number is its value's rank
            parted = dict(enumerate(parted.values(), 1))
        if unknown := sorted(parted.keys() - numbers):
            raise AnnotationError(
                f"{image}: expected a line in {picture.labels.name} for every object, got none for {unknown[0]}",
                code="C302",
            )
        for row in of_level:
            yield Thing(row.where.rsplit(": ", 1)[1], row.class_name, parted.get(row.number, Runs("", 0)))


def _blue(image: Path, picture: _Picture, size_hw: tuple[int, int]) -> NDArray[np.generic]:
    check_size(image, header_size(image), size_hw, picture.path)
    stored = read_labels(image)
    if stored.ndim != 3 or stored.shape[2] < 3:
        raise expected("three bands", f"shape {stored.shape}", str(image), "colours")
    return stored[..., 2]


def _row(line: Line) -> _Row:
    """Read `instance # level of the part # occluded # class # name # attributes`."""
    words = [word.strip() for word in line.text.split("#")]
    is_row = len(words) >= 4 and all(word.isascii() and word.isdigit() and len(word) < 9 for word in words[:2])
    if not is_row or not _first_name(words[3]):
        raise expected("number # level of the part # occluded # class # ...", line.text, line.where, "line")
    return _Row(line.where, int(words[0]), int(words[1]), _first_name(words[3]))


# 2020


def _of_2020(picture: _Picture, size_hw: tuple[int, int]) -> Iterator[Thing]:
    where = str(picture.labels)
    root = mapping(_document(picture.labels), where, "top level")
    annotation = mapping(root.get("annotation"), where, "annotation")
    for i, item in enumerate(listing(annotation.get("object"), where, "object")):
        entry = mapping(item, f"{where}: object[{i}]", "object")
        name = f"object {whole(entry.get('id'), f'{where}: object[{i}]', 'id')}"
        class_name = _first_name(text(entry.get("name"), f"{where}: {name}", "name"))
        mask = picture.labels.parent / text(entry.get("instance_mask"), f"{where}: {name}", "instance_mask")
        check_size(mask, header_size(mask), size_hw, picture.path)
        stored = read_labels(mask)
        stored = stored if stored.ndim == 2 else stored[..., 0]
        yield Thing(name, class_name, of_mask((stored != 0) & (stored != _HIDDEN)))


def _document(path: Path) -> object:
    try:
        return json.loads(content(path, *_ENCODINGS))
    except (RecursionError, ValueError) as error:
        raise AnnotationError(f"{path}: expected JSON, got: {error}", code="F001") from None
