"""KITTI: boxes of `label_2`, and the instance images of its semantics.

| what | becomes |
|---|---|
| a line of `label_2/*.txt` | a box, and how much of it can be seen; the third dimension is not read |
| a line with `DontCare` | a region that is ignored for every class |
| `instance/*.png`: class · 256 + k, with Cityscapes' classes | an object; with k = 0 a group, which is ignored |

Where both are there, the instance images are read. Corners are continuous pixels.

References: Geiger et al. 2012, the development kit's readme; Alhaija et al. 2018.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from maskrcnn.data.dataset import Dataset, View
from maskrcnn.data.formats.cityscapes import NAMES, things_of
from maskrcnn.data.formats.drafts import Draft, Thing, assemble
from maskrcnn.data.formats.fields import expected, number
from maskrcnn.data.formats.label_maps import each_file, read_ids
from maskrcnn.data.formats.pairing import Pair, a_few, by_stem, listed, missing
from maskrcnn.data.formats.place import Place
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.formats.texts import Line, lines
from maskrcnn.data.images import header_size

_PICTURES = ("image_2", "image_02")
_BOXES, _INSTANCES = "label_2", "instance"
_IGNORED = "DontCare"
_FIELDS = 15
_STEP = 256


def find(place: Place) -> list[Path]:
    """Return a folder such as `training`, or the one that is named so in the folder."""
    return [folder for folder in (place.path, place.path / "training") if place.is_folder and _is_known(folder)]


def _is_known(folder: Path) -> bool:
    return any((folder / name).is_dir() for name in _PICTURES) and (
        any(path.suffix == ".txt" for path in a_few(folder / _BOXES))
        or any(path.suffix == ".png" for path in a_few(folder / _INSTANCES))
    )


def read(source: Path, reading: Reading) -> Dataset:
    """Read a folder such as `training`.

    Args:
        source: The folder.
        reading: What becomes of faults.

    Raises:
        AnnotationError: A line is not KITTI's, or an instance image has another size than its picture.
        ImageError: A file can't be read, or labels have no picture.
    """
    instances = listed(source / _INSTANCES, {".png"})
    labels = instances or listed(source / _BOXES, {".txt"})
    folders = [source / name for name in _PICTURES]
    images = by_stem(path for folder in folders for path in listed(folder))

    def pair(path: Path) -> Pair:
        if path.stem not in images:
            raise missing(path, path.stem, folders)
        return Pair(images[path.stem], path)

    pairs = list(reading.each(labels, pair))
    drafts = each_file(reading, pairs, _masks) if instances else reading.each(pairs, partial(_boxes, reading))
    return assemble(source, "kitti", drafts, reading)


def _masks(pair: Pair) -> Draft:
    size_hw, ids = pair.size_hw(), read_ids(pair.labels)
    return Draft(pair.picture.name, pair.picture, size_hw, things_of(ids, NAMES, _parted))


def _parted(value: int) -> tuple[int, bool]:
    class_id, k = divmod(value, _STEP)
    return class_id, k > 0


def _boxes(reading: Reading, pair: Pair) -> Draft:
    things = list(reading.each(lines(pair.labels), _thing))
    return Draft(pair.picture.name, pair.picture, header_size(pair.picture), things)


def _thing(line: Line) -> Thing:
    words = line.text.split()
    if len(words) != _FIELDS:
        raise expected(f"a type and {_FIELDS - 1} numbers", line.text, line.where, "line")
    name = line.where.rsplit(": ", 1)[1]
    values = [number(word, line.where, "line") for word in words[1:]]
    x1, y1, x2, y2 = values[3:7]
    if x2 < x1 or y2 < y1:
        raise expected("right and bottom from left and top up", values[3:7], line.where, "box")
    is_ignored = words[0] == _IGNORED
    outside, hidden = values[:2]
    view = View(int(hidden), outside) if min(values[:2]) >= 0 else None
    return Thing(name, None if is_ignored else words[0], None, (x1, y1, x2, y2), crowd=is_ignored, view=view)
