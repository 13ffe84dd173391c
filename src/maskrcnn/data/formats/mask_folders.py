"""A folder a picture, with a mask image for every object, as in the Data Science Bowl 2018.

```text
stage1_train/
  00071198d059.../
    images/00071198d059....png
    masks/07a9bf1d7594....png
    masks/0e548d0af63a....png
```

The class is `object`. An empty `masks` folder is a picture without objects.

References: Data Science Bowl 2018.
"""

from __future__ import annotations

from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.drafts import ONLY_CLASS, Draft, Thing, assemble
from maskrcnn.data.formats.label_maps import each_file, of_mask, read_mask
from maskrcnn.data.formats.pairing import a_few, by_stem, check_size, listed
from maskrcnn.data.formats.place import Place
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.images import IMAGE_SUFFIXES, header_size
from maskrcnn.errors import AnnotationError, ImageError

_LOOKED_AT = 5


class _Picture(NamedTuple):
    path: Path
    size_hw: tuple[int, int]
    masks: list[Path]


class _Mask(NamedTuple):
    picture: _Picture
    path: Path


def find(place: Place) -> list[Path]:
    """Return a folder whose inner folders each hold one picture and its masks, or one such inner folder."""
    inner = [place.path, *islice(place.folders, _LOOKED_AT)] if place.is_folder else []
    return [place.path] if any(map(_is_picture, inner)) else []


def _is_picture(folder: Path) -> bool:
    """Say whether a folder holds one picture with masks that are not called like it."""
    if not (folder / "masks").is_dir():
        return False
    pictures = [path for path in a_few(folder / "images") if path.suffix.lower() in IMAGE_SUFFIXES]
    masks = by_stem(a_few(folder / "masks"))
    return len(pictures) == 1 and not masks.keys() & {pictures[0].stem, f"{pictures[0].stem}_mask"}


def read(source: Path, reading: Reading) -> Dataset:
    """Read a folder of folders, or one of these.

    Args:
        source: The folder.
        reading: What becomes of faults.

    Raises:
        AnnotationError: A folder lacks its masks, or a mask has another size than its picture.
        ImageError: A file can't be read.
    """
    folders = [source] if (source / "images").is_dir() else Place(source).folders
    pictures = list(reading.each(folders, _picture))
    masks = [_Mask(picture, path) for picture in pictures for path in picture.masks]
    things = each_file(reading, masks, _thing)
    of_picture = {path: [thing for _, thing in found] for path, found in groupby(things, lambda item: item[0])}
    drafts = [
        Draft(picture.path.name, picture.path, picture.size_hw, of_picture.get(picture.path, []))
        for picture in pictures
    ]
    return assemble(source, "mask-folders", drafts, reading)


def _picture(folder: Path) -> _Picture:
    pictures = listed(folder / "images")
    if len(pictures) != 1:
        raise ImageError(f"{folder / 'images'}: expected one picture, found {len(pictures)}", code="P101")
    if not (folder / "masks").is_dir():
        raise AnnotationError(
            f"{folder}: expected a folder called masks, found none; where nothing is on a picture, it is empty",
            code="F009",
        )
    return _Picture(pictures[0], header_size(pictures[0]), listed(folder / "masks"))


def _thing(mask: _Mask) -> tuple[Path, Thing]:
    check_size(mask.path, header_size(mask.path), mask.picture.size_hw, mask.picture.path)
    return mask.picture.path, Thing(f"mask {mask.path.name}", ONLY_CLASS, of_mask(read_mask(mask.path)))
