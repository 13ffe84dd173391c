"""Mapillary Vistas 1.1, 1.2 and 2.0: instance images and the classes of `config*.json`.

```text
config_v2.0.json
training/
  images/x.jpg
  v2.0/instances/x.png     class · 256 + k; in 1.1 without v2.0/ between
```

Objects are made of the classes that have `instances` in the configuration; all others give nothing. A class is
called by its `name`, such as `object--vehicle--bicycle`, as in the panoptic files.

References: Neuhold et al. 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.drafts import Draft, Thing, assemble, numbered
from maskrcnn.data.formats.fields import listing, mapping, text
from maskrcnn.data.formats.label_maps import each_file, read_ids, split
from maskrcnn.data.formats.pairing import Pair, a_few, by_stem, listed, missing
from maskrcnn.data.formats.place import Place, folders_up
from maskrcnn.data.formats.reading import Reading
from maskrcnn.errors import AnnotationError

_INSTANCES = "instances"
_STEP = 256


class _Class(NamedTuple):
    name: str
    has_instances: bool


def find(place: Place) -> list[Path]:
    """Return the folders that hold `instances`: the place itself, or those of the versions in it."""
    versions = [folder for folder in place.folders if folder.name.startswith("v")]
    return [folder for folder in (place.path, *versions) if place.is_folder and _is_known(folder)]


def _is_known(folder: Path) -> bool:
    has_labels = any(path.suffix == ".png" for path in a_few(folder / _INSTANCES))
    return has_labels and _configuration(folder) is not None and _pictures(folder) is not None


def _configuration(folder: Path) -> Path | None:
    names = (f"config_{folder.name}.json", "config.json")
    paths = (above / name for above in (folder, *folders_up(folder, 3)) for name in names)
    return next((path for path in paths if path.is_file()), None)


def _pictures(folder: Path) -> Path | None:
    return next((path for above in (folder, *folders_up(folder, 1)) if (path := above / "images").is_dir()), None)


def read(source: Path, reading: Reading) -> Dataset:
    """Read one version of one split, such as `training/v2.0`.

    Args:
        source: The folder that holds `instances`.
        reading: What becomes of faults.

    Raises:
        AnnotationError: The configuration is broken or missing, or an instance image has another size than its
            picture or a class that is not configured.
        ImageError: A file can't be read, or labels have no picture.
    """
    configuration, folder = _configuration(source), _pictures(source)
    if configuration is None or folder is None:
        absent = "config.json" if configuration is None else "folder called images"
        raise AnnotationError(f"{source}: expected a {absent} here or further up, found none", code="F001")
    classes = _classes(configuration, reading)
    images = by_stem(listed(folder))

    def pair(path: Path) -> Pair:
        if path.stem not in images:
            raise missing(path, path.stem, [folder])
        return Pair(images[path.stem], path)

    pairs = list(reading.each(listed(source / _INSTANCES, {".png"}), pair))
    drafts = each_file(reading, pairs, partial(_draft, classes))
    declared = [each.name for each in classes if each.has_instances]
    return assemble(source, "vistas", drafts, reading, numbered(drafts, declared))


def _classes(path: Path, reading: Reading) -> list[_Class]:
    root = mapping(reading.json(path), str(path), "top level")
    return [
        _class(item, f"{path}: labels[{i}]") for i, item in enumerate(listing(root.get("labels"), str(path), "labels"))
    ]


def _class(value: object, where: str) -> _Class:
    entry = mapping(value, where, "label")
    return _Class(text(entry.get("name"), where, "name"), entry.get("instances") is True)


def _draft(classes: Sequence[_Class], pair: Pair) -> Draft:
    size_hw, ids = pair.size_hw(), read_ids(pair.labels)
    things = []
    for above, runs in split(ids + 1).items():  # 0 is the first object of the first class, not background
        class_id, k = divmod(above - 1, _STEP)
        if class_id >= len(classes):
            raise AnnotationError(
                f"{pair.labels}: expected classes below {len(classes)}, got {class_id} (value {above - 1})", code="C301"
            )
        if classes[class_id].has_instances:
            things.append(Thing(f"object {k} of class {class_id}", classes[class_id].name, runs))
    return Draft(pair.picture.name, pair.picture, size_hw, things)
