"""Cityscapes, and KITTI's semantics, which uses its classes: instance images and polygons.

| what | becomes |
|---|---|
| `*_instanceIds.png`: class · 1000 + k | an object |
| a value below 1000 of a class that has instances: a group | a region of that class that is ignored |
| a value below 1000 of any other class | nothing |
| `*_polygons.json` without an instance image | painted in its order, so that later outlines cover earlier ones |

Classes are the eight that Cityscapes evaluates; others that have instances follow by name.

References: Cordts et al. 2016; cityscapesScripts, `labels.py` and `json2instanceImg.py`.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.drafts import Draft, Thing, assemble, numbered
from maskrcnn.data.formats.fields import expected, listing, load_json, mapping, number, polygon, text, whole
from maskrcnn.data.formats.label_maps import each_file, read_ids, split
from maskrcnn.data.formats.pairing import Pair, a_few, a_few_deeper, by_stem, check_size, deeply_listed, listed, missing
from maskrcnn.data.formats.place import Place, folders_up
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.images import header_size

NAMES = {
    0: "unlabeled", 1: "ego vehicle", 2: "rectification border", 3: "out of roi", 4: "static", 5: "dynamic",
    6: "ground", 7: "road", 8: "sidewalk", 9: "parking", 10: "rail track", 11: "building", 12: "wall", 13: "fence",
    14: "guard rail", 15: "bridge", 16: "tunnel", 17: "pole", 18: "polegroup", 19: "traffic light",
    20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car",
    27: "truck", 28: "bus", 29: "caravan", 30: "trailer", 31: "train", 32: "motorcycle", 33: "bicycle",
}  # fmt: skip
"""Cityscapes' classes by their id."""

WITH_INSTANCES = range(24, 34)
"""Ids of the classes whose objects are told apart."""

EVALUATED = ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")
"""The classes of Cityscapes' instance benchmark, in its order."""

_IDS = {name: value for value, name in NAMES.items()}
_GROUPS = frozenset(f"{NAMES[value]}group" for value in WITH_INSTANCES)
_UNPAINTED = frozenset({"license plate"})  # Cityscapes gives it no id
_LABELS = re.compile(r"(?P<stem>.+)_gt(?:Fine|Coarse)_(?:instanceIds\.png|polygons\.json)")
_TRUTHS = ("gtFine", "gtCoarse")
_PICTURES = "leftImg8bit"
_STEP = 1000


def find(place: Place) -> list[Path]:
    """Return the splits of a Cityscapes folder, or one that is named itself, or the folder of one city."""
    if not place.is_folder:
        return []
    inner = [inner for name in _TRUTHS if (inner := place.inside(name))]
    splits = [folder for truth in inner for folder in truth.folders]
    if place.path.name in _TRUTHS:
        splits += place.folders
    return [folder for folder in [*splits, place.path] if _has_labels(folder)]


def _has_labels(split_folder: Path) -> bool:
    inner = a_few(split_folder)
    return any(_LABELS.fullmatch(path.name) for path in (*inner, *a_few_deeper(inner, 3)))


def read(source: Path, reading: Reading) -> Dataset:
    """Read one split, such as `gtFine/val`, or the folder of one city.

    Args:
        source: The folder.
        reading: What becomes of faults.

    Raises:
        AnnotationError: A file is broken, or an instance image has another size than its picture.
        ImageError: A file can't be read, or labels have no picture.
    """
    labels: dict[str, Path] = {}
    for path in sorted(deeply_listed(source, {".json", ".png"}), key=lambda path: path.suffix == ".json"):
        if found := _LABELS.fullmatch(path.name):
            labels.setdefault(found["stem"], path)
    pairs = list(reading.each(sorted(labels.items()), lambda item: _pair(*item, source)))
    drafts = each_file(reading, pairs, _draft)
    return assemble(source, "cityscapes", drafts, reading, numbered(drafts, EVALUATED))


