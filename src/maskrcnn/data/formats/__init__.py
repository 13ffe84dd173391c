"""Annotations of every kind: one module a format, and the door that recognises them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple, Protocol

from maskrcnn.data.classes import Classes, choose_classes
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.formats import (
    ade20k,
    cis680,
    cityscapes,
    coco,
    coco_panoptic,
    createml,
    cvat,
    geotiff,
    id_images,
    kitti,
    kittiseg,
    labelme,
    labelme_xml,
    lvis,
    mask_files,
    mask_folders,
    mots,
    open_images,
    pose_bowl,
    segment_anything,
    tfrecord,
    via,
    vistas,
    voc,
    vott,
    yolo,
)
from maskrcnn.data.formats.archives import unpacked
from maskrcnn.data.formats.place import Place
from maskrcnn.data.formats.reading import Fault, Pictures, Reading, refuse
from maskrcnn.errors import AnnotationError, FormatError, InputError, few

__all__ = ["FORMATS", "open_dataset"]


class _Find(Protocol):
    def __call__(self, place: Place) -> list[Path]: ...


class _Read(Protocol):
    def __call__(self, source: Path, reading: Reading) -> Dataset: ...


class Format(NamedTuple):
    """A kind of annotation.

    Attributes:
        title: What people call it.
        find: Lists what of this kind lies at a place: files, or the place itself where a folder is the set.
        read: Reads one of them.
    """

    title: str
    find: _Find
    read: _Read


FORMATS: dict[str, Format] = {
    "via": Format("VGG Image Annotator", via.find, via.read),
    "coco": Format("COCO instances", coco.find, coco.read),
    "coco-panoptic": Format("COCO panoptic", coco_panoptic.find, coco_panoptic.read),
    "lvis": Format("LVIS", lvis.find, lvis.read),
    "segment-anything": Format("SA-1B (Segment Anything)", segment_anything.find, segment_anything.read),
    "id-images": Format("label images, one value an object", id_images.find, id_images.read),
    "mask-files": Format("mask files called after picture and class", mask_files.find, mask_files.read),
    "mask-folders": Format("a folder of masks a picture", mask_folders.find, mask_folders.read),
    "ade20k": Format("ADE20K", ade20k.find, ade20k.read),
    "cityscapes": Format("Cityscapes", cityscapes.find, cityscapes.read),
    "kitti": Format("KITTI", kitti.find, kitti.read),
    "kittiseg": Format("KittiSeg lists", kittiseg.find, kittiseg.read),
    "mots": Format("MOTS", mots.find, mots.read),
    "open-images": Format("Open Images", open_images.find, open_images.read),
    "vistas": Format("Mapillary Vistas", vistas.find, vistas.read),
    "voc": Format("Pascal VOC", voc.find, voc.read),
    "pose-bowl": Format("Pose Bowl", pose_bowl.find, pose_bowl.read),
    "geotiff": Format("GeoTIFF with outlines", geotiff.find, geotiff.read),
    "tfrecord": Format("TensorFlow Object Detection API", tfrecord.find, tfrecord.read),
    "cis680": Format("CIS 680", cis680.find, cis680.read),
    "labelme": Format("LabelMe", labelme.find, labelme.read),
    "labelme-xml": Format("LabelMe's web tool", labelme_xml.find, labelme_xml.read),
    "cvat": Format("CVAT", cvat.find, cvat.read),
    "yolo": Format("YOLO", yolo.find, yolo.read),
    "vott": Format("VoTT", vott.find, vott.read),
    "createml": Format("Create ML", createml.find, createml.read),
}
"""Every kind of annotation that is read, by the name that `--format` takes."""

GIVES_WAY = {"coco-panoptic": "coco"}
"""Of two kinds that are published together, the one that has to be asked for, and the one that is taken."""

USUAL_NAMES = dict.fromkeys(via.USUAL_NAMES, "via")
"""Files whose name alone says what a folder is, whatever else lies in it."""


class _Found(NamedTuple):
    source: Path
    format: str


def open_dataset(
    path: str | Path,
    *,
    format: str | None = None,  # noqa: A002  # the attribute's name
    pictures: Pictures = "required",
    fault: Fault = refuse,
    classes: Classes | None = None,
) -> Dataset:
    """Open annotated pictures, whatever their format.

    Args:
        path: An annotation file, a folder that is a set or holds one, or an archive of one.
        format: One of `FORMATS`, where it is not to be recognised.
        pictures: With `optional`, a picture may be missing until it is asked for, where the annotations say
            its size (COCO does, VIA does not).
        fault: Called with every error in a record. By default it is raised; where it returns, the record is
            left out and reading goes on.
        classes: Merges, renames or drops classes, `"vehicle=car,truck;person"` (`maskrcnn.data.classes`).

    Raises:
        InputError: There is no such format, or `classes` names a class that the data does not have.
        FormatError: Nothing is there, or nothing of a known format, or several files of one.
        AnnotationError: The annotation file is broken.
        ImageError: Pictures are missing.
    """
    if format is not None and format not in FORMATS:
        near = get_close_matches(format, FORMATS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"format: expected one of {', '.join(FORMATS)}, got {format!r}{hint}")
    path = unpacked(Path(path))
    if not path.exists():
        raise FormatError(f"{path}: expected an annotation file or a folder with one, got no such file or folder")
    place = Place(path)
    found = _recognise(place, _tried(place) if format is None else [format])
    dataset = FORMATS[found.format].read(found.source, Reading(pictures, fault, place.parsed))
    return dataset if classes is None else choose_classes(dataset, classes)


def _tried(place: Place) -> list[str]:
    """Name the formats to look for: that of a file whose name says it all, or every one."""
    usual = {USUAL_NAMES[file.name] for file in place.files if file.name in USUAL_NAMES}
    return list(usual) if len(usual) == 1 else list(FORMATS)


def _recognise(place: Place, names: Iterable[str]) -> _Found:
    names = list(names)
    found = [_Found(source, name) for name in names for source in FORMATS[name].find(place)]
    found = [each for each in found if GIVES_WAY.get(each.format) not in {other.format for other in found}]
    if len(found) > 1:
        raise _several(place, found)
    if found:
        return found[0]
    if place.broken:
        raise place.broken[0]
    raise _unknown(place, names)


def _several(place: Place, found: list[_Found]) -> AnnotationError:
    kinds = {each.format for each in found}
    if len(kinds) > 1:
        got = few((f"{each.format} ({each.source.name})" for each in found), 6)
        return FormatError(f"{place.path}: expected one kind of annotation, got {got}; choose one with --format")
    got = few((each.source.relative_to(place.path) for each in found), 6)
    return FormatError(f"{place.path}: expected one annotation file, got {got}; name the one to open")


def _unknown(place: Place, names: list[str]) -> FormatError:
    kinds = "annotations of a known kind" if len(names) > 1 else f"annotations of {FORMATS[names[0]].title}"
    if place.is_folder:
        return FormatError(f"{place.path}: expected {kinds}; found {_contents(place)}{_hint(place)}")
    got = _outline(place.json(place.path)) if place.ending(".json") else f"a file with {_suffix(place.path)}"
    return FormatError(f"{place.path}: expected {kinds}, got {got}")


def _suffix(path: Path) -> str:
    return f"suffix {path.suffix}" if path.suffix else "no suffix"


def _outline(document: object) -> str:
    """Describe parsed JSON in a few words."""
    if isinstance(document, dict):
        return f"an object with {few(map(repr, document), 4)}" if document else "an empty object"
    first = document[0] if isinstance(document, list) and document else None
    if isinstance(first, dict) and {"image_id", "score"} <= first.keys():
        return "COCO results, which are detections and not annotations"
    return f"a JSON {type(document).__name__}"


def _contents(place: Place) -> str:
    suffixes = Counter(path.suffix.lower() or "(no suffix)" for path in place.files)
    files = [f"{count} {suffix}" for suffix, count in suffixes.most_common(4)]
    return ", ".join([*files, *(f"{path.name}/" for path in place.folders[:4])]) or "nothing"


def _hint(place: Place) -> str:
    """Name the folders inside in which annotations lie, as those of a set that is split into train and val do."""
    inner = [folder for folder in place.folders[:20] if any(form.find(Place(folder)) for form in FORMATS.values())]
    return f"; try {' or '.join(str(folder) for folder in inner[:3])}" if inner else ""
