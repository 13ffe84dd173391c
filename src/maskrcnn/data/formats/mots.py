"""MOTS: instance images of tracked objects, of KITTI, of MOTChallenge, and with classes of one's own.

```text
train/
  images/1.jpg           or images/<sequence>/..., image_02/<sequence>/...
  instances/1.png        class · 1000 + k; 10000 is ignored for every class
  instances/labels.txt   the name of class 1, of class 2, ...; without it car and pedestrian
```

References: Voigtlaender et al. 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats.drafts import Draft, Thing, assemble, numbered
from maskrcnn.data.formats.label_maps import each_file, read_ids, split
from maskrcnn.data.formats.pairing import Pair, a_few, a_few_deeper, deeply_listed, missing
from maskrcnn.data.formats.place import Place
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.formats.texts import lines
from maskrcnn.errors import AnnotationError

_PICTURES = ("images", "image_02")
_INSTANCES, _NAMES = "instances", "labels.txt"
_USUAL = {1: "car", 2: "pedestrian"}
_STEP = 1000
_IGNORED = 10_000


def find(place: Place) -> list[Path]:
    """Return a folder with pictures and `instances`, both perhaps parted into sequences."""
    return [place.path] if place.is_folder and _is_known(place.path) else []


def _is_known(folder: Path) -> bool:
    inner = a_few(folder / _INSTANCES)
    has_labels = any(path.suffix == ".png" for path in (*inner, *a_few_deeper(inner, 1)))
    is_vistas = (folder / "labels").is_dir()
    return has_labels and not is_vistas and any((folder / name).is_dir() for name in _PICTURES)


def read(source: Path, reading: Reading) -> Dataset:
    """Read a folder with pictures and `instances`.

    Args:
        source: The folder.
        reading: What becomes of faults.

    Raises:
        AnnotationError: A value has a class without a name, or an instance image another size than its picture.
        ImageError: A file can't be read, or labels have no picture.
    """
    own = source / _INSTANCES / _NAMES
    names = {i: line.text for i, line in enumerate(lines(own), 1)} if own.is_file() else _USUAL
    folders = [source / name for name in _PICTURES]
    images = {path.relative_to(folder).with_suffix(""): path for folder in folders for path in deeply_listed(folder)}

    def pair(path: Path) -> Pair:
        inside = path.relative_to(source / _INSTANCES).with_suffix("")
        if inside not in images:
            raise missing(path, str(inside), folders)
        return Pair(images[inside], path)

    pairs = list(reading.each(deeply_listed(source / _INSTANCES, {".png"}), pair))
    drafts = each_file(reading, pairs, lambda pair: _draft(pair, source, names))
    return assemble(source, "mots", drafts, reading, numbered(drafts, names.values()))


def _draft(pair: Pair, source: Path, names: Mapping[int, str]) -> Draft:
    size_hw, ids = pair.size_hw(), read_ids(pair.labels)
    things = []
    for value, runs in split(ids).items():
        class_name = None if value == _IGNORED else names.get(value // _STEP)
        if class_name is None and value != _IGNORED:
            raise AnnotationError(
                f"{pair.labels}: expected class · {_STEP} + number with a class from 1 to {len(names)}, got {value}",
                code="C301",
            )
        things.append(Thing(f"object {value}", class_name, runs, crowd=value == _IGNORED))
    inside = pair.picture.relative_to(source)
    return Draft(Path(*inside.parts[1:]).as_posix(), pair.picture, size_hw, things)
