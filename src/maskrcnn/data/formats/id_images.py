"""One label image a picture, whose every value is an object: PennFudan, StarDist, Cellpose and their like.

| where | picture | labels |
|---|---|---|
| two folders: `images` and `masks`, `PNGImages` and `PedMasks`, ... | `x.*` | `x.*`, `x_mask.*`, `x_masks.*` ... |
| one folder | `x.*`, `x_img.*` | `x_mask.*`, `x_masks.*`, `x_cp_masks.*`, `x_label.*`, `x_labels.*` |
| one folder | `img*.*`, `image*.*` | `mask*.*`, `masks*.*`, `label*.*`, `labels*.*` |

0 is background; in colour, black is. A mask of 0 and 255 is one object. The class of PedMasks is `person`, of
all others `object`. In two folders every picture has to have labels; in one folder a picture without them is no
part of the set.

References: Penn-Fudan Database for Pedestrian Detection; StarDist; Cellpose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.drafts import ONLY_CLASS, Draft, Thing, assemble
from maskrcnn.data.formats.label_maps import each_file, read_ids, split
from maskrcnn.data.formats.pairing import LOSSLESS, Pair, a_few, by_stem, listed, missing
from maskrcnn.data.formats.place import Place
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.images import IMAGE_SUFFIXES
from maskrcnn.errors import AnnotationError

_PICTURES = ("images", "image", "imgs", "img", "pngimages")
_LABELS = {"masks": ONLY_CLASS, "mask": ONLY_CLASS, "labels": ONLY_CLASS, "label": ONLY_CLASS, "pedmasks": "person"}
"""Names of label folders in small letters, and the class that their objects have."""

_SUFFIX = re.compile(r"(?P<stem>.+?)_(?:cp_masks|masks?|labels?)", re.IGNORECASE)
_PREFIX = re.compile(r"(?:masks?|labels?)(?P<rest>.*)", re.IGNORECASE)
_INSTANCES = "instances"  # beside it, Mapillary's and others' `labels` hold classes
_SEMANTIC = "_classes.csv"  # Roboflow's: the values of `x_mask.png` are classes


class _Layout(NamedTuple):
    pictures: Path
    labels: Path
    class_name: str


def find(place: Place) -> list[Path]:
    """Return a folder of pictures with label images, or one label image that has its picture beside it."""
    if not place.is_folder:
        known = place.path.suffix.lower() in LOSSLESS and _picture_beside(place.path, _beside(place.path)) is not None
        return [place.path] if known else []
    layout = _two_folders(place.folders)
    if layout is not None:
        return [place.path] if _is_paired(layout) else []
    if any(path.name == _SEMANTIC for path in place.files):
        return []
    images = by_stem(path for path in place.files if path.suffix.lower() in IMAGE_SUFFIXES)
    return [place.path] if any(_picture_beside(path, images) for path in place.ending(*LOSSLESS)) else []


def _beside(labels: Path) -> dict[str, Path]:
    return by_stem(listed(labels.parent)) if _SUFFIX.fullmatch(labels.stem) or _PREFIX.fullmatch(labels.stem) else {}


def _two_folders(folders: Iterable[Path]) -> _Layout | None:
    by_name = {folder.name.lower(): folder for folder in folders}
    if _INSTANCES in by_name:
        return None
    pictures = next((by_name[name] for name in _PICTURES if name in by_name), None)
    label_name = next((name for name in _LABELS if name in by_name), None)
    if pictures is None or label_name is None:
        return None
    return _Layout(pictures, by_name[label_name], _LABELS[label_name])


def _is_paired(layout: _Layout) -> bool:
    """Say whether a few label images have pictures of their name."""
    labels = [path for path in a_few(layout.labels) if path.suffix.lower() in LOSSLESS]
    names = {name for path in labels for name in _stems(path)}
    suffixes = {path.suffix for path in a_few(layout.pictures) if path.suffix.lower() in IMAGE_SUFFIXES}
    return any((layout.pictures / f"{name}{suffix}").is_file() for name in names for suffix in suffixes)


def _stems(labels: Path) -> list[str]:
    """List what the picture of a label image in another folder may be called."""
    found = _SUFFIX.fullmatch(labels.stem)
    return [labels.stem, found["stem"], f"{found['stem']}_img"] if found else [labels.stem]


def _picture_beside(labels: Path, images: dict[str, Path]) -> Path | None:
    """Return the picture of a label image that lies in the same folder, or None."""
    stems = _stems(labels)[1:]
    if found := _PREFIX.fullmatch(labels.stem):
        stems += [f"img{found['rest']}", f"image{found['rest']}"]
    return next((images[stem] for stem in stems if stem in images), None)


def read(source: Path, reading: Reading) -> Dataset:
    """Read pictures with one label image each.

    Args:
        source: The folder, or one label image.
        reading: What becomes of faults.

    Raises:
        AnnotationError: A picture of two folders has no labels, or labels have another size.
        ImageError: A file can't be read, or labels have no picture.
    """
    layout = _two_folders(Place(source).folders)
    class_name = layout.class_name if layout else ONLY_CLASS
    pairs = list(reading.each(_across(layout) if layout else _within(source), _checked))
    drafts = each_file(reading, pairs, lambda pair: _draft(pair, class_name))
    return assemble(source, "id-images", drafts, reading)


def _across(layout: _Layout) -> list[tuple[Path | None, Path | None]]:
    """Match the files of two folders; what has no partner stands alone."""
    images = by_stem(listed(layout.pictures))
    labels = listed(layout.labels, LOSSLESS)
    found = {path: next((images[name] for name in _stems(path) if name in images), None) for path in labels}
    lonely = sorted(set(images.values()) - set(found.values()))
    return [*((picture, path) for path, picture in found.items()), *((picture, None) for picture in lonely)]


def _within(source: Path) -> list[tuple[Path | None, Path | None]]:
    """Match the files of one folder; what has no partner there is something else."""
    images = by_stem(listed(source if source.is_dir() else source.parent))
    if source.is_file():
        return [(_picture_beside(source, images), source)]
    found = {path: _picture_beside(path, images) for path in listed(source, LOSSLESS)}
    return [(picture, path) for path, picture in found.items() if picture is not None]


def _checked(pair: tuple[Path | None, Path | None]) -> Pair:
    picture, labels = pair
    if picture is not None and labels is not None:
        return Pair(picture, labels)
    if labels is not None:
        raise missing(labels, _stems(labels)[-1], [labels.parent])
    raise AnnotationError(
        f"{picture}: expected a label image of the same name, found none; "
        "where nothing is on a picture, its label image is all 0",
        code="F009",
    )


def _draft(pair: Pair, class_name: str) -> Draft:
    size_hw, ids = pair.size_hw(), read_ids(pair.labels)
    things = [Thing(f"object {value} of {pair.labels.name}", class_name, runs) for value, runs in split(ids).items()]
    return Draft(pair.picture.name, pair.picture, size_hw, things)
