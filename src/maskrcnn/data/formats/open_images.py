"""Open Images: boxes and masks of CSV files.

| column or file | becomes |
|---|---|
| a row of `*annotations-bbox.csv` | a box; corners are shares of width and height |
| `IsGroupOf` 1 | a region that is ignored |
| a row of `*annotations-object-segmentation.csv` | the mask of the object with the same class and box, or one alone |
| `*imagelabels.csv` | which classes were looked for in a picture: those with a box and those with confidence 0 |
| `*class-descriptions*.csv` | the name of each class |

Pictures are those of the boxes. A mask of another resolution is brought to its picture's by the nearest pixel.

References: Kuznetsova et al. 2020; Benenson et al. 2019.
Letters: H, W height and width.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Box, Dataset
from maskrcnn.data.formats.drafts import Draft, Thing, assemble, numbered
from maskrcnn.data.formats.fields import expected, number
from maskrcnn.data.formats.label_maps import each_file, of_mask, read_mask
from maskrcnn.data.formats.pairing import by_stem, check_size, deeply_listed, listed
from maskrcnn.data.formats.pictures import is_file, locate
from maskrcnn.data.formats.place import Place, folders_up
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.formats.tables import Row, lists, rows
from maskrcnn.data.images import header_size
from maskrcnn.errors import AnnotationError, ImageError

_BOXES = re.compile(r"(?:oidv\d-)?(?P<split>\w+)-annotations-bbox\.csv")
_SIDES = ("XMin", "YMin", "XMax", "YMax")
_MOST_TIMES = 4  # as high and wide as its picture a mask may be
_SAME_SHAPE = 0.02  # how much the ratio of width and height of a mask may differ from its picture's


@dataclass(frozen=True)
class _Found:
    """A box, in shares of its picture's size, and its mask."""

    name: str
    picture: str
    class_name: str
    box: Box
    is_group: bool = False
    mask: Path | None = None


def find(place: Place) -> list[Path]:
    """List the CSV files with boxes of a place or of its `annotations` folder."""
    inner = place.inside("annotations")
    return [path for path in (*place.files, *(inner.files if inner else ())) if _BOXES.fullmatch(path.name)]


def read(source: Path, reading: Reading) -> Dataset:
    """Read the boxes of one split and the masks that belong to them.

    Args:
        source: The CSV file with the boxes.
        reading: What becomes of faults.

    Raises:
        AnnotationError: A row is broken, or a mask has another shape than its picture.
        ImageError: Pictures or masks are missing or broken.
    """
    found = _BOXES.fullmatch(source.name)
    names = _class_names(source)
    split = found["split"] if found else ""
    boxes = list(reading.each(rows(source), partial(_box, names)))
    files = _mask_files(source, split)
    masks = [
        mask
        for path in _siblings(source, rf"(?:oidv\d-)?{split}-annotations-object-segmentation\.csv")
        for mask in reading.each(rows(path), partial(_mask, names, files))
    ]
    of_picture = defaultdict[str, list[_Found]](list)
    for each in _joined(boxes, masks):
        of_picture[each.picture].append(each)
    absent = _absent(source, split, names, reading)

    def draft(item: tuple[str, Path]) -> Draft:
        stem, path = item
        size_hw, here = header_size(path), of_picture[stem]
        things = [_thing(each, size_hw, path) for each in here]
        looked_for = None if absent is None else absent[stem] | {each.class_name for each in here}
        return Draft(path.name, path, size_hw, things, looked_for)

    placed = _placed(list(of_picture), source, split, reading)
    drafts = each_file(reading, placed, draft)
    return assemble(source, "open-images", drafts, reading, numbered(drafts, names.values()))


# Tables


def _siblings(source: Path, pattern: str) -> list[Path]:
    return [path for path in listed(source.parent, {".csv"}) if re.fullmatch(pattern, path.name)]


def _class_names(source: Path) -> dict[str, str]:
    """Read which name every class id has; without a table the ids are the names."""
    names = {}
    for path in _siblings(source, r".*class-descriptions.*\.csv"):
        for _, cells in lists(path):
            if len(cells) >= 2 and cells[0].startswith("/"):
                names[cells[0].strip()] = cells[1].strip() or cells[0].strip()
    return names


def _cell(row: Row, column: str) -> str:
    value = row.cells.get(column, "").strip()
    if not value:
        raise expected("a value", None, row.where, column)
    return value


def _class_name(row: Row, names: Mapping[str, str]) -> str:
    class_id = _cell(row, "LabelName")
    if names and class_id not in names:
        raise AnnotationError(
            f"{row.where}: LabelName: expected one of the class descriptions, got {class_id}", code="C301"
        )
    return names.get(class_id, class_id)


