"""COCO instances JSON, read and written.

A segmentation is a list of polygons, or run lengths as a list or as COCO's string. An annotation without one
has a box only. Labels follow the category ids, which need not be contiguous; every declared category is a
class, whether any object has it or not.

References: cocodataset.org/#format-data; pycocotools.
Letters: K classes, N objects of a picture.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Annotation, Box, Dataset, Record, Rings, Runs, sift, stated_or_header_size
from maskrcnn.data.formats.fields import (
    expected,
    listing,
    mapping,
    number,
    numbers,
    polygon,
    text,
    whole,
)
from maskrcnn.data.formats.pictures import locate
from maskrcnn.data.formats.place import Place
from maskrcnn.data.formats.reading import Reading
from maskrcnn.errors import AnnotationError
from maskrcnn.files import write_text
from maskrcnn.ops.rle import compress, decompress
from maskrcnn.structures import Instances

_INSTANCES = "instances_*.json"
_LARGEST_AREA = 1e12


@dataclass(frozen=True)
class _Picture:
    name: str
    image_id: int
    size_hw: tuple[int, int] | None


def find(place: Place) -> list[Path]:
    """List the COCO instances files of a place or of its `annotations` folder; results are not annotations."""
    return [path for path in _candidates(place) if _recognises(place.json(path))]


def _candidates(place: Place) -> list[Path]:
    inner = place.inside("annotations")
    paths = [*place.ending(".json"), *(inner.ending(".json") if inner else ())]
    named = [path for path in paths if path.match(_INSTANCES)]
    return named or [path for path in paths if not place.is_folder or not path.stem.endswith("results")]


def _recognises(document: object) -> bool:
    """Say whether parsed JSON is a COCO instances file; captions and panoptic sets are not."""
    if not isinstance(document, dict) or not {"images", "annotations", "categories"} <= document.keys():
        return False
    annotations = document["annotations"]
    first = annotations[0] if isinstance(annotations, list) and annotations else {}
    return not (isinstance(first, dict) and {"segments_info", "caption"} & first.keys())


def read(source: Path, reading: Reading) -> Dataset:
    """Read a COCO instances file.

    Args:
        source: The JSON file.
        reading: What becomes of faults; pictures may be missing as long as the file says their sizes.

    Raises:
        AnnotationError: The file is broken, or a field of it is not what COCO says.
        ImageError: Pictures are missing.
    """
    root = mapping(reading.json(source), str(source), "top level")
    class_names, category_ids = _categories(root.get("categories"), source)
    images = _pictures(root.get("images"), source)
    paths = locate([image.name for image in images], _folders(source), source, reading)
    sizes = [stated_or_header_size(place, image.size_hw) for place, image in zip(paths, images, strict=True)]
    size_of = {image.image_id: size_hw for image, size_hw in zip(images, sizes, strict=True)}
    annotations = _annotations(root.get("annotations"), size_of, category_ids, source)
    records = [
        Record(image.name, place, image.image_id, size_hw, tuple(annotations[image.image_id]))
        for image, place, size_hw in zip(images, paths, sizes, strict=True)
    ]
    kept, left_out = sift(records, source)
    return Dataset(source, "coco", class_names, category_ids, kept, left_out)


def _folders(source: Path) -> list[Path]:
    """List where the pictures of an annotation file may lie, the likeliest first."""
    here, split = source.parent, source.stem.removeprefix("instances_")
    named = [here.parent / split, here / split, here.parent / "images" / split, here / "images" / split]
    return [*named, here, here / "images", here.parent / "images", here.parent]


def _categories(value: object, source: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    names: dict[int, str] = {}
    for i, item in enumerate(listing(value, str(source), "categories")):
        where = f"{source}: categories[{i}]"
        category = mapping(item, where, "category")
        category_id = whole(category.get("id"), where, "id")
        name = text(category.get("name"), where, "name")
        if category_id in names or name in names.values():
            raise AnnotationError(
                f"{where}: expected every id and every name once, got {category_id} {name!r} a second time"
            )
        names[category_id] = name
    if not names:
        raise AnnotationError(f"{source}: categories: expected at least one, got none")
    ids = tuple(sorted(names))
    return tuple(names[category_id] for category_id in ids), ids


def _pictures(value: object, source: Path) -> list[_Picture]:
    images: dict[int, _Picture] = {}
    for i, item in enumerate(listing(value, str(source), "images")):
        where = f"{source}: images[{i}]"
        entry = mapping(item, where, "image")
        image_id = whole(entry.get("id"), where, "id")
        if image_id in images:
            raise AnnotationError(f"{where}: expected every id once, got {image_id} a second time")
        name = text(entry.get("file_name"), where, "file_name")
        images[image_id] = _Picture(name, image_id, _stated_size(entry, where))
    return list(images.values())


def _stated_size(entry: dict[str, object], where: str) -> tuple[int, int] | None:
    if entry.get("height") is None and entry.get("width") is None:
        return None
    return whole(entry.get("height"), where, "height", 1), whole(entry.get("width"), where, "width", 1)


def _annotations(
    value: object, size_of: Mapping[int, tuple[int, int]], category_ids: Sequence[int], source: Path
) -> dict[int, list[Annotation]]:
    label_of = {category_id: label for label, category_id in enumerate(category_ids)}
    found: dict[int, list[Annotation]] = {image_id: [] for image_id in size_of}
    for i, item in enumerate(listing(value, str(source), "annotations")):
        entry = mapping(item, f"{source}: annotations[{i}]", "annotation")
        name = f"annotation {entry['id']}" if "id" in entry else f"annotations[{i}]"
        where = f"{source}: {name}"
        image_id = whole(entry.get("image_id"), where, "image_id")
        if image_id not in size_of:
            raise expected("the id of one of the images", image_id, where, "image_id")
        category_id = whole(entry.get("category_id"), where, "category_id")
        if category_id not in label_of:
            raise expected("the id of one of the categories", category_id, where, "category_id")
        found[image_id].append(_annotation(entry, name, where, label_of[category_id], size_of[image_id]))
    return found


def _annotation(entry: dict[str, object], name: str, where: str, label: int, size_hw: tuple[int, int]) -> Annotation:
    shape, box = _shape(entry.get("segmentation"), where, size_hw), _box(entry.get("bbox"), where)
    if shape is None and box is None:
        raise AnnotationError(f"{where}: expected a segmentation or a bbox, got neither")
    area = entry.get("area")
    crowd = entry.get("iscrowd") or 0
    if crowd not in (0, 1):
        raise expected("0 or 1", crowd, where, "iscrowd")
    return Annotation(
        name,
        label,
        shape,
        box,
        None if area is None else number(area, where, "area", _LARGEST_AREA),
        crowd == 1,
    )


def _box(value: object, where: str) -> Box | None:
    if value is None:
        return None
    xywh = [number(single, where, "bbox") for single in listing(value, where, "bbox")]
    if len(xywh) != 4 or min(xywh[2:]) < 0:
        raise expected("x, y, width and height, the last two from 0 up", value, where, "bbox")
    x, y, w, h = xywh
    return x, y, x + w, y + h


def _shape(value: object, where: str, size_hw: tuple[int, int]) -> Rings | Runs | None:
    if value is None or value == []:
        return None
    if isinstance(value, dict):
        return _runs(value, where, size_hw)
    if not isinstance(value, list):
        raise expected("polygons or run lengths", value, where, "segmentation")
    return Rings(tuple(_ring(part, where, i) for i, part in enumerate(value)))


def _ring(value: object, where: str, i: int) -> NDArray[np.float64]:
    field = f"segmentation[{i}]"
    xy = numbers(value, where, field)
    if len(xy) % 2:
        raise AnnotationError(f"{where}: {field}: expected x and y in turn, got {len(xy)} numbers")
    return polygon(xy.reshape(-1, 2), where)


def _runs(value: dict[str, object], where: str, size_hw: tuple[int, int]) -> Runs:
    if value.get("size") != [*size_hw]:
        raise expected(f"{[*size_hw]} as the picture's", value.get("size"), where, "segmentation: size")
    counts = _counts(value.get("counts"), where)
    pixels = size_hw[0] * size_hw[1]
    if ((counts < 0) | (counts > pixels)).any() or counts.sum() != pixels:
        raise AnnotationError(
            f"{where}: segmentation: expected runs from 0 up that sum to {pixels} for a picture of "
            f"{size_hw[0]}x{size_hw[1]}, got a sum of {counts.sum()}"
        )
    return Runs(compress(counts), int(counts[1::2].sum()))


def _counts(value: object, where: str) -> NDArray[np.int64]:
    if isinstance(value, str):
        try:
            return decompress(value)
        except AnnotationError as error:
            raise AnnotationError(f"{where}: segmentation: {error}") from None
    runs = listing(value, where, "segmentation: counts")
    checked = [whole(run, where, "segmentation: counts") for run in runs]
    return np.array(checked, dtype=np.int64)


# Writing


def encode_instances(
    instances: Instances, image_id: int, first_id: int, category_ids: Sequence[int]
) -> list[dict[str, object]]:
    """Write the objects of a picture as COCO annotations; masks are kept exactly.

    Args:
        instances: The N objects.
        image_id: The picture's id.
        first_id: The first object's id; the others follow.
        category_ids: The id of each of the K classes.
    """
    areas = _areas(instances)
    return [
        {"id": first_id + i, **entry, "area": areas[i], "iscrowd": int(instances.crowd[i])}
        for i, entry in enumerate(_located(instances, image_id, category_ids))
    ]


def encode_results(instances: Instances, image_id: int, category_ids: Sequence[int]) -> list[dict[str, object]]:
    """Write the detections of a picture as COCO results.

    Args:
        instances: The N detections.
        image_id: The picture's id.
        category_ids: The id of each of the K classes.
    """
    scores = instances.scores.tolist()
    return [
        {**entry, "score": score}
        for entry, score in zip(_located(instances, image_id, category_ids), scores, strict=True)
    ]


def write(
    path: str | Path,
    images: Sequence[Mapping[str, object]],
    annotations: Sequence[Mapping[str, object]],
    categories: Sequence[Mapping[str, object]],
) -> None:
    """Write a COCO instances file, whole or not at all.

    Raises:
        OutputError: The file can't be written.
    """
    document = {"images": images, "annotations": annotations, "categories": categories}
    write_text(Path(path), json.dumps(document))


def _areas(instances: Instances) -> list[float]:
    if instances.masks is not None:
        areas: list[float] = instances.masks.areas().tolist()
        return areas
    sides = instances.boxes[:, 2:].astype(np.float64) - instances.boxes[:, :2]
    return [w * h for w, h in sides.tolist()]


def _located(instances: Instances, image_id: int, category_ids: Sequence[int]) -> list[dict[str, object]]:
    boxes = instances.boxes.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    entries: list[dict[str, object]] = [
        {"image_id": image_id, "category_id": int(category_ids[label]), "bbox": box}
        for label, box in zip(instances.labels.tolist(), boxes.tolist(), strict=True)
    ]
    if instances.masks is not None:
        for entry, rle in zip(entries, instances.masks.rle(), strict=True):
            entry["segmentation"] = rle
    return entries
