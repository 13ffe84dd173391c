"""YOLO sets: a label file beside each picture or in a tree of its own, of Ultralytics, Darknet and DOTA.

A `data.yaml` or `obj.data` that names several splits stands for the first of `train`, `val` and `test`. Another
split is opened by its folder (`images/val`, `val/images`, `val`) or its list of pictures (`val.txt`). A picture
without a label file is one without objects; a label file without a picture is an error. Label order follows the
ids.

References: docs.ultralytics.com/datasets; pjreddie.com/darknet; captain-whu.github.io/DOTA.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats import yolo_config, yolo_lines
from maskrcnn.data.formats.drafts import Draft, assemble, numbered
from maskrcnn.data.formats.pictures import is_file, is_there
from maskrcnn.data.formats.place import SPLITS, Place
from maskrcnn.data.formats.reading import Reading
from maskrcnn.data.formats.texts import lines
from maskrcnn.data.images import IMAGE_SUFFIXES, header_size
from maskrcnn.errors import AnnotationError, ImageError, few

_PICTURES = frozenset({"images", "jpegimages"})
_LABELS = frozenset({"labels", "labeltxt", "annotations"})
_YAML = (".yaml", ".yml")
_FEW = 20
_PARENTS = 4
_DEEPEST = 8  # folders inside each other; links can make a circle


class _Set(NamedTuple):
    """What is read.

    Attributes:
        root: The folder from which pictures are named.
        names: The classes by their ids; empty where none are known.
        folders: Where label files without a picture are looked for; none where a list names the pictures.
        pictures: The pictures.
    """

    root: Path
    names: Mapping[int, str]
    folders: Sequence[Path]
    pictures: Sequence[Path]


# Recognised


def find(place: Place) -> list[Path]:
    """List `data.yaml`, `obj.data` or a list of pictures, or the folder itself; where it has splits, those."""
    configs = [path for path in place.ending(*_YAML) if yolo_config.recognises(place.head(path, 1 << 16))]
    configs = configs or [path for path in place.ending(".data") if b"names" in place.head(path)]
    if not place.is_folder:
        return configs or [path for path in place.ending(".txt") if _is_list(path, place.head(path))]
    if configs:
        return configs
    pictures = next((folder for folder in place.folders if folder.name.lower() in _PICTURES), None)
    if pictures is not None:
        splits = _splits(pictures)
        return [each for each in splits if _is_labelled(each)] if splits else [place.path][: _is_labelled(pictures)]
    splits = _splits(place.path) if place.path.absolute().name.lower() in _PICTURES else []
    return [folder for folder in splits or [place.path] if _is_labelled(folder)]


def _splits(folder: Path) -> list[Path]:
    inner = Place(folder).folders
    return inner if any(_is_split(each.name) for each in inner) else []


def _is_split(name: str) -> bool:
    """Say whether a folder is called as a split is, such as `val` or `train2017`."""
    return name.lower().rstrip("0123456789") in SPLITS


def _is_labelled(folder: Path) -> bool:
    """Say whether a few files where the labels of pictures would lie are label files."""
    place = Place(folder)
    own = {path.stem for path in place.files if path.suffix.lower() in IMAGE_SUFFIXES}
    beside = [path for path in place.ending(".txt") if path.stem in own]
    apart = (path for labels in label_folders(folder) for path in _first_files(labels))
    return any(yolo_lines.looks_like(place.head(path)) for path in [*beside[:_FEW], *apart])


def _first_files(folder: Path) -> list[Path]:
    place = Place(folder)
    return place.ending(".txt")[:_FEW] or [file for inner in place.folders[:3] for file in _first_files(inner)]


def _is_list(path: Path, head: bytes) -> bool:
    words = head.decode("utf-8-sig", errors="replace").split("\n", 1)[0].strip()
    if Path(words).suffix.lower() not in IMAGE_SUFFIXES:
        return False
    return any(_label_files(yolo_config.nearest(words, [path.parent])).values())


def label_folders(folder: Path) -> list[Path]:
    """List where the label files of the pictures in a folder may lie, apart from the folder itself.

    That is the same folder in a tree called `labels` beside the innermost one called `images`.
    """
    parts = folder.absolute().parts
    for i in range(len(parts) - 1, 0, -1):
        if parts[i].lower() in _PICTURES:
            beside = Path(*parts[:i])
            trees = [each for each in Place(beside).folders if each.name.lower() in _LABELS]
            return [tree.joinpath(*parts[i + 1 :]) for tree in trees if tree.joinpath(*parts[i + 1 :]).is_dir()]
    return []


# Read


def read(source: Path, reading: Reading) -> Dataset:
    """Read a YOLO set; its pictures are needed, for label files count in shares of their sizes.

    Args:
        source: A `data.yaml`, an `obj.data`, a list of pictures, or a folder.
        reading: What becomes of faults.

    Raises:
        AnnotationError: A file is broken, a line is not what YOLO writes, or a class is unknown.
        ImageError: Pictures are missing or broken.
    """
    chosen = _chosen(source)
    if not chosen.pictures:
        raise ImageError(f"{source}: expected pictures, found none", code="P101")
    files = _label_files(chosen.pictures)
    used = {file for file in files.values() if file is not None}
    if not used:
        raise AnnotationError(
            f"{source}: expected label files for its {len(files)} pictures, such as "
            f"{next(iter(files)).with_suffix('.txt').name}, found none",
            code="F001",
        )
    for _ in reading.each(_orphans(chosen, used), _refuse_orphan):
        pass
    drafts = list(reading.each(files.items(), lambda each: _draft(*each, chosen, reading)))
    return assemble(source, "yolo", drafts, reading, _declared(chosen.names, drafts))


def _draft(picture: Path, label_file: Path | None, chosen: _Set, reading: Reading) -> Draft:
    inside = picture.is_relative_to(chosen.root)
    name = picture.relative_to(chosen.root).as_posix() if inside else picture.as_posix()
    size_hw = header_size(picture)
    if label_file is None:
        return Draft(name, picture, size_hw, [])
    labels = yolo_lines.Labels(label_file, size_hw, chosen.names)
    things = reading.each(yolo_lines.lines(label_file), lambda line: labels.thing(*line))
    return Draft(name, picture, size_hw, list(things), where=str(label_file))


def _declared(names: Mapping[int, str], drafts: Iterable[Draft]) -> dict[int, str] | None:
    if names:
        return dict(names)
    words = numbered(drafts).values()
    return {int(word): word for word in sorted(words, key=int)} if all(map(str.isdecimal, words)) else None


def _label_files(pictures: Sequence[Path]) -> dict[Path, Path | None]:
    """Find the label file of each picture; None where it has none."""
    folders = {folder: [*label_folders(folder), folder] for folder in {picture.parent for picture in pictures}}
    return {picture: _label_file(picture, folders[picture.parent]) for picture in pictures}


def _label_file(picture: Path, folders: Sequence[Path]) -> Path | None:
    places = (folder / f"{picture.stem}.txt" for folder in folders)
    return next((place for place in places if place.is_file()), None)


def _orphans(chosen: _Set, used: set[Path]) -> list[Path]:
    """List the label files in the folders of a set that belong to none of its pictures."""
    inner = dict.fromkeys(picture.parent for picture in chosen.pictures)
    within = [folder for folder in inner if any(folder.is_relative_to(base) for base in chosen.folders)]
    folders = dict.fromkeys(each for folder in within for each in (*label_folders(folder), folder))
    unused = [file for folder in folders for file in Place(folder).ending(".txt") if file not in used]
    return [file for file in unused if yolo_lines.looks_like(Place(file).head(file))]


def _refuse_orphan(file: Path) -> None:
    raise ImageError(f"{file}: expected a picture called {file.stem}, found none", code="P101")


# Which pictures


def _chosen(source: Path) -> _Set:
    if source.is_dir():
        pictures = next((each for each in Place(source).folders if each.name.lower() in _PICTURES), source)
        return _Set(source, _names_near(source), [pictures], list(_pictures_in(pictures)))
    if source.suffix.lower() == ".txt":
        return _Set(source.parent, _names_near(source.parent), [], _listed(source, [source.parent]))
    config = (yolo_config.read_yaml if source.suffix.lower() in _YAML else yolo_config.read_data)(source)
    if not config.splits:
        raise AnnotationError(f"{source}: expected one of {', '.join(yolo_config.SPLITS)}, got none of them")
    split, entries = next(iter(config.splits.items()))
    bases = _bases(source, config.root)
    places = [_place(entry, bases, f"{source}: {split}") for entry in entries]
    folders = [place for place in places if place.is_dir()]
    pictures_of = (
        _pictures_in(place) if place.is_dir() else _listed(place, [*bases, place.parent]) for place in places
    )
    return _Set(source.parent, config.names, folders, [picture for each in pictures_of for picture in each])


def _bases(file: Path, root: str) -> list[Path]:
    """List the folders from which a path in a file may count."""
    named = yolo_config.nearest(root, [file.parent]) if root else []
    return list(dict.fromkeys([*named, file.parent]))


def _place(entry: str, bases: list[Path], where: str) -> Path:
    """Find a split; Roboflow writes `../train/images` for what lies beside the file.

    A list of pictures is found by its name alone too, a folder is not: `images` is not `val/images`.
    """
    plain = entry.replace("\\", "/")
    places = [base / spelled for spelled in (plain, plain.removeprefix("../")) for base in bases]
    if plain.lower().endswith(".txt"):
        places += yolo_config.nearest(plain, bases)
    place = next((place for place in places if is_there(place)), None)
    if place is None:
        raise ImageError(f"{where}: expected a folder or a list of pictures, found no {entry}", code="P101")
    return place


def _pictures_in(folder: Path, deepest: int = _DEEPEST) -> Iterator[Path]:
    place = Place(folder)
    yield from place.ending(*IMAGE_SUFFIXES)
    for inner in place.folders if deepest else ():
        if inner.name.lower() not in _LABELS:
            yield from _pictures_in(inner, deepest - 1)


def _listed(source: Path, bases: list[Path]) -> list[Path]:
    """Return the pictures that a file lists, one a line, by paths that may be of another machine."""
    named = [line.text for line in lines(source)]
    found = [next(iter(yolo_config.nearest(entry, bases)), None) for entry in named]
    missing = [entry for entry, path in zip(named, found, strict=True) if path is None or not is_file(path)]
    if missing:
        raise ImageError(
            f"{source}: {len(missing)} of {len(named)} pictures are missing: {few(missing, 3)}", code="P101"
        )
    return [path for path in found if path is not None]


def _names_near(folder: Path) -> Mapping[int, str]:
    """Return the classes that a file in a folder, or in one of those that it lies in, declares."""
    for above in [folder.absolute(), *folder.absolute().parents][:_PARENTS]:
        place = Place(above)
        for path in place.ending(*_YAML):
            if yolo_config.recognises(place.head(path, 1 << 16)):
                return yolo_config.read_yaml(path).names
        labels = [Place(inner) for inner in place.folders if inner.name.lower() in _LABELS]
        for name in yolo_config.NAME_FILES:
            found = next((path for each in [place, *labels] for path in each.files if path.name == name), None)
            if found is not None:
                return yolo_config.read_names(found)
    return {}
