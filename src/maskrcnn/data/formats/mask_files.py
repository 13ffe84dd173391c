"""A mask image for every object, called after its picture, its class and a number.

| where | picture | masks |
|---|---|---|
| a folder a picture (images-to-osm) | `7/7.jpg` | `7/7-tennis-1.png` |
| one folder | `x.jpg` | `x_dog_1.png` |
| two folders (pycococreator) | in any folder but `annotations` | `annotations/x_dog_1.png` |

A picture without masks has no objects.

References: images-to-osm; pycococreator.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.drafts import Draft, Thing, assemble
from maskrcnn.data.formats.label_maps import each_file, of_mask, read_mask
from maskrcnn.data.formats.pairing import LOSSLESS, Pair, a_few, by_stem, listed, missing
from maskrcnn.data.formats.place import Place
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.images import IMAGE_SUFFIXES, header_size, read_labels
from maskrcnn.errors import DataError

_NUMBERED = re.compile(r"(?P<head>.+)[-_]\d+")
_ANNOTATIONS = "annotations"
_JSON = "instances_*.json"  # what pycococreator makes of the masks; it says the same and more
_LOOKED_AT = 5
_SEMANTIC = "_seg"  # ADE20K's `x_seg.png`, whose `x_parts_1.png` are no masks of a class


class _Group(NamedTuple):
    """Pictures, and files of which each is a mask on one of them."""

    pictures: list[Path]
    masks: list[Path]


class _Mask(NamedTuple):
    path: Path
    picture: Path
    class_name: str


def find(place: Place) -> list[Path]:
    """Return a folder that has masks called after their pictures."""
    if not place.is_folder or any(path.match(_JSON) for path in place.files):
        return []
    groups = [_two_folders(place.folders), _one_folder(place.files), *map(_numbered, place.folders[:_LOOKED_AT])]
    return [place.path] if any(map(_is_known, groups)) else []


def _two_folders(folders: Sequence[Path]) -> _Group:
    labels = next((folder for folder in folders if folder.name.lower() == _ANNOTATIONS), None)
    if labels is None or not any(_NUMBERED.fullmatch(path.stem) for path in a_few(labels)):
        return _Group([], [])
    return _Group([path for folder in folders if folder != labels for path in listed(folder)], listed(labels, LOSSLESS))


def _one_folder(files: Iterable[Path]) -> _Group:
    """Part the files of a folder; the masks are those that are called after another one."""
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    named = by_stem(images)
    if any(stem.endswith(_SEMANTIC) for stem in named):
        return _Group(images, [])
    masks = {path for path in images if path.suffix.lower() in LOSSLESS and _parted(path, named) is not None}
    return _Group([path for path in images if path not in masks], [path for path in images if path in masks])


def _numbered(folder: Path) -> _Group:
    """Part the files of a folder that has the name of its picture."""
    has_own = any((folder / f"{folder.name}{suffix}").is_file() for suffix in IMAGE_SUFFIXES)
    return _one_folder(listed(folder)) if has_own else _Group([], [])


def _parted(mask: Path, pictures: dict[str, Path]) -> tuple[str, str] | None:
    """Part a mask's name into that of its picture, the longest that fits, and that of its class."""
    numbered = _NUMBERED.fullmatch(mask.stem)
    head = numbered["head"] if numbered else ""
    places = (i for i in range(len(head) - 2, 0, -1) if head[i] in "-_" and head[:i] in pictures)
    return next(((head[:i], head[i + 1 :]) for i in places), None)


def _is_known(group: _Group) -> bool:
    """Say whether the first mask that has a picture looks like one."""
    named = by_stem(group.pictures)
    pairs = ((mask, named[parted[0]]) for mask in group.masks if (parted := _parted(mask, named)) is not None)
    return any(_is_mask(*pair) for pair in islice(pairs, 1))


def _is_mask(mask: Path, picture: Path) -> bool:
    """Say whether an image has two values at most and the size of its picture."""
    try:
        stored, size_hw = read_labels(mask), header_size(picture)
    except DataError:
        return False
    extremes = stored.reshape(-1, *stored.shape[2:]).min(axis=0), stored.reshape(-1, *stored.shape[2:]).max(axis=0)
    return stored.shape[:2] == size_hw and bool(np.isin(stored, extremes).all())


def read(source: Path, reading: Reading) -> Dataset:
    """Read a folder whose masks are called after their pictures.

    Args:
        source: The folder.
        reading: What becomes of faults.

    Raises:
        AnnotationError: A mask has another size than its picture.
        ImageError: A file can't be read, or a mask has no picture.
    """
    group = _group(Place(source))
    pictures = by_stem(group.pictures)
    masks = list(reading.each(group.masks, lambda path: _mask(path, pictures)))
    classes = {mask.class_name for mask in masks}
    for path in [path for path in pictures.values() if _class_without_picture(path) in classes]:
        masks += reading.each([path], lambda path: _mask(path, {}))
        del pictures[path.stem]
    things = defaultdict(list)
    for picture, thing in each_file(reading, masks, _thing):
        things[picture].append(thing)
    sized = reading.each(pictures.values(), lambda path: (path, header_size(path)))
    return assemble(
        source, "mask-files", [Draft(path.name, path, size_hw, things[path]) for path, size_hw in sized], reading
    )


def _group(place: Place) -> _Group:
    for group in (_two_folders(place.folders), _one_folder(place.files)):
        if group.masks:
            return group
    groups = [_one_folder(listed(folder)) for folder in place.folders]
    return _Group([path for group in groups for path in group.pictures], [path for one in groups for path in one.masks])


def _class_without_picture(path: Path) -> str | None:
    """Name the class of a file that is called like a mask, as far as that can be told without its picture."""
    numbered = _NUMBERED.fullmatch(path.stem)
    return re.split("[-_]", numbered["head"])[-1] if numbered else None


def _mask(path: Path, pictures: dict[str, Path]) -> _Mask:
    parted = _parted(path, pictures)
    if parted is None:
        raise missing(path, path.stem.rsplit("_", 2)[0], {picture.parent for picture in pictures.values()})
    return _Mask(path, pictures[parted[0]], parted[1])


def _thing(mask: _Mask) -> tuple[Path, Thing]:
    Pair(mask.picture, mask.path).size_hw()
    return mask.picture, Thing(f"mask {mask.path.name}", mask.class_name, of_mask(read_mask(mask.path)))