def _pair(stem: str, labels: Path, source: Path) -> Pair:
    """Find the picture: in `leftImg8bit`, which mirrors the folders of the labels, or beside them."""
    folders = [labels.parent]
    for root in folders_up(source, 3):
        if (root / _PICTURES).is_dir():
            inside = Path(os.path.relpath(labels.parent, root)).parts[1:]
            folders.insert(0, root.joinpath(_PICTURES, *inside))
    for folder in folders:
        images = by_stem(listed(folder))
        for name in (f"{stem}_{_PICTURES}", stem):
            if name in images:
                return Pair(images[name], labels)
    raise missing(labels, f"{stem}_{_PICTURES}", folders)


def _draft(pair: Pair) -> Draft:
    if pair.labels.suffix == ".json":
        size_hw = header_size(pair.picture)
        ids, names = _painted(pair, size_hw)
    else:
        size_hw = pair.size_hw()
        ids, names = read_ids(pair.labels), NAMES
    return Draft(pair.picture.name, pair.picture, size_hw, things_of(ids, names, _parted))


def _parted(value: int) -> tuple[int, bool]:
    return (value // _STEP, True) if value >= _STEP else (value, False)


def things_of(
    ids: NDArray[np.int64], names: Mapping[int, str], parted: Callable[[int], tuple[int, bool]]
) -> list[Thing]:
    """Part an instance image.

    Args:
        ids: (H, W) int64.
        names: The class of every id; another one is called `class` and its id.
        parted: Returns the class id of a value, and whether that value is one object.
    """
    things = []
    for value, runs in split(ids).items():
        class_id, is_object = parted(value)
        class_name = names.get(class_id, f"class {class_id}")
        if is_object:
            things.append(Thing(f"object {value}", class_name, runs))
        elif class_id in WITH_INSTANCES:
            things.append(Thing(f"group {value}", class_name, runs, crowd=True))
    return things


# Polygons


class _Polygon(NamedTuple):
    label: str
    ring: NDArray[np.float64]


def _painted(pair: Pair, size_hw: tuple[int, int]) -> tuple[NDArray[np.int64], dict[int, str]]:
    """Paint the outlines over each other with the pixels of Cityscapes' own script, and name the ids."""
    from PIL import Image, ImageDraw

    root = mapping(load_json(pair.labels), str(pair.labels), "top level")
    stated = tuple(whole(root.get(side), str(pair.labels), side, 1) for side in ("imgHeight", "imgWidth"))
    check_size(pair.labels, stated, size_hw, pair.picture)
    objects = [
        _polygon(item, f"{pair.labels}: objects[{i}]")
        for i, item in enumerate(listing(root.get("objects"), str(pair.labels), "objects"))
    ]
    own = sorted({item.label for item in objects if item is not None} - _IDS.keys() - _GROUPS - _UNPAINTED)
    ids = _IDS | {label: max(NAMES) + i for i, label in enumerate(own, 1)}
    canvas = Image.new("I", (size_hw[1], size_hw[0]))
    pen, seen = ImageDraw.Draw(canvas), Counter[int]()
    for item in objects:
        if item is not None and item.label not in _UNPAINTED:
            pen.polygon([(x, y) for x, y in item.ring.tolist()], fill=_value(item.label, ids, seen))
    return np.array(canvas).astype(np.int64), {value: label for label, value in ids.items()}


def _value(label: str, ids: Mapping[str, int], seen: Counter[int]) -> int:
    """Return what an outline is painted with: its class, and its number where its class has instances."""
    class_id = ids[label.removesuffix("group") if label in _GROUPS else label]
    if label in _GROUPS or (class_id in NAMES and class_id not in WITH_INSTANCES):
        return class_id
    seen[class_id] += 1
    return class_id * _STEP + seen[class_id] - 1


def _polygon(value: object, where: str) -> _Polygon | None:
    """Return an outline; None for one that was deleted."""
    entry = mapping(value, where, "object")
    label = text(entry.get("label"), where, "label")
    if entry.get("deleted"):
        return None
    corners = [_corner(corner, where) for corner in listing(entry.get("polygon"), where, "polygon")]
    return _Polygon(label, polygon(np.array(corners, dtype=np.float64).reshape(-1, 2), where))


def _corner(value: object, where: str) -> tuple[float, float]:
    corner = listing(value, where, "polygon")
    if len(corner) != 2:
        raise expected("x and y", value, where, "polygon")
    return number(corner[0], where, "polygon"), number(corner[1], where, "polygon")