def _box(names: Mapping[str, str], row: Row) -> _Found:
    box = _corners(row, "")
    name = row.where.rsplit(": ", 1)[1]
    return _Found(name, _cell(row, "ImageID"), _class_name(row, names), box, row.cells.get("IsGroupOf") == "1")


def _corners(row: Row, prefix: str) -> Box:
    x1, y1, x2, y2 = (number(_cell(row, f"{prefix}{side}"), row.where, f"{prefix}{side}", 2.0) for side in _SIDES)
    if x2 < x1 or y2 < y1:
        raise expected("a right and a lower side from the others up", [x1, y1, x2, y2], row.where, "box")
    return x1, y1, x2, y2


def _mask(names: Mapping[str, str], files: Mapping[str, Path], row: Row) -> _Found:
    file = _cell(row, "MaskPath")
    if file not in files:
        raise ImageError(f"{row.where}: MaskPath: expected a file {file}, found none", code="P101")
    return _Found(
        f"mask {file}", _cell(row, "ImageID"), _class_name(row, names), _corners(row, "Box"), mask=files[file]
    )


def _mask_files(source: Path, split: str) -> dict[str, Path]:
    above = folders_up(source, 2)[1]
    folders = [above / "masks" / split, above / f"{split}-masks", source.parent / f"{split}-masks", above / "masks"]
    return {path.name: path for folder in reversed(folders) for path in deeply_listed(folder)}


def _joined(boxes: Iterable[_Found], masks: Iterable[_Found]) -> Iterator[_Found]:
    """Give every box its mask; a mask without a box stands alone."""
    waiting = defaultdict[tuple[object, ...], list[_Found]](list)
    for mask in masks:
        waiting[_key(mask)].append(mask)
    for box in boxes:
        own = waiting[_key(box)]
        yield replace(box, mask=own.pop(0).mask) if own else box
    for left in waiting.values():
        yield from left


def _key(found: _Found) -> tuple[object, ...]:
    return found.picture, found.class_name, *(round(side, 4) for side in found.box)


def _absent(
    source: Path, split: str, names: Mapping[str, str], reading: Reading
) -> defaultdict[str, frozenset[str]] | None:
    """Read which classes people found not to be in a picture; None where nobody looked."""
    tables = _siblings(source, rf"(?:oidv\d-)?{split}-annotations-(?:human|machine)-imagelabels\.csv")
    if not tables:
        return None
    absent = defaultdict[str, frozenset[str]](frozenset)

    def parse(row: Row) -> tuple[str, str] | None:
        seen = number(_cell(row, "Confidence"), row.where, "Confidence", 1.0)
        return (_cell(row, "ImageID"), _class_name(row, names)) if seen == 0 else None

    for pair in (pair for path in tables for pair in reading.each(rows(path), parse) if pair):
        absent[pair[0]] |= {pair[1]}
    return absent


# Pictures


def _placed(stems: Sequence[str], source: Path, split: str, reading: Reading) -> list[tuple[str, Path]]:
    """Find the pictures, whose suffix the tables do not say."""
    above = folders_up(source, 2)[1]
    folders = [above / "images" / split, above / split, source.parent / split, above / "images", source.parent]
    images = by_stem(path for folder in folders for path in listed(folder))
    names = [images[stem].name if stem in images else f"{stem}.jpg" for stem in stems]
    paths = locate(names, folders, source, replace(reading, pictures="required"))
    return [(stem, path) for stem, path in zip(stems, paths, strict=True) if is_file(path)]


def _thing(found: _Found, size_hw: tuple[int, int], picture: Path) -> Thing:
    height, width = size_hw
    x1, y1, x2, y2 = found.box
    box = (x1 * width, y1 * height, x2 * width, y2 * height)
    shape = None if found.mask is None else of_mask(_fitted(found.mask, size_hw, picture))
    return Thing(found.name, found.class_name, shape, box, found.is_group)


def _fitted(path: Path, size_hw: tuple[int, int], picture: Path) -> NDArray[np.bool_]:
    """Read a mask in the resolution of its picture."""
    height, width = header_size(path)
    ratio = width * size_hw[0] / (height * size_hw[1])
    if abs(ratio - 1) > _SAME_SHAPE or height > _MOST_TIMES * size_hw[0]:
        check_size(path, (height, width), size_hw, picture)
    mask = read_mask(path)
    rows, columns = (
        (np.arange(wanted) * 2 + 1) * given // (2 * wanted) for wanted, given in zip(size_hw, mask.shape, strict=True)
    )
    return np.asarray(mask[rows[:, None], columns])
